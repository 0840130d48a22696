"""The exact remainder of a division as a formula over vectors, for quotients that are known to the nearest whole."""

from cubie.targets.vector_expressions import Reals, Truths, fma


def is_far(x: Reals, y: Reals) -> Truths:
    """Tell where the quotient is too large for the formula."""
    return (x / y).magnitude() > 2.0 ** (x.format.fraction - 1)


def fmod(x: Reals, y: Reals) -> Reals:
    """Return ``x - trunc(x/y)*y``; a quotient that was rounded up to a whole number counts one `y` too many."""
    size, divisor = x.magnitude(), y.magnitude()
    quotient = size / divisor
    rest = fma(-quotient.whole_part(), divisor, size)
    rest = (rest < 0.0).choose(rest + divisor, rest)
    return (quotient < 1.0).choose(x, rest.with_sign_of(x))
