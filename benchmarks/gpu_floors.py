"""How near cubie's GPU kernels come to code written by hand: Lorenz against CUDA C++, compiled here by nvcc.

Kernel times are by events on the device around one launch, enqueued while another still runs, so that they hold no
waiting for the host. Ratios are medians over rounds in which cubie and the floor have their turns, with the values
between which eight of ten rounds lie. End to end is NumPy in, NumPy out, by the clock; its bound is the larger of the
kernel's time and the time in which the link to pinned memory, measured here, moves the bytes.
"""

import statistics
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, final
from unittest import mock

import numpy as np

from benchmarks.floors.cpu_library import Precision
from benchmarks.floors.cuda_program import VARIANTS, CudaProgram, CudaTask
from benchmarks.floors.steering import steering
from benchmarks.harness import ROW_HEADERS, Json, Table, common, finish, machine, needing, parser, said, shown
from benchmarks.rounds import in_turn
from benchmarks.sweeps import PRECISIONS, STEP, Sweep, WarmSweep, lorenz
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver_settings import DEFAULT_CONTROLLER
from cubie.targets.cuda_device import DeviceLauncher
from cubie.targets.cuda_memory import Slot
from cubie.targets.devices import find_device

RUNS: Final = (1_048_576, 8_388_608)
SPAN: Final = (0.0, 1.0)
TOLERANCES: Final = (1e-6, 1e-8)
CONTROLLERS: Final = (DEFAULT_CONTROLLER, "i")
LAUNCHES: Final = 5
GOAL, END_TO_END_GOAL = 1.05, 1.3
LEAST_RTOL: Final = {"float32": 4 * 2.0**-23, "float64": 4 * 2.0**-52}
LIKENESS: Final = {"float32": 1e-3, "float64": 1e-5}
"""How far the ends of most runs may differ: rounding, and steps that rough logarithms made a little longer."""
MOST: Final = 0.98
STEPS_LIKENESS: Final = 0.01
HEADERS: Final = (*ROW_HEADERS, "steps/run", "CUDA C++, ms", "kernel / C++", "bound, ms", "warm / bound")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kernel: `tolerance` is 0 for fixed steps."""

    method: str
    controller: str
    tolerance: float
    precision: Precision
    n_runs: int

    @property
    def kind(self) -> str:
        """The method in words."""
        return f"{self.method}, {self.controller}"

    @property
    def rtol(self) -> float:
        """The relative tolerance, which a solver will not have below four units of rounding."""
        return max(self.tolerance, LEAST_RTOL[self.precision])

    def sweep(self, device: str) -> Sweep:
        """Return cubie's batch."""
        return replace(
            lorenz(self.n_runs, self.precision, SPAN),
            method=self.method,
            controller=self.controller if self.tolerance else DEFAULT_CONTROLLER,
            step=None if self.tolerance else STEP,
            rtol=self.rtol if self.tolerance else TOLERANCES[0],
            atol=self.tolerance or TOLERANCES[0],
            device=device,
        )

    def tasks(self) -> dict[str, CudaTask]:
        """Return the floor's kernels for it."""
        names = VARIANTS if self.tolerance else ("rk4" if self.method == "classical-rk4" else "tsit5",)
        follows = steering(self.controller if self.tolerance else DEFAULT_CONTROLLER)
        return {
            name: CudaTask(
                kernel=name,
                precision=self.precision,
                n_runs=self.n_runs,
                rtol=self.rtol,
                atol=self.tolerance,
                steering=follows,
            )
            for name in names
        }

    @property
    def n_bytes(self) -> int:
        """Bytes that a solve moves: rho there; state and counts back, and no last times, as no run fails."""
        return self.n_runs * (np.dtype(self.precision).itemsize * (1 + 3) + 3 * 4)


def main() -> None:
    made = parser(__doc__, device="cuda")
    add_options(made)
    arguments = made.parse_args()
    options, where = common(arguments, only="cuda"), machine()
    with tempfile.TemporaryDirectory() as folder:
        with needing("nvcc of CUDA 12 or later, and a GPU that it knows"):
            program = CudaProgram(Path(folder))
            link = program.link_bytes_per_second()
        results = [
            contest(case, program, link, options.device, options.repeats)
            for case in cases(arguments.runs)
            if arguments.only in f"{case.kind} {case.precision}"
        ]
    notes = (
        f"T from 0 to 1, rho from 0 to 21; fixed: 1,000 steps, errors in units of {TOLERANCES[0]:g}*(|y| + 1); "
        "adaptive: rtol = atol, but rtol not below 4.8e-7 in float32; "
        f"{find_device(options.device).description}, link {link / 1e9:.1f} GB/s; "
        f"{options.repeats} rounds of {LAUNCHES}. Goals: {GOAL} and {END_TO_END_GOAL}."
    )
    table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
    figures: Json = {"link": link, "rows": [row for _, row in results]}
    finish("gpu_floors", table, notes, figures, where, save=options.save)


