"""The partial derivatives of every operation, in operations.

A function without a row is constant between its jumps: conditions, floor, ceil, trunc, //, sign, heaviside.
"""

import math
from typing import Final, Protocol

from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId
from cubie.odesystems.symbolic.rules import apply, negated, number


class PartialFn(Protocol):
    """Return the derivative of an operation's `value` by its operand at `place`."""

    def __call__(self, g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId: ...


class SlopeFn(Protocol):
    """Return the derivative of a function of one number at `x`, where it has the value `y`."""

    def __call__(self, g: GraphBuilder, x: NodeId, y: NodeId, /) -> NodeId: ...


def _of_one(slope: SlopeFn) -> PartialFn:
    def partial(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
        return slope(g, operands[0], value)

    return partial


def _over(g: GraphBuilder, dividend: float, divisor: NodeId) -> NodeId:
    return apply(g, "divide", g.number(dividend), divisor)


def _scaled(g: GraphBuilder, factor: float, node: NodeId) -> NodeId:
    return apply(g, "multiply", g.number(factor), node)


def _plus(g: GraphBuilder, summand: float, node: NodeId) -> NodeId:
    return apply(g, "add", g.number(summand), node)


def _squared(g: GraphBuilder, node: NodeId) -> NodeId:
    return apply(g, "multiply", node, node)


def _minus_square(g: GraphBuilder, x: NodeId) -> NodeId:
    """Return ``1 - x**2`` without cancellation near 1."""
    return apply(g, "multiply", _plus(g, 1.0, negated(g, x)), _plus(g, 1.0, x))


def _multiply(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    return operands[1 - place]


def _divide(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    divisor = operands[1]
    return _over(g, 1.0, divisor) if place == 0 else negated(g, apply(g, "divide", value, divisor))


def _fma(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    return g.number(1.0) if place == 2 else operands[1 - place]


def _pow(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    """Derive ``a**b``; by b it is zero where a is, as ``a**b`` is for all positive b."""
    base, exponent = operands
    if place == 0:
        n = number(g, exponent)
        lower = g.number(n - 1.0) if n is not None else _plus(g, -1.0, exponent)
        return apply(g, "multiply", exponent, apply(g, "pow", base, lower))
    zero = g.number(0.0)
    slope = apply(g, "multiply", value, apply(g, "log", base))
    return apply(g, "select", apply(g, "equal", base, zero), zero, slope)


def _atan2(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    a, b = operands
    square = apply(g, "add", _squared(g, a), _squared(g, b))
    return apply(g, "divide", b, square) if place == 0 else negated(g, apply(g, "divide", a, square))


def _hypot(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    return apply(g, "divide", operands[place], value)


def _modulo(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    """Derive ``a - b*(a // b)`` between its jumps."""
    return g.number(1.0) if place == 0 else negated(g, apply(g, "floor_divide", *operands))


def _fmod(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    """Derive ``a - b*trunc(a/b)`` between its jumps."""
    a, b = operands
    return g.number(1.0) if place == 0 else apply(g, "divide", apply(g, "add", value, negated(g, a)), b)


def _add(g: GraphBuilder, operands: tuple[NodeId, ...], value: NodeId, place: int, /) -> NodeId:
    return g.number(1.0)


_SLOPES: Final[dict[str, SlopeFn]] = {
    "negative": lambda g, x, y: g.number(-1.0),
    "sqrt": lambda g, x, y: _over(g, 0.5, y),
    "exp": lambda g, x, y: y,
    "expm1": lambda g, x, y: _plus(g, 1.0, y),
    "exp2": lambda g, x, y: _scaled(g, math.log(2.0), y),
    "log": lambda g, x, y: _over(g, 1.0, x),
    "log1p": lambda g, x, y: _over(g, 1.0, _plus(g, 1.0, x)),
    "log2": lambda g, x, y: _over(g, 1.0 / math.log(2.0), x),
    "log10": lambda g, x, y: _over(g, 1.0 / math.log(10.0), x),
    "sin": lambda g, x, y: apply(g, "cos", x),
    "cos": lambda g, x, y: negated(g, apply(g, "sin", x)),
    "tan": lambda g, x, y: _plus(g, 1.0, _squared(g, y)),
    "asin": lambda g, x, y: _over(g, 1.0, apply(g, "sqrt", _minus_square(g, x))),
    "acos": lambda g, x, y: _over(g, -1.0, apply(g, "sqrt", _minus_square(g, x))),
    "atan": lambda g, x, y: _over(g, 1.0, _plus(g, 1.0, _squared(g, x))),
    "sinh": lambda g, x, y: apply(g, "cosh", x),
    "cosh": lambda g, x, y: apply(g, "sinh", x),
    "tanh": lambda g, x, y: _minus_square(g, y),
    "asinh": lambda g, x, y: _over(g, 1.0, apply(g, "hypot", g.number(1.0), x)),
    "acosh": lambda g, x, y: _over(g, 1.0, apply(g, "sqrt", negated(g, _minus_square(g, x)))),
    "atanh": lambda g, x, y: _over(g, 1.0, _minus_square(g, x)),
    "erf": lambda g, x, y: _scaled(g, 2.0 / math.sqrt(math.pi), apply(g, "exp", negated(g, _squared(g, x)))),
    "absolute": lambda g, x, y: apply(g, "sign", x),
    "cbrt": lambda g, x, y: _over(g, 1.0, _scaled(g, 3.0, _squared(g, y))),
}
PARTIALS: Final[dict[str, PartialFn]] = {
    **{name: _of_one(slope) for name, slope in _SLOPES.items()},
    "add": _add,
    "multiply": _multiply,
    "divide": _divide,
    "fma": _fma,
    "pow": _pow,
    "atan2": _atan2,
    "hypot": _hypot,
    "modulo": _modulo,
    "fmod": _fmod,
}
