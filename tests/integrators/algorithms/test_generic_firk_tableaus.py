"""Every fully implicit row has its order and no higher, its dense output too, and the stability claimed for it."""

import math
from fractions import Fraction

import numpy as np
import pytest

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, find_row
from cubie.integrators.algorithms.collocation import collocation_matrix, collocation_weights
from cubie.integrators.algorithms.collocation import weights_at as collocation_at
from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS, RADAU_IIA_5
from cubie.integrators.algorithms.stability import limit_at_infinity, stability_function, stage_order
from tests.integrators.algorithms.implicit_steps import ORDERS, nonstiff_error, stiff_error
from tests.integrators.algorithms.rooted_trees import OrderConditions, dense_conditions, weights_at

HOLDS, FAILS = 1e-36, 1e-3

ROWS = tuple(FIRK_TABLEAUS.values())
DENSE = tuple(row for row in ROWS if row.interpolant is not None)
THETAS = tuple(Fraction(tenth, 10) for tenth in range(1, 11))


def named(row: ButcherTableau) -> str:
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_step_has_its_order_and_no_higher(row: ButcherTableau) -> None:
    """PITFALL 14: a made-up Lobatto method."""
    conditions = OrderConditions(row.a)
    assert max(conditions.worst(row.b, order) for order in range(1, row.order + 1)) < HOLDS
    assert conditions.worst(row.b, row.order + 1) > FAILS


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_adaptive], ids=named)
def test_embedded_formula_has_its_order_and_no_higher(row: ButcherTableau) -> None:
    assert row.b_hat is not None and row.order_hat is not None
    conditions = OrderConditions(row.a)
    assert max(conditions.worst(row.b_hat, order) for order in range(1, row.order_hat + 1)) < HOLDS
    assert conditions.worst(row.b_hat, row.order_hat + 1) > FAILS


@pytest.mark.parametrize("row", DENSE, ids=named)
def test_interpolant_has_its_order_everywhere_in_the_step_and_no_higher(row: ButcherTableau) -> None:
    conditions, order = dense_conditions(row), row.dense_order
    residuals = [conditions.worst(weights_at(theta, row), p, theta) for theta in THETAS for p in range(1, order + 1)]
    assert max(residuals) < HOLDS
    assert max(conditions.worst(weights_at(theta, row), order + 1, theta) for theta in THETAS) > FAILS


@pytest.mark.parametrize("row", DENSE, ids=named)
def test_interpolant_ends_where_the_step_does(row: ButcherTableau) -> None:
    at_end = weights_at(Fraction(1), row)
    assert max(abs(x - Fraction(y)) for x, y in zip(at_end, (*row.b, 0), strict=True)) < 1e-36


def test_rows_know_the_order_of_their_dense_output() -> None:
    assert {row.name: row.dense_order for row in DENSE} == {
        "gauss-legendre-6": 3,
        "radau-iia-5": 3,
        "radau-iia-9": 5,
        "lobatto-iiic-4": 3,
    }


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_method_is_stable_on_the_imaginary_axis_and_in_the_left_half_plane(row: ButcherTableau) -> None:
    z = (1j * np.logspace(-3, 6, 400)).astype(np.complex128)
    assert float(np.abs(stability_function(row.a, row.b, z)).max()) <= 1 + 1e-9
    matrix = np.array([[float(x) for x in entries] for entries in row.a])
    assert float(np.linalg.eigvals(matrix).real.min()) > 0  # no poles on the left, so that the axis decides


def test_limits_at_infinity_are_those_of_the_literature() -> None:
    limits = {row.name: limit_at_infinity(row.a, row.b) for row in ROWS}
    gauss = {"gauss-legendre-2": -1, "gauss-legendre-4": 1, "gauss-legendre-6": -1}
    assert limits == pytest.approx({name: gauss.get(name, 0) for name in limits}, abs=1e-20)


def test_radau_and_lobatto_rows_are_stiffly_accurate_and_gauss_rows_are_not() -> None:
    for row in ROWS:
        exact = max(abs(Fraction(x) - Fraction(y)) for x, y in zip(row.a[-1], row.b, strict=True)) == 0
        assert row.is_stiffly_accurate == exact == (not row.name.startswith("gauss"))


