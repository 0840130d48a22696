"""What probes record of iterative linear solvers within a step against the textbook's iterations in NumPy."""

from typing import Final

import numpy as np
import pytest

from cubie.integrators.algorithms.firk_settings import FirkSettings
from cubie.integrators.algorithms.generic_firk import FullyImplicitRungeKutta
from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS
from cubie.integrators.algorithms.generic_rosenbrock_w import RosenbrockSettings, RosenbrockW
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS
from cubie.integrators.matrix_free_solvers.krylov_settings import KRYLOV_KINDS, KrylovKind
from cubie.integrators.matrix_free_solvers.krylov_solver import KrylovPairSolver, KrylovSolver
from cubie.integrators.matrix_free_solvers.linear_choice import LinearChoice
from cubie.targets.reference import ReferenceTarget
from tests.integrators.algorithms.implicit_steps import Array, jacobian, rate, time_derivative
from tests.integrators.algorithms.instrumented.recorded_steps import (
    DT,
    WIDTH,
    RecordedStep,
    T,
    Z,
    one_step,
    rate_function,
)
from tests.integrators.fixed_steps import PENDULUM

ROW: Final = ROSENBROCK_TABLEAUS["rodas3"]
ALLOWED: Final = 1e-9
SHARE: Final = 0.001
"""The part of it that a linear solver may leave."""
KINDS: Final = pytest.mark.parametrize("kind", KRYLOV_KINDS)


def rosenbrock(kind: KrylovKind) -> tuple[RosenbrockW, RecordedStep, Array, Array]:
    """Take a probed step; return residuals and iterates of the last stage, shape (n_rows, n_states, n_runs), too."""
    settings = RosenbrockSettings(
        tableau=ROW, system=PENDULUM, precision=np.float64, linear_choice=LinearChoice(kind=kind, preconditioner="none")
    )
    factory = RosenbrockW(settings, rate_function(ReferenceTarget(width=WIDTH, poison=True)))
    assert isinstance(factory.linear, KrylovSolver)
    factory.probe()
    factory.linear.probe()
    step = one_step(factory, allowed=ALLOWED)
    assert step.status == [0.0] * WIDTH
    residuals, iterates = (step.recorded(factory, factory.linear, name=name) for name in ("residuals", "iterates"))
    return factory, step, residuals, iterates


def iterations(matrix: Array, b: Array, kind: KrylovKind, n: int) -> list[Array]:
    """The first n iterates from 0: GMRES with a full basis, van der Vorst's BiCGSTAB, and minimal residuals."""
    if kind == "gmres":
        return [np.asarray(np.linalg.solve(matrix, b), np.float64)] * n
    x, residual, found = np.zeros_like(b), b.copy(), list[Array]()
    rho, alpha, omega, search, image = 1.0, 1.0, 1.0, np.zeros_like(b), np.zeros_like(b)
    for _ in range(n):
        if kind == "bicgstab":
            rho_next = float(b @ residual)
            search = residual + rho_next / rho * alpha / omega * (search - omega * image)
            rho, image = rho_next, matrix @ search
            alpha = rho / float(b @ image)
            x, residual = x + alpha * search, residual - alpha * image
        product = matrix @ residual
        omega = float(product @ residual) / float(product @ product)
        x, residual = x + omega * residual, residual - omega * product
        found.append(x)
    return found


@KINDS
def test_recorded_residuals_begin_with_the_load_of_the_last_stage(kind: KrylovKind) -> None:
    """dt*gamma*(f + sum_j c_j*u_j/dt + d*dt*df/dt), Hairer & Wanner (IV.7.25)."""
    factory, step, residuals, _ = rosenbrock(kind)
    row, last = ROW.in_precision(np.float64), ROW.n_stages - 1
    states, solutions = (step.recorded(factory, name=name) for name in ("stage_states", "solutions"))
    for run, dt in enumerate(DT):
        gamma = float(row.gamma)
        at = rate(T + float(row.nodes[last]) * dt, states[last, :, run])
        before = sum((float(c) * solutions[j, :, run] for j, c in enumerate(row.c[last])), np.zeros(2))
        load = at + before / dt + float(row.time_weights[last]) * dt * time_derivative(T, Z[:, run])
        np.testing.assert_allclose(residuals[0, :, run], dt * gamma * load, rtol=1e-12, atol=1e-14)


@KINDS
def test_recorded_iterates_are_the_textbooks(kind: KrylovKind) -> None:
    """From the load on, in each run with its own matrix, until it has arrived; a residual is what an iterate leaves."""
    _, _, residuals, iterates = rosenbrock(kind)
    for run, dt in enumerate(DT):
        matrix = np.eye(2) - dt * float(ROW.in_precision(np.float64).gamma) * jacobian(T, Z[:, run])
        b = residuals[0, :, run]
        for i, x in enumerate(iterations(matrix, b, kind, 2)):
            if np.sqrt(np.mean(residuals[i, :, run] ** 2)) <= SHARE * ALLOWED:
                break
            np.testing.assert_allclose(iterates[i, :, run], x, rtol=1e-8, atol=1e-15)
            left = b - matrix @ iterates[i, :, run]
            np.testing.assert_allclose(residuals[i + 1, :, run], left, rtol=1e-8, atol=1e-15)
        assert i > 0


@KINDS
def test_recorded_residuals_of_a_complex_pair_are_what_its_iterates_leave(kind: KrylovKind) -> None:
    """(I - (re + i*im)*dt*J) @ (x + i*z), of Radau IIA's pair; the errors allowed let Newton's method end early."""
    choice = LinearChoice(kind=kind, preconditioner="none")
    settings = FirkSettings(
        tableau=FIRK_TABLEAUS["radau-iia-5"], system=PENDULUM, precision=np.float64, linear_choice=choice
    )
    factory = FullyImplicitRungeKutta(settings, rate_function(ReferenceTarget(width=WIDTH, poison=True)))
    (pair,) = factory.systems.pairs
    assert isinstance(pair, KrylovPairSolver)
    pair.probe()
    step = one_step(factory, allowed=1e-2)
    assert step.status == [0.0] * WIDTH
    residuals, iterates = (
        step.recorded(factory, factory.systems, pair, name=name) for name in ("residuals", "iterates")
    )
    re, im = (float(part) for part in settings.systems.pair_scales[0])
    for run, dt in enumerate(DT):
        matrix = np.eye(2) - (re + 1j * im) * dt * jacobian(T, Z[:, run])
        b, x = (a[0, :2, run] + 1j * a[0, 2:, run] for a in (residuals, iterates))
        assert np.abs(b).max() > 1e-6
        left = residuals[1, :2, run] + 1j * residuals[1, 2:, run]
        np.testing.assert_allclose(left, b - matrix @ x, rtol=1e-9, atol=1e-14)
        if kind == "gmres":
            np.testing.assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-9)


def test_probes_of_linear_solvers_change_no_bit() -> None:
    choice = LinearChoice(kind="bicgstab")
    settings = RosenbrockSettings(tableau=ROW, system=PENDULUM, precision=np.float64, linear_choice=choice)
    plain, probed = (RosenbrockW(settings, rate_function(ReferenceTarget(width=WIDTH))) for _ in range(2))
    assert isinstance(probed.linear, KrylovSolver)
    probed.linear.probe()
    np.testing.assert_array_equal(one_step(plain).y_next, one_step(probed).y_next)
    assert probed.persistent_local_buffer_size > plain.persistent_local_buffer_size
