"""The numbers of which a matrix is eliminated: real ones, or complex ones as pairs, each part a node."""

from typing import Protocol, TypeAlias, TypeVar, final

from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId
from cubie.odesystems.symbolic.rules import apply, negated

Number: TypeAlias = tuple[NodeId, ...]
"""One node, or the real and the imaginary part."""


class Arithmetic(Protocol):
    """Operations on numbers over one table of nodes."""

    def scaled(self, factor: float, node: NodeId | None, /) -> Number:
        """Return the scale of the matrix times a real factor times a real node."""

    def minus(self, a: Number | None, b: Number, /) -> Number: ...
    def times(self, a: Number, b: Number, /) -> Number: ...
    def reciprocal(self, a: Number, /) -> Number: ...


ArithmeticT = TypeVar("ArithmeticT", bound=Arithmetic)


def size(g: GraphBuilder, a: Number) -> NodeId:
    """Return the sum of the parts' magnitudes."""
    parts = [apply(g, "absolute", part) for part in a]
    return parts[0] if len(parts) == 1 else apply(g, "add", *parts)


def difference(g: GraphBuilder, a: Number | None, b: Number) -> Number:
    """Return a - b, part by part; a that is absent is zero."""
    if a is None:
        return tuple(negated(g, part) for part in b)
    return tuple(apply(g, "add", left, negated(g, right)) for left, right in zip(a, b, strict=True))


def chosen(g: GraphBuilder, mask: NodeId, a: Number, b: Number) -> Number:
    """Return a where the mask holds, else b, part by part."""
    return tuple(apply(g, "select", mask, left, right) for left, right in zip(a, b, strict=True))


@final
class RealArithmetic:
    """Numbers of one part; the scale is the symbol "scale"."""

    def __init__(self, g: GraphBuilder) -> None:
        self._g = g

    def scaled(self, factor: float, node: NodeId | None, /) -> Number:
        return (_scaled(self._g, self._g.symbol("scale", 0), factor, node),)

    def minus(self, a: Number | None, b: Number, /) -> Number:
        return difference(self._g, a, b)

    def times(self, a: Number, b: Number, /) -> Number:
        return (apply(self._g, "multiply", a[0], b[0]),)

    def reciprocal(self, a: Number, /) -> Number:
        return (apply(self._g, "divide", self._g.number(1.0), a[0]),)


@final
class ComplexArithmetic:
    """Numbers of two parts; the scale is "scale" and "imaginary_scale"."""

    def __init__(self, g: GraphBuilder) -> None:
        self._g = g

    def scaled(self, factor: float, node: NodeId | None, /) -> Number:
        g = self._g
        return tuple(
            _scaled(g, symbol, factor, node) for symbol in (g.symbol("scale", 0), g.symbol("imaginary_scale", 0))
        )

    def minus(self, a: Number | None, b: Number, /) -> Number:
        return difference(self._g, a, b)

    def times(self, a: Number, b: Number, /) -> Number:
        g, (ar, ai), (br, bi) = self._g, a, b
        real = apply(g, "add", apply(g, "multiply", ar, br), negated(g, apply(g, "multiply", ai, bi)))
        return real, apply(g, "add", apply(g, "multiply", ar, bi), apply(g, "multiply", ai, br))

    def reciprocal(self, a: Number, /) -> Number:
        g, (real, imaginary) = self._g, a
        square = apply(g, "add", apply(g, "multiply", real, real), apply(g, "multiply", imaginary, imaginary))
        inverse = apply(g, "divide", g.number(1.0), square)
        return apply(g, "multiply", real, inverse), negated(g, apply(g, "multiply", imaginary, inverse))


def _scaled(g: GraphBuilder, scale: NodeId, factor: float, node: NodeId | None) -> NodeId:
    product = scale if node is None else apply(g, "multiply", scale, node)
    return apply(g, "multiply", g.number(factor), product)
