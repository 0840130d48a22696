"""Formulas over vectors of reals, written with operators and emitted straight as LLVM instructions.

Each instruction rounds by itself: what is not written as `fma` is never contracted, so that a formula gives the same
bits at every width, one lane included.
"""

from dataclasses import dataclass
from typing import Any, Final, final

from llvmlite import ir

from cubie.targets.llvm import call, suffix

PLAIN: Final = ("arcp",)
"""Means nothing to sums and products; numba gives instructions without any flag all of ours, `contract` too."""
PLAIN_QUOTIENT: Final = ("contract",)
"""Means nothing to quotients."""


class _Value:
    """An LLVM vector on its way through a formula."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder: Final = builder
        self.value: Final = value

    def _constant(self, number: float) -> Any:
        return ir.Constant(self.value.type, [number] * self.value.type.count)


@final
class Mask(_Value):
    """A truth value for each lane."""

    def __and__(self, other: "Mask") -> "Mask":
        return Mask(self.builder, self.builder.and_(self.value, other.value))

    def __or__(self, other: "Mask") -> "Mask":
        return Mask(self.builder, self.builder.or_(self.value, other.value))

    def __invert__(self) -> "Mask":
        return Mask(self.builder, self.builder.not_(self.value))

    def choose(self, a: "Reals | float", b: "Reals | float", like: "Reals") -> "Reals":
        """Take `a` in the lanes of the mask, `b` in the others; numbers become reals like `like`."""
        return Reals(self.builder, self.builder.select(self.value, like.operand(a), like.operand(b)))

    def choose_bits(self, a: "Bits | int", b: "Bits | int", like: "Bits") -> "Bits":
        """Take `a` in the lanes of the mask, `b` in the others; numbers become bits like `like`."""
        return Bits(self.builder, self.builder.select(self.value, like.operand(a), like.operand(b)))


@final
class Bits(_Value):
    """The bits of reals, as integers of their size, which wrap around."""

    def operand(self, other: "Bits | int") -> Any:
        return other.value if isinstance(other, Bits) else self._constant(other)

    def __add__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.add(self.value, self.operand(other)))

    def __sub__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.sub(self.value, self.operand(other)))

    def __and__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.and_(self.value, self.operand(other)))

    def __or__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.or_(self.value, self.operand(other)))

    def __xor__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.xor(self.value, self.operand(other)))

    def __lshift__(self, places: int) -> "Bits":
        return Bits(self.builder, self.builder.shl(self.value, self._constant(places)))

    def __rshift__(self, places: int) -> "Bits":
        """Shift in zeros from the left."""
        return Bits(self.builder, self.builder.lshr(self.value, self._constant(places)))

    def reals(self) -> "Reals":
        """See the bits as the reals they spell."""
        count, bits = self.value.type.count, self.value.type.element.width
        element = ir.FloatType() if bits == 32 else ir.DoubleType()
        return Reals(self.builder, self.builder.bitcast(self.value, ir.VectorType(element, count)))


@final
class Reals(_Value):
    """A real number for each lane."""

    @property
    def is_single(self) -> bool:
        """Whether the numbers are of 32 bits."""
        return bool(self.value.type.element == ir.FloatType())

    def operand(self, other: "Reals | float") -> Any:
        """Return the LLVM value of `other`, a number spread over the lanes."""
        return other.value if isinstance(other, Reals) else self._constant(other)

    def number(self, number: float) -> "Reals":
        """Spread a number over the lanes."""
        return Reals(self.builder, self._constant(number))

    def _infix(self, instruction: str, a: Any, b: Any) -> "Reals":
        flags = PLAIN_QUOTIENT if instruction == "fdiv" else PLAIN
        return Reals(self.builder, getattr(self.builder, instruction)(a, b, flags=flags))

    def __add__(self, other: "Reals | float") -> "Reals":
        return self._infix("fadd", self.value, self.operand(other))

    def __sub__(self, other: "Reals | float") -> "Reals":
        return self._infix("fsub", self.value, self.operand(other))

    def __rsub__(self, other: float) -> "Reals":
        return self._infix("fsub", self.operand(other), self.value)

    def __mul__(self, other: "Reals | float") -> "Reals":
        return self._infix("fmul", self.value, self.operand(other))

    def __truediv__(self, other: "Reals | float") -> "Reals":
        return self._infix("fdiv", self.value, self.operand(other))

    def __rtruediv__(self, other: float) -> "Reals":
        return self._infix("fdiv", self.operand(other), self.value)

    def __neg__(self) -> "Reals":
        return Reals(self.builder, self.builder.fneg(self.value))

    def __lt__(self, other: "Reals | float") -> Mask:
        return self._compared("<", other)

    def __le__(self, other: "Reals | float") -> Mask:
        return self._compared("<=", other)

    def __gt__(self, other: "Reals | float") -> Mask:
        return self._compared(">", other)

    def __ge__(self, other: "Reals | float") -> Mask:
        return self._compared(">=", other)

    def equals(self, other: "Reals | float") -> Mask:
        """Compare for equality; NaN equals nothing."""
        return self._compared("==", other)

    def _compared(self, symbol: str, other: "Reals | float") -> Mask:
        return Mask(self.builder, self.builder.fcmp_ordered(symbol, self.value, self.operand(other)))

    def clamp(self, low: float, high: float) -> "Reals":
        """Keep within two numbers; NaN stays NaN."""
        above_low = (self.number(low) > self).choose(low, self, self)
        return (above_low.number(high) < above_low).choose(high, above_low, self)

    def magnitude(self) -> "Reals":
        """Drop the sign."""
        return self._intrinsic("fabs", self)

    def with_sign_of(self, other: "Reals") -> "Reals":
        """Take the sign of another."""
        return self._intrinsic("copysign", self, other)

    def whole(self) -> "Reals":
        """Round to the nearest whole number."""
        return self._intrinsic("rint", self)

    def bits(self) -> Bits:
        """See the reals as their bits."""
        width = 32 if self.is_single else 64
        kind = ir.VectorType(ir.IntType(width), self.value.type.count)
        return Bits(self.builder, self.builder.bitcast(self.value, kind))

    def _intrinsic(self, name: str, *operands: "Reals") -> "Reals":
        kind = self.value.type
        values = [operand.value for operand in operands]
        return Reals(self.builder, call(self.builder, f"llvm.{name}.{suffix(kind)}", kind, values))


def fma(a: Reals, b: Reals | float, c: Reals | float) -> Reals:
    """Multiply and add, rounding once."""
    kind = a.value.type
    return Reals(a.builder, call(a.builder, f"llvm.fma.{suffix(kind)}", kind, [a.value, a.operand(b), a.operand(c)]))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial:
    """Coefficients, lowest first, for each precision."""

    single: tuple[float, ...]
    double: tuple[float, ...]

    def of(self, x: Reals) -> Reals:
        """Evaluate by Horner's rule in the square of `x`, for even and odd powers side by side: half the latency."""
        coefficients = self.single if x.is_single else self.double
        if len(coefficients) < 5:
            return _horner(coefficients, x)
        square = x * x
        return fma(_horner(coefficients[1::2], square), x, _horner(coefficients[::2], square))


def _horner(coefficients: tuple[float, ...], x: Reals) -> Reals:
    total = x.number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = fma(total, x, coefficient)
    return total
