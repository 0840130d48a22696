"""What probes record of implicit Runge-Kutta methods and of Newton's against the formulas in NumPy."""

from typing import Final

import numpy as np
import pytest

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.dirk_settings import DirkSettings
from cubie.integrators.algorithms.exact_matrices import padded
from cubie.integrators.algorithms.firk_settings import FirkSettings
from cubie.integrators.algorithms.generic_dirk import DiagonallyImplicitRungeKutta
from cubie.integrators.algorithms.generic_dirk_tableaus import DIRK_TABLEAUS
from cubie.integrators.algorithms.generic_firk import FullyImplicitRungeKutta
from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS
from cubie.targets.reference import ReferenceTarget
from tests.integrators.algorithms.implicit_steps import Array, jacobian, rate
from tests.integrators.algorithms.instrumented.recorded_steps import DT, WIDTH, T, Z, one_step, rate_function
from tests.integrators.fixed_steps import PENDULUM

FULLY_IMPLICIT: Final = [row for row in FIRK_TABLEAUS.values() if row.n_stages > 1]


def diagonal(row: ButcherTableau) -> DiagonallyImplicitRungeKutta:
    settings = DirkSettings(tableau=row, system=PENDULUM, precision=np.float64)
    return DiagonallyImplicitRungeKutta(settings, rate_function(ReferenceTarget(width=WIDTH, poison=True)))


def full(row: ButcherTableau) -> FullyImplicitRungeKutta:
    settings = FirkSettings(tableau=row, system=PENDULUM, precision=np.float64)
    return FullyImplicitRungeKutta(settings, rate_function(ReferenceTarget(width=WIDTH, poison=True)))


def matrix(row: ButcherTableau) -> Array:
    return np.array([[float(entry) for entry in entries] for entries in padded(row.a, row.n_stages)])


@pytest.mark.parametrize("row", DIRK_TABLEAUS.values(), ids=lambda row: row.name)
def test_recorded_increments_solve_the_stages_equations(row: ButcherTableau) -> None:
    """z = gamma*dt*f(t + c*dt, y + dt*sum_j a_j*k_j + z) with k = z/(gamma*dt), Hairer & Wanner (IV.8.2)."""
    factory = diagonal(row)
    factory.probe()
    step, a = one_step(factory, allowed=1e-9), matrix(row)
    assert step.status == [0.0] * WIDTH
    increments = step.recorded(factory, name="increments")
    for run, dt in enumerate(DT):
        y, k = Z[:, run], list[Array]()
        for s in range(row.n_stages):
            if a[s, s] == 0:
                k.append(rate(T, y))
                continue
            base, z = y + dt * sum((a[s, j] * k[j] for j in range(s)), np.zeros(2)), increments[s, :, run]
            right = dt * a[s, s] * rate(T + float(row.c[s]) * dt, base + z)
            np.testing.assert_allclose(z, right, rtol=0, atol=1e-9)
            k.append(np.asarray(z / (dt * a[s, s]), np.float64))
        ends = y + dt * sum((float(b) * x for b, x in zip(row.b, k, strict=True)), np.zeros(2))
        np.testing.assert_allclose(step.y_next[:, run], ends, rtol=1e-13, atol=1e-14)
        if row.error_weights is not None:
            off = dt * sum((float(e) * x for e, x in zip(row.error_weights, k, strict=True)), np.zeros(2))
            if factory.settings.filters:
                off = np.linalg.solve(np.eye(2) - dt * a[-1, -1] * jacobian(T, y), off)
            np.testing.assert_allclose(step.error[:, run], off, rtol=1e-11, atol=1e-14)


def test_recorded_iterates_are_those_of_newtons_simplified_method() -> None:
    """Of the last stage: (I - gamma*dt*J) @ correction = gamma*dt*f(state) - z, with J of the start."""
    row = DIRK_TABLEAUS["kvaerno-3"]
    factory, a, c = diagonal(row), matrix(row), [float(node) for node in row.c]
    factory.probe()
    factory.newton.probe()
    step = one_step(factory, allowed=1e-8)
    increments = step.recorded(factory, name="increments")
    states = step.recorded(factory, factory.newton, name="states")
    corrections = step.recorded(factory, factory.newton, name="corrections")
    for run, dt in enumerate(DT):
        y, gamma_dt = Z[:, run], dt * a[-1, -1]
        k = [rate(T, y), *(increments[s, :, run] / gamma_dt for s in (1, 2))]
        base = y + dt * sum((a[3, j] * k[j] for j in range(3)), np.zeros(2))
        system = np.eye(2) - gamma_dt * jacobian(T, y)
        n_iterations = int(np.isfinite(states[:, 0, run]).sum())
        assert n_iterations >= 2
        for i in range(2):
            state = states[i, :, run]
            missing = gamma_dt * rate(T + c[3] * dt, state) - (state - base)
            np.testing.assert_allclose(corrections[i, :, run], np.linalg.solve(system, missing), rtol=1e-6, atol=1e-14)
        np.testing.assert_allclose(states[1, :, run], states[0, :, run] + corrections[0, :, run], rtol=1e-14)


@pytest.mark.parametrize("row", FULLY_IMPLICIT, ids=lambda row: row.name)
def test_recorded_corrections_solve_the_systems_of_all_stages_at_once(row: ButcherTableau) -> None:
    """(I - dt*a (x) J) @ dz = dt*(a (x) I) @ F(z) - z, undecoupled, Hairer & Wanner (IV.8.5)."""
    factory, a, s = full(row), matrix(row), row.n_stages
    factory.probe()
    step = one_step(factory, allowed=1e-8)
    assert step.status == [0.0] * WIDTH
    t = np.array([[float(entry) for entry in entries] for entries in factory.settings.form.t])
    w, dw = (step.recorded(factory, name=name)[:2].reshape(2, s, 2, WIDTH) for name in ("increments", "corrections"))
    for run, dt in enumerate(DT):
        y = Z[:, run]
        system = np.eye(2 * s) - dt * np.kron(a, jacobian(T, y))
        for i in range(2):
            z, dz = t @ w[i, :, :, run], t @ dw[i, :, :, run]
            rates = np.array([rate(T + float(node) * dt, y + z[j]) for j, node in enumerate(row.c)])
            missing = dt * a @ rates - z
            solution = np.linalg.solve(system, missing.ravel()).reshape(s, 2)
            np.testing.assert_allclose(dz, solution, rtol=1e-6, atol=1e-13)
        np.testing.assert_allclose(w[1, :, :, run], w[0, :, :, run] + dw[0, :, :, run], rtol=1e-12, atol=1e-15)


def test_probes_change_no_bit() -> None:
    for make, name in ((diagonal, "kencarp-4"), (full, "radau-iia-5")):
        row = {**DIRK_TABLEAUS, **FIRK_TABLEAUS}[name]
        plain, probed = make(row), make(row)
        probed.probe()
        np.testing.assert_array_equal(one_step(plain).y_next, one_step(probed).y_next)
        assert probed.persistent_local_buffer_size > plain.persistent_local_buffer_size
