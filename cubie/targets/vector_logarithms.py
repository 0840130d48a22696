"""Logarithms as formulas over vectors.

A number is ``2**k * (1 + f)`` with 1 + f from sqrt(1/2) to sqrt(2). With ``s = f/(2 + f)``, ``log(1 + f)`` is
``log((1 + s)/(1 - s)) = 2*s + s**3*P(s**2)``, or ``f - s*(f - s**2*P(s**2))``, whose first term is exact.
"""

import math
from typing import Final

from cubie.targets.polynomials import LN2, LOG2_E, LOG10_2, LOG10_E, LOG_BEYOND_2S
from cubie.targets.vector_expressions import Bits, Reals, Split, fma, sum_with_loss

INFINITY: Final = float("inf")
NAN: Final = float("nan")


def _root_half(like: Reals) -> int:
    return like.format.bits_of(math.sqrt(0.5))


def raised(x: Reals) -> Bits:
    """Move the bits of positive normal numbers so that exponents change at sqrt(1/2) times powers of two."""
    return x.bits() + (x.format.power_of_two(0) - _root_half(x))


def significand_of(raised: Bits, like: Reals) -> Reals:
    """Return what stands beside the power of two, from sqrt(1/2) to sqrt(2)."""
    return ((raised & like.format.fraction_bits) + _root_half(like)).reals()


def exponent_of(raised: Bits, like: Reals) -> Reals:
    """Return the exponent of the power of two."""
    form = like.format
    ones = ((raised >> form.fraction) | form.power_of_two(form.fraction)).reals()
    return ones - (2.0**form.fraction + 1 - form.least_exponent)


def split(x: Reals) -> tuple[Reals, Reals]:
    """Split positive `x` as ``2**k * (1 + f)``; return k and f."""
    form = x.format
    subnormal = x < 2.0**form.least_exponent
    bits = raised(subnormal.choose(x * 2.0 ** (form.fraction + 2), x))
    ones = ((bits >> form.fraction) | form.power_of_two(form.fraction)).reals()
    offset = 2.0**form.fraction + 1 - form.least_exponent
    k = ones - subnormal.choose(x.number(offset + form.fraction + 2), offset)
    return k, significand_of(bits, x) - 1.0


def _f_less_log(f: Reals) -> Reals:
    """Return ``f - log(1 + f)``."""
    s = f / (f + 2.0)
    square = s * s
    return s * (f - square * LOG_BEYOND_2S.of(square))


def _with_exceptions(x: Reals, zero_at: float, result: Reals) -> Reals:
    """Put in what the logarithm of `x` is at its pole, below it, and for infinity and NaN."""
    finite = (x < INFINITY).choose(result, x)
    at_pole = x.equals(zero_at).choose(x.number(-INFINITY), NAN)
    return (x <= zero_at).choose(at_pole, finite)


def log(x: Reals) -> Reals:
    k, f = split(x)
    return _with_exceptions(x, 0.0, _natural(k, f))


def _natural(k: Reals, f: Reals) -> Reals:
    high, low = LN2.like(k)
    return fma(k, high, f + fma(k, low, -_f_less_log(f)))


def log1p(x: Reals) -> Reals:
    form = x.format
    total, lost = sum_with_loss(x, 1.0)
    bits = raised(total)
    # 2**-k, but 0 for the two largest k, which have no such power: nothing was lost there.
    most = form.power_of_two(1 - form.least_exponent)
    scale = most - (bits & ~form.fraction_bits).at_most(most)
    f = fma(lost, scale.reals(), significand_of(bits, x) - 1.0)
    k = exponent_of(bits, x)
    return _with_exceptions(x, -1.0, _natural(k, f).with_sign_of(x))


def log2(x: Reals) -> Reals:
    k, f = split(x)
    return _with_exceptions(x, 0.0, k + _times(f, _f_less_log(f), LOG2_E))


def _times(f: Reals, less: Reals, constant: Split) -> Reals:
    """Multiply ``f - less`` by a constant as if to twice the digits where it matters, in f."""
    high, low = constant.like(f)
    return fma(f, high, fma(f, low, -(less * high)))


def log10(x: Reals) -> Reals:
    k, f = split(x)
    high, low = LOG10_2.like(x)
    return _with_exceptions(x, 0.0, fma(k, high, fma(k, low, _times(f, _f_less_log(f), LOG10_E))))
