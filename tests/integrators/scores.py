"""How well a solver does on the problems with trusted answers, and how much work that is to SciPy."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, Protocol, TypeAlias, final

import numpy as np
import numpy.typing as npt
from scipy.integrate import DOP853, RK45

from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import PrecisionName
from tests.problems import PROBLEMS, Problem

PeerName: TypeAlias = Literal["RK45", "DOP853"]
States: TypeAlias = npt.NDArray[np.float64]

NONSTIFF: Final = tuple(problem for problem in PROBLEMS.values() if problem.stiff in ("no", "mild"))
LEVELS: Final = (1e-3, 1e-6, 1e-9)
"""The relative tolerances at which explicit methods are scored; atol follows in each problem's own proportion."""
STIFF_LEVELS: Final[Mapping[PrecisionName, tuple[float, ...]]] = {"float64": LEVELS, "float32": LEVELS[:1]}
"""Those at which stiff methods are."""
PEERS: Final[dict[str, PeerName]] = {"tsit5": "RK45", "dop853": "DOP853", "vern7": "DOP853"}
"""Our methods, and the one of SciPy's that each is measured against."""
EVALUATIONS_AT_START: Final = 2
"""The first rate, and one to estimate the first step: ours and SciPy's alike."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How far off the rows and saved times of a problem were, at most, and how many steps they took together.

    Parameters
    ----------
    error : the largest ``abs(y - reference) / (rtol*abs(reference) + atol)``; infinite if a run failed.
    n_steps : attempts, rejected ones among them.
    """

    error: float
    n_steps: int
    n_rejected: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Attempted steps, and evaluations of the right-hand side without those of dense output, of all rows together."""

    n_steps: int
    n_evaluations: int


class Rate(Protocol):
    """A right-hand side as SciPy takes it."""

    def __call__(self, t: float, y: States, /) -> list[float]: ...


def atol_of(problem: Problem, rtol: float) -> float:
    """Return the absolute tolerance that belongs to `rtol`, in the problem's own proportion."""
    return rtol * problem.atol / problem.rtol


def scipys_error(problem: Problem, rtol: float, method: PeerName) -> float | None:
    """Return the recorded error of SciPy over all rows and times, or None where it is not on record.

    Raises
    ------
    LookupError: if nothing is recorded at this tolerance.
    """
    return scipys_errors(problem, rtol).get(method)


def scipys_errors(problem: Problem, rtol: float) -> Mapping[str, float]:
    """Return the recorded errors of SciPy's methods over all rows and times.

    Raises
    ------
    LookupError: if nothing is recorded at this tolerance.
    """
    for level, errors in problem.scipy_error.items():
        if math.isclose(float(level.partition("/")[0]), rtol, rel_tol=1e-9):
            return errors
    raise LookupError(f"rtol must be one of {[*problem.scipy_error]} for {problem.name}, got {rtol}. Use one of them.")


def bound_of(problem: Problem, rtol: float, *, is_default: bool) -> float:
    """Return the largest error that a stiff method may make, by those of SciPy's methods; less if it is the default."""
    theirs = scipys_errors(problem, rtol).values()
    return max(20.0, 3 * min(theirs)) if is_default else max(100.0, 3 * median(theirs))


def score(solver: Solver, problem: Problem, rtol: float) -> Score:
    """Solve all rows of a problem and compare them with the trusted answers."""
    atol = atol_of(problem, rtol)
    solver.update(rtol=rtol, atol=atol)
    solution = solver.solve(
        problem.t_span, problem.initial_values().T, problem.parameter_values().T, t_eval=problem.t_eval
    )
    reference = problem.references().y
    miss = np.abs(np.transpose(solution.y, (2, 0, 1)) - reference) / (rtol * np.abs(reference) + atol)
    return Score(
        error=float(miss.max()) if solution.all_succeeded else math.inf,
        n_steps=int(solution.n_steps.sum()),
        n_rejected=int(solution.n_rejected.sum()),
    )


def scipys_work(problem: Problem, rtol: float, method: PeerName) -> Work:
    """Integrate all rows with SciPy and count."""
    n_evaluations, n_rows, solver_class = 0, 0, {"RK45": RK45, "DOP853": DOP853}[method]
    for y0, parameters in zip(problem.initial_values(), problem.parameter_values(), strict=True):
        t0, t_end = problem.t_span
        run = solver_class(rate_of(problem, parameters), t0, y0, t_end, rtol=rtol, atol=atol_of(problem, rtol))
        with np.errstate(all="ignore"):
            while run.status == "running":
                run.step()
        n_evaluations, n_rows = n_evaluations + run.nfev, n_rows + 1
    n_stages = {"RK45": 6, "DOP853": 12}[method]
    return Work(n_steps=(n_evaluations - EVALUATIONS_AT_START * n_rows) // n_stages, n_evaluations=n_evaluations)


def rate_of(problem: Problem, parameters: States) -> Rate:
    """Return the equations, which are our own text, as a Python function of floats, the fastest there is for SciPy."""
    rates = {f"d{state}" for state in problem.states}
    lines = [re.sub(r"\^", "**", line) for line in problem.equations]
    body = [f"    {', '.join(problem.states)}, = y.tolist()", *(f"    {line}" for line in lines)]
    assert {line.partition("=")[0].strip() for line in lines} >= rates
    text = "\n".join(["def rate(t, y):", *body, f"    return [{', '.join(f'd{state}' for state in problem.states)}]"])
    namespace: dict[str, Rate] = {}
    values = dict(zip(problem.parameters, parameters.tolist(), strict=True))
    exec(text, {"sin": math.sin, "cos": math.cos, "sqrt": math.sqrt, "exp": math.exp, **values}, namespace)
    return namespace["rate"]
