"""How many more runs a second cubie makes than SciPy: Lorenz, adaptive, at equal tolerances, in turn in one process.

All cores against one, since SciPy's solvers use one. On a CPU, runs stand side by side in the lanes of its vector
registers; lines with one lane and one thread show what compiled code alone gives. The goal with one lane on two cores
is 500. `--peer PYTHON` adds numbalsoda, by an interpreter that has it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias, final

import numpy as np

from benchmarks.harness import Json, Table, Timing, common, finish, in_turn, machine, parser
from benchmarks.lorenz import ATOL, ATOL_IN_SINGLE, RTOL, States, final_states, rho, scipys_final_states, solver, swept
from benchmarks.numbalsoda_peer import numbalsodas_seconds
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
    "method",
    "precision",
    "lanes",
    "threads",
    "SciPy's",
    "Msteps/s",
    "runs/s",
    "SciPy's runs/s",
    "ratio",
    "error",
    "SciPy's error",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What everyone runs: cubie `n_runs`, SciPy `few` of them, whose exact ends are known."""

    n_runs: int
    few: States
    exact: States
    device: str
    repeats: int

    def error(self, ends: States) -> float:
        """Return the largest error of the `few`, in units of rtol*|y| + atol."""
        return float((np.abs(ends - self.exact) / (RTOL * np.abs(self.exact) + ATOL)).max())


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One method against SciPy's, in runs a second."""

    method: str
    precision: PrecisionName
    peer: str
    lanes: str
    threads: str
    seconds: Timing
    scipys_seconds: Timing
    steps_per_second: float
    rate: float
    scipys_rate: float
    ratio: float
    error: float
    scipys_error: float

    def cells(self) -> tuple[str, ...]:
        """Return a line of the table."""
        rates = (f"{self.rate:,.0f}", f"{self.scipys_rate:,.1f}", f"{self.ratio:,.0f}")
        return (
            self.method,
            self.precision,
            self.lanes,
            self.threads,
            self.peer,
            f"{self.steps_per_second / 1e6:,.0f}",
            *rates,
            f"{self.error:.0f}",
            f"{self.scipys_error:.0f}",
        )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=100_000, help="cubie's runs (default: 100000)")
    made.add_argument("--scipy-runs", type=int, default=22, help="SciPy's, spread over the same range (default: 22)")
    made.add_argument("--peer", default=None, metavar="PYTHON", help="an interpreter that has numbalsoda")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    few = rho(arguments.scipy_runs)
    course = Course(
        n_runs=arguments.runs,
        few=few,
        exact=scipys_final_states("DOP853", few, rtol=1e-13, atol=1e-15),
        device=options.device,
        repeats=options.repeats,
    )
    entries = (*SCALAR, *FULL) if options.device == "cpu" else FULL
    contests = [contest(course, entry) for entry in entries]
    rows, figures = [each.cells() for each in contests], [figures_of(each) for each in contests]
    if arguments.peer:
        seconds = numbalsodas_seconds(arguments.peer, course.n_runs, course.repeats)
        rate, scipys_rate = course.n_runs / seconds, contests[0].scipys_rate
        ratio = f"{rate / scipys_rate:,.0f}"
        rows.append(("numbalsoda's dop853", "float64", "1", "all", "RK45", "", f"{rate:,.0f}", "", ratio, "", ""))
        figures.append({"method": "numbalsoda's dop853", "rate": rate})
    notes = (
        f"{course.n_runs:,} runs, t from 0 to 10, rho from 0 to 21, rtol {RTOL:g}, atol {ATOL:g} (cubie's "
        f"{ATOL_IN_SINGLE:g} in float32), on {course.device}; warm, medians of {course.repeats}; attempted steps. "
        f"Errors: the largest at the end, in units of rtol*|y| + {ATOL:g}. Goals for tsit5: 10,000 in float32, 5,000 "
        "in float64, and ten times numbalsoda's runs."
    )
    finish("cpu_vs_scipy", Table(headers=HEADERS, rows=tuple(rows)), notes, figures, where, save=options.save)


def contest(course: Course, entry: Entry) -> Contest:
    """Time both in turn, after a first solve that compiles."""
    method, precision, peer, lanes, threads = entry
    with thread_limit(threads):
        ours = solver(method, course.device, lanes, precision)
        ends, scipys_ends = final_states(ours, course.few), scipys_final_states(peer, course.few)
        values = rho(course.n_runs)
        n_steps = swept(ours, values).stats.n_steps
        taken = in_turn(
            {
                "cubie": lambda: final_states(ours, values),
                "scipy": lambda: scipys_final_states(peer, course.few),
            },
            course.repeats,
        )
    rate, scipys_rate = course.n_runs / taken["cubie"].median, course.few.size / taken["scipy"].median
    return Contest(
        method=method,
        precision=precision,
        peer=peer,
        lanes="best" if lanes is None else str(lanes),
        threads=threads or "all",
        seconds=taken["cubie"],
        scipys_seconds=taken["scipy"],
        steps_per_second=n_steps / taken["cubie"].median,
        rate=rate,
        scipys_rate=scipys_rate,
        ratio=rate / scipys_rate,
        error=course.error(ends),
        scipys_error=course.error(scipys_ends),
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


def figures_of(each: Contest) -> Json:
    """Return everything about one contest."""
    figures: Json = asdict(each)
    return figures


if __name__ == "__main__":
    main()
