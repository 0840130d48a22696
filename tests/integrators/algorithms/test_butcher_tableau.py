"""A tableau refuses what contradicts itself, derives what follows from it, and keeps its sums when rounded."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, Interpolant, RoundedRow, TableauError
from cubie.integrators.algorithms.generic_erk_tableaus import BOGACKI_SHAMPINE_32, ERK_TABLEAUS, HEUN_21, VERN8
from cubie.integrators.algorithms.rounded_tableau import chebyshev
from tests.integrators.algorithms.rooted_trees import weights_at

F = Fraction
ROWS = tuple(ERK_TABLEAUS.values())
DENSE = tuple(row for row in ROWS if row.interpolant is not None)
PRECISIONS = (np.float32, np.float64)

MIDPOINT = ButcherTableau(name="midpoint", order=2, a=((), (0.5,)), b=(0.0, 1.0), c=(0.0, 0.5))
BACKWARD_EULER = ButcherTableau(name="backward", order=1, a=((1,),), b=(1,), c=(1,))
LINEAR = Interpolant(order=1, weights=((1,), (0,), (0,)))


def named(row: ButcherTableau) -> str:
    return row.name


def test_invented_tableau_of_floats_derives_what_follows_from_it() -> None:
    assert (MIDPOINT.n_stages, MIDPOINT.n_dense_stages) == (2, 2)
    assert MIDPOINT.is_explicit and not MIDPOINT.is_stiffly_accurate and not MIDPOINT.first_same_as_last
    assert not MIDPOINT.is_adaptive and MIDPOINT.error_weights is None and MIDPOINT.error_order is None
    assert MIDPOINT.dense_order == 3 and not MIDPOINT.interpolates_stages


def test_invented_tableau_is_rounded_with_its_zeros_written_out() -> None:
    rounded = MIDPOINT.in_precision(np.float32)
    assert rounded.a == ((0.0, 0.0), (0.5, 0.0))
    assert (rounded.b, rounded.c) == ((0.0, 1.0), (0.0, 0.5))
    assert rounded.error_weights is None and rounded.second_error_weights is None and rounded.interpolant is None


def test_fractions_and_floats_of_the_same_value_make_equal_tableaus() -> None:
    assert dataclasses.replace(MIDPOINT, a=((), (F(1, 2),)), c=(0, F(1, 2))) == MIDPOINT


def test_rows_and_arrays_of_a_user_become_tuples() -> None:
    a: list[tuple[float, ...]] = [tuple(row) for row in np.array([[0.0, 0.0], [0.5, 0.0]])]
    loose = dataclasses.replace(MIDPOINT, a=a)  # type: ignore[arg-type]  # what an untyped script would pass
    assert hash(loose) == hash(dataclasses.replace(MIDPOINT, a=((0, 0), (F(1, 2), 0))))


def test_implicit_tableau_is_stiffly_accurate_but_does_not_hand_on_its_rate() -> None:
    assert BACKWARD_EULER.is_stiffly_accurate and not BACKWARD_EULER.first_same_as_last
    assert not BACKWARD_EULER.is_explicit
    with pytest.raises(TableauError, match=re.escape("tableau 'backward' must be explicit (no stage needs itself")):
        BACKWARD_EULER.require_explicit()


def test_error_weights_are_the_exact_difference() -> None:
    assert BOGACKI_SHAMPINE_32.error_weights == (F(-5, 72), F(1, 12), F(1, 9), F(-1, 8))
    assert BOGACKI_SHAMPINE_32.error_order == 2


def test_tableau_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(HEUN_21, "order", 3)  # noqa: B010  # an assignment would be a type error


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: dataclasses.replace(HEUN_21, b=()), "b must have at least one weight, got none."),
        (lambda: dataclasses.replace(HEUN_21, c=(0,)), "c must be as long as b, 2, got 1."),
        (lambda: dataclasses.replace(HEUN_21, a=((),)), "a must be as long as b, 2, got 1."),
        (lambda: dataclasses.replace(HEUN_21, b_hat=(1,)), "b_hat must be as long as b, 2, got 1."),
        (
            lambda: dataclasses.replace(HEUN_21, b_hat_second=(1,), order_hat_second=1),
            "b_hat_second must be as long as b, 2, got 1.",
        ),
        (
            lambda: dataclasses.replace(HEUN_21, a=((), (0, 1, 0))),
            "row 1 of a must have 1, 2 or 2 entries, got 3. Write zeros out.",
        ),
        (
            lambda: dataclasses.replace(HEUN_21, a=((), (F(3, 4),))),
            "row 1 of a must sum to 1, got 0.75. Check the digits.",
        ),
        (lambda: dataclasses.replace(HEUN_21, b=(0.5, 0.4)), "b must sum to 1, got 0.9. Check the digits."),
        (lambda: dataclasses.replace(HEUN_21, b_hat=(1, 1)), "b_hat must sum to 1, got 2.0. Check the digits."),
        (lambda: dataclasses.replace(HEUN_21, order=0), "order must be a whole number of at least 1, got 0."),
        (lambda: dataclasses.replace(HEUN_21, order=True), "order must be a whole number of at least 1, got True."),
        (lambda: dataclasses.replace(HEUN_21, order_hat=0), "order_hat must be a whole number of at least 1, got 0."),
        (
            lambda: dataclasses.replace(HEUN_21, order_hat=None),
            "b_hat and order_hat must be given together, got one of them.",
        ),
        (
            lambda: dataclasses.replace(HEUN_21, order_hat_second=1),
            "b_hat_second and order_hat_second must be given together, got one of them.",
        ),
        (
            lambda: dataclasses.replace(MIDPOINT, b_hat_second=(1, 0), order_hat_second=1),
            "b_hat_second must follow a b_hat, got none. Name it b_hat.",
        ),
    ],
)
def test_tableau_that_contradicts_itself_is_refused(make: Callable[[], ButcherTableau], complaint: str) -> None:
    with pytest.raises(TableauError, match=f": {re.escape(complaint)}$"):
        make()


@pytest.mark.parametrize(
    ("dense", "complaint"),
    [
        (dataclasses.replace(LINEAR, order=0), "its interpolant's order must be a whole number of at least 1, got 0."),
        (dataclasses.replace(LINEAR, c=(1,)), "its interpolant's c must be as long as a, 0, got 1."),
        (
            dataclasses.replace(LINEAR, a=((1, 0, 0, 0),), c=(1,)),
            "row 0 of its interpolant's a must be explicit, with at most 3 entries, got 4.",
        ),
        (
            dataclasses.replace(LINEAR, a=((1,),), c=(F(1, 2),)),
            "row 0 of its interpolant's a must sum to 1/2, got 1.0. Check the digits.",
        ),
        (
            dataclasses.replace(LINEAR, weights=((1,), (0,))),
            "its interpolant must weigh all 3 stages, got 2 rows of weights.",
        ),
        (
            dataclasses.replace(LINEAR, weights=((1, 0), (0,), (0,))),
            "its interpolant's rows of weights must be equally long, got ragged or empty ones.",
        ),
        (
            dataclasses.replace(LINEAR, weights=((1, 1), (0, 0), (0, 0))),
            "its interpolant's weights of theta**2 must sum to 0, got 1.0. Check the digits.",
        ),
    ],
)
def test_interpolant_that_contradicts_its_tableau_is_refused(dense: Interpolant, complaint: str) -> None:
    with pytest.raises(TableauError, match=f": {re.escape(complaint)}$"):
        dataclasses.replace(HEUN_21, interpolant=dense)


@pytest.mark.parametrize("entry", [float("nan"), float("inf")])
def test_coefficient_that_is_not_finite_is_refused(entry: float) -> None:
    with pytest.raises(TypeError, match=r"a coefficient must be a finite Fraction, float or int, got (nan|inf)"):
        dataclasses.replace(HEUN_21, b=(entry, 0))
    with pytest.raises(TypeError, match="interpolant: a coefficient must be a finite Fraction"):
        Interpolant(order=1, weights=((entry,),))


def test_coefficient_that_is_text_is_refused() -> None:
    with pytest.raises(TypeError, match="got '1/2'"):
        dataclasses.replace(HEUN_21, b=("1/2", F(1, 2)))  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("row", ROWS, ids=named)
def test_every_rounded_number_is_of_the_precision_and_every_row_of_one_length(
    row: ButcherTableau, precision: FloatPrecision
) -> None:
    rounded, n = row.in_precision(precision), row.n_stages
    matrices = [(rounded.a, n, n)]
    if rounded.interpolant is not None and row.interpolant is not None:
        n_extra, degree = row.interpolant.n_extra_stages, len(row.interpolant.weights[0])
        matrices += [(rounded.interpolant.a, n_extra, row.n_dense_stages)]
        matrices += [(rounded.interpolant.weights, row.n_dense_stages, degree)]
        matrices += [(rounded.interpolant.chebyshev, row.n_dense_stages, degree)]
    for matrix, n_rows, width in matrices:
        assert [len(entries) for entries in matrix] == [width] * n_rows
        assert all(type(entry) is precision for entries in matrix for entry in entries)
    for vector in (rounded.b, rounded.c, rounded.error_weights, rounded.second_error_weights):
        assert vector is None or (len(vector) == n and all(type(entry) is precision for entry in vector))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("row", ROWS, ids=named)
def test_rounding_keeps_sums_and_stays_near(row: ButcherTableau, precision: FloatPrecision) -> None:
    rounded = row.in_precision(precision)
    pairs = [(rounded.b, row.b, 1.0)]
    pairs += [(entries, exact, float(c)) for entries, exact, c in zip(rounded.a, row.a, rounded.c, strict=True)]
    if rounded.error_weights is not None and row.error_weights is not None:
        pairs.append((rounded.error_weights, row.error_weights, 0.0))
    if rounded.second_error_weights is not None and row.second_error_weights is not None:
        pairs.append((rounded.second_error_weights, row.second_error_weights, 0.0))
    for entries, exact, total in pairs:
        check_rounding(entries, exact, total, float(np.finfo(precision).eps))


def check_rounding(entries: RoundedRow, exact: Sequence[Fraction | float | int], total: float, eps: float) -> None:
    """The sum misses by half an ulp of the smallest entry at most; no entry moved by more than the row's rounding."""
    sizes = [abs(float(entry)) for entry in entries if entry != 0]
    assert abs(float(sum((F(float(entry)) for entry in entries), F(0)) - F(total))) <= eps * min(sizes, default=0.0)
    for entry, value in zip(entries, exact, strict=False):
        assert abs(float(entry) - float(value)) <= eps * len(sizes) * max(sizes, default=0.0)
        assert (entry == 0) == (value == 0)


