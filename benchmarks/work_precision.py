"""What accuracy costs: error against time a run, for several methods, with SciPy's for comparison, as pictures.

One sheet has nonstiff problems and explicit methods, one stiff problems and implicit methods. Every point is one
tolerance. The error is the largest over nine rows of a sweep and all saved times, relative to |y| + atol/rtol of the
problem. cubie solves many copies of the nine rows at once, SciPy the nine one after the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

from benchmarks.harness import FOLDER, Json, Options, Table, common, finish, machine, parser, seconds, timing
from cubie.batchsolving.solver import Solver
from tests.integrators.scores import States, atol_of, rate_of
from tests.problems import N_ROWS, PROBLEMS, Problem

Peer: TypeAlias = Literal["RK45", "DOP853", "Radau", "LSODA"]

TOLERANCES: Final = tuple(10.0**-power for power in range(3, 12))
SCIPYS_TOLERANCES: Final = TOLERANCES[::3]
ENOUGH: Final = 1.0
"""Seconds after which one point is not measured again."""
COLORS: Final = ("tab:gray", "tab:blue", "tab:cyan", "tab:red", "tab:green", "tab:purple")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table and its picture: problems, and the methods that are fit for them."""

    name: str
    problems: tuple[str, ...]
    methods: tuple[str, ...]
    peers: tuple[Peer, ...]
    compared_at: float
    """The error at which the table compares times."""

    @property
    def contestants(self) -> tuple[str, ...]:
        """Everyone's name, ours first."""
        return (*self.methods, *(f"SciPy's {peer}" for peer in self.peers))


