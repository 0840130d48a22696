"""The second filter of error estimates, against a plain calculation, and which methods have one."""

from typing import Final

import numpy as np
import pytest

from cubie.integrators.algorithms.dirk_settings import DirkSettings
from cubie.integrators.algorithms.firk_settings import FirkSettings
from cubie.integrators.algorithms.generic_dirk import DiagonallyImplicitRungeKutta
from cubie.integrators.algorithms.generic_dirk_tableaus import DIRK_TABLEAUS
from cubie.integrators.algorithms.generic_firk import FullyImplicitRungeKutta
from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS
from cubie.odesystems import create_ode_system
from cubie.odesystems.rate_function import RateFunction, SystemSettings
from cubie.targets.reference import ReferenceTarget
from tests.reference_rows import mask, reals, rows, scratch

A: Final = np.array([[-2.0, 1.0], [1.0, -3.0]])
M: Final = np.array([[1.0, -1.0], [-1.0, 1.0]])
SYSTEM: Final = create_ode_system(
    ["dx = -2*x + y", "dy = x - 3*y"], states={"x": 1.0, "y": 0.5}, mass_matrix=M.tolist(), name="coupled"
)
DT: Final = 0.3
NOT_DAMPED: Final = {"trapezoidal", "implicit-midpoint", "gauss-legendre-2"}
"""They keep what they start with, or estimate nothing."""


def step_of(name: str) -> DiagonallyImplicitRungeKutta | FullyImplicitRungeKutta:
    rate = RateFunction(SystemSettings(system=SYSTEM, precision=np.float64), target=ReferenceTarget(width=2))
    if name in DIRK_TABLEAUS:
        settings = DirkSettings(tableau=DIRK_TABLEAUS[name], system=SYSTEM, precision=np.float64)
        return DiagonallyImplicitRungeKutta(settings, rate)
    return FullyImplicitRungeKutta(FirkSettings(tableau=FIRK_TABLEAUS[name], system=SYSTEM, precision=np.float64), rate)


def gamma_of(name: str) -> float:
    if name in DIRK_TABLEAUS:
        return float(DIRK_TABLEAUS[name].a[-1][-1])
    return float(FirkSettings(tableau=FIRK_TABLEAUS[name], system=SYSTEM, precision=np.float64).estimate.gamma)


@pytest.mark.parametrize("name", ["kencarp-4", "kvaerno-5", "trbdf2", "sdirk-43", "radau-iia-5", "radau-iia-9"])
def test_a_settled_error_is_filtered_once_more(name: str) -> None:
    step, given = step_of(name), np.array([[0.3, 0.3], [-0.7, -0.7]])
    functions, none = step.device_function, rows([])
    shared = scratch(step.shared_buffer_size, 2)
    kept = rows([[0.0, 0.0]] * step.persistent_local_buffer_size)
    assert functions.reset is not None and functions.settle is not None
    functions.reset(mask(True, True), shared, kept)
    y, rate, error = rows([[1.0, 1.0], [0.5, 0.5]]), rows([[0.0, 0.0], [0.0, 0.0]]), rows([[1e-6, 1e-6]] * 2)
    functions.step(
        reals(0.0, 0.0), reals(DT, DT), y, rate, none, none, scratch(2, 2), scratch(2, 2), error, shared, kept
    )
    error = rows(given.tolist())
    functions.settle(mask(True, False), error, shared, kept)
    plain = np.linalg.solve(M - gamma_of(name) * DT * A, M @ given[:, 0])
    assert error.values[:, 0] == pytest.approx(plain, rel=1e-12)
    assert error.values[:, 1].tolist() == given[:, 1].tolist()


def test_those_settle_that_damp_what_their_estimates_keep() -> None:
    """R(inf) is 0 and the embedded formula's isn't, or Radau's filtered rate."""
    dirk = {
        name
        for name, row in DIRK_TABLEAUS.items()
        if DirkSettings(tableau=row, system=SYSTEM, precision=np.float64).settles
    }
    firk = {
        name
        for name, row in FIRK_TABLEAUS.items()
        if FirkSettings(tableau=row, system=SYSTEM, precision=np.float64).settles
    }
    assert dirk == set(DIRK_TABLEAUS) - {*NOT_DAMPED, "esdirk54i8l2sa"}
    assert firk == {"radau-iia-3", "radau-iia-5", "radau-iia-9"}
