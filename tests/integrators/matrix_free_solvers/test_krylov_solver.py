"""Iterative solvers against NumPy's dense one, on the reference target: no matrix, and the error that was asked for."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from cubie.integrators.matrix_free_solvers.krylov_settings import KRYLOV_KINDS, KrylovKind, KrylovSettings
from cubie.integrators.matrix_free_solvers.krylov_solver import KrylovPairSolver, KrylovSolver
from cubie.integrators.matrix_free_solvers.preconditioners import PRECONDITIONERS, Preconditioner
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


def test_unknown_names_and_mass_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'bicgstab'"):
        settings("hires", "bicgstabl")  # type: ignore[arg-type]  # that is the fault
    with pytest.raises(ValueError, match="Did you mean 'jacobi'"):
        settings("hires", "gmres", "jacoby")  # type: ignore[arg-type]  # that is the fault
    weighed = create_ode_system(["dx = -x", "dy = x - y"], states=["x", "y"], mass_matrix={"y": 0.0})
    with pytest.raises(ValueError, match="without a mass matrix"):
        KrylovSettings(system=weighed, precision=np.float64)
