"""The way from the checked form to what is emitted, as passes over the table of nodes.

`simplify` compiles the constants in, `share_reciprocals` divides once by what is divided by often, `contract` writes
multiply-adds, `schedule` drops dead code and orders the rest. Each pass reads one table and writes another.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from cubie.odesystems.symbolic.graph import (
    GraphBuilder,
    Node,
    NodeId,
    Number,
    Operation,
    Symbol,
    arguments_of,
    count_uses,
    reachable,
)
from cubie.odesystems.symbolic.rules import apply


@final
@dataclass(frozen=True, slots=True)
class Expressions:
    """A table of nodes and those of its nodes that are wanted."""

    nodes: Sequence[Node]
    roots: tuple[NodeId, ...]


def optimised(expressions: Expressions, constants: Sequence[float]) -> Expressions:
    """Run all passes up to the multiply-adds."""
    return contract(share_reciprocals(simplify(expressions, constants)))


def simplify(expressions: Expressions, constants: Sequence[float]) -> Expressions:
    """Rebuild the live expressions by the rules, with numbers for the constants."""
    g = GraphBuilder()
    images: dict[NodeId, NodeId] = {}
    for position in reachable(expressions.nodes, expressions.roots):
        match expressions.nodes[position]:
            case Symbol("constant", index):
                images[position] = g.number(constants[index])
            case Operation(function, arguments):
                images[position] = apply(g, function, *(images[argument] for argument in arguments))
            case leaf:
                images[position] = g.intern(leaf)
    return Expressions(g.nodes, tuple(images[root] for root in expressions.roots))


def share_reciprocals(expressions: Expressions) -> Expressions:
    """Replace several divisions by one value by one reciprocal and products."""
    live = reachable(expressions.nodes, expressions.roots)
    divisions = [it for p in live if isinstance(it := expressions.nodes[p], Operation) and it.function == "divide"]
    shared = {divisor for divisor, n in Counter(it.arguments[1] for it in divisions).items() if n > 1}
    if not shared:
        return expressions
    g = GraphBuilder()
    one = g.number(1.0)
    images: dict[NodeId, NodeId] = {}
    for position in live:
        match expressions.nodes[position]:
            case Operation("divide", (dividend, divisor)) if divisor in shared:
                reciprocal = g.operation("divide", one, images[divisor])
                images[position] = apply(g, "multiply", images[dividend], reciprocal)
            case Operation(function, arguments):
                images[position] = apply(g, function, *(images[argument] for argument in arguments))
            case leaf:
                images[position] = g.intern(leaf)
    return Expressions(g.nodes, tuple(images[root] for root in expressions.roots))


def contract(expressions: Expressions) -> Expressions:
    """Fuse every product that only one sum needs with that sum, and let operands carry the signs."""
    contraction = _Contraction(expressions)
    return Expressions(contraction.builder.nodes, tuple(contraction.images[root] for root in expressions.roots))


@final
class _Contraction:
    """One pass from the front to the back of a table; `images` holds the new position of every live node."""

    def __init__(self, expressions: Expressions) -> None:
        self.builder = GraphBuilder()
        self.images: dict[NodeId, NodeId] = {}
        self._nodes = expressions.nodes
        live = reachable(expressions.nodes, expressions.roots)
        self._uses = count_uses(expressions.nodes, expressions.roots)
        for position in live:
            negated = self._operands(position, "negative")
            if negated:  # a sign is free: whatever uses the negative of a value uses the value
                self._uses[negated[0]] += self._uses[position] - 1
        for position in live:
            self.images[position] = self._image(position)

    def _operands(self, node: NodeId, *functions: str) -> tuple[NodeId, ...]:
        it = self._nodes[node]
        return it.arguments if isinstance(it, Operation) and it.function in functions else ()

    def _image(self, position: NodeId) -> NodeId:
        match self._nodes[position]:
            case Operation("add", (a, b)):
                return self._sum(a, b, False)
            case Operation("negative", (inner,)):
                return self._negative(inner)
            case Operation(function, arguments):
                return self.builder.operation(function, *(self.images[argument] for argument in arguments))
            case leaf:
                return self.builder.intern(leaf)

    def _negative(self, node: NodeId) -> NodeId:
        """Return the negative of a node, the sign moved into its terms or its first factor if nothing else needs it."""
        it = self._nodes[node]
        if isinstance(it, Operation) and it.function in ("multiply", "divide") and self._uses[node] == 1:
            first, second = it.arguments
            return self.builder.operation(it.function, self._opposite(first), self.images[second])
        return self._addend(node, True)

    def _opposite(self, node: NodeId) -> NodeId:
        """Return the negative of a node's image; the targets' operands carry it for free."""
        return self.builder.operation("negative", self.images[node])

    def _sum(self, a: NodeId, b: NodeId, negate: bool) -> NodeId:
        """Add two nodes, or the opposites of both, by a multiply-add where one of them is a product of no other use."""
        for term, other in ((b, a), (a, b)):
            inner = self._operands(term, "negative")
            product = inner[0] if inner else term
            factors = self._operands(product, "multiply")
            if factors and self._uses[product] == 1:
                first = self._opposite(factors[0]) if bool(inner) != negate else self.images[factors[0]]
                return self.builder.operation("fma", first, self.images[factors[1]], self._addend(other, negate))
        first, second = self._addend(a, negate), self._addend(b, negate)
        if self._is_negative(first) and not self._is_negative(second):
            first, second = second, first
        return self.builder.operation("add", first, second)

    def _addend(self, node: NodeId, negate: bool) -> NodeId:
        """Return a term of a sum, its sign moved into a sum that nothing else needs."""
        inner = self._operands(node, "negative")
        if inner:
            node, negate = inner[0], not negate
        terms = self._operands(node, "add")
        if negate and terms and self._uses[node] == 1:
            a, b = terms
            return self._sum(a, b, True)
        return self._opposite(node) if negate else self.images[node]

    def _is_negative(self, image: NodeId) -> bool:
        it = self.builder.nodes[image]
        return isinstance(it, Operation) and it.function == "negative"


def schedule(expressions: Expressions) -> list[NodeId]:
    """Order the live nodes, arguments first, so that few values live at once.

    Roots come in their order, and of an operation's arguments first the one that needs the most registers: optimal for
    trees, good for graphs.

    References
    ----------
    Sethi & Ullman (1970), J. ACM 17(4), 715-728.
    """
    nodes = expressions.nodes
    needs = _register_needs(expressions)
    order: list[NodeId] = []
    done = bytearray(len(nodes))
    for root in expressions.roots:
        pending = [root]
        while pending:
            node = pending[-1]
            waiting = [argument for argument in arguments_of(nodes[node]) if not done[argument]]
            if done[node] or not waiting:
                pending.pop()
                if not done[node]:
                    done[node] = 1
                    order.append(node)
            else:
                pending.append(max(waiting, key=lambda argument: needs[argument]))
    return order


def _register_needs(expressions: Expressions) -> list[int]:
    needs = [0] * len(expressions.nodes)
    for position in reachable(expressions.nodes, expressions.roots):
        node = expressions.nodes[position]
        if isinstance(node, Operation):
            most_first = sorted((needs[argument] for argument in node.arguments), reverse=True)
            needs[position] = max((need + held for held, need in enumerate(most_first)), default=1)
        else:
            needs[position] = 0 if isinstance(node, Number) else 1
    return needs
