"""The functions that models call, in text, through NumPy or through `math`: one table of words for all three."""

import math
from dataclasses import dataclass
from typing import Final, Protocol, final

from cubie.odesystems.symbolic.functions import FUNCTIONS
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId


class BuildFn(Protocol):
    """Returns the node of a call, given nodes of numbers."""

    def __call__(self, g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId: ...


@final
@dataclass(frozen=True, slots=True)
class Word:
    """A function as models call it.

    Parameters
    ----------
    n_max : None for any number of arguments.
    """

    name: str
    n_min: int
    n_max: int | None
    build: BuildFn

    @property
    def arity(self) -> str:
        """The number of arguments, in words."""
        if self.n_max is None:
            return f"at least {self.n_min}"
        return str(self.n_min) if self.n_min == self.n_max else f"{self.n_min} to {self.n_max}"

    def accepts(self, n_arguments: int) -> bool:
        """Tell whether so many arguments make sense."""
        return self.n_min <= n_arguments and (self.n_max is None or n_arguments <= self.n_max)


def as_real(g: GraphBuilder, node: NodeId) -> NodeId:
    """Return a number: of a condition, 1 where it holds and 0 elsewhere, as in Python."""
    return node if g.kind(node) == "real" else g.operation("select", node, g.number(1.0), g.number(0.0))


def negative(g: GraphBuilder, node: NodeId) -> NodeId:
    """Return the negative of a node."""
    return g.operation("negative", node)


def _row(name: str, function: str) -> Word:
    def build(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        return g.operation(function, *arguments)

    n = len(FUNCTIONS[function].takes)
    return Word(name, n, n, build)


def _folded(name: str, function: str) -> Word:
    def build(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        result = arguments[0]
        for argument in arguments[1:]:
            result = g.operation(function, result, argument)
        return result

    return Word(name, 2, None, build)


def _inverse_of(name: str, function: str) -> Word:
    def build(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        return g.operation("divide", g.number(1.0), g.operation(function, *arguments))

    return Word(name, 1, 1, build)


def _scaled(name: str, factor: float) -> Word:
    def build(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
        return g.operation("multiply", arguments[0], g.number(factor))

    return Word(name, 1, 1, build)


def _log(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
    logarithms = [g.operation("log", argument) for argument in arguments]
    return g.operation("divide", *logarithms) if len(logarithms) > 1 else logarithms[0]


def _heaviside(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
    x, *at_zero = arguments
    return g.operation("heaviside", x, *(at_zero or [g.number(0.5)]))


def _clip(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
    x, low, high = arguments
    return g.operation("minimum", g.operation("maximum", x, low), high)


def _square(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
    return g.operation("pow", arguments[0], g.number(2.0))


def _reciprocal(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
    return g.operation("divide", g.number(1.0), arguments[0])


def _difference(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
    return g.operation("add", arguments[0], negative(g, arguments[1]))


def _same(g: GraphBuilder, arguments: tuple[NodeId, ...], /) -> NodeId:
    return arguments[0]


_PLAIN: Final = (
    "sqrt cbrt exp exp2 expm1 log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf "
    "floor ceil trunc sign absolute pow atan2 hypot fmod"
)
_ALIASES: Final = {
    "abs": "absolute",
    "fabs": "absolute",
    "ceiling": "ceil",
    "sgn": "sign",
    "power": "pow",
    "mod": "modulo",
    **{f"arc{name}": f"a{name}" for name in ["sin", "cos", "tan", "sinh", "cosh", "tanh"]},
    "arctan2": "atan2",
}
_TEXT: Final = (
    *(_row(name, name) for name in _PLAIN.split()),
    *(_row(name, function) for name, function in _ALIASES.items()),
    *(_folded(name, "minimum") for name in ("min", "minimum", "fmin")),
    *(_folded(name, "maximum") for name in ("max", "maximum", "fmax")),
    *(_inverse_of(name, function) for name, function in {"sec": "cos", "csc": "sin", "cot": "tan"}.items()),
    Word("log", 1, 2, _log),
    Word("ln", 1, 1, _log),
    Word("heaviside", 1, 2, _heaviside),
    Word("clip", 3, 3, _clip),
)
_ARRAYS_ONLY: Final = (
    *(
        _row(name, name)
        for name in ("add", "multiply", "divide", "negative", "less", "less_equal", "equal", "not_equal")
    ),
    _row("float_power", "pow"),
    _row("floor_divide", "floor_divide"),
    _row("remainder", "modulo"),
    _row("true_divide", "divide"),
    Word("subtract", 2, 2, _difference),
    *(Word(name, 1, 1, _same) for name in ("positive", "conjugate")),
    Word("square", 1, 1, _square),
    Word("reciprocal", 1, 1, _reciprocal),
    *(_scaled(name, math.pi / 180.0) for name in ("deg2rad", "radians")),
    *(_scaled(name, 180.0 / math.pi) for name in ("rad2deg", "degrees")),
)
WORDS: Final[dict[str, Word]] = {word.name: word for word in _TEXT}
"""What text can call, besides `piecewise` and `where`."""
NUMPY_WORDS: Final[dict[str, Word]] = WORDS | {word.name: word for word in _ARRAYS_ONLY}
"""What a Python function can call of NumPy; `radians` and `degrees` of `math` too."""
