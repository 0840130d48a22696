"""The inverse of a fully implicit method's matrix in real block form, so that stages decouple.

With ``inv(a) = t @ diag(g, (alpha -beta; beta alpha), ...) @ inv(t)`` the Newton systems of all stages split into one
real system for each real eigenvalue and a complex one for each conjugate pair.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.8, eq. 8.6 to 8.9.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias, final

import numpy as np

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.exact_matrices import ExactMatrix, ExactRow, inverse, padded, product, times_column
from cubie.integrators.algorithms.rounded_tableau import RoundedRow, nearest
from cubie.integrators.algorithms.tableau_checks import TableauError

Complex: TypeAlias = tuple[Fraction, Fraction]

_BITS: Final = 200
"""Newton's iterates are kept to so many binary places: 60 digits."""
_APART: Final = 1e-6
"""Eigenvalues nearer to each other than this, relative to the largest, have no usable eigenvectors."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedBlockForm:
    """A block form in one precision."""

    real_eigenvalues: RoundedRow
    complex_eigenvalues: tuple[RoundedRow, ...]
    t: tuple[RoundedRow, ...]
    t_inverse: tuple[RoundedRow, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockForm:
    """Eigenvalues of ``inv(a)``, real ones first, pairs as (alpha, beta) with beta > 0, and ``t``, to 50 digits.

    The columns of ``t``, shape (n_stages, n_stages), are the eigenvectors with last entry 1: one column for a real
    eigenvalue, real and imaginary part of that of ``alpha - i*beta`` for a pair.
    """

    real_eigenvalues: ExactRow
    complex_eigenvalues: tuple[Complex, ...]
    t: ExactMatrix
    t_inverse: ExactMatrix

    def in_precision(self, precision: FloatPrecision) -> RoundedBlockForm:
        return RoundedBlockForm(
            real_eigenvalues=nearest(self.real_eigenvalues, precision),
            complex_eigenvalues=tuple(nearest(pair, precision) for pair in self.complex_eigenvalues),
            t=tuple(nearest(row, precision) for row in self.t),
            t_inverse=tuple(nearest(row, precision) for row in self.t_inverse),
        )


def block_form(tableau: ButcherTableau) -> BlockForm:
    """Compute the block form of a tableau.

    Raises
    ------
    TableauError: if ``a`` is singular or has eigenvalues that (nearly) coincide, as diagonally implicit methods have.
    """
    matrix = inverse(padded(tableau.a, tableau.n_stages))
    polynomial = _characteristic(matrix)
    eigenvalues = [_refined(polynomial, start) for start in _starts(tableau.name, matrix)]
    columns: list[ExactRow] = []
    for real, imaginary in eigenvalues:
        vector = _eigenvector(matrix, polynomial, (real, -imaginary))
        columns.append(tuple(entry[0] for entry in vector))
        if imaginary:
            columns.append(tuple(entry[1] for entry in vector))
    t = tuple(zip(*columns, strict=True))
    return BlockForm(
        real_eigenvalues=tuple(real for real, imaginary in eigenvalues if not imaginary),
        complex_eigenvalues=tuple(pair for pair in eigenvalues if pair[1]),
        t=t,
        t_inverse=inverse(t),
    )


def _characteristic(matrix: ExactMatrix) -> ExactRow:
    """Coefficients of ``det(x*I - matrix)``, highest power first (Faddeev and Le Verrier)."""
    n = len(matrix)
    powers, coefficients = matrix, [Fraction(1)]
    for k in range(1, n + 1):
        coefficients.append(-sum((powers[i][i] for i in range(n)), Fraction(0)) / k)
        shifted = [[x + coefficients[-1] * (i == j) for j, x in enumerate(row)] for i, row in enumerate(powers)]
        powers = product(matrix, shifted)
    return tuple(coefficients)


def _starts(name: str, matrix: ExactMatrix) -> list[complex]:
    """Eigenvalues to fifteen digits, those of the lower half-plane left out: real ones first, pairs by their beta."""
    found = np.linalg.eigvals(np.array([[float(entry) for entry in row] for row in matrix], np.complex128))
    scale = float(np.abs(found).max())
    gaps = np.abs(found[:, None] - found) + scale * np.eye(len(found))
    if float(gaps.min()) < _APART * scale:
        raise TableauError(f"tableau '{name}': the eigenvalues of a must be distinct, got {np.sort(1 / found)}.")
    upper = [complex(value) for value in found if value.imag > -_APART * scale]
    near_real = [complex(value.real, 0.0) if value.imag < _APART * scale else value for value in upper]
    return sorted(near_real, key=lambda value: (value.imag > 0, value.imag))


def _refined(polynomial: ExactRow, start: complex) -> Complex:
    """Newton's iteration for a simple zero: 15 digits, 30, 60."""
    z: Complex = (Fraction(start.real), Fraction(start.imag))
    for _ in range(3):
        value: Complex = (Fraction(0), Fraction(0))
        slope = value
        for coefficient in polynomial:
            slope = _add(_multiply(slope, z), value)
            value = _add(_multiply(value, z), (coefficient, Fraction(0)))
        step = _divide(value, slope)
        z = (_kept(z[0] - step[0]), _kept(z[1] - step[1]))
    return z


def _eigenvector(matrix: ExactMatrix, polynomial: ExactRow, z: Complex) -> list[Complex]:
    """``q(matrix) @ (1, 0, ...)`` with ``q(x) = polynomial(x) / (x - z)``, scaled to end with 1."""
    powers = [tuple(Fraction(int(i == 0)) for i in range(len(matrix)))]
    while len(powers) < len(matrix):
        powers.append(times_column(matrix, powers[-1]))
    quotient: Complex = (Fraction(0), Fraction(0))
    vector: list[Complex] = [quotient] * len(matrix)
    for coefficient, power in zip(polynomial, reversed(powers), strict=False):
        quotient = _add(_multiply(quotient, z), (coefficient, Fraction(0)))
        vector = [
            (x + quotient[0] * entry, y + quotient[1] * entry) for (x, y), entry in zip(vector, power, strict=True)
        ]
    if not any(vector[-1]):
        raise TableauError("eigenvectors of a must not end with 0, got one that does. Couple the last stage to others.")
    scaled = [_divide(entry, vector[-1]) for entry in vector]
    return [(_kept(x), _kept(y)) for x, y in scaled]


def _add(left: Complex, right: Complex) -> Complex:
    return left[0] + right[0], left[1] + right[1]


def _multiply(left: Complex, right: Complex) -> Complex:
    return left[0] * right[0] - left[1] * right[1], left[0] * right[1] + left[1] * right[0]


def _divide(left: Complex, right: Complex) -> Complex:
    size = right[0] ** 2 + right[1] ** 2
    real, imaginary = _multiply(left, (right[0], -right[1]))
    return real / size, imaginary / size


def _kept(value: Fraction) -> Fraction:
    return Fraction(round(value * 2**_BITS), 2**_BITS)
