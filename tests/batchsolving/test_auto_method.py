"""The method that suits is chosen for a batch, and what an explicit one can't finish is integrated stiffly."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest

from cubie import Solver, create_ode_system
from cubie.batchsolving.auto_method import EXPLICIT_METHOD, STIFF_METHOD
from cubie.batchsolving.sweep import make_inputs
from cubie.batchsolving.system_interface import SystemInterface
from cubie.targets.reference import ReferenceTarget
from tests.batches import building_for

VAN_DER_POL: Final = create_ode_system(
    ["dx = v", "dv = mu*(1 - x*x)*v - x"], states={"x": 2.0, "v": 0.0}, parameters={"mu": 1.0}
)
SPAN: Final = (0.0, 2.0)


@pytest.fixture(scope="module")
def solver() -> Iterator[Solver]:
    """Yield a solver that chooses, with few steps, so that trials are short."""
    with building_for(ReferenceTarget(width=5)):
        yield Solver(VAN_DER_POL, method="auto", device="cpu", rtol=1e-3, atol=1e-6, max_steps=300)


def test_a_batch_that_an_explicit_method_can_do_is_left_to_it(solver: Solver) -> None:
    solution = solver.solve(SPAN, parameters={"mu": np.linspace(0.1, 2.0, 20)})
    assert (solution.method, solution.retry_method, solution.retried.size) == (EXPLICIT_METHOD, "", 0)
    assert solution.all_succeeded


def test_a_stiff_batch_is_taken_by_the_stiff_method(solver: Solver) -> None:
    solution = solver.solve(SPAN, parameters={"mu": np.linspace(1e5, 2e5, 20)})
    assert (solution.method, solution.retried.size) == (STIFF_METHOD, 0)
    assert solution.all_succeeded


def test_runs_that_an_explicit_method_gives_up_are_integrated_stiffly_and_named(solver: Solver) -> None:
    mu = np.full(40, 1.0)
    mu[[3, 25]] = 1e5  # no sample
    solution = solver.solve(SPAN, parameters={"mu": mu}, t_eval=[0.5, 1.0, 2.0])
    assert (solution.method, solution.retry_method) == (EXPLICIT_METHOD, STIFF_METHOD)
    assert solution.retried.tolist() == [3, 25]
    assert solution.all_succeeded and np.isfinite(solution.y).all()
    assert f"{STIFF_METHOD} for 2 runs that it could not finish" in repr(solution)
    # The slow manifold: v = x/(mu*(1 - x*x)), to first order in 1/mu.
    x = solution["x"][-1, 3]
    np.testing.assert_allclose(solution["v"][-1, 3], x / (1e5 * (1 - x * x)), rtol=1e-3)
    np.testing.assert_array_equal(solution.y[..., 3], solution.y[..., 25])


def test_the_stiff_method_is_steered_by_its_own_controller(solver: Solver) -> None:
    """By that of explicit methods it took more steps, and got no farther than what it was to help."""
    mu = np.linspace(1e5, 2e5, 5)
    with building_for(ReferenceTarget(width=5)):
        named = Solver(VAN_DER_POL, method=STIFF_METHOD, device="cpu", rtol=1e-3, atol=1e-6, max_steps=300)
        expected = named.solve(SPAN, parameters={"mu": mu})
        found = solver.solve(SPAN, parameters={"mu": mu})
    assert found.method == STIFF_METHOD
    assert found.n_steps.tolist() == expected.n_steps.tolist()


def test_what_neither_method_can_finish_keeps_its_status(solver: Solver) -> None:
    blow_up = create_ode_system("dx = x**2", states={"x": 1.0})
    with building_for(ReferenceTarget(width=5)):
        solution = Solver(blow_up, method="auto", device="cpu", max_steps=200).solve((0.0, 2.0))
    assert not solution.all_succeeded
    assert solution.t_final[0] == pytest.approx(1.0, abs=1e-3)
    assert [*solution.retried, *solution.retried_in_vain] == [0]
    assert solution.retry_method == STIFF_METHOD and f"; {STIFF_METHOD} " in repr(solution)


def test_an_auto_solver_refuses_fixed_steps() -> None:
    with pytest.raises(ValueError, match=r"method 'auto' must have a controller that adapts the steps, got 'fixed'"):
        Solver(VAN_DER_POL, method="auto", controller="fixed", first_step=0.1)


def test_a_subset_of_the_inputs_keeps_values_and_names() -> None:
    inputs = make_inputs(SystemInterface(VAN_DER_POL), {"v": [1.0, 2.0, 3.0]}, {"mu": 7.0}, "paired", np.float64)
    subset = inputs.subset(np.array([2, 0]))
    assert subset.n_runs == 2
    read = [
        [subset.values[offset + stride * run] for run in range(2)]
        for offset, stride in zip(subset.offsets, subset.strides, strict=True)
    ]
    assert read == [[2.0, 2.0], [3.0, 1.0], [7.0, 7.0]]
    assert subset.coordinates["v(t0)"].tolist() == [3.0, 1.0]
