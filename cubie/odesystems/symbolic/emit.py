"""From expressions to the text of a device function: straight-line, positional names, no literal numbers.

Numbers become `c0, c1, ...`, handed over beside the text, because a literal would turn float32 into float64. Nothing of
the user's text gets here but the structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias, final

import numpy as np

from cubie._types import FloatPrecision
from cubie.odesystems.errors import InvalidValueError
from cubie.odesystems.symbolic.functions import FUNCTIONS
from cubie.odesystems.symbolic.graph import Node, NodeId, Number, Operation, Symbol, SymbolKind, count_uses
from cubie.odesystems.symbolic.passes import Expressions, schedule

MAX_INLINE_LENGTH: Final = 60
ARGUMENTS: Final = "t, y, parameters, drivers, out"
NUMBERS: Final[dict[SymbolKind, str]] = {
    "time": "t",
    "scale": "scale",
    "imaginary_scale": "imaginary_scale",
}
ARRAYS: Final[dict[SymbolKind, tuple[str, str]]] = {
    "state": ("y", "y"),
    "parameter": ("p", "parameters"),
    "vector": ("v", "vector"),
    "imaginary": ("w", "imaginary"),
    "jacobian": ("j", "jacobian"),
    "factor": ("f", "factors"),
}
"""The name of an element, and that of the argument it is taken from."""

Form: TypeAlias = Literal["atom", "sign", "infix"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSource:
    """The text of one device function, and the numbers it is compiled with.

    Parameters
    ----------
    name : of the function that the text defines.
    constants : name and value of each number that the text refers to.
    """

    name: str
    text: str
    constants: tuple[tuple[str, float], ...]


class Spelling(NamedTuple):
    """The text of a value, what parentheses it needs, and whether it is one number for all runs."""

    text: str
    form: Form = "atom"
    is_uniform: bool = False


def emit(
    name: str,
    expressions: Expressions,
    precision: FloatPrecision,
    *,
    arguments: str = ARGUMENTS,
    places: Sequence[str] | None = None,
    loads_first: bool = False,
) -> DeviceSource:
    """Write the device function that stores root i in `out[i]`; `out` must overlap no other argument.

    Parameters
    ----------
    arguments : the names that the function takes: those of `NUMBERS` and `ARRAYS` that the nodes need, and of places.
    places : where each root goes instead, such as "vector[2] =" or "return".
    loads_first : read everything before anything is stored, as what is stored is what is read.
    """
    if places is None:
        places = [f"out[{i}] =" for i in range(len(expressions.roots))]
    writer = _Writer(expressions, precision, places)
    order = schedule(expressions)
    first = [node for node in order if loads_first and isinstance(expressions.nodes[node], Symbol)]
    rest = [node for node in order if not (loads_first and isinstance(expressions.nodes[node], Symbol))]
    for node in first:
        writer.write(node)
    for node in first:
        writer.store(node)
    for node in rest:
        writer.write(node)
        writer.store(node)
    body = writer.lines or ["return None"]
    text = "\n".join([f"def {name}({arguments}):", *(f"    {line}" for line in body), ""])
    return DeviceSource(name=name, text=text, constants=tuple(writer.constants.items()))


@final
class _Writer:
    """The lines of one function, as nodes come in order of the schedule."""

    def __init__(self, expressions: Expressions, precision: FloatPrecision, places: Sequence[str]) -> None:
        self.lines: Final[list[str]] = []
        self.constants: Final[dict[str, float]] = {}
        self._nodes = expressions.nodes
        self._precision = precision
        self._uses = count_uses(expressions.nodes, expressions.roots)
        self._spellings: dict[NodeId, Spelling] = {}
        self._n_names = 0
        self._outputs: dict[NodeId, list[str]] = {}
        for root, place in zip(expressions.roots, places, strict=True):
            self._outputs.setdefault(root, []).append(place)

    def write(self, node: NodeId) -> None:
        """Spell a node, giving it a name of its own if it is used again or long."""
        spelling = self._spell(node, self._nodes[node])
        is_free = (
            (spelling.form == "atom" and "(" not in spelling.text)
            or spelling.is_uniform
            or self._is_signed_name(spelling)
        )
        if not is_free and (
            self._uses[node] > 1 or (len(spelling.text) > MAX_INLINE_LENGTH and node not in self._outputs)
        ):
            spelling = self._named(spelling)
        self._spellings[node] = spelling

    def store(self, node: NodeId) -> None:
        """Store a node that has been spelt where it is wanted."""
        for place in self._outputs.get(node, ()):
            self.lines.append(f"{place} {_splat(self._spellings[node]).text}")

    def _spell(self, node: NodeId, it: Node) -> Spelling:
        match it:
            case Number(value):
                return Spelling(self._constant(value), is_uniform=True)
            case Symbol(kind, _) if kind in NUMBERS:
                return Spelling(NUMBERS[kind])
            case Symbol(kind, index):
                letter, array = ARRAYS[kind]
                self.lines.append(f"{letter}{index} = {array}[{index}]")
                return Spelling(f"{letter}{index}")
            case Operation("true", _):
                return Spelling(f"splat({self._constant(0.0)}) < {self._constant(1.0)}", "infix")
            case Operation(function, arguments):
                return self._operation(function, [self._spellings[argument] for argument in arguments])

    def _operation(self, function: str, operands: list[Spelling]) -> Spelling:
        row = FUNCTIONS[function]
        if function == "negative":
            return Spelling("-" + _parenthesised(operands[0]), "sign", operands[0].is_uniform)
        if function == "select":
            operands = [_splat(operand) for operand in operands]
        elif all(operand.is_uniform for operand in operands):
            operands = [_splat(operands[0]), *operands[1:]]
        if function == "add" and operands[1].form == "sign":
            return Spelling(f"{_first(operands[0])} - {operands[1].text[1:]}", "infix")
        assert row.spelling is not None
        if not row.is_operator:
            return Spelling(row.spelling.format(*(operand.text for operand in operands)))
        return Spelling(row.spelling.format(_first(operands[0]), *map(_parenthesised, operands[1:])), "infix")

    def _named(self, spelling: Spelling) -> Spelling:
        name = f"x{self._n_names}"
        self._n_names += 1
        self.lines.append(f"{name} = {spelling.text}")
        return Spelling(name)

    def _constant(self, value: float) -> str:
        limits = np.finfo(self._precision)
        if value and not float(limits.smallest_subnormal) <= abs(value) <= float(limits.max):
            raise InvalidValueError(
                f"every number in a {self._precision.__name__} model must lie within its range, got {value!r}. "
                "Solve with precision='float64', or choose other units."
            )
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    @staticmethod
    def _is_signed_name(spelling: Spelling) -> bool:
        return spelling.form == "sign" and "(" not in spelling.text


def _splat(spelling: Spelling) -> Spelling:
    """Spell a number for all runs as a value per run."""
    return Spelling(f"splat({spelling.text})") if spelling.is_uniform else spelling


def _parenthesised(spelling: Spelling) -> str:
    return spelling.text if spelling.form == "atom" else f"({spelling.text})"


def _first(spelling: Spelling) -> str:
    """Spell the first operand of an infix operator: there a sign needs no parentheses."""
    return f"({spelling.text})" if spelling.form == "infix" else spelling.text
