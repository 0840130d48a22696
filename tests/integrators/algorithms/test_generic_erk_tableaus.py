"""Every explicit row and every interpolant has its order and no higher; the registry resolves names."""

import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pytest

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, TableauError, UnknownMethodError, rows_by_name
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS, VERN7, VERN9, find_tableau
from tests.integrators.algorithms.rooted_trees import (
    Coefficients,
    OrderConditions,
    dense_conditions,
    rooted_trees,
    weights_at,
)

HOLDS = 1e-25  # relative residual: dop853 is published to 30 digits, the others to more
FAILS = 1e-6  # relative residual of a condition that does not hold; vern6 comes nearest, with 5e-6

ROWS = tuple(ERK_TABLEAUS.values())
ADAPTIVE = tuple(row for row in ROWS if row.is_adaptive)
DENSE = tuple(row for row in ROWS if row.interpolant is not None)
THETAS = tuple(
    Fraction(tenth, 10) for tenth in range(1, 11)
)  # more than any interpolant's degree: the whole polynomial


def named(row: ButcherTableau) -> str:
    return row.name


def order_of(conditions: OrderConditions, b: Coefficients, up_to: int, theta: Fraction = Fraction(1)) -> int:
    """The highest order whose conditions, and all below, hold; the next one's have to fail clearly."""
    for order in range(1, up_to + 1):
        worst = conditions.worst(b, order, theta)
        if worst > HOLDS:
            assert worst > FAILS, f"conditions of order {order} neither hold nor fail: {worst}"
            return order - 1
    return up_to


def test_there_are_as_many_rooted_trees_as_cayley_counted() -> None:
    assert [len(rooted_trees(order)) for order in range(1, 11)] == [1, 1, 2, 4, 9, 20, 48, 115, 286, 719]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_step_has_its_order_and_no_higher(row: ButcherTableau) -> None:
    """PITFALL 14: coefficients shipped wrong for years. Every row is proved."""
    assert order_of(OrderConditions(row.a), row.b, row.order + 1) == row.order


@pytest.mark.parametrize("row", ADAPTIVE, ids=named)
def test_embedded_formula_has_its_order_and_no_higher(row: ButcherTableau) -> None:
    assert row.b_hat is not None and row.order_hat is not None
    assert order_of(OrderConditions(row.a), row.b_hat, row.order_hat + 1) == row.order_hat


def test_second_error_formula_of_dop853_has_order_three() -> None:
    row = find_tableau("dop853")
    assert row.b_hat_second is not None
    assert order_of(OrderConditions(row.a), row.b_hat_second, 4) == row.order_hat_second == 3
    assert row.error_order == 7


@pytest.mark.parametrize("row", DENSE, ids=named)
def test_interpolant_has_its_order_everywhere_in_the_step_and_no_higher(row: ButcherTableau) -> None:
    conditions, order = dense_conditions(row), row.dense_order
    assert (
        max(conditions.worst(weights_at(theta, row), p, theta) for theta in THETAS for p in range(1, order + 1)) < HOLDS
    )
    assert max(conditions.worst(weights_at(theta, row), order + 1, theta) for theta in THETAS) > FAILS


@pytest.mark.parametrize("row", DENSE, ids=named)
def test_interpolants_of_neighbouring_steps_join_with_their_slopes(row: ButcherTableau) -> None:
    assert row.interpolant is not None
    weights, n_all = row.interpolant.weights, row.n_dense_stages
    at_end = row.n_stages - 1 if row.first_same_as_last else row.n_stages
    first, last = ([Fraction(int(stage == wanted)) for stage in range(n_all)] for wanted in (0, at_end))
    slope_at_end = [
        sum((power * Fraction(entry) for power, entry in enumerate(row_, start=1)), Fraction(0)) for row_ in weights
    ]
    assert distance(weights_at(Fraction(1), row), (*row.b, *[0] * (n_all - row.n_stages))) < 1e-25
    assert distance([row_[0] for row_ in weights], first) < 1e-25
    assert distance(slope_at_end, last) < 1e-22  # a sum of terms up to 1e7 of published decimals


def distance(left: Iterable[Fraction | float | int], right: Iterable[Fraction | float | int]) -> float:
    return max(abs(float(Fraction(x) - Fraction(y))) for x, y in zip(left, right, strict=True))


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_wrong_twentieth_digit_is_found(row: ButcherTableau) -> None:
    for stage in range(row.n_stages):
        wrong = list(row.b)
        wrong[stage] += Fraction(1, 10**20)
        assert OrderConditions(row.a).worst(wrong, 1) > HOLDS


def test_one_wrong_digit_of_one_coefficient_is_found() -> None:
    a = [list(row) for row in VERN9.a]
    a[12][9] += Fraction(1, 10**16)
    conditions = OrderConditions(a)
    assert conditions.worst(VERN9.b, 2) > HOLDS
    a[12][8] -= Fraction(1, 10**16)  # a second one hides the first from the row's sum, not from the trees
    conditions = OrderConditions(a)
    assert conditions.worst(VERN9.b, 2) < HOLDS
    assert max(conditions.worst(VERN9.b, order) for order in range(3, 10)) > HOLDS


