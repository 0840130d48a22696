"""Expressions as one flat table: every node once, after its arguments, referred to by its position.

Nothing here recurses, whatever the depth of a model; equal expressions are one node (hash-consing), so a common
subexpression is found by being made.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NewType, TypeAlias, final

from cubie.odesystems.errors import ExpressionTooLongError
from cubie.odesystems.symbolic.functions import FUNCTIONS, Kind

MAX_NODES: Final = 500_000

SymbolKind: TypeAlias = Literal[
    "time", "state", "parameter", "constant", "vector", "imaginary", "jacobian", "factor", "scale", "imaginary_scale"
]
"""Models are made of the first four; what is generated beside them takes the others too."""
NodeId = NewType("NodeId", int)


@final
@dataclass(frozen=True, slots=True)
class Number:
    """A literal, in double precision until it is emitted."""

    value: float


@final
@dataclass(frozen=True, slots=True)
class Symbol:
    """A value from outside, by its position among its kind."""

    kind: SymbolKind
    index: int


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """A row of `FUNCTIONS` applied to earlier nodes."""

    function: str
    arguments: tuple[NodeId, ...]


Node: TypeAlias = Number | Symbol | Operation


@final
class GraphBuilder:
    """A growing table of nodes; asking for an equal node again gives the same position."""

    def __init__(self) -> None:
        self.nodes: Final[list[Node]] = []
        self._positions: Final[dict[Node, NodeId]] = {}

    def intern(self, node: Node) -> NodeId:
        """Return the position of `node`, appending it if it is new.

        Raises
        ------
        ExpressionTooLongError: at more than `MAX_NODES` nodes.
        """
        known = self._positions.get(node)
        if known is not None:
            return known
        position = NodeId(len(self.nodes))
        if position >= MAX_NODES:
            raise ExpressionTooLongError(
                f"a model must have at most {MAX_NODES:,} operations, got more. Build it from fewer or shorter "
                "equations."
            )
        self.nodes.append(node)
        self._positions[node] = position
        return position

    def find(self, function: str, *arguments: NodeId) -> NodeId | None:
        """Return the position of an operation if the table has it."""
        return self._positions.get(Operation(function, arguments))

    def number(self, value: float) -> NodeId:
        return self.intern(Number(value + 0.0))  # -0.0 becomes 0.0, with which it compares equal

    def symbol(self, kind: SymbolKind, index: int) -> NodeId:
        return self.intern(Symbol(kind, index))

    def operation(self, function: str, *arguments: NodeId) -> NodeId:
        return self.intern(Operation(function, arguments))

    def kind(self, node: NodeId) -> Kind:
        """Tell whether a node is a number or a condition."""
        return kind_of(self.nodes[node])


def kind_of(node: Node) -> Kind:
    """Tell whether a node is a number or a condition."""
    return FUNCTIONS[node.function].gives if isinstance(node, Operation) else "real"


def arguments_of(node: Node) -> tuple[NodeId, ...]:
    """Return the nodes that a node is made of."""
    return node.arguments if isinstance(node, Operation) else ()


def reachable(nodes: Sequence[Node], roots: Iterable[NodeId]) -> list[NodeId]:
    """Return, in ascending order, all nodes that the roots are made of, themselves included: the rest is dead code."""
    needed = bytearray(len(nodes))
    for root in roots:
        needed[root] = 1
    for position in range(len(nodes) - 1, -1, -1):
        if needed[position]:
            for argument in arguments_of(nodes[position]):
                needed[argument] = 1
    return [NodeId(position) for position, needs in enumerate(needed) if needs]


def count_uses(nodes: Sequence[Node], roots: Iterable[NodeId]) -> list[int]:
    """Return for each node how often the live ones refer to it, roots counted as uses."""
    uses = [0] * len(nodes)
    roots = tuple(roots)
    for root in roots:
        uses[root] += 1
    for position in reachable(nodes, roots):
        for argument in arguments_of(nodes[position]):
            uses[argument] += 1
    return uses
