"""What a Rosenbrock tableau must fulfil to be one. Order conditions are proved in the tests, row by row.

Nodes and time weights are printed beside ``a`` and ``c`` and follow from them, so that a wrong digit shows at once.
"""

import math
from itertools import chain
from typing import TYPE_CHECKING, Final

from cubie.integrators.algorithms.tableau_checks import (
    ORDER_RULE,
    Coefficient,
    Row,
    TableauError,
    check_numbers,
    is_order,
)

if TYPE_CHECKING:
    from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau

_TOLERANCE: Final = 1e-13
"""What a sum may miss by, relative to its absolute terms: coefficients are printed to 16 digits."""


def check_rosenbrock(row: "RosenbrockTableau") -> None:
    """Raise `TableauError` (or `TypeError`, for what is no number) if a tableau contradicts itself."""
    a, c, nodes, time_weights = row.all_stages()
    rows = (*a, *c, row.m, row.m_hat or (), nodes, time_weights, (row.gamma,))
    check_numbers(f"tableau '{row.name}'", chain(*rows, *(() if row.interpolant is None else row.interpolant.h)))
    _check_shapes(row, a, c, nodes, time_weights)
    _check_orders(row)
    for stage, node in enumerate(nodes):
        before = time_weights[:stage]
        _check_sum(row, f"a[{stage}] @ time_weights", a[stage], before, node)
        what = f"1 + c[{stage}] @ time_weights - time_weights[{stage}]/gamma"
        _check_sum(row, what, (1, *c[stage], time_weights[stage] / row.gamma), (1, *before, -1), 0)
    _check_sum(row, "m @ time_weights", row.m, time_weights[: row.n_stages], 1)
    if row.m_hat is not None:
        _check_sum(row, "m_hat @ time_weights", row.m_hat, time_weights[: row.n_stages], 1)


def _check_shapes(
    row: "RosenbrockTableau", a: tuple[Row, ...], c: tuple[Row, ...], nodes: Row, time_weights: Row
) -> None:
    n, n_all = row.n_stages, row.n_dense_stages
    _require(n > 0, row, "m must have at least one weight, got none.")
    _require(row.gamma > 0, row, f"gamma must be positive, got {row.gamma}.")
    size = n if row.m_hat is None else len(row.m_hat)
    _require(size == n, row, f"m_hat must be as long as m, {n}, got {size}.")
    for field, size in (("a", len(a)), ("c", len(c)), ("nodes", len(nodes)), ("time_weights", len(time_weights))):
        _require(size == n_all, row, f"{field} must be as long as there are stages, {n_all}, got {size}.")
    for stage in range(n_all):
        in_a, in_c = len(a[stage]), len(c[stage])
        rule = f"row {stage} of a and c must have {stage} entries"
        _require(in_a == in_c == stage, row, f"{rule}, got {in_a} and {in_c}. Write zeros out.")
    if row.interpolant is not None:
        even = all(len(h) == n_all for h in row.interpolant.h) and len(row.interpolant.h) > 0
        _require(even, row, f"its interpolant must have rows of h over all {n_all} stages, got ragged or none.")


def _check_orders(row: "RosenbrockTableau") -> None:
    dense = None if row.interpolant is None else row.interpolant.order
    orders = (("order", row.order), ("order_hat", row.order_hat), ("w_order", row.w_order))
    for field, order in (*orders, ("its interpolant's order", dense)):
        _require(order is None or is_order(order), row, f"{field} must be {ORDER_RULE}, got {order!r}.")
    both = (row.m_hat is None) == (row.order_hat is None)
    _require(both, row, "m_hat and order_hat must be given together, got one of them.")


def _check_sum(row: "RosenbrockTableau", what: str, left: Row, right: Row, target: Coefficient) -> None:
    terms = [float(x) * float(y) for x, y in zip(left, right, strict=True)]
    total, scale = math.fsum(terms), 1 + math.fsum(map(abs, terms))
    near = abs(total - float(target)) <= _TOLERANCE * scale
    _require(near, row, f"{what} must be {float(target)}, got {total!r}. Check the digits.")


def _require(holds: bool, row: "RosenbrockTableau", complaint: str) -> None:
    if not holds:
        raise TableauError(f"tableau '{row.name}': {complaint}")
