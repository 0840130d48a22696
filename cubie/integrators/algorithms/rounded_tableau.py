"""A tableau rounded to one precision: the numbers that device code closes over.

Sums survive: rows of ``a`` still sum to their nodes, ``b`` to 1 and error weights to 0, since the smallest entry takes
up what rounding loses in the others. Verner's pairs need it (vern6 has weights of 176 that nearly cancel): rounded one
by one, they would integrate a constant rate with an error of 1e-14 in every step, always of the same sign.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

from cubie._types import FloatPrecision, Scalar
from cubie.integrators.algorithms.tableau_checks import Coefficient, Row

RoundedRow: TypeAlias = tuple[Scalar, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedInterpolant:
    """An interpolant in one precision, over ``n_dense_stages`` stages.

    ``a`` has shape (extra stages, all stages), ``weights`` and ``chebyshev`` (all stages, degree). Both give the
    weights ``b_j(theta) = sum_d weights[j][d] * theta**(d + 1) = theta * sum_d chebyshev[j][d] * T_d(2*theta - 1)``.
    Powers of theta cancel: vern8's reach 1.4e6, to give weights of at most 60, which leaves no digit of them in single
    precision and errors of 4e-10 in double. Use ``chebyshev``, by Clenshaw's recurrence.
    """

    a: tuple[RoundedRow, ...]
    c: RoundedRow
    weights: tuple[RoundedRow, ...]
    chebyshev: tuple[RoundedRow, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rounded:
    """A tableau in one precision, as homogeneous tuples of NumPy scalars: ``a`` is square, zeros written out."""

    a: tuple[RoundedRow, ...]
    b: RoundedRow
    c: RoundedRow
    error_weights: RoundedRow | None
    second_error_weights: RoundedRow | None
    interpolant: RoundedInterpolant | None


def nonzero(rows: tuple[RoundedRow, ...]) -> tuple[tuple[bool, ...], ...]:
    """Tell which coefficients take part."""
    return tuple(tuple(float(entry) != 0.0 for entry in row) for row in rows)


def nearest(row: Iterable[Coefficient], precision: FloatPrecision) -> RoundedRow:
    return tuple(precision(float(entry)) for entry in row)


def keeping_sum(row: Iterable[Coefficient], total: Coefficient, precision: FloatPrecision) -> RoundedRow:
    """Round to nearest all but the smallest entry, which makes up the sum."""
    entries = list(nearest(row, precision))
    sizes = [abs(float(entry)) for entry in entries]
    if sum(size > 0 for size in sizes) > 1:
        smallest = sizes.index(min(size for size in sizes if size > 0))
        others = sum((Fraction(float(entry)) for entry in entries), Fraction(0)) - Fraction(float(entries[smallest]))
        entries[smallest] = precision(float(Fraction(total) - others))
    return tuple(entries)


def stage_rows(rows: Iterable[Row], c: RoundedRow, width: int, precision: FloatPrecision) -> tuple[RoundedRow, ...]:
    """Round rows of ``a`` to sum to the rounded nodes, and fill them up with zeros."""
    filled = ((*row, *(0,) * (width - len(row))) for row in rows)
    return tuple(keeping_sum(row, float(node), precision) for row, node in zip(filled, c, strict=True))


def weight_rows(rows: tuple[Row, ...], precision: FloatPrecision) -> tuple[RoundedRow, ...]:
    """Round an interpolant's weights so that they sum, over the stages, to theta for every theta."""
    degree = len(rows[0])
    columns = [keeping_sum([row[d] for row in rows], 1 if d == 0 else 0, precision) for d in range(degree)]
    return tuple(tuple(column[stage] for column in columns) for stage in range(len(rows)))


def chebyshev(powers: Row) -> Row:
    """The q of ``sum_d powers[d] * theta**d == sum_d q[d] * T_d(2*theta - 1)``, exact."""
    q = [Fraction(0)] * len(powers)  # the last stays 0 until the last round, so that no T_(d+1) is lost
    for power in reversed(powers):
        product = [entry / 2 for entry in q]  # theta * T_d = T_d / 2 + (T_(d+1) + T_|d-1|) / 4
        for d, entry in enumerate(q[:-1]):
            product[d + 1] += entry / 4
            product[abs(d - 1)] += entry / 4
        q = product
        q[0] += Fraction(power)
    return tuple(q)
