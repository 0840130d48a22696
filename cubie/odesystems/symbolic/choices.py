"""Products in which a zero that the model chose stays zero, whatever the other factor is.

The derivative of ``sqrt(max(x, 0))`` below zero is infinity times a chosen zero, and is meant to be zero. Where no
factor can be infinite, products stay plain.
"""

from typing import Final, final

from cubie.odesystems.symbolic.graph import GraphBuilder, Node, NodeId, Operation
from cubie.odesystems.symbolic.rules import apply, negated, operands, without_sign

_HAS_POLES: Final = frozenset(
    ("divide", "pow", "sqrt", "log", "log1p", "log2", "log10", "asin", "acos", "acosh", "atanh", "tan", "fmod")
)
"""What can be infinite or undefined though its arguments are finite, other than by overflow."""


@final
class Products:
    """Multiplies nodes of one growing table, of which it remembers what can be infinite and what can be chosen zero."""

    def __init__(self, g: GraphBuilder) -> None:
        self._g: Final = g
        self._zero: Final = g.number(0.0)
        self._has_pole: Final[list[bool]] = []
        self._is_choice: Final[list[bool]] = []

    def product(self, a: NodeId, b: NodeId) -> NodeId:
        """Multiply two nodes; where one is a chosen zero, the product is zero."""
        self._look()
        for choice, factor in ((a, b), (b, a)):
            if self._is_choice[choice] and self._has_pole[factor]:
                return self._chosen(choice, factor)
        return apply(self._g, "multiply", a, b)

    def _look(self) -> None:
        """Look at the nodes that have been made since."""
        for node in self._g.nodes[len(self._has_pole) :]:
            arguments = node.arguments if isinstance(node, Operation) else ()
            has_pole = isinstance(node, Operation) and node.function in _HAS_POLES
            self._has_pole.append(has_pole or any(self._has_pole[argument] for argument in arguments))
            self._is_choice.append(self._can_choose_zero(node))

    def _can_choose_zero(self, node: Node) -> bool:
        match node:
            case Operation("sign", _):
                return True
            case Operation("minimum" | "maximum", arguments):
                return self._zero in arguments
            case Operation("select", (_, first, second)):
                return self._zero in (first, second) or self._is_choice[first] or self._is_choice[second]
            case Operation("multiply", arguments):
                return any(self._is_choice[argument] for argument in arguments)
            case Operation("negative" | "add", arguments):
                return all(self._is_choice[argument] for argument in arguments)
            case _:
                return False

    def _chosen(self, choice: NodeId, factor: NodeId) -> NodeId:
        """Multiply inside the choices whose other branch is zero."""
        g, zero = self._g, self._zero
        negate, inner = without_sign(g, choice)
        outer: list[tuple[NodeId, ...]] = []
        while (parts := operands(g, inner, "select")) and zero in parts[1:]:
            outer.append(parts)
            inner = parts[2] if parts[1] == zero else parts[1]
        if self._is_choice[inner]:
            is_zero = apply(g, "less_equal", apply(g, "absolute", inner), zero)
            result = apply(g, "select", is_zero, zero, apply(g, "multiply", inner, factor))
        else:
            result = self.product(inner, factor)
        for mask, first, _ in reversed(outer):
            result = apply(g, "select", mask, *((zero, result) if first == zero else (result, zero)))
        return negated(g, result, negate)
