"""A solver goes from one method to another, of the same family or not, as if it had been made for it."""

from itertools import pairwise
from typing import Final

import pytest

from cubie import Solver, create_ode_system
from cubie.batchsolving.solver_settings import SolverOptions
from cubie.targets.reference import ReferenceTarget
from tests.batches import assert_same_bits, building_for

SYSTEM: Final = create_ode_system(
    ["dx = v", "dv = mu*(1 - x*x)*v - x + 0.1*sin(t)"], states={"x": 2.0, "v": 0.0}, parameters={"mu": 20.0}
)
COURSE: Final[tuple[SolverOptions, ...]] = (
    {"method": "tsit5"},
    {"method": "rodas5p"},
    {"method": "rodas4"},
    {"method": "ros3p", "linear_solver": "gmres"},
    {"method": "kvaerno-3"},
    {"method": "kencarp-4", "linear_solver": "bicgstab"},
    {"method": "kencarp-4", "linear_solver": "direct"},
    {"method": "radau-iia-5"},
    {"method": "radau-iia-9"},
    {"method": "lobatto-iiic-4", "precision": "float32", "rtol": 1e-4},
    {"method": "auto"},
    {"method": "tsit5"},
)


@pytest.mark.parametrize(("before", "after"), list(pairwise(COURSE)), ids=lambda options: options["method"])
def test_an_updated_solver_is_one_made_anew(before: SolverOptions, after: SolverOptions) -> None:
    times = (0.1, 0.7, 1.0)
    both: SolverOptions = {"device": "cpu", **before, **after}
    with building_for(ReferenceTarget(width=1)):
        old, new = Solver(SYSTEM, device="cpu"), Solver(SYSTEM, **both)
        old.update(**before)
        old.solve((0.0, 1.0), t_eval=times)
        old.update(**after)
        found, expected = (solver.solve((0.0, 1.0), t_eval=times) for solver in (old, new))
    assert found.all_succeeded
    assert_same_bits(found, expected)
    assert found.method == expected.method
