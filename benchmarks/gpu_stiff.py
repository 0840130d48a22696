"""Stiff batches on a GPU: Robertson's reaction, HIRES and POLLU by a Rosenbrock, an ESDIRK and a fully implicit method.

CuBIE 0.17 was measured on an NVIDIA H200 with the same sizes and tolerances; where the device is another, its figures
are no peers. A first call is timed from a fresh solver to its answer, compilation included: `CUBIE_CACHE=0` lets no
kept kernel spare it. Errors are those of a few runs, spread over the sweep, beside tight solves on the CPU.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final, final
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.gpu_floors import gpu_name
from benchmarks.harness import Json, Table, common, finish, machine, parser
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.odesystems import ODESystem, create_ode_system
from cubie.targets.cuda_device import DeviceLauncher, Lane
from tests.problems import PROBLEMS

METHODS: Final = ("rodas5p", "kvaerno-5", "radau")
RTOL: Final = 1e-6
SWEEP: Final = 4.0
"""The last run's first parameter over the first's, which stand around the default."""
FEW: Final = 5
TIGHT_METHOD, TIGHT = "radau", 1e-4
"""What the few runs are compared with, and how much tighter its tolerances are."""
END_TO_END_GOAL: Final = 2.0
HEADERS: Final = (
    "problem",
    "method",
    "rtol",
    "atol",
    "runs",
    "steps/run",
    "error",
    "kernel, ms",
    "CuBIE's, ms",
    "gain",
    "end to end, ms",
    "CuBIE's, ms ",
    "gain ",
    "first call, s",
    "CuBIE's, s",
    "registers",
    "local bytes",
)

States = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What CuBIE 0.17 took: milliseconds of a warm call, seconds of the first, where it was measured."""

    kernel: float
    end_to_end: float | None = None
    first_call: float | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One problem's batch, and the peers' figures in the order of the methods."""

    problem: str
    t_end: float
    atol: float
    n_runs: int
    peers: tuple[Peer, Peer, Peer]


TASKS: Final = (
    Task(
        problem="robertson",
        t_end=1e5,
        atol=1e-8,
        n_runs=131_072,
        peers=(Peer(kernel=1.11), Peer(kernel=2.50), Peer(kernel=4.36)),
    ),
    Task(
        problem="hires",
        t_end=321.8122,
        atol=1e-9,
        n_runs=32_768,
        peers=(
            Peer(kernel=1.25, end_to_end=6.3, first_call=5.1),
            Peer(kernel=1.88, end_to_end=5.6, first_call=6.3),
            Peer(kernel=4.66, end_to_end=8.1, first_call=11.7),
        ),
    ),
    Task(
        problem="pollu",
        t_end=60.0,
        atol=1e-9,
        n_runs=32_768,
        peers=(
            Peer(kernel=7.90, end_to_end=13.8, first_call=9.3),
            Peer(kernel=5.55, end_to_end=10.8, first_call=11.7),
            Peer(kernel=13.0, end_to_end=19.2, first_call=20.5),
        ),
    ),
)


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(device="cuda")
    made.add_argument("--runs", type=int, default=None, help="instead of each problem's own number")
    names = [task.problem for task in TASKS]
    made.add_argument("--problems", nargs="*", default=names, choices=names, help="instead of all")
    made.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS, help="instead of all")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    results = [
        contest(task, method, arguments.runs or task.n_runs, options.device, options.repeats)
        for task in TASKS
        for method in METHODS
        if task.problem in arguments.problems and method in arguments.methods
    ]
    device = "cpu" if options.device == "cpu" else gpu_name()
    notes = (
        f"Float64, the first parameter from half its default to twice that, on {device} (CuBIE's on an NVIDIA H200); "
        f"medians of {options.repeats}. Error: the largest of {FEW} runs at the end, in units of rtol*|y| + atol. "
        f"Goals: gains of 1.5 for Robertson's kernels and {END_TO_END_GOAL:g} ms end to end (CuBIE's 5.7 to 7.5), "
        "above 1 elsewhere."
    )
    table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
    figures: list[Json] = [each for _, each in results]
    finish("gpu_stiff", table, notes, figures, where, save=options.save)


def contest(task: Task, method: str, n_runs: int, device: str, n_repeats: int) -> tuple[tuple[str, ...], Json]:
    """Measure one problem by one method."""
    peer = task.peers[METHODS.index(method)]
    values = swept(task, n_runs)
    begin = time.perf_counter()
    solver = Solver(system_of(task.problem), method=method, rtol=RTOL, atol=task.atol, device=device)
    with launched() as launchers:
        solution = solve(solver, task, values)
    first_call = time.perf_counter() - begin
    solution.raise_for_status()
    steps, error = float(solution.n_steps.mean()), error_of(task, solution.y[-1], values)
    kernels: list[float] = []
    wholes: list[float] = []
    for _ in range(n_repeats):
        begin = time.perf_counter()
        solution = solve(solver, task, values)
        wholes.append((time.perf_counter() - begin) * 1e3)
        kernels.append(solution.timings["kernel"] * 1e3)
    kernel, whole = statistics.median(kernels), statistics.median(wholes)
    resources = launchers[-1].thread_resources if launchers else None
    cells = (
        *(task.problem, method, f"{RTOL:g}", f"{task.atol:g}", f"{n_runs:,}", f"{steps:.1f}", f"{error:.2g}"),
        *(f"{kernel:.3f}", f"{peer.kernel:.2f}", gain(peer.kernel, kernel)),
        *(f"{whole:.2f}", shown(peer.end_to_end), gain(peer.end_to_end, whole)),
        *(f"{first_call:.2f}", shown(peer.first_call)),
        *(map(str, resources) if resources else ("-", "-")),
    )
    row: dict[str, Json] = {"problem": task.problem, "method": method, "n_runs": n_runs, "steps": steps, "error": error}
    return cells, row | {"kernel": kernels, "end_to_end": wholes, "first_call": first_call, "resources": resources}


@contextmanager
def launched() -> Iterator[list[DeviceLauncher]]:
    """Remember what launches GPU kernels meanwhile: nothing, where the device is none."""
    launchers: list[DeviceLauncher] = []
    once = DeviceLauncher.timed

    def remembered(launcher: DeviceLauncher, lane: Lane, launch: Callable[[], None]) -> None:
        launchers.append(launcher)
        once(launcher, lane, launch)

    with mock.patch.object(DeviceLauncher, "timed", remembered):
        yield launchers


def shown(figure: float | None) -> str:
    """Return a known figure, or a dash."""
    return "-" if figure is None else f"{figure:.1f}"


def gain(peers: float | None, ours: float) -> str:
    """Return how many times faster than a known figure."""
    return "-" if peers is None else f"{peers / ours:.2f}"


@cache
def system_of(problem: str) -> ODESystem:
    """Return the problem with its first parameter swept and the others fixed."""
    given = PROBLEMS[problem]
    values = dict(zip(given.parameters, given.defaults, strict=True))
    first = given.parameters[0]
    return create_ode_system(
        given.equations,
        states=dict(zip(given.states, given.y0, strict=True)),
        parameters={first: values.pop(first)},
        constants=values,
        name=problem,
    )


def swept(task: Task, n_runs: int) -> States:
    """Return the first parameter of all runs."""
    default, reach = PROBLEMS[task.problem].defaults[0], SWEEP**0.5
    values: States = np.linspace(default / reach, default * reach, n_runs)
    return values


def solve(solver: Solver, task: Task, values: States) -> Solution:
    """Solve one batch, and save its ends."""
    name = PROBLEMS[task.problem].parameters[0]
    return solver.solve((0.0, task.t_end), parameters={name: values}, t_eval=(task.t_end,))


def error_of(task: Task, ends: States, values: States) -> float:
    """Return the largest error of a few runs, in units of rtol*|y| + atol; `ends` has the shape (n_states, n_runs)."""
    few = np.linspace(0, values.size - 1, FEW).astype(int)
    exact = tight_ends(task, tuple(values[few]))
    return float((np.abs(ends[:, few] - exact) / (RTOL * np.abs(exact) + task.atol)).max())


@cache
def tight_ends(task: Task, values: tuple[float, ...]) -> States:
    """Return the ends of a few runs at tolerances far below those measured, shape (n_states, n_runs)."""
    solver = Solver(
        system_of(task.problem), method=TIGHT_METHOD, rtol=RTOL * TIGHT, atol=task.atol * TIGHT, device="cpu"
    )
    solution = solve(solver, task, np.array(values))
    solution.raise_for_status()
    ends: States = np.asarray(solution.y[-1], dtype=np.float64)
    return ends


if __name__ == "__main__":
    main()
