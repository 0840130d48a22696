"""Values of nodes that are made of numbers alone."""

from collections.abc import Sequence
from typing import Final, final

from cubie.odesystems.symbolic.functions import evaluate
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId, Number, Operation, Symbol


@final
class KnownValues:
    """What is known of the nodes of a growing table before any run.

    Parameters
    ----------
    constants : values of the constants, if they are to count as known.
    """

    def __init__(self, g: GraphBuilder, constants: Sequence[float] = ()) -> None:
        self._g: Final = g
        self._constants: Final = constants
        self._values: Final[list[float | None]] = []

    def value(self, node: NodeId) -> float | None:
        """Return the value of a node (of a condition, 1 or 0), or None where it depends on a run or isn't finite."""
        for position in range(len(self._values), node + 1):
            self._values.append(self._evaluate(NodeId(position)))
        return self._values[node]

    def arguments(self, operation: Operation) -> tuple[float, ...] | None:
        """Return the values of an operation's arguments if all are known."""
        values = tuple(value for argument in operation.arguments if (value := self.value(argument)) is not None)
        return values if len(values) == len(operation.arguments) else None

    def _evaluate(self, node: NodeId) -> float | None:
        match self._g.nodes[node]:
            case Number(value):
                return value
            case Symbol("constant", index) if self._constants:
                return self._constants[index]
            case Operation(function, arguments):
                known = [self._values[argument] for argument in arguments]
                values = tuple(value for value in known if value is not None)
                return evaluate(function, values) if len(values) == len(known) else None
            case _:
                return None
