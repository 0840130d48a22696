"""Linear algebra in exact fractions, for the few small matrices of a tableau."""

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

from cubie.integrators.algorithms.tableau_checks import Coefficient, TableauError

ExactRow: TypeAlias = tuple[Fraction, ...]
ExactMatrix: TypeAlias = tuple[ExactRow, ...]


def padded(rows: Sequence[Sequence[Coefficient]], width: int) -> ExactMatrix:
    """Rows as fractions, filled up with zeros."""
    return tuple((*(Fraction(x) for x in row), *(Fraction(0),) * (width - len(row))) for row in rows)


def identity(n: int) -> ExactMatrix:
    return tuple(tuple(Fraction(int(i == j)) for j in range(n)) for i in range(n))


def dot(left: Sequence[Coefficient], right: Sequence[Coefficient]) -> Fraction:
    pairs = zip(left, right, strict=True)
    return sum((Fraction(x) * Fraction(y) for x, y in pairs if x and y), Fraction(0))


def times_column(matrix: Sequence[Sequence[Coefficient]], column: Sequence[Coefficient]) -> ExactRow:
    return tuple(dot(row, column) for row in matrix)


def times(row: Sequence[Coefficient], matrix: Sequence[Sequence[Coefficient]]) -> ExactRow:
    """A row vector times a matrix."""
    return times_column(tuple(zip(*matrix, strict=True)), row)


def product(left: Sequence[Sequence[Coefficient]], right: Sequence[Sequence[Coefficient]]) -> ExactMatrix:
    return tuple(times(row, right) for row in left)


def inverse(matrix: Sequence[Sequence[Coefficient]]) -> ExactMatrix:
    """Gauss and Jordan's elimination.

    Raises
    ------
    TableauError: if the matrix is singular.
    """
    n = len(matrix)
    rows = [[*(Fraction(x) for x in row), *unit] for row, unit in zip(matrix, identity(n), strict=True)]
    for column in range(n):
        pivot = next((i for i in range(column, n) if rows[i][column] != 0), None)
        if pivot is None:
            raise TableauError(
                f"a matrix to invert must be regular, got one whose column {column} depends on those before."
            )
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [entry / scale for entry in rows[column]]
        for i, row in enumerate(rows):
            factor = row[column]
            if i != column and factor != 0:
                rows[i] = [x - factor * y if y else x for x, y in zip(row, rows[column], strict=True)]
    return tuple(tuple(row[n:]) for row in rows)
