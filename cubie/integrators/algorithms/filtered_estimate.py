"""Error estimates of fully implicit methods, as a linear combination of stage increments that a stiff filter passes.

Hairer's estimate for RADAU5 compares with a formula of order s that has one more stage, the rate ``f(t, y)``, whose
weight gamma is free. A step's error is

    inv(I - dt*gamma*J) @ (dt*rate_weight*f(t, y) + sum_i stage_weights[i] * z_i),    z_i = Y_i - y,

bounded however stiff the problem, and of the size of y_next - y_hat where it is not.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.8, eq. 8.17 to 8.19.
Hairer & Wanner (1999), J. Comput. Appl. Math. 111, 93-111: the same with five and seven stages.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import final

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.block_form import BlockForm, block_form
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.exact_matrices import ExactRow, inverse, padded, times, times_column
from cubie.integrators.algorithms.rounded_tableau import RoundedRow, nearest


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedEstimate:
    """A filtered estimate in one precision; ``rate_weight`` and ``gamma`` are a row of two."""

    rate_weight_and_gamma: RoundedRow
    stage_weights: RoundedRow


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredEstimate:
    """Weights of ``f(t, y)`` and of the stages' increments; the formula compared with has that ``order``."""

    order: int
    gamma: Fraction
    rate_weight: Fraction
    stage_weights: ExactRow

    def in_precision(self, precision: FloatPrecision) -> RoundedEstimate:
        return RoundedEstimate(
            rate_weight_and_gamma=nearest((self.rate_weight, self.gamma), precision),
            stage_weights=nearest(self.stage_weights, precision),
        )


def filtered_estimate(tableau: ButcherTableau, form: BlockForm | None = None) -> FilteredEstimate:
    """Make the estimate of a method with an embedded formula, or else of a collocation method.

    ``gamma`` is the real eigenvalue of ``a`` where there is one, so that the filter's matrix is one that the stages
    have already factorised. Methods of an even number of stages have none; theirs is the geometric mean of the moduli,
    a choice of ours, for a factorisation of its own.

    Raises
    ------
    TableauError: if ``a`` is singular, or the method has neither distinct positive nodes nor an embedded formula.
    """
    gamma = _gamma(form or block_form(tableau))
    if tableau.b_hat is not None and tableau.order_hat is not None:
        difference = [Fraction(y) - Fraction(x) for x, y in zip(tableau.b, tableau.b_hat, strict=True)]
        backwards = inverse(padded(tableau.a, tableau.n_stages))
        return FilteredEstimate(
            order=tableau.order_hat, gamma=gamma, rate_weight=Fraction(0), stage_weights=times(difference, backwards)
        )
    # Weights e with sum_i e_i*c_i = -gamma and sum_i e_i*c_i**q = 0 for q = 2 to s.
    powers = [[Fraction(node) ** q for node in tableau.c] for q in range(1, tableau.n_stages + 1)]
    load = [-gamma, *(Fraction(0),) * (tableau.n_stages - 1)]
    return FilteredEstimate(
        order=tableau.n_stages, gamma=gamma, rate_weight=gamma, stage_weights=times_column(inverse(powers), load)
    )


def _gamma(form: BlockForm) -> Fraction:
    if form.real_eigenvalues:
        return 1 / form.real_eigenvalues[0]
    squares = math.prod(alpha**2 + beta**2 for alpha, beta in form.complex_eigenvalues)
    return Fraction(float(squares) ** (-0.5 / len(form.complex_eigenvalues)))
