"""Powers of e and of 2, and the hyperbolic functions made of them, as formulas over vectors.

Arguments are reduced to ``n*log(2) + r``; a polynomial gives ``exp(r) - 1``; powers of two come from their bits.
"""

from typing import Final

from cubie.targets.polynomials import EXP2_BELOW_HALF, EXPM1_OVER_ARGUMENT, LN2, LOG2_E
from cubie.targets.vector_expressions import Bits, Reals, Split, Truths, fma

LARGEST_FOR_EXP: Final = Split(single=(89.0,), double=(710.0,))
"""From here on, exp overflows; its power of two does not yet."""
LARGEST_FOR_SINH: Final = Split(single=(89.5,), double=(710.5,))
LARGEST_FOR_TANH: Final = Split(single=(10.0,), double=(20.0,))
"""From here on, tanh is 1 to the last bit."""


def spelt_product(x: Reals, factor: Split) -> Bits:
    """Round a product to whole numbers, spelt in the lowest of these bits."""
    return fma(x, factor.like(x)[0], 1.5 * 2.0**x.format.fraction).bits()


def whole_of(spelt: Bits) -> Reals:
    """Return the whole numbers that are spelt in the lowest bits."""
    n = spelt.reals()
    return n - 1.5 * 2.0**n.format.fraction


def power_of_two(spelt: Bits, less: int) -> Reals:
    """Return 2**(n - less) for n as spelt."""
    form = spelt.reals().format
    return ((spelt << form.fraction) + form.power_of_two(-less)).reals()


def _times_power_of_two(x: Reals, spelt: Bits, tiny: Truths) -> Reals:
    """Multiply `x`, near 1, by 2**n for n as spelt; where `tiny`, the result may be subnormal.

    The factor comes in two parts, so that neither overflows nor underflows and only the last product is rounded.
    """
    form = x.format
    extra = form.fraction + 12
    shift = tiny.choose(spelt.number(form.power_of_two(extra)), form.power_of_two(-1))
    first = ((spelt << form.fraction) + shift).reals()
    return x * first * tiny.choose(x.number(2.0**-extra), 2.0)


def exp2(x: Reals) -> Reals:
    form = x.format
    within = x.clamp(float(form.least_exponent - form.fraction - 6), float(2 - form.least_exponent))
    n = (within + 1.5 * 2.0**form.fraction).bits()
    fraction = within - whole_of(n)
    power = fma(EXP2_BELOW_HALF.of(fraction), fraction, 1.0)
    return _times_power_of_two(power, n, within < float(form.least_exponent + 1))


def _reduced(x: Reals) -> tuple[Bits, Reals]:
    """Split `x` as ``n*log(2) + r`` with ``abs(r) < log(2)/2``; return n as spelt, and r."""
    high, low = LN2.like(x)
    n = spelt_product(x, LOG2_E)
    whole = whole_of(n)
    return n, fma(whole, -low, fma(whole, -high, x))


def _expm1_near_zero(r: Reals) -> Reals:
    return fma(r * r, EXPM1_OVER_ARGUMENT.of(r), r)


def exp_of_sum(high: Reals, low: Reals | None = None) -> Reals:
    """Return ``exp(high + low)`` for a small correction `low`."""
    form = high.format
    within = high.clamp(0.6931 * (form.least_exponent - form.fraction - 5), LARGEST_FOR_EXP.like(high)[0])
    n, r = _reduced(within)
    if low is not None:
        r = r + low
    return _times_power_of_two(_expm1_near_zero(r) + 1.0, n, within < 0.69 * (form.least_exponent + 2))


def exp(x: Reals) -> Reals:
    return exp_of_sum(x)


def _expm1_over(x: Reals, halvings: int) -> Reals:
    """Return ``expm1(x) / 2**halvings``, which overflows later."""
    n, r = _reduced(x)
    factor = power_of_two(n, halvings)
    return fma(_expm1_near_zero(r), factor, factor - 2.0**-halvings)


def expm1(x: Reals) -> Reals:
    within = x.clamp(-0.7 * (x.format.fraction + 4), LARGEST_FOR_EXP.like(x)[0])
    return _itself_if_tiny(x, _expm1_over(within, 1) * 2.0)


def _itself_if_tiny(x: Reals, result: Reals) -> Reals:
    """Return `x` itself, subnormal or a zero of either sign, where a function is next to it."""
    return (x.magnitude() < 2.0 ** -(x.format.fraction + 2)).choose(x, result)


def sinh(x: Reals) -> Reals:
    quarter = _expm1_over(x.magnitude().at_most(LARGEST_FOR_SINH.like(x)[0]), 2)
    finite = quarter.at_most(2.0**100)
    fraction = finite / fma(finite, 4.0, 1.0)
    return _itself_if_tiny(x, ((quarter + fraction) * 2.0).with_sign_of(x))


def cosh(x: Reals) -> Reals:
    n, r = _reduced(x.magnitude().at_most(LARGEST_FOR_SINH.like(x)[0]))
    quarter = (_expm1_near_zero(r) + 1.0) * power_of_two(n, 2)
    return fma(quarter, 2.0, 0.125 / quarter)


def tanh(x: Reals) -> Reals:
    within = x.magnitude().at_most(LARGEST_FOR_TANH.like(x)[0])
    power = _expm1_over(within + within, 0)
    return _itself_if_tiny(x, (power / (power + 2.0)).with_sign_of(x))