@pytest.mark.parametrize("row", DENSE, ids=named)
def test_chebyshev_weights_are_the_same_polynomials(row: ButcherTableau) -> None:
    assert row.interpolant is not None
    theta = F(3, 7)
    x = 2 * theta - 1
    terms = [F(1), x]
    while len(terms) < len(row.interpolant.weights[0]):
        terms.append(2 * x * terms[-1] - terms[-2])
    for weights, expected in zip(row.interpolant.weights, weights_at(theta, row), strict=True):
        series = [F(entry) * term for entry, term in zip(chebyshev(weights), terms, strict=False)]
        assert theta * sum(series, F(0)) == expected


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("row", DENSE, ids=named)
def test_chebyshev_weights_lose_no_digits(row: ButcherTableau, precision: FloatPrecision) -> None:
    rounded, eps = row.in_precision(precision).interpolant, float(np.finfo(precision).eps)
    assert rounded is not None
    for eighth in range(9):
        exact = [float(weight) for weight in weights_at(F(eighth, 8), row)]
        got = [clenshaw(weights, eighth / 8, precision) for weights in rounded.chebyshev]
        largest = max(abs(float(entry)) for weights in rounded.chebyshev for entry in weights)
        assert max(abs(a - b) for a, b in zip(got, exact, strict=True)) <= 8 * eps * largest


def test_powers_of_theta_would_lose_them_all() -> None:
    rounded = VERN8.in_precision(np.float32).interpolant
    assert rounded is not None
    theta, worst = np.float32(0.875), 0.0
    for weights, exact in zip(rounded.weights, weights_at(F(7, 8), VERN8), strict=True):
        value = np.float32(0)
        for entry in reversed(weights):
            value = np.float32((value + entry) * theta)
        worst = max(worst, abs(float(value) - float(exact)))
    assert worst > 1e-2


def clenshaw(weights: RoundedRow, theta: float, precision: FloatPrecision) -> float:
    """``theta * sum_d weights[d] * T_d(2*theta - 1)`` in the precision, as device code computes it."""
    x, last, before = precision(2 * theta - 1), precision(0), precision(0)
    for entry in reversed(weights[1:]):
        last, before = precision(precision(2) * x * last + (entry - before)), last
    return float(precision(theta) * (x * last + (weights[0] - before)))
