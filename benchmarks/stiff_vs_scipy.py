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

from benchmarks.harness import (
    ROW_HEADERS,
    Json,
    Options,
    Row,
    Table,
    common,
    finish,
    machine,
    parser,
    require_package,
    shown,
)
from benchmarks.lsoda_peer import LsodaPeer, States, lsoda_peer
from benchmarks.rounds import Rounds, Sample, in_turn, uncounted, wall
from benchmarks.sweeps import Sweep, WarmSweep, figures_of, millions, spaced
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
    *ROW_HEADERS,
    "Msteps/s",
    "runs/s",
    "Radau's runs/s, error",
    "ratio",
    "lsoda's runs/s, error, rtol",
    "ratio ",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What another package does of the same problem, at this relative tolerance."""

    rate: float
    error: float
    rtol: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One problem by one method against SciPy's Radau and, where there is such a peer, numbalsoda's lsoda."""

    row: Row
    rounds: Rounds[Sample]
    radau: Peer
    lsoda: Peer | None

    def cells(self) -> tuple[str, ...]:
        """Return a line of the table."""
        radau, lsoda, ours = self.radau, self.lsoda, self.row.rate
        lsodas = ("-", "-")
        if lsoda:
            lsodas = (f"{lsoda.rate:,.0f}, {shown(lsoda.error)}, {lsoda.rtol:g}", f"{ours / lsoda.rate:.1f}")
        return (
            *(*self.row.cells(), millions(self.rounds, "cubie"), f"{ours:,.0f}"),
            *(f"{radau.rate:,.1f}, {shown(radau.error)}", f"{ours / radau.rate:,.0f}", *lsodas),
        )

    def figures(self) -> Json:
        """Return everything about it."""
        lsoda: Json = asdict(self.lsoda) if self.lsoda else None
        return {"measured": figures_of(self.rounds, self.row), "radau": asdict(self.radau), "lsoda": lsoda}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=20_000, help="cubie's runs (default: 20000)")
    made.add_argument("--problems", nargs="*", default=PROBLEM_NAMES, help="instead of all")
    made.add_argument("--peer", default=None, metavar="PYTHON", help="an interpreter that has numbalsoda")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    if arguments.peer:
        require_package(arguments.peer, "numbalsoda")
    contests: list[Contest] = []
    for problem in (PROBLEMS[name] for name in arguments.problems):
        with lsoda_peer(arguments.peer, problem) if arguments.peer else nullcontext() as peer:
            contests += [contest(problem, method, arguments.runs, options, peer) for method in METHODS]
    notes = (
        f"The first parameter varies by a tenth, on {options.device}; medians of {options.repeats}. Errors: the "
        "largest of the default run at the end, in units of the problem's own rtol*|y| + atol, by which Radau goes. "
        f"Lsoda: {PEER_RUNS:,} runs, all threads. Goals: 1,000 times Radau, 5 times lsoda."
    )
    table = Table(headers=HEADERS, rows=tuple(each.cells() for each in contests))
    finish("stiff_vs_scipy", table, notes, [each.figures() for each in contests], where, save=options.save)


def contest(problem: Problem, method: str, n_runs: int, options: Options, peer: LsodaPeer | None) -> Contest:
    """Time all in turn, once the tolerances are chosen."""
    scipys_error = error(problem, scipys_end(problem))
    ours = WarmSweep(sweep(problem, method, n_runs, options.device))
    rtol = loosest(problem, lambda rtol: end_at(ours.solver, problem, rtol), scipys_error)
    ours.go_by(rtol, atol_of(problem, rtol))
    things = {"cubie": ours.measure, "scipy": uncounted(lambda: scipys_end(problem))}
    lsodas_rtol = problem.rtol
    if peer:
        few = swept(problem, PEER_RUNS)
        lsodas_rtol = loosest(problem, lambda rtol: lsodas_end(peer, problem, rtol), scipys_error)
        things["lsoda"] = uncounted(lambda: lsodas_end(peer, problem, lsodas_rtol, few))
    rounds = in_turn(things, options.repeats)
    return Contest(
        row=ours.row(rounds.samples["cubie"], error(problem, end_at(ours.solver, problem, rtol))),
        rounds=rounds,
        radau=Peer(rate=1 / rounds.of("scipy", wall).median, error=scipys_error, rtol=problem.rtol),
        lsoda=Peer(
            rate=PEER_RUNS / rounds.of("lsoda", wall).median,
            error=error(problem, lsodas_end(peer, problem, lsodas_rtol)),
            rtol=lsodas_rtol,
        )
        if peer
        else None,
    )


def sweep(problem: Problem, method: str, n_runs: int, device: str) -> Sweep:
    """Return cubie's batch, at the problem's own tolerances."""
    return Sweep(
        title=problem.name,
        system=problem.system(),
        parameter=problem.parameters[0],
        values=swept(problem, n_runs),
        t_span=problem.t_span,
        method=method,
        rtol=problem.rtol,
        atol=problem.atol,
        device=device,
    )


def swept(problem: Problem, n_runs: int) -> FloatArray:
    """Return the first parameter of all runs."""
    default = problem.defaults[0]
    return spaced(0.9 * default, 1.1 * default, n_runs)


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


def lsodas_end(peer: LsodaPeer, problem: Problem, rtol: float, values: FloatArray | None = None) -> States:
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