def test_interpolant_with_a_wrong_digit_is_found() -> None:
    conditions, theta = dense_conditions(VERN7), Fraction(3, 10)
    weights = weights_at(theta, VERN7)
    weights[3] += Fraction(1, 10**16)
    weights[4] -= Fraction(1, 10**16)
    assert max(conditions.worst(weights, order, theta) for order in range(1, 8)) > HOLDS


def test_rows_know_their_stages_and_whether_the_last_is_the_next_first() -> None:
    stages = {row.name: (row.n_stages, row.first_same_as_last) for row in ROWS}
    assert stages == {
        "explicit-euler": (1, False),
        "heun-21": (2, False),
        "ralston-33": (3, False),
        "bogacki-shampine-32": (4, True),
        "classical-rk4": (4, False),
        "cash-karp-54": (6, False),
        "fehlberg-45": (6, False),
        "dormand-prince-54": (7, True),
        "tsit5": (7, True),
        "dormand-prince-853": (12, False),
        "vern6": (9, True),
        "vern7": (10, False),
        "vern8": (13, False),
        "vern9": (16, False),
    }


def test_rows_know_the_order_of_their_dense_output() -> None:
    orders = {row.name: row.dense_order for row in ROWS if row.dense_order != 3}
    assert orders == {
        "dormand-prince-54": 4,
        "tsit5": 4,
        "dormand-prince-853": 7,
        "vern6": 6,
        "vern7": 7,
        "vern8": 8,
        "vern9": 9,
    }


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_row_is_explicit_and_names_its_source(row: ButcherTableau) -> None:
    row.require_explicit()
    assert row.is_explicit and row.source
    assert row.interpolant is None or row.interpolant.source


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("euler", "explicit-euler"),
        ("rk23", "bogacki-shampine-32"),
        ("ode23", "bogacki-shampine-32"),
        ("rk4", "classical-rk4"),
        ("rk45", "dormand-prince-54"),
        ("RK45", "dormand-prince-54"),
        ("ode45", "dormand-prince-54"),
        ("dopri5", "dormand-prince-54"),
        ("dop853", "dormand-prince-853"),
        ("DOP853", "dormand-prince-853"),
        ("bogacki_shampine_32", "bogacki-shampine-32"),
        ("vern9", "vern9"),
    ],
)
def test_alias_finds_its_row(alias: str, name: str) -> None:
    assert find_tableau(alias) is ERK_TABLEAUS[name]


def test_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownMethodError) as caught:
        find_tableau("dopri54")
    assert str(caught.value) == (
        "unknown method 'dopri54'. Did you mean 'dormand-prince-54'? cubie.methods() lists all."
    )


def test_unknown_method_like_none_is_answered_without_a_guess() -> None:
    with pytest.raises(ValueError, match=r"^unknown method 'zzz'\. cubie\.methods\(\) lists all\.$"):
        find_tableau("zzz")


def test_two_rows_cannot_claim_one_name() -> None:
    with pytest.raises(TableauError, match="method name 'vern7' must be unique"):
        rows_by_name((VERN7, VERN7))


class Orders(TypedDict):
    z_end: list[float]
    n_steps: list[int]
    errors: dict[str, list[float]]


ORDERS: Orders = json.loads(Path(__file__).with_name("orders.json").read_text(encoding="utf-8"))


def error_of(row: ButcherTableau, n_steps: int) -> float:
    """The largest error at t = 2 of ``n_steps`` equal steps on the problem of ``orders.json``."""
    rounded = row.in_precision(np.float64)
    a, b = np.array(rounded.a, np.float64), np.array(rounded.b, np.float64)
    dt, z = 2.0 / n_steps, np.array([1.0, 0.5])
    for step in range(n_steps):
        k = np.zeros((row.n_stages, 2))
        for stage, node in enumerate(rounded.c):
            k[stage] = rate((step + float(node)) * dt, z + dt * (a[stage] @ k))
        z = z + dt * (b @ k)
    return float(np.abs(z - np.array(ORDERS["z_end"])).max())


def rate(t: float, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.array([z[1] * np.cos(t / 2), -np.sin(z[0]) * (1 + 0.3 * np.sin(t)) - 0.1 * z[1] ** 2])


@pytest.mark.parametrize("name", ORDERS["errors"])
def test_errors_are_those_measured_elsewhere_in_forty_digits(name: str) -> None:
    for n_steps, expected in zip(ORDERS["n_steps"], ORDERS["errors"][name], strict=False):
        assert error_of(ERK_TABLEAUS[name], n_steps) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_halving_dt_shows_the_order(row: ButcherTableau) -> None:
    errors = [error_of(row, 2 << halving) for halving in range(7)]
    resolved = [error for error in errors if error > 1e-11]  # below, rounding counts: vern6's b_j reach 176
    assert np.log2(resolved[-2] / resolved[-1]) > row.order - 0.3
