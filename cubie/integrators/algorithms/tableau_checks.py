"""What a tableau must fulfil to be one: shapes, orders, sums. Order conditions are proved in the tests, row by row."""

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

from cubie._types import whole_number

if TYPE_CHECKING:
    from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, Interpolant

Coefficient: TypeAlias = Fraction | float | int
Row: TypeAlias = tuple[Coefficient, ...]

ORDER_RULE: Final = "a whole number of at least 1"
_TOLERANCE: Final = 1e-12
"""What a sum may miss by, relative to its absolute terms: for a user's floats."""


class TableauError(ValueError):
    """A tableau contradicts itself, or is not of the kind that a method needs."""


def check_tableau(row: "ButcherTableau") -> None:
    """Raise `TableauError` (or `TypeError`, for what is no number) if a tableau contradicts itself."""
    check_numbers(f"tableau '{row.name}'", chain(*row.a, row.b, row.c, row.b_hat or (), row.b_hat_second or ()))
    _check_shapes(row)
    _check_orders(row)
    for stage, (entries, node) in enumerate(zip(row.a, row.c, strict=True)):
        _check_sum(row, f"row {stage} of a", entries, node)
    for field, weights in (("b", row.b), ("b_hat", row.b_hat), ("b_hat_second", row.b_hat_second)):
        if weights is not None:
            _check_sum(row, field, weights, 1)
    if row.interpolant is not None:
        _check_interpolant(row, row.interpolant)


def check_numbers(owner: str, entries: Iterable[object]) -> None:
    """Raise `TypeError` at the first entry that is no finite number."""
    for entry in entries:
        if not isinstance(entry, (Fraction, float, int)) or not math.isfinite(entry):
            raise TypeError(f"{owner}: a coefficient must be a finite Fraction, float or int, got {entry!r}.")


def _check_shapes(row: "ButcherTableau") -> None:
    n = row.n_stages
    _require(n > 0, row, "b must have at least one weight, got none.")
    for field, size in (("a", len(row.a)), ("c", len(row.c)), ("b_hat", _size(row.b_hat, n))):
        _require(size == n, row, f"{field} must be as long as b, {n}, got {size}.")
    size = _size(row.b_hat_second, n)
    _require(size == n, row, f"b_hat_second must be as long as b, {n}, got {size}.")
    for stage, entries in enumerate(row.a):
        fits = len(entries) in (stage, stage + 1, n)
        rule = f"row {stage} of a must have {stage}, {stage + 1} or {n} entries"
        _require(fits, row, f"{rule}, got {len(entries)}. Write zeros out.")


def is_order(order: object) -> bool:
    """Whether this is a whole number of at least 1."""
    number = whole_number(order)
    return number is not None and number >= 1


def _check_orders(row: "ButcherTableau") -> None:
    for field, order in (
        ("order", row.order),
        ("order_hat", row.order_hat),
        ("order_hat_second", row.order_hat_second),
    ):
        _require(order is None or is_order(order), row, f"{field} must be {ORDER_RULE}, got {order!r}.")
    both = (row.b_hat is None) == (row.order_hat is None)
    _require(both, row, "b_hat and order_hat must be given together, got one of them.")
    both = (row.b_hat_second is None) == (row.order_hat_second is None)
    _require(both, row, "b_hat_second and order_hat_second must be given together, got one of them.")
    in_turn = row.b_hat_second is None or row.b_hat is not None
    _require(in_turn, row, "b_hat_second must follow a b_hat, got none. Name it b_hat.")


def _check_interpolant(row: "ButcherTableau", dense: "Interpolant") -> None:
    n_extra, n_all = dense.n_extra_stages, row.n_dense_stages
    _require(is_order(dense.order), row, f"its interpolant's order must be {ORDER_RULE}, got {dense.order!r}.")
    _require(len(dense.c) == n_extra, row, f"its interpolant's c must be as long as a, {n_extra}, got {len(dense.c)}.")
    for stage, (entries, node) in enumerate(zip(dense.a, dense.c, strict=True)):
        n_before = n_all - n_extra + stage
        rule = f"row {stage} of its interpolant's a must be explicit, with at most {n_before} entries"
        _require(len(entries) <= n_before, row, f"{rule}, got {len(entries)}.")
        _check_sum(row, f"row {stage} of its interpolant's a", entries, node)
    n_rows, degree = len(dense.weights), max(map(len, dense.weights), default=0)
    _require(n_rows == n_all, row, f"its interpolant must weigh all {n_all} stages, got {n_rows} rows of weights.")
    even = degree >= 1 and min(map(len, dense.weights)) == degree
    _require(even, row, "its interpolant's rows of weights must be equally long, got ragged or empty ones.")
    for power in range(degree):
        entries = tuple(weights[power] for weights in dense.weights)
        _check_sum(row, f"its interpolant's weights of theta**{power + 1}", entries, 1 if power == 0 else 0)


def _check_sum(row: "ButcherTableau", what: str, terms: Row, target: Coefficient) -> None:
    total, scale = math.fsum(terms), 1 + math.fsum(abs(float(term)) for term in terms)
    near = abs(total - float(target)) <= _TOLERANCE * scale
    _require(near, row, f"{what} must sum to {target}, got {total!r}. Check the digits.")


def _require(holds: bool, row: "ButcherTableau", complaint: str) -> None:
    if not holds:
        raise TableauError(f"tableau '{row.name}': {complaint}")


def _size(weights: Row | None, default: int) -> int:
    return default if weights is None else len(weights)
