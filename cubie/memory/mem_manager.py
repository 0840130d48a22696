"""Free memory of the host, outputs that must fit in it, and batches cut to fit a device."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from cubie._types import Precision

ROOT: Final = Path("/")
RUNS_PER_BLOCK: Final = 64
"""Chunks are cut at multiples of this, so that no chunk splits a warp or a vector."""
HEADROOM: Final = 0.9
"""The part of the free memory that arrays may take."""


SMALL_BYTES: Final = 2**26
"""Less than this always fits: asking the system would take longer than a small solve."""


LendsFn: TypeAlias = Callable[[int], bool]


class OutputTooLargeError(ValueError):
    """An array would not fit in the free memory."""


def available_host_bytes(root: Path = ROOT) -> int | None:
    """Return how many bytes this process can still allocate, or None where the system does not tell.

    The least of what the kernel calls available and of what is left under each enclosing control group's limit.
    """
    candidates = [*_meminfo(root), *_cgroup_margins(root)]
    if candidates:
        return max(0, min(candidates))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def lends_nothing(n_bytes: int) -> bool:
    """Tell that all arrays take free memory."""
    return False


def check_fits(
    shape: tuple[int, ...],
    precision: Precision,
    what: str,
    *,
    remedy: str = "Use fewer runs.",
    lends: LendsFn = lends_nothing,
) -> None:
    """Refuse an array of `shape` elements that would not fit in the host's free memory, if it takes any of it.

    Parameters
    ----------
    lends : tells whether there is other memory for so many bytes.

    Raises
    ------
    OutputTooLargeError: if it would take more than nine tenths of it.
    """
    n_bytes = math.prod(shape) * np.dtype(precision).itemsize
    if n_bytes <= SMALL_BYTES or lends(n_bytes):
        return
    available = available_host_bytes()
    if available is None or n_bytes <= HEADROOM * available:
        return
    size = " x ".join(f"{length:,}" for length in shape)
    raise OutputTooLargeError(
        f"{what} must fit in {_gib(HEADROOM * available)} of free memory, got {_gib(n_bytes)} ({size} values of "
        f"{np.dtype(precision).name}). {remedy}"
    )


def check_output_fits(shape: tuple[int, int, int], precision: Precision, lends: LendsFn = lends_nothing) -> None:
    """Refuse an output of shape (n_times, n_variables, n_runs) that would not fit in the host's free memory."""
    check_fits(
        shape,
        precision,
        "the output",
        remedy="Save fewer times (t_eval, save_every) or variables (save), use precision='float32', "
        "or solve the sweep in parts.",
        lends=lends,
    )


def plan_chunks(n_runs: int, bytes_per_run: int, budget: int) -> list[tuple[int, int]]:
    """Cut `n_runs` runs into (start, stop) ranges, of about one size, each of at most `budget` bytes.

    Raises
    ------
    OutputTooLargeError: if the smallest chunk takes more than the budget.
    """
    budget = max(budget, 0)  # the inputs alone may take all there is
    most = min(budget // max(bytes_per_run, 1), n_runs)
    if most < n_runs:
        most = most // RUNS_PER_BLOCK * RUNS_PER_BLOCK
    if most == 0:
        least = min(n_runs, RUNS_PER_BLOCK)
        raise OutputTooLargeError(
            f"{least} runs must fit in {_gib(budget)} of free device memory, got {_gib(least * bytes_per_run)}. "
            "Save fewer times (t_eval, save_every) or variables (save), or free memory on the device."
        )
    n_chunks = -(-n_runs // most)
    size = min(most, -(-n_runs // (n_chunks * RUNS_PER_BLOCK)) * RUNS_PER_BLOCK)
    return [(start, min(start + size, n_runs)) for start in range(0, n_runs, size)]


def _meminfo(root: Path) -> Iterator[int]:
    """Yield the bytes that Linux can hand out without swapping, if this is Linux."""
    try:
        text = (root / "proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _cgroup_margins(root: Path) -> Iterator[int]:
    """Yield what is left under the memory limit of this process's control group and of each group around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        unified = controllers == ""
        base = root / ("sys/fs/cgroup" if unified else "sys/fs/cgroup/memory")
        names = ("memory.max", "memory.current") if unified else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            yield from _cgroup_margin(folder, *names)
            if folder == base:
                break


def _cgroup_margin(folder: Path, limit_name: str, usage_name: str) -> Iterator[int]:
    try:
        limit = (folder / limit_name).read_text(encoding="ascii").strip()
        usage = int((folder / usage_name).read_text(encoding="ascii"))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return
    if limit != "max":
        yield int(limit) - usage + int(counts.get("total_inactive_file", counts.get("inactive_file", "0")))


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:,.2f} GiB"
