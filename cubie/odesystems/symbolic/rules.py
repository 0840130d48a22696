"""What an operation becomes when it is made: numbers folded, powers as products, signs moved outwards.

Every rule gives the same value as the operation it replaces, to rounding; sums keep the order in which they were
written, so that a cancellation the author arranged stays. Whatever pass makes expressions through `apply`, they come
out simplified.
"""

import math
from typing import Final, Protocol

from cubie.odesystems.symbolic.functions import FUNCTIONS, evaluate
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId, Number, Operation

MAX_PRODUCT_EXPONENT: Final = 32
"""Larger powers go to `pow`: a product of n factors is off by up to n/2 units in the last place."""


class RuleFn(Protocol):
    """Returns the node for an operation on already simplified arguments."""

    def __call__(self, g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId: ...


def apply(g: GraphBuilder, function: str, *arguments: NodeId) -> NodeId:
    """Return the simplest node for an operation."""
    folded = _folded(g, function, arguments)
    if folded is not None:
        return folded
    rule = RULES.get(function)
    return rule(g, arguments) if rule else g.operation(function, *arguments)


def _folded(g: GraphBuilder, function: str, arguments: tuple[NodeId, ...]) -> NodeId | None:
    numbers = [number(g, argument) for argument in arguments]
    values = tuple(value for value in numbers if value is not None)
    if not values or len(values) < len(arguments):
        return None
    result = evaluate(function, values)
    if result is None:
        return None
    return truth(g, bool(result)) if FUNCTIONS[function].gives == "mask" else g.number(result)


def number(g: GraphBuilder, node: NodeId) -> float | None:
    """Return the value of a node that is a number."""
    it = g.nodes[node]
    return it.value if isinstance(it, Number) else None


def truth(g: GraphBuilder, value: bool) -> NodeId:
    """Return a condition known now."""
    return g.operation("true" if value else "false")


def operands(g: GraphBuilder, node: NodeId, function: str) -> tuple[NodeId, ...]:
    """Return the arguments of a node if it is this operation, else nothing."""
    it = g.nodes[node]
    return it.arguments if isinstance(it, Operation) and it.function == function else ()


def is_function(g: GraphBuilder, node: NodeId, function: str) -> bool:
    """Tell whether a node is this operation."""
    it = g.nodes[node]
    return isinstance(it, Operation) and it.function == function


def without_sign(g: GraphBuilder, node: NodeId) -> tuple[bool, NodeId]:
    """Split a node into "is it negated" and the rest."""
    inner = operands(g, node, "negative")
    if inner:
        return True, inner[0]
    value = number(g, node)
    return (True, g.number(-value)) if value is not None and value < 0 else (False, node)


def negated(g: GraphBuilder, node: NodeId, negate: bool = True) -> NodeId:
    """Return the node, negated on demand."""
    return apply(g, "negative", node) if negate else node


def _negative(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    inner = operands(g, arguments[0], "negative")
    return inner[0] if inner else g.operation("negative", *arguments)


def _add(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    a, b = arguments
    if number(g, a) == 0.0:
        return b
    if number(g, b) == 0.0:
        return a
    (a_negated, a_rest), (b_negated, b_rest) = without_sign(g, a), without_sign(g, b)
    if a_negated and b_negated:
        return negated(g, apply(g, "add", a_rest, b_rest))
    if a_negated or b_negated:
        plus, minus = (b, a_rest) if a_negated else (a, b_rest)
        opposite = g.find("negative", plus)
        known = None if opposite is None else g.find("add", minus, opposite)
        return negated(g, known) if known is not None else g.operation("add", plus, g.operation("negative", minus))
    return g.operation("add", *sorted(arguments))


def _multiply(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    (a_negated, a), (b_negated, b) = without_sign(g, arguments[0]), without_sign(g, arguments[1])
    if number(g, b) is not None:
        a, b = b, a
    return negated(g, _product(g, a, b), a_negated != b_negated)


def _product(g: GraphBuilder, a: NodeId, b: NodeId) -> NodeId:
    """Multiply two nodes without sign; if one is a number it is the first."""
    factor = number(g, a)
    if factor is None:
        return g.operation("multiply", *sorted((a, b)))
    if factor in (0.0, 1.0):
        return b if factor else a
    inner = operands(g, b, "multiply")
    other = number(g, inner[0]) if inner else None
    if other is not None and math.isfinite(factor * other) and factor * other != 0.0:
        return apply(g, "multiply", g.number(factor * other), inner[1])
    return g.operation("multiply", a, b)


def _divide(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    (a_negated, a), (b_negated, b) = without_sign(g, arguments[0]), without_sign(g, arguments[1])
    return negated(g, _quotient(g, a, b), a_negated != b_negated)


def _quotient(g: GraphBuilder, a: NodeId, b: NodeId) -> NodeId:
    """Divide two nodes without sign: by a number, multiply by its reciprocal, unless that loses digits to underflow."""
    divisor = number(g, b)
    if divisor and 1e-300 < divisor < 1e300:
        return apply(g, "multiply", g.number(1.0 / divisor), a)
    if number(g, a) == 0.0 and divisor is None:
        return a
    return g.operation("divide", a, b)


def _power(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    base, exponent = arguments
    n = number(g, exponent)
    if number(g, base) == math.e:
        return apply(g, "exp", exponent)
    if n is None or abs(n) > MAX_PRODUCT_EXPONENT + 0.5 or not (2.0 * n).is_integer():
        return g.operation("pow", base, exponent)
    if n < 0.0:
        return apply(g, "divide", g.number(1.0), apply(g, "pow", base, g.number(-n)))
    product = _whole_power(g, base, int(n))
    return product if n.is_integer() else apply(g, "multiply", product, apply(g, "sqrt", base))


def _whole_power(g: GraphBuilder, base: NodeId, n: int) -> NodeId:
    """Multiply up a power by squaring; the partial powers are shared with other powers of the base."""
    if n == 0:
        return g.number(1.0)
    if n == 1:
        return base
    half = _whole_power(g, base, n // 2)
    square = apply(g, "multiply", half, half)
    return apply(g, "multiply", square, base) if n % 2 else square


def _even(function: str) -> RuleFn:
    def rule(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        return g.operation(function, without_sign(g, arguments[0])[1])

    return rule


def _symmetric(function: str) -> RuleFn:
    def rule(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        return g.operation(function, *sorted(arguments))

    return rule


def _extremum(function: str) -> RuleFn:
    def rule(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        a, b = sorted(arguments)
        return a if a == b else g.operation(function, a, b)

    return rule


def _connective(function: str, neutral: str, final_word: str) -> RuleFn:
    def rule(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        a, b = sorted(arguments)
        for this, other in ((a, b), (b, a)):
            if is_function(g, this, neutral):
                return other
            if is_function(g, this, final_word):
                return this
        return a if a == b else g.operation(function, a, b)

    return rule


def _not(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    (a,) = arguments
    for word, opposite in (("true", False), ("false", True)):
        if is_function(g, a, word):
            return truth(g, opposite)
    inner = operands(g, a, "not")
    return inner[0] if inner else g.operation("not", a)


def _select(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    mask, a, b = arguments
    if is_function(g, mask, "true") or a == b:
        return a
    if is_function(g, mask, "false"):
        return b
    inner = operands(g, mask, "not")
    if inner:
        mask, a, b = inner[0], b, a
    if (parts := operands(g, a, "select")) and parts[0] == mask:
        a = parts[1]
    if (parts := operands(g, b, "select")) and parts[0] == mask:
        b = parts[2]
    return a if a == b else g.operation("select", mask, a, b)


def _trunc(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    (x,) = arguments
    return apply(g, "select", apply(g, "less", x, g.number(0.0)), apply(g, "ceil", x), apply(g, "floor", x))


def _modulo(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    b = arguments[1]
    rest = apply(g, "fmod", *arguments)
    return apply(g, "select", _have_opposite_signs(g, rest, b), apply(g, "add", rest, b), rest)


def _floor_divide(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    """Divide exactly what is left without the remainder, as Python does; by 0, as ever."""
    a, b = arguments
    zero, one = g.number(0.0), g.number(1.0)
    rest = apply(g, "fmod", a, b)
    multiple = apply(g, "add", a, negated(g, rest))
    quotient = apply(g, "divide", apply(g, "select", apply(g, "equal", b, zero), a, multiple), b)
    less = apply(g, "select", _have_opposite_signs(g, rest, b), one, zero)
    quotient = apply(g, "add", quotient, negated(g, less))
    whole = apply(g, "floor", quotient)
    beyond = apply(g, "add", quotient, negated(g, whole))
    rounds_up = apply(g, "less", g.number(0.5), beyond)
    return apply(g, "add", whole, apply(g, "select", rounds_up, one, zero))


def _have_opposite_signs(g: GraphBuilder, a: NodeId, b: NodeId) -> NodeId:
    zero = g.number(0.0)
    falls = apply(g, "and", apply(g, "less", a, zero), apply(g, "less", zero, b))
    rises = apply(g, "and", apply(g, "less", zero, a), apply(g, "less", b, zero))
    return apply(g, "or", falls, rises)


def _heaviside(g: GraphBuilder, arguments: tuple[NodeId, ...]) -> NodeId:
    x, at_zero = arguments
    zero, one = g.number(0.0), g.number(1.0)
    above = apply(g, "select", apply(g, "less", zero, x), one, zero)
    return apply(g, "select", apply(g, "equal", x, zero), at_zero, above)


RULES: Final[dict[str, RuleFn]] = {
    "negative": _negative,
    "add": _add,
    "multiply": _multiply,
    "divide": _divide,
    "pow": _power,
    "absolute": _even("absolute"),
    "cos": _even("cos"),
    "cosh": _even("cosh"),
    "equal": _symmetric("equal"),
    "not_equal": _symmetric("not_equal"),
    "hypot": _symmetric("hypot"),
    "minimum": _extremum("minimum"),
    "maximum": _extremum("maximum"),
    "and": _connective("and", "true", "false"),
    "or": _connective("or", "false", "true"),
    "not": _not,
    "select": _select,
    "trunc": _trunc,
    "modulo": _modulo,
    "floor_divide": _floor_divide,
    "heaviside": _heaviside,
}