SHEETS: Final = {
    sheet.name: sheet
    for sheet in (
        Sheet(
            name="work_precision",
            problems=("lorenz", "lotka_volterra", "brusselator2", "kepler", "arenstorf", "duffing"),
            methods=("bogacki-shampine-32", "tsit5", "dormand-prince-54", "dop853", "vern7", "vern9"),
            peers=("RK45", "DOP853"),
            compared_at=1e-4,
        ),
        Sheet(
            name="stiff_work_precision",
            problems=("robertson", "hires", "vdpol", "orego", "pollu", "bruss1d_n32"),
            methods=("rodas5p", "kvaerno-5", "radau"),
            peers=("Radau", "LSODA"),
            compared_at=1e-6,
        ),
    )
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One tolerance: the error there, and the time a run."""

    rtol: float
    error: float
    seconds: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One method on one problem."""

    problem: str
    method: str
    points: tuple[Point, ...]

    def seconds_at(self, error: float) -> float | None:
        """Return the time that this error costs, between the points in both logarithms; None outside them."""
        usable = sorted((point.error, point.seconds) for point in self.points)
        errors, times = (np.log([entry[part] for entry in usable]) for part in (0, 1))
        if not usable or not errors[0] <= np.log(error) <= errors[-1]:
            return None
        return float(np.exp(np.interp(np.log(error), errors, times)))


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--sheets", nargs="*", default=list(SHEETS), choices=list(SHEETS), metavar="NAME")
    made.add_argument("--problems", nargs="*", choices=sorted(PROBLEMS), metavar="NAME", help="instead of each sheet's")
    made.add_argument("--copies", type=int, default=64, help="copies of the nine rows (default: 64)")
    made.add_argument("--folder", type=Path, default=FOLDER, help="where pictures go that are not saved")
    arguments = made.parse_args()
    options = common(arguments)
    for sheet in (SHEETS[name] for name in arguments.sheets):
        where, problems = machine(), arguments.problems or sheet.problems
        curves = [curve for name in problems for curve in curves_of(PROBLEMS[name], sheet, arguments.copies, options)]
        notes = (
            f"![Error against time]({sheet.name}.png)\n\n"
            f"Microseconds a run at an error of {sheet.compared_at:g}, of cubie on {options.device} with all threads, "
            f"{arguments.copies * N_ROWS} runs at once, and of SciPy; medians of {options.repeats}, fewer of what "
            f"takes {ENOUGH:g} s. A dash: not within the tolerances tried."
        )
        draw(sheet, curves, (FOLDER if options.save else arguments.folder) / f"{sheet.name}.png")
        figures: Json = [asdict(curve) for curve in curves]
        finish(sheet.name, table(sheet, curves), notes, figures, where, save=options.save)


def curves_of(problem: Problem, sheet: Sheet, copies: int, options: Options) -> Iterator[Curve]:
    """Measure all of a sheet's methods on one problem; points of failed runs, which have no error, are left out."""
    ours = [(method, our_points(problem, method, copies, options)) for method in sheet.methods]
    theirs = [
        (f"SciPy's {peer}", tuple(scipys_point(problem, peer, rtol) for rtol in SCIPYS_TOLERANCES))
        for peer in sheet.peers
    ]
    for method, points in (*ours, *theirs):
        finite = tuple(point for point in points if np.isfinite(point.error))
        yield Curve(problem=problem.name, method=method, points=finite)


def our_points(problem: Problem, method: str, copies: int, options: Options) -> tuple[Point, ...]:
    """Measure one method at all tolerances."""
    solver = Solver(problem.system(), method=method, device=options.device)
    y0, parameters = (
        np.tile(values, (copies, 1)).T for values in (problem.initial_values(), problem.parameter_values())
    )
    points = []
    for rtol in TOLERANCES:
        solver.update(rtol=rtol, atol=atol_of(problem, rtol))
        solution = solver.solve(problem.t_span, y0, parameters, t_eval=problem.t_eval)
        taken: list[float] = []
        while len(taken) < options.repeats and sum(taken) < ENOUGH:
            taken.append(seconds(lambda: solver.solve(problem.t_span, y0, parameters, t_eval=problem.t_eval)))
        error = relative_error(problem, np.transpose(solution.y[:, :, :N_ROWS], (2, 0, 1)).astype(np.float64))
        points.append(Point(rtol=rtol, error=error, seconds=timing(taken).median / solution.n_runs))
    return tuple(points)


def scipys_point(problem: Problem, method: Peer, rtol: float) -> Point:
    """Measure SciPy at one tolerance."""
    rows: list[States] = []

    def solve() -> None:
        for y0, parameters in zip(problem.initial_values(), problem.parameter_values(), strict=True):
            rate, atol = rate_of(problem, parameters), atol_of(problem, rtol)
            with np.errstate(all="ignore"):
                solved = solve_ivp(rate, problem.t_span, y0, method=method, t_eval=problem.t_eval, rtol=rtol, atol=atol)
            complete = solved.success and solved.y.shape[1] == len(problem.t_eval)
            rows.append(solved.y.T if complete else np.full((len(problem.t_eval), len(y0)), np.nan))

    taken = seconds(solve)
    return Point(rtol=rtol, error=relative_error(problem, np.array(rows)), seconds=taken / N_ROWS)


def relative_error(problem: Problem, states: States) -> float:
    """Return the largest error, relative to |y| + atol/rtol; states have shape (9, n_times, n_states)."""
    reference = problem.references().y
    return float((np.abs(states - reference) / (np.abs(reference) + problem.atol / problem.rtol)).max())


def draw(sheet: Sheet, curves: Sequence[Curve], output: Path) -> None:
    """Write one panel for each problem."""
    problems = list(dict.fromkeys(curve.problem for curve in curves))
    n_columns = min(3, len(problems))
    n_rows = -(-len(problems) // n_columns)
    figure = Figure(figsize=(4.2 * n_columns, 3.6 * n_rows + 0.8), layout="constrained")
    for place, problem in enumerate(problems, start=1):
        axes = figure.add_subplot(n_rows, n_columns, place)
        draw_panel(axes, sheet, [curve for curve in curves if curve.problem == problem])
        axes.set_title(problem.replace("_", " "))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=n_columns + 1)
    figure.savefig(output, dpi=130)


def draw_panel(axes: Axes, sheet: Sheet, curves: Sequence[Curve]) -> None:
    """Draw time against error: better is lower and further to the left."""
    for curve in curves:
        theirs = curve.method not in sheet.methods
        place = sheet.contestants.index(curve.method) - len(sheet.methods) * theirs
        axes.loglog(
            [point.error for point in curve.points],
            [1e6 * point.seconds for point in curve.points],
            color="black" if theirs else COLORS[place],
            linestyle=(":", "--")[place] if theirs else "-",
            marker="os"[place] if theirs else ".",
            markersize=3 if theirs else 6,
            label=curve.method,
        )
    axes.set_xlabel("largest relative error")
    axes.set_ylabel("time a run (µs)")
    axes.grid(alpha=0.3)


def table(sheet: Sheet, curves: Sequence[Curve]) -> Table:
    """Return the times at one error, a line for each problem."""
    lines: dict[str, list[str]] = {}
    for curve in curves:
        taken = curve.seconds_at(sheet.compared_at)
        lines.setdefault(curve.problem, []).append("-" if taken is None else f"{1e6 * taken:,.3g}")
    return Table(headers=("problem", *sheet.contestants), rows=tuple((name, *cells) for name, cells in lines.items()))


if __name__ == "__main__":
    main()
