"""A Rosenbrock tableau refuses what contradicts itself, and its two forms are one method."""

import dataclasses
import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.exact_matrices import times
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import (
    RODAS4,
    RODAS6P,
    ROSENBROCK23,
    ROSENBROCK_TABLEAUS,
)
from cubie.integrators.algorithms.rosenbrock_tableau import (
    RosenbrockInterpolant,
    RosenbrockTableau,
    from_classical,
    rosenbrock_rows_by_name,
)
from cubie.integrators.algorithms.tableau_checks import TableauError

F = Fraction
ROWS = tuple(ROSENBROCK_TABLEAUS.values())

LINEAR_EULER = RosenbrockTableau(
    name="linear-euler", order=1, gamma=1.0, a=((),), c=((),), m=(1.0,), nodes=(0.0,), time_weights=(1.0,)
)
TWO_STAGES = from_classical(
    name="two-stages",
    order=2,
    order_hat=1,
    gamma=F(1, 4),
    alpha=((), (1,)),
    gammas=((), (F(-1, 2),)),
    b=(F(1, 2), F(1, 2)),
    b_hat=(1, 0),
    source="invented",
)


def named(row: RosenbrockTableau) -> str:
    return row.name


def test_invented_row_is_transformed_as_by_hand() -> None:
    """Gamma = (1/4 0; -1/2 1/4), its inverse (4 0; 8 4)."""
    assert TWO_STAGES.a == ((), (4,))
    assert TWO_STAGES.c == ((), (-8,))
    assert TWO_STAGES.m == (6, 2) and TWO_STAGES.m_hat == (4, 0) and TWO_STAGES.error_weights == (F(2), F(2))
    assert TWO_STAGES.nodes == (0, 1) and TWO_STAGES.time_weights == (F(1, 4), F(-1, 4))
    assert TWO_STAGES.is_adaptive and TWO_STAGES.error_order == 1
    assert not TWO_STAGES.is_stiffly_accurate and not TWO_STAGES.evaluates_y_next


def test_row_without_an_estimate_or_dense_output_says_so() -> None:
    assert not LINEAR_EULER.is_adaptive and LINEAR_EULER.error_weights is None and LINEAR_EULER.error_order is None
    assert (LINEAR_EULER.dense_order, LINEAR_EULER.n_dense_stages) == (3, 1)
    assert LINEAR_EULER.classical().b_hat is None
    assert LINEAR_EULER.in_precision(np.float32).error_weights is None
    with pytest.raises(TableauError, match="'linear-euler' must have an interpolant for dense weights, got none"):
        LINEAR_EULER.dense_weights(F(1, 2))


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_classical_form_transformed_again_is_the_row(row: RosenbrockTableau) -> None:
    form, n = row.classical(), row.n_stages
    assert form.b_hat is not None and row.order_hat is not None
    again = from_classical(
        name=row.name,
        order=row.order,
        order_hat=row.order_hat,
        gamma=row.gamma,
        alpha=tuple(entries[:i] for i, entries in enumerate(form.alpha[:n])),
        gammas=tuple(entries[:i] for i, entries in enumerate(form.gammas[:n])),
        b=form.b[:n],
        b_hat=form.b_hat[:n],
        source=row.source,
    )
    assert (again.a, again.c, again.m, again.m_hat) == (row.a, row.c, row.m, row.m_hat)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_rows_of_alpha_and_gamma_sum_to_nodes_and_time_weights(row: RosenbrockTableau) -> None:
    form = row.classical()
    nodes, time_weights = row.all_stages()[2:]
    assert [float(sum(x)) for x in form.alpha] == pytest.approx([float(x) for x in nodes], abs=1e-12)
    assert [float(sum(x)) for x in form.gammas] == pytest.approx([float(x) for x in time_weights], abs=1e-12)


@pytest.mark.parametrize("row", [row for row in ROWS if row.interpolant is not None], ids=named)
def test_dense_output_starts_at_y_and_ends_at_y_next(row: RosenbrockTableau) -> None:
    assert row.dense_weights(F(0)) == (0,) * row.n_dense_stages
    assert row.dense_weights(F(1)) == (*row.m, *(0,) * (row.n_dense_stages - row.n_stages))


