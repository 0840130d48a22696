"""Every diagonally implicit row has its order and no higher, and the stability that is claimed for it."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, find_row
from cubie.integrators.algorithms.generic_dirk_tableaus import DIRK_TABLEAUS, KENCARP_5, KVAERNO_4
from cubie.integrators.algorithms.stability import limit_at_infinity, stability_function, stage_order
from tests.integrators.algorithms.implicit_steps import ORDERS, nonstiff_error, stiff_error
from tests.integrators.algorithms.rooted_trees import Coefficients, OrderConditions

HOLDS = 1e-24  # relative residual: Kennedy and Carpenter's fractions agree to 25 digits, the others to 40
FAILS = 1e-5  # relative residual of a condition that does not hold; kencarp-5's embedded formula comes nearest

ROWS = tuple(DIRK_TABLEAUS.values())
ADAPTIVE = tuple(row for row in ROWS if row.is_adaptive)
L_STABLE = frozenset(DIRK_TABLEAUS) - {"implicit-midpoint", "trapezoidal"}


def named(row: ButcherTableau) -> str:
    return row.name


def order_of(conditions: OrderConditions, b: Coefficients, up_to: int) -> int:
    """The highest order whose conditions, and all below, hold; the next one's have to fail clearly."""
    for order in range(1, up_to + 1):
        worst = conditions.worst(b, order)
        if worst > HOLDS:
            assert worst > FAILS, f"conditions of order {order} neither hold nor fail: {worst}"
            return order - 1
    return up_to


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_step_has_its_order_and_no_higher(row: ButcherTableau) -> None:
    """PITFALL 14: a wrong SDIRK-4."""
    assert order_of(OrderConditions(row.a), row.b, row.order + 1) == row.order


@pytest.mark.parametrize("row", ADAPTIVE, ids=named)
def test_embedded_formula_has_its_order_and_no_higher(row: ButcherTableau) -> None:
    assert row.b_hat is not None and row.order_hat is not None
    assert order_of(OrderConditions(row.a), row.b_hat, row.order_hat + 1) == row.order_hat


def test_only_the_midpoint_rule_has_no_error_estimate() -> None:
    assert {row.name for row in ROWS if not row.is_adaptive} == {"implicit-midpoint"}


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_rows_end_on_the_diagonal_and_sum_to_their_nodes(row: ButcherTableau) -> None:
    for stage, (entries, node) in enumerate(zip(row.a, row.c, strict=True)):
        assert len(entries) in (stage, stage + 1)
        assert abs(sum((Fraction(x) for x in entries), Fraction(0)) - Fraction(node)) < 1e-24


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_all_implicit_stages_have_one_diagonal(row: ButcherTableau) -> None:
    diagonal = {entries[stage] for stage, entries in enumerate(row.a) if len(entries) > stage}
    assert diagonal - {0} == {row.a[-1][-1]}
    assert 0 not in diagonal


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_method_is_stable_on_the_imaginary_axis(row: ButcherTableau) -> None:
    """With poles on the right only, at 1/gamma, that is A-stability."""
    z = (1j * np.logspace(-3, 6, 400)).astype(np.complex128)
    assert float(np.abs(stability_function(row.a, row.b, z)).max()) <= 1 + 1e-12


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_limit_at_infinity_is_zero_for_l_stable_rows_and_one_in_size_for_the_others(row: ButcherTableau) -> None:
    limit = limit_at_infinity(row.a, row.b)
    assert abs(limit) < 1e-20 if row.name in L_STABLE else limit == -1
    assert abs(stability_function(row.a, row.b, np.array([-1e9 + 0j]))[0] - limit) < 1e-6


def test_rows_know_whether_they_are_stiffly_accurate() -> None:
    assert {row.name for row in ROWS if not row.is_stiffly_accurate} == {"implicit-midpoint"}
    singly = {"implicit-midpoint", "sdirk-2", "sdirk-3", "sdirk-43"}
    assert {row.name for row in ROWS if not row.first_same_as_last} == singly


