"""Generated elimination against NumPy's dense solver, on the reference target."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from cubie._types import FloatPrecision
from cubie.integrators.matrix_free_solvers.linear_solver import LinearSettings, LinearSolver, PairSolver
from cubie.integrators.matrix_free_solvers.pivoting import elimination_order
from cubie.odesystems import ODESystem, create_ode_system
from cubie.status import Status
from cubie.targets.reference import ReferenceTarget
from tests.odesystems.symbolic.test_differentiate import jacobian
from tests.problems import PROBLEMS, Problem
from tests.reference_rows import Rows, floats, reals, rows, scratch

Array: TypeAlias = npt.NDArray[np.float64]
Complex: TypeAlias = npt.NDArray[np.complex128]

WIDTH: Final = 5
STIFF: Final = tuple(problem for problem in PROBLEMS.values() if problem.stiff in ("stiff", "very"))
EACH: Final = pytest.mark.parametrize("problem", STIFF, ids=[problem.name for problem in STIFF])
NO_WEIGHTS: Final = rows([[1.0]])


def states(problem: Problem) -> Array:
    """States of five runs, shape (n_states, 5), from the trusted answers at several times."""
    return problem.references().y[0, 1::2].T.copy()


def scales(problem: Problem, precision: FloatPrecision = np.float64) -> Array:
    """Steps from short to long: not so long in single precision that 1 is lost beside a closed system's singular J."""
    longest = 1e-1 if precision is np.float64 else 1e-7
    return np.geomspace(1e-9, longest, WIDTH) * (problem.t_span[1] - problem.t_span[0])


def pools(solver: LinearSolver | PairSolver, precision: FloatPrecision) -> tuple[Rows, Rows]:
    """Return memory in which nobody has written."""
    return scratch(1, WIDTH, precision), scratch(max(solver.persistent_local_buffer_size, 1), WIDTH, precision)


Memory: TypeAlias = tuple[Rows, Rows]


def factored(
    solver: LinearSolver | PairSolver, y: Array, p: Array, precision: FloatPrecision, *scale: Array
) -> tuple[Memory, list[float]]:
    """Return memory that holds factors, and the answers; a complex scale has two parts."""
    memory, t = pools(solver, precision), reals(*(0.0,) * WIDTH, precision=precision)
    parameters = rows(np.repeat(p[:, np.newaxis], WIDTH, axis=1).tolist(), precision)
    at, drivers = rows(y.tolist(), precision), scratch(1, WIDTH)
    parts = [reals(*part, precision=precision) for part in scale]
    with np.errstate(all="ignore"):
        answers = solver.device_function.factor(t, at, parameters, drivers, *parts, *memory)  # type: ignore[arg-type,call-arg]  # as many parts as it takes
    return memory, floats(answers)


def settings(system: ODESystem, precision: FloatPrecision = np.float64) -> LinearSettings:
    return LinearSettings(system=system, precision=precision)


def misses(system: ODESystem, y: Array, p: Array, scale: Complex, x: Complex, b: Array) -> Array:
    """Residuals relative to ``abs(A) @ abs(x) + abs(b)``, the largest of each run."""
    worst = []
    for run in range(WIDTH):
        matrix = np.eye(len(y)) - scale[run] * jacobian(system, y[:, run], p)
        residual = np.abs(matrix @ x[:, run] - b[:, run])
        worst.append(float((residual / (np.abs(matrix) @ np.abs(x[:, run]) + np.abs(b[:, run]))).max()))
    return np.array(worst)


@EACH
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_solution_leaves_no_residual_but_rounding(problem: Problem, precision: FloatPrecision) -> None:
    system, y, p, scale = problem.system(), states(problem), np.array(problem.defaults), scales(problem, precision)
    solver = LinearSolver(settings(system, precision), target=ReferenceTarget(width=WIDTH, poison=True))
    (memory, answers), functions = factored(solver, y, p, precision, scale), solver.device_function
    assert answers == [0] * WIDTH
    right = np.random.default_rng(1).normal(size=y.shape)
    b = rows(right.tolist(), precision)
    assert floats(functions.solve(b, NO_WEIGHTS, *memory)) == [0] * WIDTH
    missed = misses(system, y, p, scale.astype(np.complex128), b.values.astype(np.complex128), right)
    assert missed.max() < 200 * np.finfo(precision).eps


