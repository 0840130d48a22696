"""From what a user gives to what a user gets, on the CPU: faults that sweeps of other packages have had."""

import gc
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.odesystems.create import create_ode_system
from cubie.status import Status


@pytest.fixture(scope="module")
def growth() -> Solver:
    """Return a solver of dx = a*x + b, dy = c*x**2, which knows its answers and can blow up."""
    system = create_ode_system(
        ["dx = a*x + b", "dy = c*y**2", "sum = x + y"],
        states={"x": 1.0, "y": 1.0},
        parameters={"c": 0.1, "b": 0.0, "a": -1.0},
        observables=["sum"],
        name="growth",
    )
    return Solver(system, device="cpu", save=["y", "sum", "x"])


TIMES = np.array([0.0, 0.3, 0.9, 1.0])


def solve(solver: Solver, parameters: dict[str, list[float]] | pd.DataFrame) -> Solution:
    return solver.solve((0.0, 1.0), parameters=parameters, t_eval=TIMES)


def test_every_run_gets_its_own_parameters_whatever_the_order_of_the_mapping(growth: Solver) -> None:
    a, b = [-1.0, 0.5, -1.0], [0.0, 1.0, 2.0]
    solution = solve(growth, {"a": a, "b": b})
    exact = np.exp(np.outer(TIMES, a)) * (1 + np.divide(b, a)) - np.divide(b, a)
    np.testing.assert_allclose(solution["x"], exact, rtol=1e-5)
    swapped = solve(growth, {"b": b, "a": a})
    assert np.array_equal(swapped.y, solution.y)
    assert list(swapped.coordinates) == ["b", "a"]


def test_saved_variables_come_in_the_order_in_which_they_were_listed(growth: Solver) -> None:
    """PITFALL 19: arrays came back in alphabetical order."""
    solution = solve(growth, {"a": [-1.0, -2.0]})
    assert solution.variables == ("y", "sum", "x")
    np.testing.assert_allclose(solution.y[:, 1], solution.y[:, 0] + solution.y[:, 2], rtol=1e-12)


def test_equal_values_are_runs_of_their_own_with_equal_bits(growth: Solver) -> None:
    solution = solve(growth, {"a": [-1.0, -2.0, -1.0]})
    assert solution.n_runs == 3
    assert np.array_equal(solution.y[:, :, 0], solution.y[:, :, 2])


def test_a_table_and_a_mapping_give_the_same_results(growth: Solver) -> None:
    columns = {"a": [-1.0, -2.0], "c": [0.1, 0.2]}
    assert np.array_equal(solve(growth, pd.DataFrame(columns)).y, solve(growth, columns).y)


def test_results_are_not_overwritten_by_the_next_solve(growth: Solver) -> None:
    first = solve(growth, {"a": [-1.0] * 100})
    y, status, swept = first.y, first.status, first.coordinates["a"]
    kept = y.copy(), status.copy(), swept.copy()
    del first
    gc.collect()
    for _ in range(3):
        solve(growth, {"a": [1.0] * 100, "c": [5.0] * 100})
        gc.collect()
    assert np.array_equal(y, kept[0])
    assert np.array_equal(status, kept[1])
    assert np.array_equal(swept, kept[2])


def test_a_run_that_blows_up_keeps_its_prefix_and_leaves_its_neighbours_alone(growth: Solver) -> None:
    c = [0.1, 2.0, 0.1, 0.5]
    solution = solve(growth, {"c": c})
    alone = solve(growth, {"c": [0.1]})
    assert solution.success.tolist() == [True, False, True, True]
    for run in (0, 2):
        assert np.array_equal(solution.y[:, :, run], alone.y[:, :, 0])
    failed = solution.run(1)
    assert failed.status in (Status.step_too_small, Status.non_finite)
    assert failed.t_final == pytest.approx(0.5, rel=1e-3)
    assert failed.t.tolist() == [0.0, 0.3]
    np.testing.assert_allclose(failed["y"], 1 / (1 - 2.0 * failed.t), rtol=1e-4)
    assert np.isnan(solution.y[2:, :, 1]).all()


def test_one_run_agrees_with_scipy_in_values_and_layout(growth: Solver) -> None:
    run = solve(growth, {"a": [-3.0]}).run(0)
    reference = solve_ivp(
        lambda t, y: [-3.0 * y[0], 0.1 * y[1] ** 2], (0.0, 1.0), [1.0, 1.0], t_eval=TIMES, rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(run.y[[2, 0]], reference.y, rtol=1e-5)
    assert run.t.tolist() == reference.t.tolist()


def test_a_product_folds_back_into_its_grid(growth: Solver) -> None:
    growth.update(sweep="product")
    solution = solve(growth, {"a": [-1.0, -2.0, -3.0], "b": [0.0, 1.0]})
    growth.update(sweep="paired")
    grid = solution["x"][-1].reshape(2, 3)
    for i, b in enumerate([0.0, 1.0]):
        for j, a in enumerate([-1.0, -2.0, -3.0]):
            assert grid[i, j] == pytest.approx(np.exp(a) * (1 + b / a) - b / a, rel=1e-5)


def test_time_runs_backwards_where_the_span_is_reversed(growth: Solver) -> None:
    solution = growth.solve((1.0, -1.0), parameters={"a": [-1.0]}, save_every=0.5)
    assert solution.t.tolist() == [1.0, 0.5, 0.0, -0.5, -1.0]
    np.testing.assert_allclose(solution["x"][:, 0], np.exp(1.0 - solution.t), rtol=1e-4)


def test_solutions_of_a_solver_pickle(growth: Solver) -> None:
    solution = solve(growth, {"a": [-1.0, -2.0]})
    copy: object = pickle.loads(pickle.dumps(solution))
    assert isinstance(copy, Solution)
    assert np.array_equal(copy.y, solution.y)
    assert repr(copy) == repr(solution)


def test_new_values_and_times_compile_nothing(growth: Solver) -> None:
    solve(growth, {"a": [-1.0]})
    before = growth.n_compilations
    solve(growth, {"a": [-2.0] * 7})
    growth.solve((0.0, 2.0), y0=[3.0, 0.0], save_every=0.25)
    assert growth.n_compilations == before
