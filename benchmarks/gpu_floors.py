"""How near cubie's GPU kernels come to code written by hand: Lorenz against CUDA C++, compiled here by nvcc.

Kernel times are by events on the device around one launch, enqueued while another still runs, so that they hold no
waiting for the host. Ratios are medians over rounds in which cubie and the floor have their turns, with the values
between which eight of ten rounds lie. End to end is NumPy in, NumPy out, by the clock; its bound is the larger of the
kernel's time and the time in which the link to pinned memory, measured here, moves the bytes.
"""

import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final
from unittest import mock

import numpy as np

from benchmarks.floors.cpu_library import Precision, Reals
from benchmarks.floors.cuda_program import VARIANTS, CudaProgram, CudaTask
from benchmarks.floors.rounds import Rounds, in_turn
from benchmarks.floors.steering import steering
from benchmarks.floors.sweeps import PRECISIONS, STEP
from benchmarks.harness import Json, Table, common, finish, machine, parser
from benchmarks.lorenz import LORENZ
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import DEFAULT_CONTROLLER
from cubie.targets.cuda_device import DeviceLauncher, Lane
from cubie.targets.devices import devices

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
HEADERS: Final = (
    "method",
    "tolerance",
    "precision",
    "runs",
    "steps/run",
    "CUDA C++, ms",
    "kernel, ms",
    "ratio",
    "end to end, ms",
    "bound, ms",
    "end to end / bound",
)


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

    def solver(self, device: str) -> Solver:
        """Return cubie's solver."""
        return Solver(
            LORENZ,
            method=self.method,
            controller=self.controller,
            rtol=self.rtol,
            atol=self.tolerance,
            first_step=None if self.tolerance else STEP,
            precision=self.precision,
            device=device,
        )

    def rho(self) -> Reals:
        """Return the swept parameter."""
        values = np.linspace(0.0, 21.0, self.n_runs)
        return values.astype(np.float32) if self.precision == "float32" else values

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
        """Bytes that a solve moves: rho there; state, time (a pair in float32) and counts back."""
        item = np.dtype(self.precision).itemsize
        return self.n_runs * (item * (1 + 3 + (2 if self.precision == "float32" else 1)) + 3 * 4)


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(device="cuda")
    add_options(made)
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    with tempfile.TemporaryDirectory() as folder:
        program = CudaProgram(Path(folder))
        link = program.link_bytes_per_second()
        results = [
            contest(case, program, link, options.device, options.repeats)
            for case in cases(arguments.runs)
            if arguments.only in f"{case.kind} {case.precision}"
        ]
    notes = (
        "Lorenz, t from 0 to 1, rho from 0 to 21; fixed: 1,000 steps; adaptive: rtol = atol, but rtol not below 4.8e-7 "
        f"in float32; {gpu_name()}, link {link / 1e9:.1f} GB/s; {options.repeats} rounds. "
        f"Goals: {GOAL} and {END_TO_END_GOAL}."
    )
    table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
    figures: Json = {"link": link, "rows": [row for _, row in results]}
    finish("gpu_floors", table, notes, figures, where, save=options.save)


def gpu_name() -> str:
    """Return what the GPU that integrates is called."""
    return next(device.description for device in devices() if device.kind == "cuda")


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
    solver, tasks = case.solver(device), case.tasks()
    rho = case.rho()
    ours = solve(solver, rho)
    for task in tasks.values():
        require_likeness(case, ours, program, task)
    things = {"cubie": lambda: kernel_milliseconds(solver, rho)} | {
        name: floor_milliseconds(program, task) for name, task in tasks.items()
    }
    rounds = in_turn(things, n_rounds)
    floor = min(tasks, key=lambda name: rounds.of(name, float).median)
    kernel = rounds.of("cubie", float).median
    whole = statistics.median(end_to_end_milliseconds(solver, rho) for _ in range(LAUNCHES))
    bound = max(kernel, case.n_bytes / link * 1e3)
    cells = (
        case.kind,
        f"{case.tolerance:g}" if case.tolerance else "-",
        case.precision,
        f"{case.n_runs:,}",
        f"{float(ours.n_steps.mean()):,.1f}",
        f"{rounds.of(floor, float).median:.3f}",
        f"{kernel:.3f}",
        rounds.ratio("cubie", floor, float).text(3),
        f"{whole:.2f}",
        f"{bound:.2f}",
        f"{whole / bound:.2f}",
    )
    figures: Json = {"case": asdict(case), "floor": floor, "kernels": samples_of(rounds), "end_to_end": whole}
    return cells, figures


def solve(solver: Solver, rho: Reals) -> Solution:
    """Solve one batch, and save its ends."""
    return solver.solve(SPAN, parameters={"rho": rho}, t_eval=SPAN[1:])


def floor_milliseconds(program: CudaProgram, task: CudaTask) -> Callable[[], float]:
    """Return what measures one of the floor's kernels."""
    return lambda: statistics.median(program.milliseconds(task, LAUNCHES))


def kernel_milliseconds(solver: Solver, rho: Reals) -> float:
    """Return what cubie's kernel takes."""
    with back_to_back():
        return statistics.median(solve(solver, rho).timings["kernel"] for _ in range(LAUNCHES)) * 1e3


def end_to_end_milliseconds(solver: Solver, rho: Reals) -> float:
    """Return what a whole solve takes."""
    begin = time.perf_counter()
    solve(solver, rho)
    return (time.perf_counter() - begin) * 1e3


@contextmanager
def back_to_back() -> Iterator[None]:
    """Let kernels take whole batches, twice, and be timed the second time: by then they wait for the device, not it for
    them.
    """
    once = DeviceLauncher.timed

    def second(launcher: DeviceLauncher, lane: Lane, launch: Callable[[], None]) -> None:
        launch()
        once(launcher, lane, launch)

    with mock.patch.object(DeviceLauncher, "timed", second), mock.patch("cubie.targets.cuda_device.PIECES", 1):
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


def samples_of(rounds: Rounds[float]) -> Json:
    """Return everything that was measured."""
    return {name: list(samples) for name, samples in rounds.samples.items()}


if __name__ == "__main__":
    main()
