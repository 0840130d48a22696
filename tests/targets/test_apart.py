"""Code that is too long to copy stays one function with many callers, and does the same."""

from typing import Final

import numpy as np
import pytest

from cubie import ODESystem, create_ode_system
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import solve_on

SYSTEM: Final[ODESystem] = create_ode_system(
    ["dx = y*cos(t)", "dy = -k*x - 0.1*y"], states={"x": 1.0, "y": 0.0}, parameters={"k": 2.0}
)


@pytest.mark.parametrize("method", ["tsit5", "rodas4p"])
def test_functions_that_stay_apart_change_nothing_but_rounding(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    k = np.array([1.0, 2.0, 3.0])
    expected = solve_on(ReferenceTarget(width=3), SYSTEM, (0.0, 2.0), parameters={"k": k}, method=method)
    monkeypatch.setattr("cubie.targets.base.LONGEST_COPIED", 1)
    found = solve_on(CpuTarget(width=4), SYSTEM, (0.0, 2.0), parameters={"k": k}, method=method)
    assert found.n_steps.tolist() == expected.n_steps.tolist()
    assert found.y == pytest.approx(expected.y, rel=1e-10)
