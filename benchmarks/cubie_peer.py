"""CuBIE 0.17 as it was measured on an NVIDIA H200; where the device is another, its figures are no peers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final, final
from unittest import mock

from benchmarks.harness import ROW_HEADERS, Json, said, shown
from benchmarks.sweeps import Sweep, WarmSweep
from cubie.targets.cuda_device import DeviceLauncher
from cubie.targets.cuda_memory import Slot

HEADERS: Final = (
    *ROW_HEADERS,
    "CuBIE's cold (gain)",
    "warm (gain)",
    "kernel (gain)",
    "steps/run",
    "compiling, s",
    "registers",
    "local bytes",
)
SOLVES: Final = 5
"""A solve of a millisecond takes half as long again now and then, so that medians of a few are off."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What CuBIE took, where it was measured: seconds of the first call, milliseconds of a warm one and its kernel."""

    cold: float | None = None
    warm: float | None = None
    kernel: float | None = None


def beside_cubie(sweep: Sweep, known: Known, n_repeats: int) -> tuple[tuple[str, ...], Json]:
    """Measure a sweep; return a line below `HEADERS`, and all figures: each repeat is so many as `SOLVES`."""
    with launched() as launchers:
        ours = WarmSweep(sweep)
    samples = [ours.measure() for _ in range(n_repeats * SOLVES)]
    row = ours.row(samples)
    resources = launchers[-1].thread_resources if launchers else None
    pairs = ((known.cold, row.cold), (known.warm, row.warm), (known.kernel, row.kernel))
    cells = (
        *row.cells(),
        *(with_gain(theirs, mine) for theirs, mine in pairs),
        *(shown(row.steps), shown(row.compiling)),
        *(map(str, resources) if resources else ("-", "-")),
    )
    return said(cells), {"row": asdict(row), "samples": [asdict(sample) for sample in samples], "resources": resources}


def with_gain(theirs: float | None, ours: float | None) -> str:
    """Return a known figure and how many times as fast ours is, or a dash."""
    return "-" if theirs is None or ours is None else f"{theirs:g} ({theirs / ours:.2f})"


@contextmanager
def launched() -> Iterator[list[DeviceLauncher]]:
    """Remember what launches GPU kernels meanwhile: nothing, where the device is none."""
    launchers: list[DeviceLauncher] = []
    once = DeviceLauncher.timed

    def remembered(launcher: DeviceLauncher, slot: Slot, launch: Callable[[], None]) -> None:
        launchers.append(launcher)
        once(launcher, slot, launch)

    with mock.patch.object(DeviceLauncher, "timed", remembered):
        yield launchers
