"""Sine, cosine and tangent as formulas over vectors, for arguments up to `LARGEST`.

The nearest multiple of pi/2, in three parts, is taken from the argument by `fma`: the first difference is exact.

References
----------
Cody & Waite (1980), Software Manual for the Elementary Functions.
"""

from typing import Final

from cubie.targets.polynomials import COS_BEYOND_SQUARE, HALF_PI, SIN_BEYOND_ARGUMENT, TWO_OVER_PI
from cubie.targets.vector_exponentials import spelt_product, whole_of
from cubie.targets.vector_expressions import Bits, Reals, fma

LARGEST: Final = 2.0**20


def _quadrant(x: Reals) -> tuple[Bits, Reals, Reals]:
    """Return the nearest multiple of pi/2, as spelt, and the sine and cosine of what lies beyond it.

    That is ``r + r_low``: `r_low` is what the rounding of `r` lost.
    """
    n = spelt_product(x, TWO_OVER_PI)
    whole = whole_of(n)
    high, middle, low = HALF_PI.like(x)
    exact = fma(whole, -high, x)
    r = fma(whole, -middle, exact)
    r_low = fma(whole, -low, fma(whole, -middle, exact - r))
    square = r * r
    parabola = fma(square, -0.5, 1.0)
    sine = r + fma(square * SIN_BEYOND_ARGUMENT.of(square), r, r_low * parabola)
    lost = fma(square, -0.5, 1.0 - parabola)
    beyond = fma(square * square, COS_BEYOND_SQUARE.of(square), fma(r_low, -r, lost))
    return n, sine.with_sign_of(r), parabola + beyond


def _negative_in_half(x: Reals, n: Bits) -> Reals:
    """Change the sign in the third and fourth quadrant."""
    return (x.bits() ^ ((n << (x.format.bits - 2)) & x.format.sign_bit)).reals()


def sin(x: Reals) -> Reals:
    n, sine, cosine = _quadrant(x)
    return _negative_in_half(n.is_odd().choose(cosine, sine), n)


def cos(x: Reals) -> Reals:
    n, sine, cosine = _quadrant(x)
    return _negative_in_half(n.is_odd().choose(sine, cosine), n + 1)


def tan(x: Reals) -> Reals:
    n, sine, cosine = _quadrant(x)
    odd = n.is_odd()
    return odd.choose(-cosine, sine) / odd.choose(sine, cosine)
