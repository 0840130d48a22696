"""A Runge-Kutta method as data: the types of a tableau and of its interpolant.

Rows hold exact fractions or published decimals; what follows from them (stages, first same as last, error weights) is
computed, and `in_precision` rounds once, last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from types import MappingProxyType
from typing import Final, Protocol, TypeVar, final

from cubie._types import FloatPrecision, canonical_form
from cubie.integrators.algorithms.rounded_tableau import (
    Rounded,
    RoundedInterpolant,
    RoundedRow,
    chebyshev,
    keeping_sum,
    nearest,
    stage_rows,
    weight_rows,
)
from cubie.integrators.algorithms.tableau_checks import Coefficient, Row, TableauError, check_numbers, check_tableau

__all__ = [
    "ButcherTableau",
    "Coefficient",
    "Interpolant",
    "Rounded",
    "RoundedInterpolant",
    "RoundedRow",
    "Row",
    "SECOND_ERROR_SHARE",
    "TableauError",
    "UnknownMethodError",
    "find_row",
    "require_distinct",
    "rows_by_name",
]

SECOND_ERROR_SHARE: Final = 0.01
"""The share of the second error's norm E2 in that of a two-fold estimate, ``E**2 / sqrt(E**2 + 0.01 * E2**2)``."""


class UnknownMethodError(LookupError, ValueError):
    """No method has this name. A `ValueError` as well, which is what SciPy raises for it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolant:
    """Dense output: ``y(t + theta*dt) = y + dt * sum_j k_j * sum_d weights[j][d] * theta**(d + 1)``.

    Stages j are numbered: the method's own; then, unless the method is first same as last, the rate at the end of the
    step, ``f(t + dt, y_next)``; then the extra stages, whose rows in ``a`` run over all stages before them.
    """

    order: int
    weights: tuple[Row, ...]
    a: tuple[Row, ...] = ()
    c: Row = ()
    source: str = ""

    def __post_init__(self) -> None:
        _make_tuples(self, {"weights": self.weights, "a": self.a}, {"c": self.c})
        for rows in (self.weights, self.a, (self.c,)):
            for row in rows:
                check_numbers("interpolant", row)

    @property
    def n_extra_stages(self) -> int:
        return len(self.a)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ButcherTableau:
    """One Runge-Kutta method.

    ``y_next = y + dt * sum_j b[j]*k_j`` with ``k_j = f(t + c[j]*dt, y + dt * sum_i a[j][i]*k_i)``. Row j of ``a`` may
    end before the diagonal (j entries), on it (j + 1) or be full (n_stages). ``b_hat`` is the embedded formula of order
    ``order_hat``; the error of a step is ``dt * sum_j (b[j] - b_hat[j])*k_j``.

    A row with ``b_hat_second`` (Hairer's dop853) has a second such error. Where its norm E2 is large, the norm E of the
    first counts for less: the step's is ``E**2 / sqrt(E**2 + SECOND_ERROR_SHARE * E2**2)``.

    Raises
    ------
    TableauError: if rows are ragged, a row does not sum to its node, or weights do not sum to 1.
    TypeError: if a coefficient is no fraction, float or int, or is not finite.
    """

    name: str
    order: int
    order_hat: int | None = None
    a: tuple[Row, ...]
    b: Row
    b_hat: Row | None = None
    c: Row
    order_hat_second: int | None = None
    b_hat_second: Row | None = None
    source: str = ""
    aliases: tuple[str, ...] = ()
    interpolant: Interpolant | None = None

    def __post_init__(self) -> None:
        rows = {"b": self.b, "c": self.c, "b_hat": self.b_hat, "b_hat_second": self.b_hat_second}
        _make_tuples(self, {"a": self.a}, {field: row for field, row in rows.items() if row is not None})
        check_tableau(self)

    @property
    def n_stages(self) -> int:
        return len(self.b)

    @property
    def n_dense_stages(self) -> int:
        """All stages that the interpolant numbers; the method's own where it has none."""
        if self.interpolant is None:
            return self.n_stages
        return self.n_stages + (not self.first_same_as_last) + self.interpolant.n_extra_stages

    @property
    def is_explicit(self) -> bool:
        return all(entry == 0 for stage, row in enumerate(self.a) for entry in row[stage:])

    @property
    def is_stiffly_accurate(self) -> bool:
        """The last stage is the step's result: the last row of ``a`` is ``b``."""
        return _padded(self.a[-1], self.n_stages) == self.b

    @property
    def first_same_as_last(self) -> bool:
        """The rate of the last stage is that of the next step's first."""
        starts_at_y = all(entry == 0 for entry in self.a[0])
        return self.n_stages > 1 and starts_at_y and self.is_stiffly_accurate

    @property
    def is_adaptive(self) -> bool:
        return self.b_hat is not None

    @property
    def error_weights(self) -> tuple[Fraction, ...] | None:
        """``b - b_hat``, exact."""
        return None if self.b_hat is None else _difference(self.b, self.b_hat)

    @property
    def second_error_weights(self) -> tuple[Fraction, ...] | None:
        """``b - b_hat_second``, exact; only a two-fold estimate has it."""
        return None if self.b_hat_second is None else _difference(self.b, self.b_hat_second)

    @property
    def error_order(self) -> int | None:
        """The p of an estimate that shrinks as ``dt**(p + 1)``: a controller's exponent is made from it."""
        if self.order_hat is None:
            return None
        if self.order_hat_second is None:
            return min(self.order, self.order_hat)
        return 2 * self.order_hat - self.order_hat_second

    @property
    def dense_order(self) -> int:
        """The order of dense output: the interpolant's, or the 3 of cubic Hermite."""
        return 3 if self.interpolant is None else self.interpolant.order

    @property
    def interpolates_stages(self) -> bool:
        """Dense output reads the stages' rates, so that they have to outlive the step."""
        return self.interpolant is not None

    def require_explicit(self) -> None:
        """Raise `TableauError` unless the method is explicit."""
        for stage, row in enumerate(self.a):
            for column, entry in enumerate(row[stage:], start=stage):
                if entry != 0:
                    raise TableauError(
                        f"tableau '{self.name}' must be explicit (no stage needs itself or a later one), "
                        f"got a[{stage}][{column}] = {entry}. Use a method of an implicit family."
                    )

    def in_precision(self, precision: FloatPrecision) -> Rounded:
        """Round every coefficient once, error weights after their exact difference, so that sums survive."""
        first, second, c = self.error_weights, self.second_error_weights, nearest(self.c, precision)
        return Rounded(
            a=stage_rows(self.a, c, self.n_stages, precision),
            b=keeping_sum(self.b, 1, precision),
            c=c,
            error_weights=None if first is None else keeping_sum(first, 0, precision),
            second_error_weights=None if second is None else keeping_sum(second, 0, precision),
            interpolant=None if self.interpolant is None else self._dense_in_precision(self.interpolant, precision),
        )

    def _dense_in_precision(self, dense: Interpolant, precision: FloatPrecision) -> RoundedInterpolant:
        c = nearest(dense.c, precision)
        return RoundedInterpolant(
            a=stage_rows(dense.a, c, self.n_dense_stages, precision),
            c=c,
            weights=weight_rows(dense.weights, precision),
            chebyshev=weight_rows(tuple(map(chebyshev, dense.weights)), precision),
        )


def rows_by_name(rows: Iterable[ButcherTableau]) -> Mapping[str, ButcherTableau]:
    """Make a registry from the rows' own names; two names or aliases of one canonical form raise `TableauError`."""
    claimants = tuple(rows)
    require_distinct(claimants)
    return MappingProxyType({row.name: row for row in claimants})


class NamedRow(Protocol):
    """A row of any family's registry."""

    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


def require_distinct(rows: Iterable[NamedRow]) -> None:
    """Refuse names and aliases that meet in one canonical form.

    Raises
    ------
    TableauError: it names the rows.
    """
    owners: dict[str, str] = {}
    for row in rows:
        for name in (row.name, *row.aliases):
            form = canonical_form(name)
            if form in owners:
                raise TableauError(
                    f"method name '{name}' must be unique, got it from '{owners[form]}' and '{row.name}'."
                )
            owners[form] = row.name


RowT = TypeVar("RowT", bound=NamedRow)


def find_row(name: str, rows: Iterable[RowT]) -> RowT:
    """Find a row by its name or an alias, in any case and with any hyphens, underscores, spaces and parentheses.

    Raises
    ------
    UnknownMethodError: if no row has that name.
    """
    known = {canonical_form(title): row for row in rows for title in (row.name, *row.aliases)}
    form = canonical_form(name)
    found = known.get(form)
    if found is None:
        near = get_close_matches(form, known, n=1)
        hint = f" Did you mean '{known[near[0]].name}'?" if near else ""
        raise UnknownMethodError(f"unknown method '{name}'.{hint} cubie.methods() lists all.")
    return found


def _make_tuples(
    owner: object, matrices: Mapping[str, Iterable[Row]], rows: Mapping[str, Iterable[Coefficient]]
) -> None:
    """Turn the lists and arrays that a user may give into tuples: a tableau is hashable."""
    for field, matrix in matrices.items():
        nested = tuple(tuple(row) for row in matrix)
        object.__setattr__(owner, field, nested)
    for field, row in rows.items():
        flat = tuple(row)
        object.__setattr__(owner, field, flat)


def _padded(row: Row, width: int) -> Row:
    return (*row, *(0,) * (width - len(row)))


def _difference(left: Row, right: Row) -> tuple[Fraction, ...]:
    return tuple(Fraction(x) - Fraction(y) for x, y in zip(left, right, strict=True))
