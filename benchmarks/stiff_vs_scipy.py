"""How many more runs a second cubie makes of stiff problems than SciPy's Radau, and than numbalsoda's lsoda.

Radau uses one core, the others all. It goes by the problem's own tolerances; the others do too, or by ten times tighter
ones each time that their error at the end is larger than Radau's.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Final, final

import numpy as np
from scipy.integrate import Radau

from benchmarks.harness import Json, Table, Timing, Work, common, finish, in_turn, machine, parser
from benchmarks.lsoda_peer import LsodaPeer, States, lsoda_peer
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.auto_method import STIFF_METHOD
from cubie.batchsolving.solver import Solver
from tests.integrators.scores import atol_of, rate_of
from tests.problems import PROBLEMS, Problem

PROBLEM_NAMES: Final = ("robertson", "hires", "vdpol", "orego", "pollu")
METHODS: Final = ("rodas5p", STIFF_METHOD)
PEER_RUNS: Final = 2_000
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
    "lsoda's rtol",
    "lsoda's runs/s",
    "ratio ",
    "lsoda's error",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lsoda:
    """What numbalsoda's lsoda does of the same problem."""

    rtol: float
    rate: float
    error: float

    def cells(self, rate: float) -> tuple[str, ...]:
        """Return its part of a line beside cubie's rate."""
        return (f"{self.rtol:g}", f"{self.rate:,.0f}", f"{rate / self.rate:.1f}", f"{self.error:.2g}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One problem by one method against SciPy's Radau and, where there is such a peer, numbalsoda's lsoda."""

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
    lsoda: Lsoda | None

    def cells(self) -> tuple[str, ...]:
        """Return a line of the table."""
        rates = (f"{self.rate:,.0f}", f"{self.steps_rate:,.0f}", f"{self.scipys_rate:,.1f}")
        ratio = f"{self.rate / self.scipys_rate:,.0f}"
        lsodas = self.lsoda.cells(self.rate) if self.lsoda else ("-",) * 4
        errors = (f"{self.error:.2g}", f"{self.scipys_error:.2g}")
        return (self.problem, self.method, f"{self.rtol:g}", *rates, ratio, *errors, *lsodas)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=20_000, help="cubie's runs (default: 20000)")
    made.add_argument("--problems", nargs="*", default=PROBLEM_NAMES, help="instead of all")
    made.add_argument("--peer", default=None, metavar="PYTHON", help="an interpreter that has numbalsoda")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    contests: list[Contest] = []
    for problem in (PROBLEMS[name] for name in arguments.problems):
        with lsoda_peer(arguments.peer, problem) if arguments.peer else nullcontext() as peer:
            for method in METHODS:
                contests.append(contest(problem, method, arguments.runs, options.device, options.repeats, peer))
    notes = (
        f"{arguments.runs:,} runs whose first parameter varies by a tenth, float64, on {options.device}, with saves at "
        f"the ends; warm, medians of {options.repeats}. Errors: the largest at the end, in units of the problem's "
        f"rtol*|y| + atol. Lsoda: {PEER_RUNS:,} runs, all threads. Goals: 1,000 times Radau, 5 times lsoda."
    )
    figures: list[Json] = [asdict(each) for each in contests]
    table = Table(headers=HEADERS, rows=tuple(each.cells() for each in contests))
    finish("stiff_vs_scipy", table, notes, figures, where, save=options.save)


def contest(problem: Problem, method: str, n_runs: int, device: str, repeats: int, peer: LsodaPeer | None) -> Contest:
    """Time all in turn, once cubie's tolerance is chosen."""
    scipys_error = error(problem, scipys_end(problem))
    ours = Solver(problem.system(), method=method, device=device)
    rtol = loosest(problem, lambda rtol: end_at(ours, problem, rtol), scipys_error)
    end = end_at(ours, problem, rtol)
    values = {problem.parameters[0]: swept(problem, n_runs)}
    solution = ours.solve(problem.t_span, parameters=values)
    solution.raise_for_status()
    candidates: dict[str, Work] = {
        "cubie": lambda: ours.solve(problem.t_span, parameters=values),
        "scipy": lambda: scipys_end(problem),
    }
    lsodas_rtol = problem.rtol
    if peer:
        lsodas_rtol = loosest(problem, lambda rtol: lsodas_end(peer, problem, rtol), scipys_error)
        candidates["lsoda"] = lambda: lsodas_end(peer, problem, lsodas_rtol, swept(problem, PEER_RUNS))
    taken = in_turn(candidates, repeats)
    return Contest(
        problem=problem.name,
        method=method,
        rtol=rtol,
        seconds=taken["cubie"],
        scipys_seconds=taken["scipy"],
        rate=n_runs / taken["cubie"].median,
        steps_rate=solution.stats.n_steps / taken["cubie"].median,
        scipys_rate=1 / taken["scipy"].median,
        error=error(problem, end),
        scipys_error=scipys_error,
        lsoda=Lsoda(
            rtol=lsodas_rtol,
            rate=PEER_RUNS / taken["lsoda"].median,
            error=error(problem, lsodas_end(peer, problem, lsodas_rtol)),
        )
        if peer
        else None,
    )


def swept(problem: Problem, n_runs: int) -> States:
    """Return the first parameter of all runs."""
    default = problem.defaults[0]
    values: States = np.linspace(0.9 * default, 1.1 * default, n_runs)
    return values


def loosest(problem: Problem, end_by: Callable[[float], FloatArray], most: float) -> float:
    """Return the loosest relative tolerance, by tens, at which the error at the end is at most `most`."""
    rtol = problem.rtol
    while error(problem, end_by(rtol)) > most and rtol > TIGHTEST:
        rtol /= 10
    return rtol


def end_at(solver: Solver, problem: Problem, rtol: float) -> FloatArray:
    """Give cubie's solver a tolerance; return where it ends the default run, shape (n_states,)."""
    solver.update(rtol=rtol, atol=atol_of(problem, rtol))
    return solver.solve(problem.t_span).y[-1, :, 0]


def lsodas_end(peer: LsodaPeer, problem: Problem, rtol: float, values: States | None = None) -> States:
    """Return where lsoda ends the first of these runs, or the default one, shape (n_states,)."""
    swept_values = np.array(problem.defaults[:1]) if values is None else values
    return peer.first_end(swept_values, rtol, atol_of(problem, rtol))


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
