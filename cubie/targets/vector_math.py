"""Mathematical functions on all lanes at once, without a call per lane.

Each is a formula of `vector_expressions`, emitted once for a module as a function of its own, which LLVM inlines where
that pays. One number is a vector of one lane here: every width gives the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from llvmlite import ir

from cubie.targets import polynomials
from cubie.targets.llvm import suffix
from cubie.targets.vector_expressions import Mask, Reals, fma

INFINITY: Final = float("inf")
NAN: Final = float("nan")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How reals of one precision are spelt in bits: a sign, an exponent, a fraction."""

    fraction: int
    least_exponent: int
    root_half: int
    """The bits of the square root of 1/2."""

    @property
    def least_normal(self) -> float:
        return 2.0**self.least_exponent

    @property
    def half_range(self) -> float:
        """A power of two by which any subnormal number becomes a normal one."""
        return 2.0 ** (self.fraction + 2)

    def power_of_two(self, exponent: int) -> int:
        """Return the bits of a power of two."""
        return (exponent + 1 - self.least_exponent) << self.fraction


SINGLE: Final = Format(fraction=23, least_exponent=-126, root_half=0x3F3504F3)
DOUBLE: Final = Format(fraction=52, least_exponent=-1022, root_half=0x3FE6A09E667F3BCD)


def format_of(x: Reals) -> Format:
    return SINGLE if x.is_single else DOUBLE


def rounded(scaled: Reals) -> tuple[Reals, Reals]:
    """Return the whole number next to `scaled`, and a real whose lowest bits spell it."""
    spelt = scaled + 1.5 * 2.0 ** format_of(scaled).fraction
    return spelt - 1.5 * 2.0 ** format_of(scaled).fraction, spelt


def times_power_of_two(x: Reals, spelt: Reals, tiny: Mask) -> Reals:
    """Multiply `x`, about 1, by 2**n for the n that `spelt` spells; where `tiny`, the result may be subnormal.

    The factor comes in two parts, so that neither overflows nor underflows and only the last product is rounded.
    """
    form = format_of(x)
    extra = form.fraction + 12
    shift = tiny.choose_bits(form.power_of_two(extra), form.power_of_two(-1), spelt.bits())
    first = ((spelt.bits() << form.fraction) + shift).reals()
    return x * first * tiny.choose(2.0**-extra, 2.0, x)


def exp2(x: Reals) -> Reals:
    form = format_of(x)
    within = x.clamp(float(form.least_exponent - form.fraction - 6), float(2 - form.least_exponent))
    n, spelt = rounded(within)
    fraction = within - n
    power = fma(polynomials.EXP2.of(fraction), fraction, 1.0)
    return times_power_of_two(power, spelt, within < float(form.least_exponent + 1))


def _log_parts(x: Reals) -> tuple[Reals, Reals, Reals]:
    """Split positive `x` as 2**k * (1 + f), with 1 + f from sqrt(1/2) to sqrt(2); return k, f, and f - log(1 + f)."""
    form = format_of(x)
    subnormal = x < form.least_normal
    normal = subnormal.choose(x * form.half_range, x, x)
    raised = normal.bits() + (form.power_of_two(0) - form.root_half)
    f = ((raised & ((1 << form.fraction) - 1)) + form.root_half).reals() - 1.0
    ones = 2.0**form.fraction
    offset = ones + 1 - form.least_exponent
    exponent = ((raised >> form.fraction) | form.power_of_two(form.fraction)).reals()
    k = exponent - subnormal.choose(offset + form.fraction + 2, offset, x)
    s = f / (f + 2.0)
    square = s * s
    return k, f, s * (f - square * polynomials.LOG.of(square))


def _where_log_is_finite(x: Reals, result: Reals) -> Reals:
    """Put in what logarithms of 0, negative numbers, infinity and NaN are."""
    finite = (x < INFINITY).choose(result, x, x)
    return (x <= 0.0).choose(x.equals(0.0).choose(-INFINITY, NAN, x), finite, x)


def log2(x: Reals) -> Reals:
    k, f, less = _log_parts(x)
    high, low = split(LOG2_E, x)
    return _where_log_is_finite(x, k + fma(f, high, fma(f, low, -(less * high))))


LOG2_E: Final = (1.4426950216293335, 1.925963033500011519e-08), (1.4426950408889634, 2.0355273740931033e-17)


def split(number: tuple[tuple[float, float], tuple[float, float]], like: Reals) -> tuple[float, float]:
    """Return a number as the sum of two of the precision of `like`."""
    return number[0] if like.is_single else number[1]


def _on_vectors(name: str, formula: Callable[..., Reals], n_operands: int) -> Callable[..., Any]:
    """Return the code generator that calls a formula's function, which it defines where the module has none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = arguments[0].type
        kind = result if isinstance(result, ir.VectorType) else ir.VectorType(result, 1)
        symbol = f"cubie.{name}.{suffix(kind)}"
        function = builder.module.globals.get(symbol)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * n_operands), symbol)
            function.linkage = "linkonce_odr"
            inside = ir.IRBuilder(function.append_basic_block("entry"))
            inside.ret(formula(*[Reals(inside, argument) for argument in function.args]).value)
        answer = builder.call(function, [builder.bitcast(argument, kind) for argument in arguments])
        return builder.bitcast(answer, result)

    return generate


def vector_functions(intrinsic: Callable[[Any], Any]) -> dict[str, Any]:
    """Build the primitives with numba's `intrinsic` decorator."""

    def unary(name: str, formula: Callable[[Reals], Reals]) -> Any:
        generate = _on_vectors(name, formula, 1)

        def function(typing_context: Any, x: Any) -> Any:
            return x(x), generate

        return intrinsic(function)

    return {formula.__name__: unary(formula.__name__, formula) for formula in (exp2, log2)}
