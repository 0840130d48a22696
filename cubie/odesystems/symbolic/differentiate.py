"""Derivatives of expressions, as one more pass: forward, node by node, sparse, in the table's own operations.

A gradient maps positions among what is differentiated by to nodes; what is absent is zero. Each rate's own
subexpressions are interned beside its derivatives, so that both share them, and rates share each other's inner
derivatives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias, final

from cubie.odesystems.symbolic.choices import Products
from cubie.odesystems.symbolic.derivative_rules import PARTIALS
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId, Number, Operation, Symbol, reachable
from cubie.odesystems.symbolic.passes import Expressions
from cubie.odesystems.symbolic.rules import apply, without_sign

Gradient: TypeAlias = Mapping[int, NodeId]

_NOTHING: Final[Gradient] = {}


class SeedFn(Protocol):
    """The gradient of a value from outside."""

    def __call__(self, g: GraphBuilder, symbol: Symbol, /) -> Gradient: ...


class Entry(NamedTuple):
    """One entry of a matrix: `factor` times the value that stands in `slot`, or the number `factor` without a slot."""

    row: int
    column: int
    slot: int | None
    factor: float


@final
@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """The entries that are not zero, row by row, and the values that they are made of.

    Parameters
    ----------
    values : one root for each slot; equal and opposite entries share one, and numbers need none.
    """

    entries: tuple[Entry, ...]
    values: Expressions

    @property
    def pattern(self) -> tuple[tuple[int, int], ...]:
        """Row and column of each entry."""
        return tuple((entry.row, entry.column) for entry in self.entries)

    def diagonal(self, n: int) -> Expressions:
        """Return the diagonal of the matrix, of order n, zeros written out."""
        g = GraphBuilder()
        images = [g.intern(node) for node in self.values.nodes]
        roots = [g.number(0.0)] * n
        for row, column, slot, factor in self.entries:
            if row == column:
                value = g.number(1.0) if slot is None else images[self.values.roots[slot]]
                roots[row] = apply(g, "multiply", g.number(factor), value)
        return Expressions(g.nodes, tuple(roots))

    @property
    def n_slots(self) -> int:
        """How many values have to be computed."""
        return len(self.values.roots)


def jacobian(expressions: Expressions, constants: Sequence[float]) -> SparseMatrix:
    """Differentiate the roots by the states, numbers for the constants."""

    def seed(g: GraphBuilder, symbol: Symbol) -> Gradient:
        return {symbol.index: g.number(1.0)} if symbol.kind == "state" else _NOTHING

    g, gradients = _gradients(expressions, constants, seed)
    slots: dict[NodeId, int] = {}
    entries: list[Entry] = []
    for row, gradient in enumerate(gradients):
        for column, node in sorted(gradient.items()):
            is_negative, value = without_sign(g, node)
            match g.nodes[value]:
                case Number(number):
                    entries.append(Entry(row, column, None, -number if is_negative else number))
                case _:
                    slot = slots.setdefault(value, len(slots))
                    entries.append(Entry(row, column, slot, -1.0 if is_negative else 1.0))
    return SparseMatrix(tuple(entries), Expressions(g.nodes, tuple(slots)))


def time_derivative(expressions: Expressions, constants: Sequence[float]) -> Expressions:
    """Differentiate the roots by the time."""

    def seed(g: GraphBuilder, symbol: Symbol) -> Gradient:
        return {0: g.number(1.0)} if symbol.kind == "time" else _NOTHING

    return _directional(expressions, constants, seed)


def jacobian_vector_product(expressions: Expressions, constants: Sequence[float]) -> Expressions:
    """Return the product of the roots' Jacobian and the symbols of kind "vector"."""

    def seed(g: GraphBuilder, symbol: Symbol) -> Gradient:
        return {0: g.symbol("vector", symbol.index)} if symbol.kind == "state" else _NOTHING

    return _directional(expressions, constants, seed)


def _directional(expressions: Expressions, constants: Sequence[float], seed: SeedFn) -> Expressions:
    g, gradients = _gradients(expressions, constants, seed)
    zero = g.number(0.0)
    return Expressions(g.nodes, tuple(gradient.get(0, zero) for gradient in gradients))


def _gradients(
    expressions: Expressions, constants: Sequence[float], seed: SeedFn
) -> tuple[GraphBuilder, tuple[Gradient, ...]]:
    """Rebuild the live expressions by the rules, and beside each node its gradient; return those of the roots."""
    g = GraphBuilder()
    products = Products(g)
    images: dict[NodeId, NodeId] = {}
    gradients: dict[NodeId, Gradient] = {}
    for position in reachable(expressions.nodes, expressions.roots):
        match expressions.nodes[position]:
            case Symbol("constant", index):
                images[position], gradients[position] = g.number(constants[index]), _NOTHING
            case Symbol() as symbol:
                images[position], gradients[position] = g.intern(symbol), seed(g, symbol)
            case Number() as number:
                images[position], gradients[position] = g.intern(number), _NOTHING
            case Operation(function, arguments):
                operands = tuple(images[argument] for argument in arguments)
                images[position] = apply(g, function, *operands)
                inner = [gradients[argument] for argument in arguments]
                gradients[position] = _chain(g, products, function, operands, images[position], inner)
    return g, tuple(gradients[root] for root in expressions.roots)


def _chain(
    g: GraphBuilder,
    products: Products,
    function: str,
    operands: tuple[NodeId, ...],
    value: NodeId,
    inner: Sequence[Gradient],
) -> Gradient:
    """Sum the inner gradients, each times the operation's partial derivative by its operand."""
    if not any(inner):
        return _NOTHING
    if function == "select":
        return _selected(g, operands[0], inner[1], inner[2])
    if function in ("minimum", "maximum"):
        return _extremum(g, function == "minimum", operands, inner)
    partials = PARTIALS.get(function)
    if partials is None:
        return _NOTHING
    total: dict[int, NodeId] = {}
    for place, gradient in enumerate(inner):
        if not gradient:
            continue
        partial = partials(g, operands, value, place)
        for column, node in gradient.items():
            term = products.product(partial, node)
            total[column] = apply(g, "add", total[column], term) if column in total else term
    zero = g.number(0.0)
    return {column: node for column, node in total.items() if node != zero}


def _extremum(g: GraphBuilder, is_minimum: bool, operands: tuple[NodeId, ...], inner: Sequence[Gradient]) -> Gradient:
    """Take the gradient of the smaller or larger operand, and of equal ones that of the second: a constant, if any."""
    (a, b), (first, second) = operands, inner
    if not first:
        a, b, first, second = b, a, second, first
    mask = apply(g, "less", a, b) if is_minimum else apply(g, "less", b, a)
    return _selected(g, mask, first, second)


def _selected(g: GraphBuilder, mask: NodeId, first: Gradient, second: Gradient) -> Gradient:
    zero = g.number(0.0)
    columns = dict.fromkeys((*first, *second))
    return {column: apply(g, "select", mask, first.get(column, zero), second.get(column, zero)) for column in columns}