@EACH
def test_complex_solution_leaves_no_residual_but_rounding(problem: Problem) -> None:
    system, y, p, scale = problem.system(), states(problem), np.array(problem.defaults), scales(problem)
    solver = PairSolver(settings(system), target=ReferenceTarget(width=WIDTH, poison=True))
    (memory, answers), functions = factored(solver, y, p, np.float64, scale, -0.7 * scale), solver.device_function
    assert answers == [0] * WIDTH
    random = np.random.default_rng(2)
    real, imaginary = random.normal(size=y.shape), random.normal(size=y.shape)
    pair, n = rows([*real.tolist(), *imaginary.tolist()]), len(y)
    assert floats(functions.solve(pair, NO_WEIGHTS, *memory)) == [0] * WIDTH
    solution = pair.values[:n] + 1j * pair.values[n:]
    missed = misses(system, y, p, (scale * (1 - 0.7j)).astype(np.complex128), solution, real + 1j * imaginary)
    assert missed.max() < 400 * np.finfo(np.float64).eps


def test_a_singular_matrix_is_told_for_its_own_run() -> None:
    """The matrix 1 - scale*1 vanishes at a scale of 1."""
    system = create_ode_system(["dx = k*x + y", "dy = -y"], states=["x", "y"], parameters=["k"])
    solver = LinearSolver(settings(system), target=ReferenceTarget(width=WIDTH))
    scale = np.array([0.1, 1.0, 10.0, 1.0 + 1e-15, np.nan])
    _, answers = factored(solver, np.ones((2, WIDTH)), np.ones(1), np.float64, scale)
    singular = int(Status.singular)
    assert answers == [0, singular, 0, singular, singular]


def test_cancelled_digits_are_told_after_elimination_too() -> None:
    """det(I - J) = 1 - 1*1 vanishes though both diagonal entries are 1."""
    system = create_ode_system(["dx = k*y", "dy = k*x"], states=["x", "y"], parameters=["k"])
    solver = LinearSolver(settings(system), target=ReferenceTarget(width=WIDTH))
    scale = np.array([0.5, 1.0, 2.0, 1.0, 3.0])
    _, answers = factored(solver, np.ones((2, WIDTH)), np.ones(1), np.float64, scale)
    assert [bool(answer) for answer in answers] == [False, True, False, True, False]


def test_a_system_without_a_jacobian_is_solved_by_its_right_side() -> None:
    system = create_ode_system(["dx = 1", "dy = 2"], states=["x", "y"])
    solver = LinearSolver(settings(system), target=ReferenceTarget(width=WIDTH))
    memory, answers = factored(solver, np.ones((2, WIDTH)), np.ones(0), np.float64, np.full(WIDTH, 0.1))
    assert answers == [0] * WIDTH
    b = rows([[1.0] * WIDTH, [2.0] * WIDTH])
    solver.device_function.solve(b, NO_WEIGHTS, *memory)
    assert b.values[:, 0].tolist() == [1.0, 2.0]


def test_elimination_order_avoids_fill_in() -> None:
    """An arrow whose head comes first fills everything when it is eliminated first, and nothing when last."""
    lines = ["dx0 = -x0 + x1*x2 + x3 + x4*x0", *(f"dx{i} = -x{i}**2 + x0**2" for i in range(1, 5))]
    system = create_ode_system(lines, states=[f"x{i}" for i in range(5)])
    order = elimination_order(system.jacobian, system.mass, 5, [])
    assert order[-1] == (0, 0) or order[-2] == (0, 0)
    n_kept = LinearSettings(system=system, precision=np.float64).elimination(is_complex=False).n_kept
    assert n_kept <= len({*system.jacobian_pattern, *system.mass})


def test_a_band_of_64_states_stays_a_band() -> None:
    system = PROBLEMS["heat_n64"].system()
    n_kept = LinearSettings(system=system, precision=np.float64).elimination(is_complex=False).n_kept
    assert n_kept <= 3 * 64


def test_factors_live_from_call_to_call_and_the_jacobian_does_not() -> None:
    solver = LinearSolver(settings(PROBLEMS["robertson"].system()), target=ReferenceTarget(width=WIDTH))
    assert (solver.local_buffer_size, solver.persistent_local_buffer_size) == (5, 6)


def test_new_settings_reach_the_jacobian() -> None:
    solver = LinearSolver(settings(PROBLEMS["robertson"].system()), target=ReferenceTarget(width=WIDTH))
    _ = solver.device_function
    solver.configure_system(settings(PROBLEMS["vdpol"].system(), np.float32))
    assert solver.jacobian.settings.system.name == "vdpol"
    problem = PROBLEMS["vdpol"]
    y, p, scale = states(problem), np.array(problem.defaults), np.full(WIDTH, 1e-3)
    assert factored(solver, y, p, np.float32, scale)[1] == [0] * WIDTH
