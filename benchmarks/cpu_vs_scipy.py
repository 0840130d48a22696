"""How many more runs a second cubie makes than SciPy: Lorenz, adaptive, at equal tolerances, in turn in one process.

All cores against one, since SciPy's solvers use one. On a CPU, runs stand side by side in the lanes of its vector
registers; lines with one lane and one thread show what compiled code alone gives. The goal with one lane on two cores
is 500. `--peer PYTHON` adds numbalsoda, by an interpreter that has it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeAlias, final

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
from benchmarks.lorenz import ATOL, RTOL, scipys_final_states
from benchmarks.numbalsoda_peer import numbalsodas
from benchmarks.rounds import Rounds, Sample, in_turn, uncounted, wall
from benchmarks.sweeps import Sweep, WarmSweep, figures_of, lorenz, millions, overhead
from cubie.batchsolving.solver_settings import PrecisionName
from tests.integrators.scores import PeerName

Entry: TypeAlias = tuple[str, PrecisionName, PeerName, int | None, str]

THREADS: Final = "CUBIE_NUM_THREADS"
SCALAR: Final[tuple[Entry, ...]] = (
    ("tsit5", "float64", "RK45", 1, "1"),
    ("tsit5", "float64", "RK45", 1, ""),
    ("dop853", "float64", "DOP853", 1, ""),
)
"""Method, precision, SciPy's method, lanes and threads; None and "" are as many as there are."""
FULL: Final[tuple[Entry, ...]] = (
    ("tsit5", "float32", "RK45", None, ""),
    ("tsit5", "float64", "RK45", None, ""),
    ("dormand-prince-54", "float64", "RK45", None, ""),
    ("dop853", "float64", "DOP853", None, ""),
    ("vern7", "float64", "DOP853", None, ""),
)
HEADERS: Final = (
    *ROW_HEADERS,
    "lanes",
    "threads",
    "Msteps/s",
    "runs/s",
    "SciPy's",
    "its runs/s",
    "its error",
    "ratio",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One method against SciPy's."""

    row: Row
    rounds: Rounds[Sample]
    lanes: str
    threads: str
    peer: str
    scipys_rate: float
    scipys_error: float

    def cells(self) -> tuple[str, ...]:
        """Return a line of the table."""
        return (
            *self.row.cells(),
            *(self.lanes, self.threads, millions(self.rounds, "cubie"), f"{self.row.rate:,.0f}", self.peer),
            *(f"{self.scipys_rate:,.1f}", shown(self.scipys_error), f"{self.row.rate / self.scipys_rate:,.0f}"),
        )

    def figures(self) -> Json:
        """Return everything about it."""
        words: Json = {"lanes": self.lanes, "threads": self.threads, "peer": self.peer}
        theirs: Json = {"rate": self.scipys_rate, "error": self.scipys_error}
        return {"measured": figures_of(self.rounds, self.row), "with": words, "scipy": theirs}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=100_000, help="cubie's runs (default: 100000)")
    made.add_argument("--scipy-runs", type=int, default=22, help="SciPy's, spread over the same range (default: 22)")
    made.add_argument("--peer", default=None, metavar="PYTHON", help="an interpreter that has numbalsoda")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    if arguments.peer:
        require_package(arguments.peer, "numbalsoda")
    entries = (*SCALAR, *FULL) if options.device == "cpu" else FULL
    contests = [contest(entry, arguments.runs, arguments.scipy_runs, options) for entry in entries]
    rows, figures = [each.cells() for each in contests], [each.figures() for each in contests]
    if arguments.peer:
        peer = numbalsodas(arguments.peer, sweep(entries[0], arguments.runs, "cpu"), options.repeats)
        ratio = f"{peer.rate / contests[0].scipys_rate:,.0f}"
        rows.append((*peer.cells(), "1", "all", "-", f"{peer.rate:,.0f}", "RK45", "-", "-", ratio))
        figures.append(asdict(peer))
    notes = (
        f"T from 0 to 10, rho from 0 to 21, on {options.device}; SciPy: {arguments.scipy_runs} of the runs, by which "
        f"both errors go, at rtol {RTOL:g}, atol {ATOL:g}; medians of {options.repeats}; attempted steps. Goals for "
        "tsit5: 10,000 in float32, 5,000 in float64, and ten times numbalsoda's runs. "
        f"{overhead(options.device)[1]}"
    )
    finish("cpu_vs_scipy", Table(headers=HEADERS, rows=tuple(rows)), notes, figures, where, save=options.save)


def sweep(entry: Entry, n_runs: int, device: str) -> Sweep:
    """Return cubie's batch."""
    method, precision, _, lanes, _ = entry
    return replace(lorenz(n_runs, precision), method=method, device=device, lanes=lanes)


def contest(entry: Entry, n_runs: int, scipys_runs: int, options: Options) -> Contest:
    """Time both in turn, after a first solve that compiles."""
    _, _, peer, lanes, threads = entry
    with thread_limit(threads):
        ours = WarmSweep(sweep(entry, n_runs, options.device))
        runs = ours.sweep.few(scipys_runs)
        few = ours.sweep.values[runs]
        rounds = in_turn(
            {"cubie": ours.measure, "scipy": uncounted(lambda: scipys_final_states(peer, few))}, options.repeats
        )
    return Contest(
        row=ours.row(rounds.samples["cubie"], ours.error(scipys_runs)),
        rounds=rounds,
        lanes="best" if lanes is None else str(lanes),
        threads=threads or "all",
        peer=peer,
        scipys_rate=few.size / rounds.of("scipy", wall).median,
        scipys_error=ours.sweep.error(scipys_final_states(peer, few), runs),
    )


@contextmanager
def thread_limit(threads: str) -> Iterator[None]:
    """Let cubie use so many threads meanwhile; "" is as it was."""
    before = os.environ.get(THREADS)
    try:
        if threads:
            os.environ[THREADS] = threads
        yield
    finally:
        if before is None:
            os.environ.pop(THREADS, None)
        else:
            os.environ[THREADS] = before


if __name__ == "__main__":
    main()
