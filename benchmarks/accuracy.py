"""How accurate cubie is where SciPy is: every nonstiff problem with trusted answers, at three tolerances.

The error of a case is the largest over nine rows of a sweep and all saved times, which lie between steps, in units of
rtol*|y| + atol; its ratio to SciPy's, which counts as 1 at least, is to have a geometric mean of at most 1.2, to be at
most 3 in 90 % of the cases and never above 10.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, final

from benchmarks.harness import FOLDER, Json, Table, common, describe, finish, machine, parser, untimed
from cubie.batchsolving.solver import Solver
from cubie.integrators.algorithms.generic_erk_tableaus import find_tableau
from tests.integrators.scores import (
    EVALUATIONS_AT_START,
    LEVELS,
    NONSTIFF,
    PEERS,
    Score,
    Work,
    scipys_error,
    scipys_work,
    score,
)
from tests.problems import N_ROWS, PROBLEMS

GOAL: Final = "goal: mean at most 1.2, at most 3 in 90 %, never above 10"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One problem at one tolerance, by one method and by SciPy."""

    method: str
    problem: str
    rtol: float
    ours: Score
    n_evaluations: int
    scipys_error: float | None
    scipys_work: Work

    @property
    def error_ratio(self) -> float | None:
        """Ours by SciPy's, which counts as 1 at least; None where SciPy's is not on record."""
        return None if self.scipys_error is None else self.ours.error / max(self.scipys_error, 1.0)

    @property
    def steps_ratio(self) -> float:
        return self.ours.n_steps / self.scipys_work.n_steps

    @property
    def evaluations_ratio(self) -> float:
        return self.n_evaluations / self.scipys_work.n_evaluations


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--controller", default=None, help="another controller than the default one")
    made.add_argument("--problems", nargs="*", default=[], help="only these")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    names = [problem.name for problem in NONSTIFF if not arguments.problems or problem.name in arguments.problems]
    asked = [(name, method, arguments.controller, options.device) for name in names for method in PEERS]
    cases = untimed(measured, asked)
    table, figures = summary(cases), [figures_of(case) for case in cases]
    finish("accuracy", table, f"Error ratios; {GOAL}. The whole is in accuracy.md.", figures, where, save=options.save)
    if options.save:
        (FOLDER / "accuracy.md").write_text(page(cases, table, describe(where)), encoding="utf-8")


def measured(asked: tuple[str, str, str | None, str]) -> list[Case]:
    """Measure one problem by one method, controller and device, all by name, at all tolerances."""
    name, method, controller, device = asked
    problem, peer = PROBLEMS[name], PEERS[method]
    solver, tableau = (
        Solver(problem.system(), method=method, controller=controller, device=device),
        find_tableau(method),
    )
    cases = []
    for rtol in LEVELS:
        ours = score(solver, problem, rtol)
        per_step = tableau.n_stages - tableau.first_same_as_last
        cases.append(
            Case(
                method=method,
                problem=problem.name,
                rtol=rtol,
                ours=ours,
                n_evaluations=per_step * ours.n_steps + EVALUATIONS_AT_START * N_ROWS,
                scipys_error=scipys_error(problem, rtol, peer),
                scipys_work=scipys_work(problem, rtol, peer),
            )
        )
    return cases


def summary(cases: Sequence[Case]) -> Table:
    """Return one line for each method."""
    headers = ("method", "SciPy's", "mean error ratio", "at most 3", "largest", "steps ratio", "evaluations ratio")
    return Table(
        headers=(*headers, "rejected"), rows=tuple(line(m, [c for c in cases if c.method == m]) for m in PEERS)
    )


def line(method: str, cases: Sequence[Case]) -> tuple[str, ...]:
    """Sum up the cases of one method; means are geometric."""
    ratios = [case.error_ratio for case in cases if case.error_ratio is not None]
    rejected = sum(case.ours.n_rejected for case in cases) / sum(case.ours.n_steps for case in cases)
    return (
        method,
        PEERS[method],
        f"{geometric_mean(ratios):.3f}",
        f"{100 * sum(ratio <= 3 for ratio in ratios) / len(ratios):.1f} %",
        f"{max(ratios):.2f}",
        f"{geometric_mean([case.steps_ratio for case in cases]):.2f}",
        f"{geometric_mean([case.evaluations_ratio for case in cases]):.2f}",
        f"{100 * rejected:.1f} %",
    )


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def page(cases: Sequence[Case], table: Table, where: str) -> str:
    """Return the whole matrix as a page."""
    parts = [
        "# Accuracy and work at equal tolerances\n",
        f"{' '.join((__doc__ or '').split())}\n",
        "Attempted steps and evaluations of the right-hand side (without those of dense output) are those of all nine "
        "rows together, as ratios to SciPy's; means are geometric.\n",
        table.markdown() + "\n",
        exceptions(cases) + "\n",
        *(f"## {method} and SciPy's {PEERS[method]}\n\n{matrix(cases, method).markdown()}\n" for method in PEERS),
        f"Made by `python -m benchmarks.accuracy --save`. {where}\n",
    ]
    return "\n".join(parts)


def exceptions(cases: Sequence[Case]) -> str:
    """List what is above 3, and what can't be compared."""
    above = [
        f"{c.method} on {c.problem} at {c.rtol:g} ({c.error_ratio:.1f})" for c in cases if (c.error_ratio or 0) > 3
    ]
    without = [f"{PEERS[c.method]} on {c.problem} at {c.rtol:g}" for c in cases if c.error_ratio is None]
    return f"Above 3: {', '.join(above) or 'none'}. SciPy's error is not on record for: {', '.join(without) or 'none'}."


def matrix(cases: Sequence[Case], method: str) -> Table:
    """Return a line for each problem: error, steps and evaluations ratios at the three tolerances."""
    parts = ("error", "steps", "evaluations")
    headers = ("problem", *(f"{part} {rtol:g}" for part in parts for rtol in LEVELS))
    lines: dict[str, list[str]] = {}
    for part in parts:
        for case in cases:
            if case.method == method:
                value = {"error": case.error_ratio, "steps": case.steps_ratio, "evaluations": case.evaluations_ratio}[
                    part
                ]
                lines.setdefault(case.problem, []).append("-" if value is None else f"{value:.3g}")
    return Table(headers=headers, rows=tuple((name, *cells) for name, cells in lines.items()))


def figures_of(case: Case) -> Json:
    """Return everything about one case."""
    return {
        "method": case.method,
        "problem": case.problem,
        "rtol": case.rtol,
        **asdict(case.ours),
        "n_evaluations": case.n_evaluations,
        "scipys_error": case.scipys_error,
        "scipys_steps": case.scipys_work.n_steps,
        "scipys_evaluations": case.scipys_work.n_evaluations,
    }


if __name__ == "__main__":
    main()
