"""The general power as a formula over vectors: ``exp(y*log(x))`` with the logarithm to twice the digits, as a sum of
two numbers, and the many cases of C's Annex F.
"""

from typing import Final

from cubie.targets.polynomials import LN2_SHORT, LOG_BEYOND_CUBE, TWO_THIRDS
from cubie.targets.vector_exponentials import exp_of_sum
from cubie.targets.vector_expressions import Reals, Split, fma
from cubie.targets.vector_logarithms import split

INFINITY: Final = float("inf")
NAN: Final = float("nan")
HUGE_EXPONENT: Final = Split(single=(2.0**119,), double=(2.0**996,))
"""As good as infinite, and even; its product with a logarithm does not overflow."""
SURE_OVERFLOW: Final = Split(single=(256.0,), double=(2048.0,))


def _sum_of_two(a: Reals, b: Reals) -> tuple[Reals, Reals]:
    """Add numbers, `a` the larger one; return the sum and what its rounding lost, exactly."""
    total = a + b
    return total, (a - total) + b


def _product(a: Reals, b: Reals) -> tuple[Reals, Reals]:
    """Multiply; return the product and what its rounding lost, exactly."""
    product = a * b
    return product, fma(a, b, -product)


def _product_of_sums(a: Reals, a_low: Reals, b: Reals, b_low: Reals) -> tuple[Reals, Reals]:
    product, lost = _product(a, b)
    return product, fma(a, b_low, fma(a_low, b, lost))


def _quotient(f: Reals) -> tuple[Reals, Reals]:
    """Return ``f/(2 + f)`` as a sum of two."""
    divisor, divisor_low = _sum_of_two(f.number(2.0), f)
    inverse = 1.0 / divisor
    s = f * inverse
    rest = fma(-s, divisor_low, fma(-s, divisor, f))
    return s, rest * inverse


def _log(x: Reals) -> tuple[Reals, Reals]:
    """Return the natural logarithm of positive finite `x` as a sum of two."""
    k, f = split(x)
    s, s_low = _quotient(f)
    square, square_low = _product_of_sums(s, s_low, s, s_low)
    two_thirds, two_thirds_low = TWO_THIRDS.like(x)
    factor, factor_low = _sum_of_two(f.number(two_thirds), square * LOG_BEYOND_CUBE.of(square))
    inner, inner_low = _product_of_sums(square, square_low, factor, factor_low + two_thirds_low)
    cube, cube_low = _product_of_sums(s, s_low, inner, inner_low)
    near, near_low = _sum_of_two(s + s, cube)
    ln2, ln2_low = LN2_SHORT.like(x)
    total, total_low = _sum_of_two(k * ln2, near)
    return total, total_low + fma(k, ln2_low, near_low + fma(s_low, 2.0, cube_low))


def pow(x: Reals, y: Reals) -> Reals:
    magnitude = x.magnitude()
    log, log_low = _log(magnitude)
    log = (magnitude < INFINITY).choose(log, magnitude)
    log = magnitude.equals(0.0).choose(x.number(-INFINITY), log)
    (huge,), (overflow,) = HUGE_EXPONENT.like(x), SURE_OVERFLOW.like(x)
    exponent = y.clamp(-huge, huge)
    high, lost = _product(exponent, log)
    low = (high.magnitude() < overflow).choose(fma(exponent, log_low, lost), 0.0)
    return _with_exceptions(x, y, exp_of_sum(high, low))


def _with_exceptions(x: Reals, y: Reals, result: Reals) -> Reals:
    """Put in signs, and what powers of negative numbers, of 1 and to 0 are."""
    half = y * 0.5
    fractional, odd = y.differs(y.whole()), half.differs(half.whole())
    negative_odd = (~fractional & odd).choose(x.bits() & x.format.sign_bit, 0)
    signed = (result.bits() ^ negative_odd).reals()
    undefined = (x < 0.0) & (x > -INFINITY) & fractional
    one = x.equals(1.0) | y.equals(0.0)
    return one.choose(x.number(1.0), undefined.choose(x.number(NAN), signed))
