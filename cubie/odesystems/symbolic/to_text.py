"""From the checked form back to equations in text, in the user's names."""

from collections.abc import Sequence
from typing import Final, NamedTuple, final

from cubie.odesystems.declarations import TIME
from cubie.odesystems.symbolic.checked import CheckedForm
from cubie.odesystems.symbolic.graph import Node, NodeId, Number, Operation, Symbol, count_uses

MAX_REPEATED_LENGTH: Final = 40
"""A longer part that is used again gets a line of its own, so that text can't grow beyond all bounds."""

CONDITIONAL, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(10)

# symbol, how tightly it binds, and how tightly its left and right operands must
_INFIX: Final = {
    "multiply": ("*", PRODUCT, PRODUCT, POWER),
    "divide": ("/", PRODUCT, PRODUCT, POWER),
    "floor_divide": (" // ", PRODUCT, PRODUCT, POWER),
    "pow": ("**", POWER, ATOM, SIGN),
    "less": (" < ", COMPARISON, SUM, SUM),
    "less_equal": (" <= ", COMPARISON, SUM, SUM),
    "equal": (" == ", COMPARISON, SUM, SUM),
    "not_equal": (" != ", COMPARISON, SUM, SUM),
    "and": (" and ", AND, AND, NOT),
    "or": (" or ", OR, OR, AND),
}
_WORDS: Final = {
    "absolute": "abs",
    "modulo": "mod",
    "minimum": "min",
    "maximum": "max",
    "true": "True",
    "false": "False",
}


class Text(NamedTuple):
    """An expression in text, and how tightly its outermost operator binds."""

    text: str
    binding: int = ATOM

    def within(self, binding: int) -> str:
        """Return the text as an operand that must bind at least so tightly."""
        return self.text if self.binding >= binding else f"({self.text})"


def to_text(
    form: CheckedForm,
    states: Sequence[str],
    parameters: Sequence[str],
    constants: Sequence[str],
    observables: Sequence[str],
) -> str:
    """Return one equation a line: auxiliaries that are used, then the rate of each state."""
    inputs = {"state": states, "parameter": parameters, "constant": constants, "time": (TIME,)}
    writer = _Writer(form, {kind: tuple(names) for kind, names in inputs.items()}, observables)
    return "\n".join(writer.lines)


@final
class _Writer:
    def __init__(self, form: CheckedForm, inputs: dict[str, tuple[str, ...]], observables: Sequence[str]) -> None:
        self._form = form
        self._inputs = inputs
        self._taken = {name for names in inputs.values() for name in names} | {name for name, _ in form.auxiliaries}
        self._texts: list[Text] = []
        operations = ((name, node) for name, node in form.auxiliaries if isinstance(form.nodes[node], Operation))
        self._names: dict[NodeId, str] = {node: name for name, node in reversed(tuple(operations))}
        uses = count_uses(
            form.nodes, (*form.rates, *(form_node for name, form_node in form.auxiliaries if name in observables))
        )
        self.lines: list[str] = []
        for position, node in enumerate(form.nodes):
            self._texts.append(self._named(NodeId(position), self._text(node), uses[position]))
        for name in observables:
            node_of = dict(form.auxiliaries)[name]
            if self._names.get(node_of) != name:
                self.lines.append(f"{name} = {self._texts[node_of].text}")
        for state, rate in zip(inputs["state"], form.rates, strict=True):
            left = f"{state}'" if f"d{state}" in self._taken else f"d{state}"
            self.lines.append(f"{left} = {self._texts[rate].text}")

    def _named(self, position: NodeId, text: Text, uses: int) -> Text:
        """Give an auxiliary, or a long part that is used again, a line of its own."""
        name = self._names.get(position)
        if name is None and uses > 1 and len(text.text) > MAX_REPEATED_LENGTH:
            name = next(fresh for i in range(len(self._taken) + 1) if (fresh := f"part_{i + 1}") not in self._taken)
            self._taken.add(name)
        if name is None or not uses:
            return text
        self.lines.append(f"{name} = {text.text}")
        return Text(name)

    def _text(self, node: Node) -> Text:
        match node:
            case Number(value):
                return Text(repr(value).removesuffix(".0"), SIGN if value < 0 else ATOM)
            case Symbol(kind, index):
                return Text(self._inputs[kind][index])
            case Operation(function, arguments):
                return self._operation(function, [self._texts[argument] for argument in arguments], arguments)

    def _operation(self, function: str, texts: Sequence[Text], arguments: Sequence[NodeId]) -> Text:
        if function == "add":
            return self._sum(texts, arguments)
        if function == "negative":
            return Text(f"-{texts[0].within(POWER)}", SIGN)
        if function == "not":
            return Text(f"not {texts[0].within(NOT)}", NOT)
        if function == "select":
            mask, a, b = texts
            return Text(f"{a.within(OR)} if {mask.within(OR)} else {b.within(CONDITIONAL)}", CONDITIONAL)
        if function in _INFIX:
            symbol, binding, left, right = _INFIX[function]
            return Text(f"{texts[0].within(left)}{symbol}{texts[1].within(right)}", binding)
        word = _WORDS.get(function, function)
        return Text(f"{word}({', '.join(text.text for text in texts)})" if texts else word)

    def _sum(self, texts: Sequence[Text], arguments: Sequence[NodeId]) -> Text:
        first = texts[0].within(SUM)
        subtrahend = self._form.nodes[arguments[1]]
        is_difference = isinstance(subtrahend, Operation) and subtrahend.function == "negative"
        if isinstance(subtrahend, Operation) and is_difference and arguments[1] not in self._names:
            return Text(f"{first} - {self._texts[subtrahend.arguments[0]].within(PRODUCT)}", SUM)
        return Text(f"{first} + {texts[1].within(PRODUCT)}", SUM)
