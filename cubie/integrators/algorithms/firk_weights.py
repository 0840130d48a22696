"""The numbers of a fully implicit method in the coordinates in which its stages decouple.

With ``z_i = Y_i - y`` and ``z = t @ w`` (t of `block_form`), everything that is linear in the increments z is linear in
w, and so are the stages' rates, ``dt*k = inv(a) @ z``. All weights are products of exact matrices, rounded once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import final

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.block_form import BlockForm, block_form
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.collocation import collocation_weights
from cubie.integrators.algorithms.exact_matrices import ExactMatrix, inverse, padded, product, times
from cubie.integrators.algorithms.filtered_estimate import FilteredEstimate, filtered_estimate
from cubie.integrators.algorithms.rounded_tableau import RoundedRow, chebyshev, nearest
from cubie.integrators.algorithms.tableau_checks import Row


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FirkWeights:
    """Weights of w, in one precision.

    Parameters
    ----------
    stages : of each stage's increment; ``stages_inverse`` turns increments into w.
    end, end_rate : of ``y_next - y``, and of dt times the rate of the last stage.
    error : of the error estimate's load.
    polynomials : of the collocation polynomial ``u(theta) - y``, row by row, in powers of theta from 1 on.
    dense : of dense output, as Chebyshev series to be multiplied by theta; empty where there is none.
    """

    c: RoundedRow
    stages: tuple[RoundedRow, ...]
    stages_inverse: tuple[RoundedRow, ...]
    end: RoundedRow
    end_rate: RoundedRow
    error: RoundedRow
    polynomials: tuple[RoundedRow, ...]
    dense: tuple[RoundedRow, ...]


@cache
def analysed(tableau: ButcherTableau) -> tuple[BlockForm, FilteredEstimate]:
    """Return how the stages decouple, and the error estimate that goes with it.

    Raises
    ------
    TableauError: if they can't be decoupled, or there is no estimate.
    """
    form = block_form(tableau)
    return form, filtered_estimate(tableau, form)


def firk_weights(tableau: ButcherTableau, precision: FloatPrecision) -> FirkWeights:
    """Work out the weights of a method."""
    form, estimate = analysed(tableau)
    rates = product(inverse(padded(tableau.a, tableau.n_stages)), form.t)
    dense = () if tableau.interpolant is None else tableau.interpolant.weights[: tableau.n_stages]
    polynomials = _of_rates(collocation_weights(tableau.c), rates)
    return FirkWeights(
        c=nearest(tableau.c, precision),
        stages=tuple(nearest(row, precision) for row in form.t),
        stages_inverse=tuple(nearest(row, precision) for row in form.t_inverse),
        end=nearest(times(tableau.b, rates), precision),
        end_rate=nearest(rates[-1], precision),
        error=nearest(times(estimate.stage_weights, form.t), precision),
        polynomials=tuple(nearest(row, precision) for row in polynomials),
        dense=tuple(nearest(chebyshev(row), precision) for row in _of_rates(dense, rates)),
    )


def _of_rates(weights: Sequence[Row], rates: ExactMatrix) -> ExactMatrix:
    """From weights of the stages' rates, a row each, to weights of w."""
    return product(tuple(zip(*rates, strict=True)), weights) if weights else ()
