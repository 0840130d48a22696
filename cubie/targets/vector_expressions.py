"""Formulas over vectors of reals, written with operators and emitted straight as LLVM instructions.

Each instruction rounds by itself: what is not written as `fma` is never contracted, so that a formula gives the same
bits at every width, one lane included.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final, TypeVar, final

from llvmlite import ir

from cubie.targets.llvm import call, suffix

PLAIN: Final = ("arcp",)
"""Means nothing to sums and products; to instructions without any flag, numba gives all of ours, `contract` too."""
PLAIN_QUOTIENT: Final = ("contract",)
"""Means nothing to quotients."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How reals of one precision are spelt in bits: a sign, an exponent, a fraction."""

    bits: int
    fraction: int
    least_exponent: int
    """The exponent of the least normal number; one less, negated, is added to exponents when they are spelt."""

    @property
    def sign_bit(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def fraction_bits(self) -> int:
        return (1 << self.fraction) - 1

    def power_of_two(self, exponent: int) -> int:
        """Return the bits of a power of two."""
        return (exponent + 1 - self.least_exponent) << self.fraction

    def bits_of(self, number: float) -> int:
        """Return the bits of a number."""
        real, integer = ("<f", "<I") if self.bits == 32 else ("<d", "<Q")
        return int(struct.unpack(integer, struct.pack(real, number))[0])


SINGLE: Final = Format(bits=32, fraction=23, least_exponent=-126)
DOUBLE: Final = Format(bits=64, fraction=52, least_exponent=-1022)


class _Vector:
    """An LLVM vector on its way through a formula."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder: Final = builder
        self.value: Final = value

    def operand(self, other: "_Vector | float") -> Any:
        """Return the LLVM value of `other`; a number is spread over the lanes."""
        return other.value if isinstance(other, _Vector) else self._constant(other)

    def _constant(self, number: float) -> Any:
        return ir.Constant(self.value.type, [number] * self.value.type.count)


VectorT = TypeVar("VectorT", bound=_Vector)


@final
class Truths(_Vector):
    """A truth value for each lane."""

    def __and__(self, other: "Truths") -> "Truths":
        return Truths(self.builder, self.builder.and_(self.value, other.value))

    def __or__(self, other: "Truths") -> "Truths":
        return Truths(self.builder, self.builder.or_(self.value, other.value))

    def choose(self, a: VectorT, b: VectorT | float) -> VectorT:
        """Take `a` in the lanes where this is true, `b` in the others."""
        return type(a)(self.builder, self.builder.select(self.value, a.value, a.operand(b)))

    def __invert__(self) -> "Truths":
        return Truths(self.builder, self.builder.not_(self.value))

    def any(self) -> Any:
        """Return the one truth value whether any lane's is true."""
        bits = self.builder.bitcast(self.value, ir.IntType(self.value.type.count))
        return self.builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))


@final
class Bits(_Vector):
    """The bits of reals, as integers of their size, which wrap around."""

    def __add__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.add(self.value, self.operand(other)))

    def __sub__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.sub(self.value, self.operand(other)))

    def __rsub__(self, other: int) -> "Bits":
        return Bits(self.builder, self.builder.sub(self.operand(other), self.value))

    def __and__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.and_(self.value, self.operand(other)))

    def __or__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.or_(self.value, self.operand(other)))

    def __xor__(self, other: "Bits | int") -> "Bits":
        return Bits(self.builder, self.builder.xor(self.value, self.operand(other)))

    def __lshift__(self, places: int) -> "Bits":
        return Bits(self.builder, self.builder.shl(self.value, self.operand(places)))

    def __rshift__(self, places: int) -> "Bits":
        """Shift in zeros from the left."""
        return Bits(self.builder, self.builder.lshr(self.value, self.operand(places)))

    def at_most(self, limit: int) -> "Bits":
        """Lower to a limit what, without sign, is above it."""
        above = Truths(self.builder, self.builder.icmp_unsigned(">", self.value, self.operand(limit)))
        return above.choose(self.number(limit), self)

    def is_odd(self) -> Truths:
        """Whether the lowest bit is set."""
        return Truths(self.builder, self.builder.icmp_unsigned("!=", (self & 1).value, self.operand(0)))

    def number(self, number: int) -> "Bits":
        """Spread a number over the lanes."""
        return Bits(self.builder, self.operand(number))

    def reals(self) -> "Reals":
        """See the bits as the reals they spell."""
        element = ir.FloatType() if self.value.type.element.width == SINGLE.bits else ir.DoubleType()
        return Reals(self.builder, self.builder.bitcast(self.value, ir.VectorType(element, self.value.type.count)))


