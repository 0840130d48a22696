"""How accurate stiff methods are: every problem with trusted answers, at three tolerances, at 1e-3 in float32 too.

The error of a case is the largest over nine rows of a sweep and all saved times, which lie between steps, in units of
rtol*|y| + atol. It is to be at most the larger of 100 and three times the median of SciPy's methods there, and of the
default stiff method at most the larger of 20 and three times the best of them.
"""

from dataclasses import asdict, dataclass
from itertools import product
from typing import Final, final

from benchmarks.harness import FOLDER, Table, common, describe, finish, machine, parser, shown, untimed
from cubie.batchsolving.auto_method import STIFF_METHOD
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import PrecisionName
from tests.integrators.scores import STIFF_LEVELS, Score, bound_of, score
from tests.problems import PROBLEMS, Problem

METHODS: Final = ("rodas5p", "kvaerno-5", STIFF_METHOD)
GOAL: Final = (
    "goal: at most the larger of 100 and 3 times the median of SciPy's methods; of the default stiff method, of 20 and "
    "3 times the best"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One problem at one tolerance by one method, and what its error may be."""

    method: str
    precision: PrecisionName
    problem: str
    stiff: str
    rtol: float
    ours: Score
    bound: float

    @property
    def holds(self) -> bool:
        return self.ours.error <= self.bound


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--problems", nargs="*", default=[], help="only these")
    made.add_argument("--methods", nargs="*", default=METHODS, help=f"instead of {', '.join(METHODS)}")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    names = [name for name in PROBLEMS if not arguments.problems or name in arguments.problems]
    cases = untimed(measured, [(name, method, options.device) for name in names for method in arguments.methods])
    table, figures = summary(cases, arguments.methods), [asdict(case) for case in cases]
    finish(
        "stiff_accuracy",
        table,
        f"Cases within the bound; {GOAL}. The whole is in stiff_accuracy.md.",
        figures,
        where,
        save=options.save,
    )
    if options.save:
        (FOLDER / "stiff_accuracy.md").write_text(page(cases, table, describe(where)), encoding="utf-8")


def measured(asked: tuple[str, str, str]) -> list[Case]:
    """Measure one problem by one method on one device, all by name, in both precisions at all tolerances."""
    name, method, device = asked
    problem, cases = PROBLEMS[name], list[Case]()
    for precision, tolerances in STIFF_LEVELS.items():
        solver = Solver(problem.system(), method=method, device=device, precision=precision)
        cases += [case(solver, problem, method, precision, rtol) for rtol in tolerances]
    return cases


def case(solver: Solver, problem: Problem, method: str, precision: PrecisionName, rtol: float) -> Case:
    """Measure one problem at one tolerance."""
    return Case(
        method=method,
        precision=precision,
        problem=problem.name,
        stiff=problem.stiff,
        rtol=rtol,
        ours=score(solver, problem, rtol),
        bound=bound_of(problem, rtol, is_default=method == STIFF_METHOD),
    )


def summary(cases: list[Case], methods: list[str]) -> Table:
    """Return one line for each method and precision."""
    lines = []
    for method, precision in product(methods, STIFF_LEVELS):
        mine = [case for case in cases if (case.method, case.precision) == (method, precision)]
        missed = list(dict.fromkeys(case.problem for case in mine if not case.holds))
        worst = max(case.ours.error / case.bound for case in mine)
        held = f"{sum(case.holds for case in mine)} of {len(mine)}"
        lines.append((method, precision, held, shown(worst), ", ".join(missed)))
    headers = ("method", "precision", "within the bound", "largest error / bound", "problems beyond it")
    return Table(headers=headers, rows=tuple(lines))


def page(cases: list[Case], table: Table, where: str) -> str:
    """Return the whole matrix as a page."""
    headers = ("problem", "stiff", "method", "precision", "rtol", "error", "bound", "steps", "rejected")
    rows = tuple(
        (
            c.problem,
            c.stiff,
            c.method,
            c.precision,
            f"{c.rtol:g}",
            f"{c.ours.error:.3g}",
            f"{c.bound:.3g}",
            f"{c.ours.n_steps:,}",
            f"{c.ours.n_rejected:,}",
        )
        for c in cases
    )
    parts = ["# Accuracy of stiff methods\n", f"{' '.join((__doc__ or '').split())}\n", table.markdown() + "\n"]
    parts += [Table(headers=headers, rows=rows).markdown() + "\n"]
    return "\n".join([*parts, f"Made by `python -m benchmarks.stiff_accuracy --save`. {where}\n"])


if __name__ == "__main__":
    main()
