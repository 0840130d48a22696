"""Where the iteration for a stage starts: its rate, extrapolated from those already known.

The weights reproduce polynomials in the nodes, of the highest degree at which they stay small: large weights of both
signs would carry what transients left in earlier stages into a guess that is worse than none.

References
----------
Kennedy & Carpenter (2016), NASA/TM-2016-219173, Sec. 2.9 ("stage-value predictors").
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.exact_matrices import ExactMatrix, ExactRow, inverse, product, times_column

HIGHEST_DEGREE: Final = 3
LARGEST_SUM: Final = 4
"""The absolute weights of one guess sum to at most this."""


def rate_predictions(tableau: ButcherTableau) -> ExactMatrix:
    """Weights of ``f(t, y)`` and of the rates of earlier stages in the guess of each stage, shape (n, n + 1).

    A first stage that is ``f(t, y)`` itself has weight zero.
    """
    n = tableau.n_stages
    starts_at_y = all(entry == 0 for entry in tableau.a[0])
    rows: list[ExactRow] = []
    for stage in range(n):
        columns = [0, *range(1 + starts_at_y, stage + 1)]
        nodes = [Fraction(0), *(Fraction(tableau.c[column - 1]) for column in columns[1:])]
        weights = dict(zip(columns, _extrapolation(nodes, Fraction(tableau.c[stage])), strict=True))
        rows.append(tuple(weights.get(column, Fraction(0)) for column in range(n + 1)))
    return tuple(rows)


def _extrapolation(nodes: Sequence[Fraction], target: Fraction) -> ExactRow:
    """The smallest weights, in the root mean square, that are exact up to a degree."""
    for degree in range(min(HIGHEST_DEGREE, len(set(nodes)) - 1), 0, -1):
        powers = [[node**power for node in nodes] for power in range(degree + 1)]
        transposed = tuple(zip(*powers, strict=True))
        loads = times_column(inverse(product(powers, transposed)), [target**power for power in range(degree + 1)])
        weights = times_column(transposed, loads)
        if sum(abs(weight) for weight in weights) <= LARGEST_SUM:
            return weights
    nearest = min(range(len(nodes)), key=lambda column: (abs(nodes[column] - target), -column))
    return tuple(Fraction(int(column == nearest)) for column in range(len(nodes)))