@final
class Reals(_Vector):
    """A real number for each lane."""

    @property
    def format(self) -> Format:
        return SINGLE if self.value.type.element == ir.FloatType() else DOUBLE

    def number(self, number: float) -> "Reals":
        """Spread a number over the lanes."""
        return Reals(self.builder, self.operand(number))

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

    def __lt__(self, other: "Reals | float") -> Truths:
        return self._compared("<", other)

    def __le__(self, other: "Reals | float") -> Truths:
        return self._compared("<=", other)

    def __gt__(self, other: "Reals | float") -> Truths:
        return self._compared(">", other)

    def equals(self, other: "Reals | float") -> Truths:
        """Compare for equality; NaN equals nothing."""
        return self._compared("==", other)

    def differs(self, other: "Reals | float") -> Truths:
        """Compare for inequality; NaN doesn't differ from anything."""
        return self._compared("!=", other)

    def _compared(self, symbol: str, other: "Reals | float") -> Truths:
        return Truths(self.builder, self.builder.fcmp_ordered(symbol, self.value, self.operand(other)))

    def clamp(self, low: float, high: float) -> "Reals":
        """Keep within two numbers; NaN stays NaN."""
        return self.at_least(low).at_most(high)

    def at_least(self, low: float) -> "Reals":
        """Raise to a number what is below it; NaN stays NaN."""
        return (self < low).choose(self.number(low), self)

    def at_most(self, high: float) -> "Reals":
        """Lower to a number what is above it; NaN stays NaN."""
        return (self > high).choose(self.number(high), self)

    def magnitude(self) -> "Reals":
        """Drop the sign."""
        return self._intrinsic("fabs", self)

    def with_sign_of(self, other: "Reals") -> "Reals":
        """Take the sign of another."""
        return self._intrinsic("copysign", self, other)

    def whole(self) -> "Reals":
        """Round to the nearest whole number."""
        return self._intrinsic("rint", self)

    def whole_part(self) -> "Reals":
        """Drop the digits after the point."""
        return self._intrinsic("trunc", self)

    def singles(self) -> "Reals":
        """Round to 32 bits."""
        if self.format == SINGLE:
            return self
        kind = ir.VectorType(ir.FloatType(), self.value.type.count)
        return Reals(self.builder, self.builder.fptrunc(self.value, kind))

    def like(self, other: "Reals") -> "Reals":
        """Widen to the format of another, where it is wider."""
        if self.format == other.format:
            return self
        return Reals(self.builder, self.builder.fpext(self.value, other.value.type))

    def bits(self) -> Bits:
        """See the reals as their bits."""
        kind = ir.VectorType(ir.IntType(self.format.bits), self.value.type.count)
        return Bits(self.builder, self.builder.bitcast(self.value, kind))

    def _intrinsic(self, name: str, *operands: "Reals") -> "Reals":
        kind = self.value.type
        values = [operand.value for operand in operands]
        return Reals(self.builder, call(self.builder, f"llvm.{name}.{suffix(kind)}", kind, values))


def fma(a: Reals, b: Reals | float, c: Reals | float) -> Reals:
    """Multiply and add, rounding once."""
    kind = a.value.type
    return Reals(a.builder, call(a.builder, f"llvm.fma.{suffix(kind)}", kind, [a.value, a.operand(b), a.operand(c)]))


def sum_with_loss(a: Reals, b: Reals | float) -> tuple[Reals, Reals]:
    """Add; return the sum and what its rounding lost, exactly (Knuth's TwoSum)."""
    total = a + b
    part = total - b
    return total, (a - part) - ((total - part) - b)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A constant as a sum of numbers of each precision, largest first."""

    single: tuple[float, ...]
    double: tuple[float, ...]

    def like(self, x: Reals) -> tuple[float, ...]:
        """Return the numbers of the precision of `x`."""
        return self.single if x.format == SINGLE else self.double


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial:
    """Coefficients, lowest first, for each precision."""

    single: tuple[float, ...]
    double: tuple[float, ...] = ()

    def of(self, x: Reals) -> Reals:
        """Evaluate by Horner's rule in the square of `x`, for even and odd powers side by side: half the latency."""
        coefficients = self.single if x.format == SINGLE else self.double
        if len(coefficients) < 5:
            return _horner(coefficients, x)
        square = x * x
        return fma(_horner(coefficients[1::2], square), x, _horner(coefficients[::2], square))


def _horner(coefficients: tuple[float, ...], x: Reals) -> Reals:
    total = x.number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = fma(total, x, coefficient)
    return total
