"""Iterative solvers against NumPy's dense one, on the reference target: no matrix, and the error that was asked for."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from cubie.integrators.matrix_free_solvers.krylov_settings import KRYLOV_KINDS, KrylovKind, KrylovSettings
from cubie.integrators.matrix_free_solvers.krylov_solver import KrylovPairSolver, KrylovSolver
from cubie.integrators.matrix_free_solvers.preconditioners import PRECONDITIONERS, Preconditioner
from cubie.integrators.matrix_free_solvers.sampling import dense_mass
from cubie.odesystems import create_ode_system
from cubie.status import Status
from cubie.targets.reference import ReferenceTarget
from tests.odesystems.symbolic.test_differentiate import jacobian
from tests.problems import PROBLEMS
from tests.reference_rows import floats, reals, rows, scratch

Array: TypeAlias = npt.NDArray[np.float64]

WIDTH: Final = 3
ALLOWED: Final = 1e-7
KINDS: Final = pytest.mark.parametrize("kind", KRYLOV_KINDS)


def settings(
    name: str, kind: KrylovKind, preconditioner: Preconditioner = "jacobi", max_iterations: int = 200
) -> KrylovSettings:
    return KrylovSettings(
        system=PROBLEMS[name].system(),
        precision=np.float64,
        kind=kind,
        preconditioner=preconditioner,
        max_iterations=max_iterations,
    )


def solved(made: KrylovSettings, scale: Array, y: Array, p: Array, right: Array) -> tuple[Array, list[float]]:
    """Return the solutions of all runs, shape (n_states, 3), and their answers."""
    solver = KrylovSolver(made, target=ReferenceTarget(width=WIDTH, poison=True))
    memory = scratch(1, WIDTH), scratch(solver.persistent_local_buffer_size, WIDTH)
    parameters = rows(np.repeat(p[:, np.newaxis], WIDTH, axis=1).tolist())
    t, functions = reals(*(0.0,) * WIDTH), solver.device_function
    b, weights = rows(right.tolist()), rows(np.full(right.shape, 1.0 / ALLOWED).tolist())
    with np.errstate(all="ignore"):
        functions.factor(t, rows(y.tolist()), parameters, scratch(1, WIDTH), reals(*scale), *memory)
        answers = floats(functions.solve(b, weights, *memory))
    return b.values, answers


@KINDS
@pytest.mark.parametrize("preconditioner", PRECONDITIONERS)
@pytest.mark.parametrize(("name", "longest"), [("heat_n32", 1e-2), ("bruss1d_n32", 1e-2), ("hires", 0.1)])
def test_errors_are_within_what_is_allowed(
    name: str, longest: float, kind: KrylovKind, preconditioner: Preconditioner
) -> None:
    problem, scale = PROBLEMS[name], longest * np.array([1e-2, 1e-1, 1.0])
    y, p = problem.references().y[0, [0, 5, 10]].T, np.array(problem.defaults)
    right = np.random.default_rng(1).normal(size=y.shape)
    found, answers = solved(settings(name, kind, preconditioner, 800), scale, y, p, right)
    assert answers == [0.0] * WIDTH
    for run in range(WIDTH):
        matrix = np.eye(len(y)) - scale[run] * jacobian(problem.system(), y[:, run], p)
        assert np.abs(found[:, run] - np.linalg.solve(matrix, right[:, run])).max() < 3 * ALLOWED


@KINDS
@pytest.mark.parametrize("preconditioner", PRECONDITIONERS)
@pytest.mark.parametrize(("name", "longest"), [("bruss1d_n32", 1e-2), ("hires", 0.1)])
def test_complex_systems_are_solved_as_real_ones_of_twice_the_size(
    name: str, longest: float, kind: KrylovKind, preconditioner: Preconditioner
) -> None:
    problem, scale = PROBLEMS[name], longest * np.array([1e-2, 1e-1, 1.0])
    y, p = problem.references().y[0, [0, 5, 10]].T, np.array(problem.defaults)
    right = np.random.default_rng(4).normal(size=(2 * len(y), WIDTH))
    made = settings(name, kind, preconditioner, 800)
    solver = KrylovPairSolver(made, target=ReferenceTarget(width=WIDTH, poison=True))
    memory = scratch(1, WIDTH), scratch(solver.persistent_local_buffer_size, WIDTH)
    parameters = rows(np.repeat(p[:, np.newaxis], WIDTH, axis=1).tolist())
    b, weights = rows(right.tolist()), rows(np.full(y.shape, 1.0 / ALLOWED).tolist())
    t, functions = reals(*(0.0,) * WIDTH), solver.device_function
    at, parts = rows(y.tolist()), (reals(*scale), reals(*-0.7 * scale))
    functions.factor(t, at, parameters, scratch(1, WIDTH), *parts, *memory)
    assert floats(functions.solve(b, weights, *memory)) == [0.0] * WIDTH
    found, load = (x[: len(y)] + 1j * x[len(y) :] for x in (b.values, right))
    for run in range(WIDTH):
        matrix = np.eye(len(y)) - (1 - 0.7j) * scale[run] * jacobian(problem.system(), y[:, run], p)
        assert np.abs(found[:, run] - np.linalg.solve(matrix, load[:, run])).max() < 3 * ALLOWED


@KINDS
def test_nothing_on_the_right_side_is_nothing_as_solution(kind: KrylovKind) -> None:
    problem = PROBLEMS["hires"]
    y = problem.references().y[0, [0, 5, 10]].T
    found, answers = solved(settings("hires", kind), np.full(3, 0.1), y, np.array(problem.defaults), np.zeros(y.shape))
    assert not found.any()
    assert answers == [0.0] * WIDTH


@KINDS
def test_what_does_not_converge_is_told_for_its_own_run(kind: KrylovKind) -> None:
    """The last run's step is far too long for so few iterations, and the first one's matrix is nearly 1."""
    problem = PROBLEMS["heat_n64"]
    y, p = problem.references().y[0, [0, 5, 10]].T, np.array(problem.defaults)
    right = np.random.default_rng(2).normal(size=y.shape)
    scale = np.array([1e-9, 1e-8, 10.0])
    _, answers = solved(settings("heat_n64", kind, max_iterations=4), scale, y, p, right)
    assert answers == [0.0, 0.0, float(Status.linear_failed)]


def test_gmres_is_exact_once_its_basis_is_full() -> None:
    problem = PROBLEMS["pollu"]
    y, p = problem.references().y[0, [0, 5, 10]].T, np.array(problem.defaults)
    right = np.random.default_rng(3).normal(size=y.shape)
    scale = np.array([1e-6, 1e-4, 1e-3])
    found, answers = solved(settings("pollu", "gmres", max_iterations=60), scale, y, p, right)
    assert answers == [0.0] * WIDTH
    for run in range(WIDTH):
        matrix = np.eye(len(y)) - scale[run] * jacobian(problem.system(), y[:, run], p)
        assert found[:, run] == pytest.approx(np.linalg.solve(matrix, right[:, run]), rel=1e-5, abs=1e-6)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'bicgstab'"):
        settings("hires", "bicgstabl")  # type: ignore[arg-type]  # that is the fault
    with pytest.raises(ValueError, match="Did you mean 'jacobi'"):
        settings("hires", "gmres", "jacoby")  # type: ignore[arg-type]  # that is the fault


WEIGHED: Final = create_ode_system(
    ["dx = -x + y*y", "dy = x - 50*y", "dz = 1e-4*(x + y - 3*z - w)", "dw = z - x*w"],
    states={"x": 1.0, "y": 0.5, "z": 0.3, "w": 0.2},
    mass_matrix=[[2.0, 0.5, 0.0, 0.0], [0.0, 1e-3, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.3, 0.0, 1.0]],
    name="weighed",
)
"""Rates that are coupled, a row of a small entry, and a constraint of small coefficients."""


@KINDS
@pytest.mark.parametrize("preconditioner", ["jacobi", "neumann"])
@pytest.mark.parametrize("imaginary", [0.0, -0.7])
def test_with_a_mass_matrix_errors_are_within_what_is_allowed_at_any_step(
    kind: KrylovKind, preconditioner: Preconditioner, imaginary: float
) -> None:
    """That of a constraint too, whose row of M - scale*J is all the smaller, the shorter the step."""
    made = KrylovSettings(
        system=WEIGHED, precision=np.float64, kind=kind, preconditioner=preconditioner, max_iterations=800
    )
    n, scale, target = WEIGHED.n_states, np.array([1e-9, 1e-4, 1e-3]), ReferenceTarget(width=WIDTH, poison=True)
    y = np.array(WEIGHED.state_defaults)
    matrices = [dense_mass(WEIGHED) - (1 + 1j * imaginary) * s * jacobian(WEIGHED, y, np.zeros(0)) for s in scale]
    draw = np.random.default_rng(6)
    expected = draw.normal(size=(n, WIDTH)) + 1j * bool(imaginary) * draw.normal(size=(n, WIDTH))
    load = np.stack([matrix @ x for matrix, x in zip(matrices, expected.T, strict=True)], axis=1)
    t, at, weights = reals(*(0.0,) * WIDTH), rows([[v] * WIDTH for v in y]), rows([[1 / ALLOWED] * WIDTH] * n)
    none = scratch(1, WIDTH)
    if imaginary:
        pair = KrylovPairSolver(made, target=target)
        memory, b = (none, scratch(pair.persistent_local_buffer_size, WIDTH)), rows([*load.real, *load.imag])
        pair.device_function.factor(t, at, none, none, reals(*scale), reals(*imaginary * scale), *memory)
        answers = pair.device_function.solve(b, weights, *memory)
    else:
        solver = KrylovSolver(made, target=target)
        memory, b = (none, scratch(solver.persistent_local_buffer_size, WIDTH)), rows(load.real.tolist())
        solver.device_function.factor(t, at, none, none, reals(*scale), *memory)
        answers = solver.device_function.solve(b, weights, *memory)
    assert floats(answers) == [0.0] * WIDTH
    found = b.values[:n] + 1j * b.values[n:] if imaginary else b.values
    assert np.abs(found - expected).max() < 3 * ALLOWED


def test_mass_matrices_that_give_nothing_to_divide_by_are_refused() -> None:
    coupled = create_ode_system(["dx = -x", "dy = x - 2*y"], states=["x", "y"], mass_matrix=[[1, -1], [-1, 1]])
    with pytest.raises(ValueError, match=r"constraints are rows of zeros, got .* leave linear_solver='direct'"):
        KrylovSettings(system=coupled, precision=np.float64)
    unordered = create_ode_system(["dx = y", "dy = x - y"], states=["x", "y"], mass_matrix=[[0, 0], [1, 0]])
    with pytest.raises(ValueError, match=r"each state in its own equation, got .* where that of 'x' lacks it"):
        KrylovSettings(system=unordered, precision=np.float64)
