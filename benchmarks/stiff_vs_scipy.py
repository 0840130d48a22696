"""How many more runs a second cubie makes of stiff problems than SciPy's Radau, at no larger error, in one process.

All cores against one, since SciPy's solvers use one. SciPy goes by the problem's own tolerances; so does cubie, or by
ten times tighter ones each time that its error at the end is larger.
"""

from dataclasses import asdict, dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt
from scipy.integrate import Radau

from benchmarks.harness import Json, Table, Timing, common, finish, in_turn, machine, parser
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.auto_method import STIFF_METHOD
from cubie.batchsolving.solver import Solver
from tests.integrators.scores import atol_of, rate_of
from tests.problems import PROBLEMS, Problem

States = npt.NDArray[np.float64]
PROBLEM_NAMES: Final = ("robertson", "hires", "vdpol", "orego", "pollu")
METHODS: Final = (STIFF_METHOD, "radau-iia-5")
TIGHTEST: Final = 1e-10
HEADERS: Final = (
    "problem",
    "method",
    "rtol",
    "runs/s",
    "steps/s",
    "Radau's runs/s",
    "ratio",
    "error",
    "Radau's error",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One problem by one method against SciPy's Radau."""

    problem: str
    method: str
    rtol: float
    seconds: Timing
    scipys_seconds: Timing
    rate: float
    steps_rate: float
    scipys_rate: float
    error: float
    scipys_error: float

    def cells(self) -> tuple[str, ...]:
        """Return a line of the table."""
        rates = (f"{self.rate:,.0f}", f"{self.steps_rate:,.0f}", f"{self.scipys_rate:,.1f}")
        ratio = f"{self.rate / self.scipys_rate:,.0f}"
        errors = (f"{self.error:.2g}", f"{self.scipys_error:.2g}")
        return (self.problem, self.method, f"{self.rtol:g}", *rates, ratio, *errors)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=20_000, help="cubie's runs (default: 20000)")
    made.add_argument("--problems", nargs="*", default=PROBLEM_NAMES, help="instead of all")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    contests = [
        contest(PROBLEMS[name], method, arguments.runs, options.device, options.repeats)
        for name in arguments.problems
        for method in METHODS
    ]
    notes = (
        f"{arguments.runs:,} runs whose first parameter varies by a tenth, float64, on {options.device}, with saves at "
        f"the ends; warm, medians of {options.repeats}. Errors: the largest at the end, in units of the problem's "
        "rtol*|y| + atol."
    )
    figures: list[Json] = [asdict(each) for each in contests]
    table = Table(headers=HEADERS, rows=tuple(each.cells() for each in contests))
    finish("stiff_vs_scipy", table, notes, figures, where, save=options.save)


def contest(problem: Problem, method: str, n_runs: int, device: str, repeats: int) -> Contest:
    """Time both in turn, once cubie's tolerance is chosen."""
    scipys_error = error(problem, scipys_end(problem))
    ours, rtol = as_accurate(problem, method, device, scipys_error)
    name, default = problem.parameters[0], problem.defaults[0]
    values = {name: np.linspace(0.9 * default, 1.1 * default, n_runs)}
    solution = ours.solve(problem.t_span, parameters=values)
    solution.raise_for_status()
    taken = in_turn(
        {
            "cubie": lambda: ours.solve(problem.t_span, parameters=values),
            "scipy": lambda: scipys_end(problem),
        },
        repeats,
    )
    return Contest(
        problem=problem.name,
        method=method,
        rtol=rtol,
        seconds=taken["cubie"],
        scipys_seconds=taken["scipy"],
        rate=n_runs / taken["cubie"].median,
        steps_rate=solution.stats.n_steps / taken["cubie"].median,
        scipys_rate=1 / taken["scipy"].median,
        error=error(problem, ours.solve(problem.t_span).y[-1, :, 0]),
        scipys_error=scipys_error,
    )


def as_accurate(problem: Problem, method: str, device: str, scipys_error: float) -> tuple[Solver, float]:
    """Return a solver whose error is no larger, and its rtol, the loosest that does it."""
    rtol = problem.rtol
    solver = Solver(problem.system(), method=method, device=device, rtol=rtol, atol=problem.atol)
    while error(problem, solver.solve(problem.t_span).y[-1, :, 0]) > scipys_error and rtol > TIGHTEST:
        rtol /= 10
        solver.update(rtol=rtol, atol=atol_of(problem, rtol))
    return solver, rtol


def error(problem: Problem, end: FloatArray) -> float:
    """Return the largest error at the end of the default run, in units of the problem's tolerances."""
    exact = problem.references().y[0, -1]
    return float((np.abs(end - exact) / (problem.rtol * np.abs(exact) + problem.atol)).max())


def scipys_end(problem: Problem) -> States:
    """Integrate the default run with SciPy."""
    t0, t_end = problem.t_span
    rate = rate_of(problem, problem.parameter_values()[0])
    run = Radau(rate, t0, problem.initial_values()[0], t_end, rtol=problem.rtol, atol=problem.atol)
    while run.status == "running":
        run.step()
    end: States = run.y
    return end


if __name__ == "__main__":
    main()
