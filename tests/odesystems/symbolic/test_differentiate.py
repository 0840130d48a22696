"""Derivatives against finite differences, against sympy's, and what the generated code shares and folds."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from cubie.odesystems import ODESystem, create_ode_system
from cubie.odesystems.sources import jacobian_source, jacobian_vector_product_source, time_derivative_source
from cubie.odesystems.symbolic.functions import FUNCTIONS
from tests.odesystems.evaluate import Values, rates, run
from tests.odesystems.symbolic.sympy_derivatives import sympy_derivatives
from tests.problems import PROBLEMS, Problem

Matrix: TypeAlias = npt.NDArray[np.float64]

ALL: Final = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
UNARY: Final = [row.name for row in FUNCTIONS.values() if row.takes == ("real",) and row.name != "negative"]
WORDS: Final = {"absolute": "abs"}


def jacobian(system: ODESystem, y: Values, p: Values, t: float = 0.0) -> Matrix:
    """Return the dense Jacobian at (t, y) from the generated code."""
    n_slots = system.jacobian.n_slots
    values = run(jacobian_source(system, np.float64), n_slots, t, y.tolist(), p.tolist(), np.float64)
    matrix = np.zeros((system.n_states, system.n_states))
    for row, column, slot, factor in system.jacobian.entries:
        matrix[row, column] = factor if slot is None else factor * values[slot]
    return matrix


def finite_differences(system: ODESystem, y: Values, p: Values, t: float = 0.0) -> Matrix:
    """Return the Jacobian by central differences of fourth order."""
    columns = []
    for j, step in enumerate(1e-3 * np.maximum(np.abs(y), 1e-3)):
        rises = [
            rates(system, (y + k * step * np.eye(len(y))[j]).tolist(), p.tolist(), t=t) for k in (-2.0, -1.0, 1.0, 2.0)
        ]
        columns.append((rises[0] - 8 * rises[1] + 8 * rises[2] - rises[3]) / (12 * step))
    return np.stack(columns, axis=1)


def point(problem: Problem, seed: int) -> tuple[Values, Values, float]:
    """Return a random state near the problem's own, its parameters, and a time."""
    random = np.random.default_rng(seed)
    y0 = np.array(problem.y0)
    y = y0 * random.uniform(0.5, 1.5, y0.size) + random.uniform(0.1, 0.3, y0.size)
    return y, np.array(problem.defaults) * random.uniform(0.8, 1.2, len(problem.defaults)), random.uniform(0.1, 2.0)


@ALL
def test_jacobian_is_sympys_at_random_points(problem: Problem) -> None:
    system = problem.system()
    for seed in range(2):
        y, p, t = point(problem, seed)
        expected = sympy_derivatives(problem, y, p, t)
        drift = run(time_derivative_source(system, np.float64), y.size, t, y.tolist(), p.tolist(), np.float64)
        found = np.column_stack([jacobian(system, y, p, t), drift])
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-13 * np.abs(expected).max())


@ALL
def test_jacobian_is_the_limit_of_differences(problem: Problem) -> None:
    y, p, t = point(problem, 2)
    measured = finite_differences(problem.system(), y, p, t)
    assert jacobian(problem.system(), y, p, t) == pytest.approx(measured, rel=1e-6, abs=1e-7 * np.abs(measured).max())


@ALL
def test_jacobian_times_a_vector_needs_no_jacobian(problem: Problem) -> None:
    system, (y, p, t) = problem.system(), point(problem, 3)
    vector = np.random.default_rng(4).normal(size=y.size)
    source = jacobian_vector_product_source(system, np.float64)
    product = run(source, y.size, t, y.tolist(), p.tolist(), np.float64, vector.tolist())
    matrix = jacobian(system, y, p, t)
    assert product == pytest.approx(matrix @ vector, rel=1e-11, abs=1e-12 * np.abs(matrix).max())


@pytest.mark.parametrize("name", UNARY)
def test_every_function_of_one_number_has_its_slope(name: str) -> None:
    word = WORDS.get(name, name)
    system = create_ode_system([f"dx = {word}(x + c*y)", "dy = 0*x"], states=["x", "y"], constants={"c": 0.5})
    x = 1.6 if name == "acosh" else 0.35
    y, none = np.array([x, 0.1]), np.array([])
    assert jacobian(system, y, none) == pytest.approx(finite_differences(system, y, none), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    "expression",
    [
        "x/y",
        "x**y",
        "x**2.5",
        "x**-3",
        "x**0.3",
        "atan2(x, y)",
        "hypot(x, y)",
        "min(x, y) + max(x, y)*x",
        "mod(x, y)*y",
        "fmod(-x, y)*y + (-x) % y",
        "(x // y)*x",
        "x*y if x < y else x*x*y",
        "heaviside(x - y, 0.5)*x",
        "clip(x*y, 0.1, 0.9)",
        "-(x - y)*(x - y)/(1 + x)",
    ],
)
@pytest.mark.parametrize("values", [(0.4, 0.7), (0.9, 0.35)])
def test_every_function_of_two_numbers_has_its_slopes(expression: str, values: tuple[float, float]) -> None:
    system = create_ode_system([f"dx = {expression}", "dy = 0*x"], states=["x", "y"])
    y, none = np.array(values), np.array([])
    assert jacobian(system, y, none) == pytest.approx(finite_differences(system, y, none), rel=1e-8, abs=1e-9)


def test_slopes_of_powers_are_finite_at_zero() -> None:
    system = create_ode_system(["dx = x**1.5 + x**p", "dy = 3**x"], states=["x", "y"], parameters=["p"])
    assert jacobian(system, np.zeros(2), np.array([2.5])).tolist() == [[0.0, 0.0], [pytest.approx(np.log(3.0)), 0.0]]


def test_equal_and_opposite_entries_share_a_slot_and_numbers_need_none() -> None:
    robertson = PROBLEMS["robertson"].system()
    assert robertson.jacobian_pattern == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 1))
    assert robertson.jacobian.n_slots == 5
    linear = create_ode_system(["dx = -k*x + y", "dy = x"], states=["x", "y"], constants={"k": 2.0})
    assert [entry[2:] for entry in linear.jacobian.entries] == [(None, -2.0), (None, 1.0), (None, 1.0)]
    assert linear.jacobian.n_slots == 0


def test_derivatives_share_what_the_entries_have_in_common() -> None:
    system = create_ode_system(
        ["r = k*exp(x*y)", "dx = -r", "dy = r"], states=["x", "y"], parameters=["k"], name="shared"
    )
    assert jacobian_source(system, np.float64).text.count("exp(") == 1


def test_time_dependence_is_found() -> None:
    assert not create_ode_system(["dx = -x*sin(t)"], states=["x"]).is_autonomous
    assert create_ode_system(["dx = -x"], states=["x"]).is_autonomous
    switched = create_ode_system(["dx = -x*(1 if t < k else 2)"], states=["x"], parameters=["k"])
    assert switched.is_autonomous  # but for the jump, which no derivative sees