def test_dense_output_of_rosenbrock23_is_the_papers_quadratic() -> None:
    """``theta*(1 - theta)/(1 - 2*d)`` of k_1 and ``theta*(theta - 2*d)/(1 - 2*d)`` of k_2."""
    d, theta = F(ROSENBROCK23.gamma), F(3, 10)
    weights = times(ROSENBROCK23.dense_weights(theta), ROSENBROCK23.classical().gammas)
    assert weights == (theta * (1 - theta) / (1 - 2 * d), theta * (theta - 2 * d) / (1 - 2 * d), F(0))


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS, ids=named)
def test_every_rounded_number_is_of_the_precision_and_every_row_of_one_length(
    row: RosenbrockTableau, precision: FloatPrecision
) -> None:
    rounded, n, n_all = row.in_precision(precision), row.n_stages, row.n_dense_stages
    assert rounded.error_weights is not None
    for matrix, n_rows in ((rounded.a, n_all), (rounded.c, n_all), (rounded.h, len(rounded.h))):
        assert [len(entries) for entries in matrix] == [n_all] * n_rows
    for vector, size in (
        (rounded.m, n),
        (rounded.error_weights, n),
        (rounded.nodes, n_all),
        (rounded.time_weights, n_all),
    ):
        assert len(vector) == size
    numbers = [*rounded.m, *rounded.error_weights, *rounded.nodes, *rounded.time_weights, rounded.gamma]
    numbers += [entry for matrix in (rounded.a, rounded.c, rounded.h) for entries in matrix for entry in entries]
    assert all(type(number) is precision for number in numbers)


def test_error_of_a_rodas_method_is_its_last_stage_alone() -> None:
    assert RODAS4.in_precision(np.float64).error_weights == (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: dataclasses.replace(LINEAR_EULER, m=()), "m must have at least one weight, got none."),
        (lambda: dataclasses.replace(LINEAR_EULER, gamma=0), "gamma must be positive, got 0."),
        (lambda: dataclasses.replace(LINEAR_EULER, order=0), "order must be a whole number of at least 1, got 0."),
        (lambda: dataclasses.replace(LINEAR_EULER, w_order=0), "w_order must be a whole number of at least 1, got 0."),
        (lambda: dataclasses.replace(TWO_STAGES, m_hat=(1,)), "m_hat must be as long as m, 2, got 1."),
        (
            lambda: dataclasses.replace(TWO_STAGES, order_hat=None),
            "m_hat and order_hat must be given together, got one of them.",
        ),
        (lambda: dataclasses.replace(TWO_STAGES, nodes=(0,)), "nodes must be as long as there are stages, 2, got 1."),
        (
            lambda: dataclasses.replace(TWO_STAGES, a=((), (4, 0))),
            "row 1 of a and c must have 1 entries, got 2 and 1. Write zeros out.",
        ),
        (
            lambda: dataclasses.replace(TWO_STAGES, a=((), (4.000001,))),
            "a[1] @ time_weights must be 1.0, got 1.00000025. Check the digits.",
        ),
        (
            lambda: dataclasses.replace(TWO_STAGES, c=((), (-8.5,))),
            "1 + c[1] @ time_weights - time_weights[1]/gamma must be 0.0, got -0.125. Check the digits.",
        ),
        (
            lambda: dataclasses.replace(TWO_STAGES, m=(6, 3)),
            "m @ time_weights must be 1.0, got 0.75. Check the digits.",
        ),
        (
            lambda: dataclasses.replace(TWO_STAGES, m_hat=(5, 0)),
            "m_hat @ time_weights must be 1.0, got 1.25. Check the digits.",
        ),
        (
            lambda: dataclasses.replace(TWO_STAGES, interpolant=RosenbrockInterpolant(order=2, h=((1,),))),
            "its interpolant must have rows of h over all 2 stages, got ragged or none.",
        ),
        (
            lambda: dataclasses.replace(TWO_STAGES, interpolant=RosenbrockInterpolant(order=0, h=((1, 1),))),
            "its interpolant's order must be a whole number of at least 1, got 0.",
        ),
    ],
)
def test_row_that_contradicts_itself_is_refused(make: Callable[[], RosenbrockTableau], complaint: str) -> None:
    with pytest.raises(TableauError, match=f": {re.escape(complaint)}$"):
        make()


def test_coefficient_that_is_not_finite_is_refused() -> None:
    with pytest.raises(TypeError, match="a coefficient must be a finite Fraction, float or int, got nan"):
        dataclasses.replace(LINEAR_EULER, gamma=float("nan"))


def test_wrong_digit_of_an_extra_stage_is_found() -> None:
    assert RODAS6P.interpolant is not None
    extra = RODAS6P.interpolant
    wrong = dataclasses.replace(extra, nodes=(F("0.2000000001"), *extra.nodes[1:]))
    with pytest.raises(TableauError, match=r"'rodas6p': a\[16\] @ time_weights must be 0\.2000000001"):
        dataclasses.replace(RODAS6P, interpolant=wrong)


def test_two_rows_cannot_claim_one_name() -> None:
    with pytest.raises(TableauError, match="method name 'rodas4' must be unique, got it from 'rodas4' and 'rodas4'"):
        rosenbrock_rows_by_name((RODAS4, RODAS4))
