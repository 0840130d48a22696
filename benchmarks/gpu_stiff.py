"""Stiff batches on a GPU, of 3 to 64 states, by a Rosenbrock, an ESDIRK and a fully implicit method.

CuBIE 0.17 was measured on an NVIDIA H200 with the same sizes and tolerances; where the device is another, its figures
are no peers.
"""

from dataclasses import dataclass
from typing import Final, final

from benchmarks.cubie_peer import HEADERS, SOLVES, Known, beside_cubie
from benchmarks.floors.systems import brusselator
from benchmarks.harness import Json, Table, common, finish, machine, parser
from benchmarks.sweeps import STIFF_EXACT, Sweep, spaced
from cubie.odesystems import ODESystem, create_ode_system
from cubie.targets.devices import find_device
from tests.problems import PROBLEMS, Problem

METHODS: Final = ("rodas5p", "kvaerno-5", "radau")
RTOL: Final = 1e-6
SWEEP: Final = 4.0
"""The last run's parameter over the first's, which stand around the default."""
END_TO_END_GOAL: Final = 2.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One problem's batch, and CuBIE's figures in the order of the methods."""

    problem: Problem
    parameter: str
    t_end: float
    atol: float = 1e-9
    n_runs: int = 32_768
    known: tuple[Known, Known, Known] = (Known(), Known(), Known())

    def sweep(self, method: str, n_runs: int | None = None, device: str = "cpu") -> Sweep:
        """Return the batch by one method."""
        default, reach = dict(zip(self.problem.parameters, self.problem.defaults, strict=True)), SWEEP**0.5
        middle = default[self.parameter]
        return Sweep(
            title=self.problem.name,
            system=varied(self.problem, self.parameter),
            parameter=self.parameter,
            values=spaced(middle / reach, middle * reach, n_runs or self.n_runs),
            t_span=(0.0, self.t_end),
            method=method,
            rtol=RTOL,
            atol=self.atol,
            device=device,
            exact=STIFF_EXACT,
        )


TASKS: Final = (
    Task(
        problem=PROBLEMS["robertson"],
        parameter="k1",
        t_end=1e5,
        atol=1e-8,
        n_runs=131_072,
        known=(Known(kernel=1.11), Known(kernel=2.50), Known(kernel=4.36)),
    ),
    Task(
        problem=PROBLEMS["hires"],
        parameter="k1",
        t_end=321.8122,
        known=(
            Known(cold=5.1, warm=6.3, kernel=1.25),
            Known(cold=6.3, warm=5.6, kernel=1.88),
            Known(cold=11.7, warm=8.1, kernel=4.66),
        ),
    ),
    Task(
        problem=PROBLEMS["pollu"],
        parameter="k1",
        t_end=60.0,
        known=(
            Known(cold=9.3, warm=13.8, kernel=7.90),
            Known(cold=11.7, warm=10.8, kernel=5.55),
            Known(cold=20.5, warm=19.2, kernel=13.0),
        ),
    ),
    Task(problem=brusselator(16), parameter="alpha", t_end=10.0),
    Task(problem=brusselator(32), parameter="alpha", t_end=10.0),
)


def main() -> None:
    made = parser(__doc__, device="cuda")
    made.add_argument("--runs", type=int, default=None, help="instead of each problem's own number")
    names = [task.problem.name for task in TASKS]
    made.add_argument("--problems", nargs="*", default=names, choices=names, help="instead of all")
    made.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS, help="instead of all")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    device = find_device(options.device)
    results = [
        beside_cubie(task.sweep(method, arguments.runs, device.name), known, options.repeats)
        for task in TASKS
        for method, known in zip(METHODS, task.known, strict=True)
        if task.problem.name in arguments.problems and method in arguments.methods
    ]
    notes = (
        f"One parameter from half its default to twice that, on {device.description} (CuBIE's on an NVIDIA H200); "
        f"medians of {options.repeats * SOLVES}. Goals: gains of 1.5 for Robertson's kernels and "
        f"{END_TO_END_GOAL:g} ms from end to end (CuBIE's 5.7 to 7.5), above 1 elsewhere."
    )
    table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
    figures: list[Json] = [each for _, each in results]
    finish("gpu_stiff", table, notes, figures, where, save=options.save)


def varied(problem: Problem, parameter: str) -> ODESystem:
    """Return the problem with one parameter swept and the others compiled in."""
    values = dict(zip(problem.parameters, problem.defaults, strict=True))
    return create_ode_system(
        problem.equations,
        states=dict(zip(problem.states, problem.y0, strict=True)),
        parameters={parameter: values.pop(parameter)},
        constants=values,
        name=problem.name,
    )


if __name__ == "__main__":
    main()
