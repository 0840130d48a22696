"""The checked form of a model: what a system keeps, whatever language it was described in."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeAlias, final

from typing_extensions import override

from cubie.odesystems.symbolic.graph import Node, NodeId, Number, Operation, Symbol, SymbolKind
from cubie.odesystems.symbolic.passes import Expressions, schedule

PlainNode: TypeAlias = float | tuple[str, int | tuple[int, ...]]

_KINDS: Final[dict[str, SymbolKind]] = {
    "time": "time",
    "state": "state",
    "parameter": "parameter",
    "constant": "constant",
}


@final
@dataclass(frozen=True, slots=True)
class CheckedForm:
    """Rates and auxiliaries over one table of nodes, in which each constant is a symbol still.

    Parameters
    ----------
    rates : shape (n_states,).
    auxiliaries : names and nodes, in the order of definition.
    decided : the constants whose values decided, while a Python function was traced, what the model is.
    """

    nodes: tuple[Node, ...]
    rates: tuple[NodeId, ...]
    auxiliaries: tuple[tuple[str, NodeId], ...]
    decided: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        nodes: Sequence[Node],
        rates: Sequence[NodeId],
        auxiliaries: Sequence[tuple[str, NodeId]],
        decided: Sequence[int] = (),
    ) -> Self:
        """Number the nodes anew from what the model is, not from how it was read."""
        roots = (*rates, *(node for _, node in auxiliaries))
        ordered, images = renumbered(Expressions(nodes, tuple(roots)))
        return cls(
            ordered,
            images[: len(rates)],
            tuple(zip([n for n, _ in auxiliaries], images[len(rates) :], strict=True)),
            tuple(decided),
        )

    def observables(self, names: Sequence[str]) -> Expressions:
        """Return the auxiliaries of these names."""
        nodes = dict(self.auxiliaries)
        return Expressions(self.nodes, tuple(nodes[name] for name in names))

    @override
    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the table as plain tuples: a tenth of the size."""
        return _restore, (tuple(map(_plain, self.nodes)), self.rates, self.auxiliaries, self.decided)


def renumbered(expressions: Expressions) -> tuple[tuple[Node, ...], tuple[NodeId, ...]]:
    """Return the live nodes in the order in which the roots need them, and the roots."""
    images: dict[NodeId, NodeId] = {}
    ordered: list[Node] = []
    for position in schedule(expressions):
        images[position] = NodeId(len(ordered))
        node = expressions.nodes[position]
        if isinstance(node, Operation):
            node = Operation(node.function, tuple(images[argument] for argument in node.arguments))
        ordered.append(node)
    return tuple(ordered), tuple(images[root] for root in expressions.roots)


def digest(expressions: Expressions, *numbers: Sequence[float]) -> str:
    """Return a hash, the same in every process, of what the expressions compute and of some numbers."""
    nodes, roots = renumbered(expressions)
    text = repr((tuple(map(_plain, nodes)), roots, numbers))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(node: Node) -> PlainNode:
    match node:
        case Number(value):
            return value
        case Symbol(kind, index):
            return kind, index
        case Operation(function, arguments):
            return function, tuple(map(int, arguments))


def _restore(
    plain: tuple[PlainNode, ...],
    rates: tuple[NodeId, ...],
    auxiliaries: tuple[tuple[str, NodeId], ...],
    decided: tuple[int, ...],
) -> CheckedForm:
    return CheckedForm(tuple(map(_node, plain)), rates, auxiliaries, decided)


def _node(plain: PlainNode) -> Node:
    if isinstance(plain, float):
        return Number(plain)
    name, of = plain
    return Symbol(_KINDS[name], of) if isinstance(of, int) else Operation(name, tuple(map(NodeId, of)))
