"""Crank and Nicolson's method: the trapezoidal rule, a row of the diagonally implicit family.

No formula of order 3 is embedded. Euler's is, whose error ``dt/2 * (f(t + dt, y_next) - f(t, y))`` overstates the
rule's. MATLAB's ode23t estimates the third derivative from the rates of two steps, which a one-step method cannot.
"""

from fractions import Fraction
from typing import Final

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau

_HALF: Final = Fraction(1, 2)

TRAPEZOIDAL: Final = ButcherTableau(
    name="trapezoidal",
    order=2,
    order_hat=1,
    aliases=("ode23t", "crank-nicolson", "trapezoid"),
    a=((), (_HALF, _HALF)),
    b=(_HALF, _HALF),
    b_hat=(0, 1),
    c=(0, 1),
    source="Crank & Nicolson (1947), Proc. Camb. Phil. Soc. 43, 50-67; the embedded weights are backward Euler's",
)