def test_stages_of_methods_with_an_explicit_first_one_have_order_two() -> None:
    orders = {row.name: stage_order(row.a, row.c) for row in ROWS}
    one_stage = {"backwards-euler", "backwards-euler-predict-correct"}
    explicit_first = {row.name for row in ROWS if row.first_same_as_last} - one_stage
    assert {name for name, order in orders.items() if order == 2} == explicit_first
    assert set(orders.values()) == {1, 2}


def test_kvaerno_4_is_l_stable_in_the_formula_that_makes_the_step() -> None:
    """Not in its embedded one, as with the other gamma of the paper."""
    assert KVAERNO_4.b_hat is not None
    assert abs(limit_at_infinity(KVAERNO_4.a, KVAERNO_4.b)) < 1e-20
    assert abs(limit_at_infinity(KVAERNO_4.a[:-1], KVAERNO_4.b_hat[:-1])) > 0.5


def test_a_misprint_of_one_digit_in_kencarp_5_is_found() -> None:
    """The twelfth digit of a[6][5], as some software has it: 7827059040719 for 7827059040749."""
    a = [list(row) for row in KENCARP_5.a]
    a[6][5] = Fraction(-4269925059573, 7827059040719)
    wrong = dataclasses.replace(KENCARP_5, name="misprinted", a=tuple(map(tuple, a)), interpolant=None)
    assert order_of(OrderConditions(KENCARP_5.a), KENCARP_5.b, 5) == 5
    assert max(OrderConditions(wrong.a).worst(wrong.b, order) for order in range(2, 6)) > 1e-13 > HOLDS


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_wrong_eighteenth_digit_of_any_weight_is_found(row: ButcherTableau) -> None:
    for stage in range(row.n_stages):
        wrong = list(row.b)
        wrong[stage] += Fraction(1, 10**18)
        assert OrderConditions(row.a).worst(wrong, 1) > HOLDS


@pytest.mark.parametrize("row", [row for row in ROWS if row.order > 2], ids=named)
def test_two_wrong_digits_that_keep_a_rows_sum_are_found(row: ButcherTableau) -> None:
    for stage, entries in enumerate(row.a[:-1]):  # the last row is b, whose digits the test above covers
        if len(entries) > 1 and row.b[stage] != 0:
            a = [list(other) for other in row.a]
            a[stage][-2] += Fraction(1, 10**16)
            a[stage][-1] -= Fraction(1, 10**16)
            assert max(OrderConditions(a).worst(row.b, order) for order in range(2, row.order + 1)) > HOLDS


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_halving_dt_shows_the_order(row: ButcherTableau) -> None:
    errors = [nonstiff_error(row, n_steps) for n_steps in (32, 64)]
    assert math.log2(errors[0] / errors[1]) > row.order - 0.1


@pytest.mark.parametrize("name", [name for name in ORDERS["methods"] if name in DIRK_TABLEAUS])
def test_errors_are_those_measured_elsewhere_in_forty_digits(name: str) -> None:
    row, measured = DIRK_TABLEAUS[name], ORDERS["methods"][name]
    errors = [nonstiff_error(row, measured["n_first"] << i) for i in range(5)]
    assert errors == pytest.approx(measured["nonstiff"][:5], rel=1e-4)
    assert math.log2(errors[3] / errors[4]) == pytest.approx(measured["nonstiff_slope"], abs=0.15)


@pytest.mark.parametrize("name", [name for name in ORDERS["methods"] if name in DIRK_TABLEAUS])
def test_errors_on_prothero_and_robinsons_problem_are_those_measured_elsewhere(name: str) -> None:
    row, measured = DIRK_TABLEAUS[name], ORDERS["methods"][name]
    errors = [stiff_error(row, n_steps) for n_steps in (64, 128)]
    assert errors == pytest.approx(measured["stiff"][-2:], rel=1e-6)
    assert math.log2(errors[0] / errors[1]) == pytest.approx(measured["stiff_slope"], abs=0.15)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("ode23t", "trapezoidal"), ("crank-nicolson", "trapezoidal"), ("ode23tb", "trbdf2"), ("sdirk4", "sdirk-43")],
)
def test_alias_finds_its_row(alias: str, name: str) -> None:
    assert find_row(alias, ROWS) is DIRK_TABLEAUS[name]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_row_names_its_source(row: ButcherTableau) -> None:
    assert row.source
