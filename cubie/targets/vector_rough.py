"""Rough functions over vectors, for controllers: a few instructions, about as exact as a GPU's own."""

from cubie.targets.polynomials import ROUGH_EXP2_BELOW_HALF, ROUGH_LOG2
from cubie.targets.vector_exponentials import power_of_two, whole_of
from cubie.targets.vector_expressions import SINGLE, Reals, fma
from cubie.targets.vector_logarithms import INFINITY, exponent_of, raised, significand_of


def rough_log2(x: Reals) -> Reals:
    """Return the logarithm to 2**-21 or to the last digit of float32, in which it is worked out."""
    single = x.singles()
    spread = raised(single)
    f = significand_of(spread, single) - 1.0
    result = fma(ROUGH_LOG2.of(f), f, exponent_of(spread, single))
    result = (single < INFINITY).choose(result, single)
    return (single < 2.0**SINGLE.least_exponent).choose(single.number(-INFINITY), result).like(x)


def rough_exp2(x: Reals) -> Reals:
    """Return the power of `x` rounded to float32, to 2**-22 of itself; none is smaller than 2**-126."""
    within = x.singles().clamp(-126.0, 128.0)
    n = (within + 1.5 * 2.0**SINGLE.fraction).bits()
    fraction = within - whole_of(n)
    return (fma(ROUGH_EXP2_BELOW_HALF.of(fraction), fraction, 1.0) * power_of_two(n, 0)).like(x)
