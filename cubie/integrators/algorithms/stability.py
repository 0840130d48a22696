"""The stability function ``R(z) = 1 + z * b @ inv(I - z*a) @ 1`` of a Runge-Kutta method.

A Rosenbrock method has the same function, with beta = alpha + gamma for ``a``.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.3 and IV.7.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cubie.integrators.algorithms.exact_matrices import dot, inverse, padded, times_column
from cubie.integrators.algorithms.tableau_checks import Row

Complexes: TypeAlias = npt.NDArray[np.complex128]

_TOLERANCE: Final = 1e-12
"""What counts as zero among coefficients that a user may give as floats."""


def stability_function(a: Sequence[Row], b: Row, z: Complexes) -> Complexes:
    """R at each z; ``a`` shape (n_stages, up to n_stages), ``b`` shape (n_stages,), ``z`` any shape."""
    n = len(b)
    matrix = np.array([[float(entry) for entry in row] for row in padded(a, n)])
    systems = np.eye(n) - z[..., None, None] * matrix
    stages = np.linalg.solve(systems, np.ones((*z.shape, n, 1), np.complex128))[..., 0]
    result: Complexes = 1 + z * (stages @ np.array([float(entry) for entry in b]))
    return result


def limit_at_infinity(a: Sequence[Row], b: Row) -> float:
    """R(inf), from exact arithmetic: 0 for an L-stable method; infinite for an explicit one.

    Only the first stage may be explicit. Its share in the others, ``a1 = a[1:, 0]``, then is a second load beside 1.
    """
    full = padded(a, len(b))
    if any(full[0]):
        return float(1 - dot(b, times_column(inverse(full), [1] * len(b))))
    if all(row[stage] == 0 for stage, row in enumerate(full)):
        return math.inf
    backwards = inverse([row[1:] for row in full[1:]])
    once = times_column(backwards, [row[0] for row in full[1:]])
    if abs(float(b[0] - dot(b[1:], once))) > _TOLERANCE:  # grows as z does
        return math.inf
    return float(1 - dot(b[1:], times_column(backwards, [1 + entry for entry in once])))


def damps(a: Sequence[Row], b: Row) -> bool:
    """Tell whether R(inf) is 0."""
    return abs(limit_at_infinity(a, b)) < _TOLERANCE


def stage_order(a: Sequence[Row], c: Row) -> int:
    """The largest q with ``sum_j a[i][j] * c[j]**(k - 1) == c[i]**k / k`` for all stages i and all k <= q."""
    full, order = padded(a, len(c)), 0
    while order <= len(c):
        powers = [Fraction(node) ** order for node in c]
        misses = [
            abs(float(dot(row, powers) - Fraction(node) ** (order + 1) / (order + 1)))
            for row, node in zip(full, c, strict=True)
        ]
        if max(misses) > _TOLERANCE:
            break
        order += 1
    return order
