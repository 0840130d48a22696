"""Every Rosenbrock row has its order and no higher, with any matrix too where it claims so, and so has dense output."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest

from cubie.integrators.algorithms.exact_matrices import inverse, times
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.integrators.algorithms.stability import limit_at_infinity, stability_function
from cubie.integrators.algorithms.tableau_checks import Row, TableauError
from tests.integrators.algorithms.implicit_steps import ORDERS, nonstiff_error, stiff_error
from tests.integrators.algorithms.rosenbrock_trees import RosenbrockConditions, index_1_residuals, w_residual

HOLDS = 3e-14  # relative residual: coefficients are published to 15 or 16 digits
FAILS = 1e-3  # relative residual of a condition that does not hold

ROWS = tuple(ROSENBROCK_TABLEAUS.values())
DENSE = tuple(row for row in ROWS if row.interpolant is not None)
THETAS = tuple(Fraction(eighth, 8) for eighth in range(1, 9))  # more than any polynomial's degree
L_STABLE = frozenset(row.name for row in ROWS if row.is_stiffly_accurate) | {"rosenbrock23"}


def named(row: RosenbrockTableau) -> str:
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_step_has_its_order_and_no_higher(row: RosenbrockTableau) -> None:
    """PITFALL 14: a "second-order" Rosenbrock method of order one."""
    form = row.classical()
    conditions = RosenbrockConditions(form)
    assert max(conditions.worst(form.b, order) for order in range(1, row.order + 1)) < HOLDS
    assert conditions.worst(form.b, row.order + 1) > FAILS


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_embedded_formula_has_its_order_and_no_higher(row: RosenbrockTableau) -> None:
    form = row.classical()
    conditions = RosenbrockConditions(form)
    assert form.b_hat is not None and row.order_hat is not None
    assert max(conditions.worst(form.b_hat, order) for order in range(1, row.order_hat + 1)) < HOLDS
    assert conditions.worst(form.b_hat, row.order_hat + 1) > FAILS


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_order_with_any_jacobian_is_the_one_claimed_and_no_higher(row: RosenbrockTableau) -> None:
    form = row.classical()
    assert max(w_residual(form, form.b, order) for order in range(1, row.w_order + 1)) < HOLDS
    assert w_residual(form, form.b, row.w_order + 1) > FAILS


def test_rows_that_claim_more_than_order_one_with_any_jacobian() -> None:
    claims = {row.name: row.w_order for row in ROWS if row.w_order > 1}
    assert claims == {"rosenbrock23": 2, "ros34pw2": 3, "ros34pw3": 3, "rodas5p": 2, "rodas6p": 2}


@pytest.mark.parametrize("row", DENSE, ids=named)
def test_interpolant_has_its_order_everywhere_in_the_step_and_no_higher(row: RosenbrockTableau) -> None:
    form = row.classical()
    conditions, order = RosenbrockConditions(form), row.dense_order
    weights = {theta: times(row.dense_weights(theta), form.gammas) for theta in THETAS}
    for theta, b in weights.items():
        assert max(conditions.worst(b, p, theta) for p in range(1, order + 1)) < HOLDS
    assert max(conditions.worst(b, order + 1, theta) for theta, b in weights.items()) > FAILS


def test_rows_know_the_order_of_their_dense_output() -> None:
    assert {row.name: row.dense_order for row in DENSE} == {
        "rosenbrock23": 2,
        "rodas3p": 3,
        "rodas4": 3,
        "rodas42": 3,
        "rodas4p": 3,
        "rodas5": 4,
        "rodas5p": 4,
        "rodas6p": 5,
    }


def test_rows_keep_their_order_on_index_1_problems_as_published() -> None:
    residuals = {}
    for row in ROWS:
        form = row.classical()
        residuals[row.name] = index_1_residuals(form, inverse(form.beta))
    kept = {name: [order for order, size in found.items() if size < 1e-12] for name, found in residuals.items()}
    assert {name for name, orders in kept.items() if orders == [3, 4]} == {
        "rodas4", "rodas42", "rodas4p", "rodas5", "rodas5p", "rodas6p",
    }  # fmt: skip
    assert {name for name, orders in kept.items() if orders == [3]} == {
        "ros3p", "rodas3", "rodas3p", "scholz4-7", "ros34pw2", "ros34pw3",
    }  # fmt: skip


@pytest.mark.parametrize("row", [row for row in ROWS if row.name != "grk4t"], ids=named)
def test_method_is_stable_on_the_imaginary_axis(row: RosenbrockTableau) -> None:
    """With poles on the right only, at 1/gamma, that is A-stability; GRK4T has it in a sector of 89.3 degrees."""
    form = row.classical()
    z = (1j * np.logspace(-3, 5, 300)).astype(np.complex128)
    assert float(np.abs(stability_function(form.beta, form.b, z)).max()) <= 1 + 1e-9


def test_grk4t_is_stable_in_its_sector() -> None:
    form = ROSENBROCK_TABLEAUS["grk4t"].classical()
    sizes = [
        float(np.abs(stability_function(form.beta, form.b, -np.logspace(-3, 5, 300) * np.exp(1j * angle))).max())
        for angle in np.radians([89.3, 90.0])
    ]
    assert sizes[0] <= 1 < 1.001 < sizes[1]


def test_limits_at_infinity_are_those_of_the_literature() -> None:
    forms = {row.name: row.classical() for row in ROWS}
    limits = {name: limit_at_infinity(form.beta, form.b) for name, form in forms.items()}
    others = {"ros3p": -0.7321, "scholz4-7": -0.7321, "ros34pw3": -0.6302, "grk4t": 0.4536, "grk4a": 0.9947}
    assert limits.keys() == L_STABLE | others.keys()
    assert {name: abs(limits[name]) < 1e-20 for name in L_STABLE} == dict.fromkeys(L_STABLE, True)
    assert {name: limits[name] for name in others} == pytest.approx(others, abs=1e-3)


def test_rows_know_whether_they_are_stiffly_accurate() -> None:
    assert {row.name for row in ROWS if row.is_stiffly_accurate} == {
        "rodas3", "rodas3p", "ros34pw2", "rodas4", "rodas42", "rodas4p", "rodas5", "rodas5p", "rodas6p",
    }  # fmt: skip
    for row in ROWS:
        form, n = row.classical(), row.n_stages
        last = max(abs(x - y) for x, y in zip(form.beta[n - 1], form.b, strict=True))
        assert (last < 1e-13) == row.is_stiffly_accurate


def test_rows_know_which_stages_share_a_rate() -> None:
    shared = {row.name: row.evaluations for row in ROWS if row.evaluations != tuple(range(row.n_dense_stages))}
    assert shared == {
        "ros3p": (0, 1, 1),
        "rodas3": (0, 0, 2, 3),
        "rodas3p": (0, 1, 0, 3, 3),
        "grk4t": (0, 1, 2, 2),
        "grk4a": (0, 1, 2, 2),
    }
    assert {row.name for row in ROWS if row.evaluates_y_next} == {"rosenbrock23"}


def test_rodas6p_has_three_stages_for_dense_output_only() -> None:
    row = ROSENBROCK_TABLEAUS["rodas6p"]
    assert (row.n_stages, row.n_dense_stages) == (16, 19)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_wrong_eleventh_digit_of_any_coefficient_is_found(row: RosenbrockTableau) -> None:
    """By the sums that the row is checked for when made, or by its conditions; every seventh one of the long rows."""
    places = [(field, stage, j) for field in ("a", "c") for stage in range(row.n_stages) for j in range(stage)]
    for field, stage, j in places[:: 1 if row.n_stages < 6 else 7]:
        rows = [list(entries) for entries in (row.a if field == "a" else row.c)]
        rows[stage][j] = Fraction(rows[stage][j]) * (1 + Fraction(1, 10**10)) or Fraction(1, 10**10)
        changed = tuple(map(tuple, rows))
        assert is_found(row, changed if field == "a" else row.a, changed if field == "c" else row.c), (field, stage, j)


def is_found(row: RosenbrockTableau, a: tuple[Row, ...], c: tuple[Row, ...]) -> bool:
    try:
        wrong = dataclasses.replace(row, a=a, c=c)
    except TableauError:
        return True
    form = wrong.classical()
    conditions = RosenbrockConditions(form)
    assert form.b_hat is not None and row.order_hat is not None
    return (
        wrong.is_stiffly_accurate != row.is_stiffly_accurate
        or any(conditions.worst(form.b, order) > HOLDS for order in range(1, row.order + 1))
        or any(conditions.worst(form.b_hat, order) > HOLDS for order in range(1, row.order_hat + 1))
    )


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_halving_dt_shows_the_order(row: RosenbrockTableau) -> None:
    first = 16 if row.order > 5 else 64
    errors = [nonstiff_error(row, n_steps) for n_steps in (first, 2 * first)]
    assert math.log2(errors[0] / errors[1]) > row.order - 0.15


@pytest.mark.parametrize("name", [name for name in ORDERS["methods"] if name in ROSENBROCK_TABLEAUS])
def test_errors_are_those_measured_elsewhere_in_forty_digits(name: str) -> None:
    row, measured = ROSENBROCK_TABLEAUS[name], ORDERS["methods"][name]
    errors = [nonstiff_error(row, measured["n_first"] << i) for i in range(6)]
    assert errors == pytest.approx(measured["nonstiff"][:6], rel=1e-3)
    assert math.log2(errors[4] / errors[5]) == pytest.approx(measured["nonstiff_slope"], abs=0.15)


@pytest.mark.parametrize("name", [name for name in ORDERS["methods"] if name in ROSENBROCK_TABLEAUS])
def test_errors_on_prothero_and_robinsons_problem_are_those_measured_elsewhere(name: str) -> None:
    row, measured = ROSENBROCK_TABLEAUS[name], ORDERS["methods"][name]
    errors = [stiff_error(row, n_steps) for n_steps in (64, 128)]
    assert errors == pytest.approx(measured["stiff"][-2:], rel=1e-6)
    assert math.log2(errors[0] / errors[1]) == pytest.approx(measured["stiff_slope"], abs=0.15)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_row_names_its_source(row: RosenbrockTableau) -> None:
    assert row.source and (row.interpolant is None or row.interpolant.source)
    assert ROSENBROCK_TABLEAUS["rosenbrock23"].aliases == ("ode23s",)