def test_stage_orders_are_those_of_the_literature() -> None:
    assert {row.name: stage_order(row.a, row.c) for row in ROWS} == {
        "gauss-legendre-2": 1,
        "gauss-legendre-4": 2,
        "gauss-legendre-6": 3,
        "radau-iia-3": 2,
        "radau-iia-5": 3,
        "radau-iia-9": 5,
        "lobatto-iiic-2": 1,
        "lobatto-iiic-4": 2,
    }


def test_radau_5_is_hairer_and_wanners_table() -> None:
    root = math.sqrt(6)
    expected = [
        [(88 - 7 * root) / 360, (296 - 169 * root) / 1800, (-2 + 3 * root) / 225],
        [(296 + 169 * root) / 1800, (88 + 7 * root) / 360, (-2 - 3 * root) / 225],
        [(16 - root) / 36, (16 + root) / 36, 1 / 9],
    ]
    assert np.array(RADAU_IIA_5.in_precision(np.float64).a, np.float64) == pytest.approx(np.array(expected), rel=1e-14)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.name.startswith("lobatto")], ids=named)
def test_a_wrong_thirtieth_digit_of_any_node_is_found(row: ButcherTableau) -> None:
    """A collocation method has order s with any nodes; beyond it each digit counts."""
    for stage in range(row.n_stages):
        c = list(row.c)
        c[stage] += Fraction(1, 10**30)
        conditions = OrderConditions(collocation_matrix(tuple(c)))
        b = collocation_at(Fraction(1), collocation_weights(tuple(c)))
        assert conditions.worst(b, row.n_stages) < HOLDS < conditions.worst(b, row.n_stages + 1)


@pytest.mark.parametrize("name", ["lobatto-iiic-2", "lobatto-iiic-4"])
def test_lobatto_rows_are_what_defines_them(name: str) -> None:
    """b is Lobatto's quadrature, the first column of a is b[0], and stages have order s - 1: nothing is left free."""
    row = FIRK_TABLEAUS[name]
    assert [entries[0] for entries in row.a] == [row.b[0]] * row.n_stages
    assert row.b == collocation_at(Fraction(1), collocation_weights(row.c))
    assert stage_order(row.a, row.c) == row.n_stages - 1


@pytest.mark.parametrize("name", [name for name in ORDERS["methods"] if name in FIRK_TABLEAUS])
def test_errors_are_those_measured_elsewhere_in_forty_digits(name: str) -> None:
    row, measured = FIRK_TABLEAUS[name], ORDERS["methods"][name]
    resolved = [error for error in measured["nonstiff"][1:6] if error > 1e-11]
    errors = [nonstiff_error(row, 2 * measured["n_first"] << i) for i in range(len(resolved))]
    assert errors == pytest.approx(resolved, rel=1e-3)
    assert math.log2(errors[-2] / errors[-1]) == pytest.approx(measured["nonstiff_slope"], abs=0.15)


@pytest.mark.parametrize("name", [name for name in ORDERS["methods"] if name in FIRK_TABLEAUS])
def test_errors_on_prothero_and_robinsons_problem_are_those_measured_elsewhere(name: str) -> None:
    row, measured = FIRK_TABLEAUS[name], ORDERS["methods"][name]
    errors = [stiff_error(row, n_steps) for n_steps in (16, 32, 64, 128)]
    assert errors == pytest.approx(measured["stiff"][-4:], rel=1e-6)


def test_nine_orders_show_before_rounding_does() -> None:
    errors = [nonstiff_error(FIRK_TABLEAUS["radau-iia-9"], n_steps) for n_steps in (2, 4, 8)]
    assert math.log2(errors[1] / errors[2]) > 8.7


@pytest.mark.parametrize("alias", ["radau", "Radau", "radau5"])
def test_alias_finds_its_row(alias: str) -> None:
    assert find_row(alias, ROWS) is RADAU_IIA_5


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_row_names_its_source(row: ButcherTableau) -> None:
    assert row.source and (row.interpolant is None or row.interpolant.source)