def add_options(made: ArgumentParser) -> None:
    """Let parts be chosen."""
    made.add_argument("--runs", type=int, nargs="+", default=RUNS, help="batch sizes (default: both of the goals)")
    made.add_argument("--only", default="", help="part of 'METHOD, CONTROLLER PRECISION' (default: all)")


def cases(sizes: Sequence[int]) -> Iterator[Case]:
    """Yield all kernels."""
    for n_runs in sizes:
        for precision in PRECISIONS:
            for method in ("classical-rk4", "tsit5"):
                yield Case(method=method, controller="fixed", tolerance=0.0, precision=precision, n_runs=n_runs)
            for controller in CONTROLLERS:
                for tolerance in TOLERANCES:
                    yield Case(
                        method="tsit5", controller=controller, tolerance=tolerance, precision=precision, n_runs=n_runs
                    )


def contest(case: Case, program: CudaProgram, link: float, device: str, n_rounds: int) -> tuple[tuple[str, ...], Json]:
    """Measure cubie's kernel and the floor's in turn, then cubie from end to end."""
    ours, tasks = WarmSweep(case.sweep(device)), case.tasks()
    for task in tasks.values():
        require_likeness(case, ours.first, program, task)
    floors = {name: floor_milliseconds(program, task) for name, task in tasks.items()}
    rounds = in_turn({"cubie": lambda: kernel_milliseconds(ours), **floors}, n_rounds)
    floor = min(tasks, key=lambda name: rounds.of(name, float).median)
    kernel = rounds.of("cubie", float).median
    row = replace(ours.row([ours.measure() for _ in range(n_rounds * LAUNCHES)]), kernel=kernel)
    bound = max(kernel, case.n_bytes / link * 1e3)
    cells = (
        *(*row.cells(), shown(row.steps), shown(rounds.of(floor, float).median)),
        *(rounds.ratio("cubie", floor, float).text(3), shown(bound), f"{row.warm / bound:.2f}"),
    )
    kernels: Json = {name: list(samples) for name, samples in rounds.samples.items()}
    return said(cells), {"row": asdict(row), "floor": floor, "kernels": kernels}


def floor_milliseconds(program: CudaProgram, task: CudaTask) -> Callable[[], float]:
    """Return what measures one of the floor's kernels."""
    return lambda: statistics.median(program.milliseconds(task, LAUNCHES))


def kernel_milliseconds(ours: WarmSweep) -> float:
    """Return what cubie's kernel takes."""
    with back_to_back():
        return statistics.median(ours.measure().kernel for _ in range(LAUNCHES)) * 1e3


@contextmanager
def back_to_back() -> Iterator[None]:
    """Let kernels take whole batches, twice, and be timed the second time: by then they wait for the device, not it for
    them.
    """
    once = DeviceLauncher.timed

    def second(launcher: DeviceLauncher, slot: Slot, launch: Callable[[], None]) -> None:
        launch()
        once(launcher, slot, launch)

    whole = mock.patch("cubie.targets.cuda_device.pieces_of", lambda chunks: [*chunks])
    afresh = mock.patch.object(DeviceLauncher, "_cut", staticmethod(DeviceLauncher._pieces))
    with mock.patch.object(DeviceLauncher, "timed", second), whole, afresh:
        yield


def require_likeness(case: Case, ours: Solution, program: CudaProgram, task: CudaTask) -> None:
    """Raise if the floor's answers, or their work, are others than cubie's."""
    ends = program.ends(task)
    share = float(np.mean(np.abs(ours.y[-1] - ends.states).max(axis=0) <= LIKENESS[case.precision]))
    work = float(ours.n_steps.mean() / ends.counts[1].mean())
    all_succeeded = ours.all_succeeded and not ends.counts[0].any()
    if not all_succeeded or share < MOST or abs(work - 1) > STEPS_LIKENESS:
        raise AssertionError(
            f"{MOST:.0%} of the ends must be the floor's ({case.kind}, {case.precision}, {task.kernel}), in as many "
            f"steps, got {share:.1%}, in {work:.3f} times the steps. Find out which of the two has changed."
        )


if __name__ == "__main__":
    main()
