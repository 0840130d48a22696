"""The operations of the expression form, as data: what each takes and gives, how it is spelt, how it is evaluated.

A row without a spelling isn't a primitive of the targets; `rules` says what it expands to. A row's name is that of the
primitive, unless it is spelt with an operator.
"""

import math
import operator
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, final

Kind: TypeAlias = Literal["real", "mask"]


class UnaryFn(Protocol):
    """A function of one number."""

    def __call__(self, x: float, /) -> float: ...


class BinaryFn(Protocol):
    """A function of two numbers."""

    def __call__(self, a: float, b: float, /) -> float: ...


class EvaluateFn(Protocol):
    """The value of an operation, conditions as 1 and 0."""

    def __call__(self, arguments: tuple[float, ...], /) -> float: ...


@final
@dataclass(frozen=True, slots=True)
class Function:
    """One operation.

    Parameters
    ----------
    spelling : a template of device code, `{0}` being the first argument; None where the rules replace the operation.
    is_operator : the spelling binds less tightly than a call, so that it needs parentheses inside another operator.
    """

    name: str
    takes: tuple[Kind, ...]
    gives: Kind
    evaluate: EvaluateFn
    spelling: str | None
    is_operator: bool = False


def call(name: str, arity: int) -> str:
    """Spell a call of a primitive."""
    return f"{name}({', '.join(f'{{{i}}}' for i in range(arity))})"


def unary(name: str, value: UnaryFn, *, primitive: bool = True) -> Function:
    """Describe a function of one number."""
    return Function(name, ("real",), "real", lambda x: value(x[0]), call(name, 1) if primitive else None)


def binary(name: str, value: BinaryFn, *, primitive: bool = True) -> Function:
    """Describe a function of two numbers."""
    return Function(name, ("real", "real"), "real", lambda x: value(x[0], x[1]), call(name, 2) if primitive else None)


def infix(name: str, value: BinaryFn, symbol: str, takes: Kind = "real", gives: Kind = "real") -> Function:
    """Describe an operation written between its arguments."""
    return Function(name, (takes, takes), gives, lambda x: value(x[0], x[1]), f"{{0}} {symbol} {{1}}", is_operator=True)


def _minimum(a: float, b: float) -> float:
    return a if a < b else b


def _maximum(a: float, b: float) -> float:
    return a if a > b else b


def _sign(x: float) -> float:
    return (x > 0) - (x < 0)


def _heaviside(x: float, at_zero: float) -> float:
    return at_zero if x == 0 else x > 0


_ROWS: Final = (
    infix("add", operator.add, "+"),
    infix("multiply", operator.mul, "*"),
    infix("divide", operator.truediv, "/"),
    Function("negative", ("real",), "real", lambda x: -x[0], "-{0}", is_operator=True),
    Function("fma", ("real", "real", "real"), "real", lambda x: x[0] * x[1] + x[2], call("fma", 3)),
    infix("less", operator.lt, "<", gives="mask"),
    infix("less_equal", operator.le, "<=", gives="mask"),
    infix("equal", operator.eq, "==", gives="mask"),
    infix("not_equal", operator.ne, "!=", gives="mask"),
    infix("and", min, "&", takes="mask", gives="mask"),
    infix("or", max, "|", takes="mask", gives="mask"),
    Function("not", ("mask",), "mask", lambda x: not x[0], call("negate", 1)),
    Function("true", (), "mask", lambda x: True, None),
    Function("false", (), "mask", lambda x: False, None),
    Function("select", ("mask", "real", "real"), "real", lambda x: x[1] if x[0] else x[2], call("select", 3)),
    unary("sqrt", math.sqrt),
    unary("exp", math.exp),
    unary("expm1", math.expm1),
    unary("exp2", math.exp2),
    unary("log", math.log),
    unary("log1p", math.log1p),
    unary("log2", math.log2),
    unary("log10", math.log10),
    unary("sin", math.sin),
    unary("cos", math.cos),
    unary("tan", math.tan),
    unary("asin", math.asin),
    unary("acos", math.acos),
    unary("atan", math.atan),
    unary("sinh", math.sinh),
    unary("cosh", math.cosh),
    unary("tanh", math.tanh),
    unary("asinh", math.asinh),
    unary("acosh", math.acosh),
    unary("atanh", math.atanh),
    unary("erf", math.erf),
    unary("floor", math.floor),
    unary("ceil", math.ceil),
    unary("absolute", math.fabs),
    unary("sign", _sign),
    unary("cbrt", math.cbrt),
    unary("trunc", math.trunc, primitive=False),
    binary("pow", math.pow),
    binary("minimum", _minimum),
    binary("maximum", _maximum),
    binary("atan2", math.atan2),
    binary("hypot", math.hypot),
    binary("fmod", math.fmod),
    binary("modulo", operator.mod, primitive=False),
    binary("floor_divide", operator.floordiv, primitive=False),
    binary("heaviside", _heaviside, primitive=False),
)
FUNCTIONS: Final[dict[str, Function]] = {row.name: row for row in _ROWS}


def evaluate(function: str, arguments: tuple[float, ...]) -> float | None:
    """Return the value of an operation on numbers (conditions as 1 and 0), or None where it has no finite one."""
    try:
        value = float(FUNCTIONS[function].evaluate(arguments))
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None
