"""Backward Euler: the row of the diagonally implicit family with one implicit stage.

The explicit first stage costs nothing, since it is the last step's second, and gives an error estimate.
"""

from fractions import Fraction
from typing import Final

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau

BACKWARDS_EULER: Final = ButcherTableau(
    name="backwards-euler",
    order=1,
    order_hat=2,
    aliases=("implicit-euler", "backward-euler"),
    a=((), (0, 1)),
    b=(0, 1),
    b_hat=(Fraction(1, 2), Fraction(1, 2)),
    c=(0, 1),
    source="Hairer & Wanner (1996), Solving ODEs II, Sec. IV.3; the embedded formula is the trapezoidal rule",
)
