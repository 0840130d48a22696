"""Error estimates of fully implicit methods: of the order they state, Hairer and Wanner's where they print them."""

from fractions import Fraction

import numpy as np
import pytest

from cubie.integrators.algorithms.block_form import block_form
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.exact_matrices import padded, times
from cubie.integrators.algorithms.filtered_estimate import filtered_estimate
from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS, RADAU_IIA_5
from tests.integrators.algorithms.rooted_trees import OrderConditions

ROWS = tuple(FIRK_TABLEAUS.values())


def named(row: ButcherTableau) -> str:
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_formula_compared_with_has_the_order_stated_and_no_higher(row: ButcherTableau) -> None:
    """With the rate f(t, y) as a stage of its own, before the others."""
    estimate, n = filtered_estimate(row), row.n_stages
    a = ((Fraction(0),) * (n + 1), *((Fraction(0), *entries) for entries in padded(row.a, n)))
    b_hat = [x + Fraction(y) for x, y in zip(times(estimate.stage_weights, padded(row.a, n)), row.b, strict=True)]
    conditions = OrderConditions(a)
    weights = [estimate.rate_weight, *b_hat]
    assert max(conditions.worst(weights, order) for order in range(1, estimate.order + 1)) < 1e-36
    assert conditions.worst(weights, estimate.order + 1) > 1e-3


def test_orders_are_the_number_of_stages_and_lower_for_lobatto() -> None:
    orders = {row.name: filtered_estimate(row).order for row in ROWS}
    assert orders == {row.name: row.order_hat or row.n_stages for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_filter_uses_the_matrix_of_the_real_eigenvalue_where_there_is_one(row: ButcherTableau) -> None:
    form, gamma = block_form(row), filtered_estimate(row).gamma
    if form.real_eigenvalues:
        assert gamma * form.real_eigenvalues[0] == 1
    else:
        alpha, beta = form.complex_eigenvalues[0]
        assert float(gamma**2 * (alpha**2 + beta**2)) == pytest.approx(1, rel=1e-14)


def test_radau_5_has_hairer_and_wanners_estimate() -> None:
    """Solving ODEs II, eq. 8.18: gamma/3 * (-13 - 7*sqrt(6), -13 + 7*sqrt(6), -1)."""
    estimate = filtered_estimate(RADAU_IIA_5)
    published = np.array([-13 - 7 * 6**0.5, -13 + 7 * 6**0.5, -1]) / 3
    rounded = estimate.in_precision(np.float64)
    gamma = float(rounded.rate_weight_and_gamma[1])
    assert np.array(rounded.stage_weights, np.float64) == pytest.approx(gamma * published, rel=1e-13)
    assert rounded.rate_weight_and_gamma[0] == gamma == pytest.approx(0.2748888295956774)


def test_radau_9_has_the_estimate_of_the_code_radau() -> None:
    estimate = filtered_estimate(FIRK_TABLEAUS["radau-iia-9"])
    published = [
        -27.78093394406463730479, 3.641478498049213152712, -1.252547721169118720491, 0.5920031671845428725662, -0.2,
    ]  # fmt: skip
    assert [float(x / estimate.gamma) for x in estimate.stage_weights] == pytest.approx(published, rel=1e-14)
