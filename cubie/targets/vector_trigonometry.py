"""Sine, cosine and tangent as formulas over vectors, for arguments up to `LARGEST`.

The nearest multiple of pi/2, in three parts, is taken from the argument by `fma`: the first difference is exact.

References
----------
Cody & Waite (1980), Software Manual for the Elementary Functions.
"""

from typing import Final

from cubie.targets.polynomials import COS_BEYOND_SQUARE, HALF_PI, SIN_BEYOND_ARGUMENT, TWO_OVER_PI
from cubie.targets.vector_exponentials import spelt_product, whole_of
from cubie.targets.vector_expressions import Bits, Reals, Truths, fma, sum_with_loss

LARGEST: Final = 2.0**20


def is_large(x: Reals) -> Truths:
    """Tell where arguments are too far from 0 for these formulas."""
    return x.magnitude() > LARGEST


def _reduced(x: Reals) -> tuple[Bits, Reals]:
    """Take the nearest multiple of pi/2 off; return it, as spelt, and what is left."""
    n = spelt_product(x, TWO_OVER_PI)
    r = x
    for part in HALF_PI.like(x):
        r = fma(whole_of(n), -part, r)
    return n, r


def _reduced_with_loss(x: Reals) -> tuple[Bits, Reals, Reals]:
    """Take the nearest multiple of pi/2 off; return it, as spelt, what is left, and what the rounding of that lost."""
    n = spelt_product(x, TWO_OVER_PI)
    whole = whole_of(n)
    high, middle, low = HALF_PI.like(x)
    product = whole * middle
    product_lost = fma(whole, middle, -product)
    r, r_lost = sum_with_loss(fma(whole, -high, x), -product)
    return n, r, fma(whole, -low, r_lost - product_lost)


def _sine(r: Reals, square: Reals) -> Reals:
    return fma(square * SIN_BEYOND_ARGUMENT.of(square), r, r).with_sign_of(r)


def _parabola(square: Reals) -> tuple[Reals, Reals]:
    """Return ``1 - square/2``, which the cosine begins with, and what its rounding lost."""
    parabola = fma(square, -0.5, 1.0)
    return parabola, fma(square, -0.5, 1.0 - parabola)


def _quadrant(x: Reals) -> tuple[Bits, Reals, Reals]:
    """Return the nearest multiple of pi/2, as spelt, and the sine and cosine of what lies beyond it."""
    n, r = _reduced(x)
    square = r * r
    parabola, lost = _parabola(square)
    return n, _sine(r, square), parabola + fma(square * square, COS_BEYOND_SQUARE.of(square), lost)


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
    n, r, r_lost = _reduced_with_loss(x)
    square = r * r
    parabola, lost = _parabola(square)
    sine = r + fma(square * SIN_BEYOND_ARGUMENT.of(square), r, r_lost * parabola)
    cosine = parabola + fma(square * square, COS_BEYOND_SQUARE.of(square), fma(r_lost, -r, lost))
    odd = n.is_odd()
    return odd.choose(-cosine, sine.with_sign_of(r)) / odd.choose(sine, cosine)
