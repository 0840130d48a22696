"""The cube root as a formula over vectors: a rough one, corrected once.

``x = 2**(3*n) * m`` with m from 1/3 to 3. A root r of m to six digits has 24 bits, so that what the correction divides,
``m - r**3``, is exact to rounding.
"""

from cubie.targets.vector_exponentials import power_of_two
from cubie.targets.vector_expressions import Reals, fma
from cubie.targets.vector_logarithms import INFINITY, split
from cubie.targets.vector_rough import rough_exp2, rough_log2


def cbrt(x: Reals) -> Reals:
    size = x.magnitude()
    k, f = split(size)
    n = (k * (1.0 / 3.0)).whole()
    root = _corrected((f + 1.0) * _power_of_two(k - n * 3.0)) * _power_of_two(n)
    return ((size > 0.0) & (size < INFINITY)).choose(root.with_sign_of(x), x)


def _power_of_two(n: Reals) -> Reals:
    return power_of_two((n + 1.5 * 2.0**n.format.fraction).bits(), 0)


def _corrected(m: Reals) -> Reals:
    """Take the root of `m` by one step of Halley's method, which triples digits."""
    r = rough_exp2(rough_log2(m) * (1.0 / 3.0))
    square = r * r
    lost = fma(r, r, -square)
    left = fma(-lost, r, fma(-square, r, m))
    return fma(r, left / fma(square * 2.0, r, m), r)
