"""The primitives that both compilers share: numba for the CPU and numba-cuda for the GPU lower the same instructions.

An operand is a number, or lanes of numbers; numbers among lanes are spread.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir

INSTRUCTIONS: Final = {"absolute": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil"}
"""Primitives that are an instruction or two on both kinds of processor, by their name in LLVM and in libdevice."""
ROUGH_FUNCTIONS: Final = {
    "rough_log2": ("lg2.approx.ftz.f32", None),
    "rough_exp2": ("ex2.approx.ftz.f32", None),
    "rough_reciprocal": ("rcp.approx.ftz.f32", "rcp.approx.ftz.f64"),
}
"""The GPU's approximate instructions, by precision: single, and double where there is one."""


def alike(name: str, *operands: Any) -> Any:
    """Return the one type in which all operands meet, so that a float64 that slips into a float32 build is an error."""
    lanes = next((operand for operand in operands if hasattr(operand, "width")), None)
    elements = {str(getattr(operand, "element", operand)) for operand in operands}
    if len(elements) > 1:
        raise TypeError(f"{name} needs operands of one type, got {', '.join(map(str, operands))}.")
    return operands[0] if lanes is None else lanes


def call(builder: Any, symbol: str, value_type: Any, arguments: Any) -> Any:
    """Call a function from numbers (or vectors) of one type to the same."""
    declared = builder.module.globals.get(symbol)
    if declared is None:
        signature = ir.FunctionType(value_type, [value_type] * len(arguments))
        declared = ir.Function(builder.module, signature, symbol)
    return builder.call(declared, arguments)


def suffix(value_type: Any) -> str:
    """Return how LLVM names a type in the names of its intrinsics."""
    count, element = (
        (value_type.count, value_type.element) if isinstance(value_type, ir.VectorType) else (0, value_type)
    )
    bits = "f32" if element == ir.FloatType() else "f64"
    return f"v{count}{bits}" if count else bits


def _first_that_is(name: str, symbol: str) -> Any:
    def choose(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            first, second = arguments
            return builder.select(builder.fcmp_ordered(symbol, first, second), first, second)

        result = alike(name, a, b)
        return result(result, result), generate

    return choose


EXTREMA: Final = {"minimum": _first_that_is("minimum", "<"), "maximum": _first_that_is("maximum", ">")}


def primitives(intrinsic: Callable[[Any], Any], int32: Any) -> dict[str, Any]:
    """Build the primitives with one compiler's `intrinsic` decorator; `int32` is that compiler's type of counters."""

    def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value_type = arguments[0].type
            return call(builder, f"llvm.fma.{suffix(value_type)}", value_type, arguments)

        result = alike("fma", a, b, c)
        return result(result, result, result), generate

    def select(typing_context: Any, mask: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            condition, on_true, on_false = arguments
            return builder.select(condition, on_true, on_false)

        result = alike("select", a, b)
        if hasattr(mask, "width") and not hasattr(result, "width"):
            result = type(mask)(result, mask.width)
        return result(mask, result, result), generate

    def increment(typing_context: Any, counter: Any, mask: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value, condition = arguments
            return builder.add(value, builder.zext(condition, value.type))

        if getattr(counter, "element", counter) != int32:
            raise TypeError(f"increment needs a 32-bit counter, got {counter}.")
        return counter(counter, mask), generate

    def sign(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (value,) = arguments
            zero, one, minus_one = (constant(value.type, number) for number in (0.0, 1.0, -1.0))
            below = builder.select(builder.fcmp_ordered("<", value, zero), minus_one, value)
            return builder.select(builder.fcmp_ordered(">", value, zero), one, below)

        return x(x), generate

    def rough_reciprocal(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fdiv(constant(arguments[0].type, 1.0), arguments[0])

        return x(x), generate

    return {
        **{function.__name__: intrinsic(function) for function in (fma, select, increment, sign, rough_reciprocal)},
        **{name: intrinsic(choice) for name, choice in EXTREMA.items()},
    }


def constant(value_type: Any, number: float) -> Any:
    """Return a number as a constant of a scalar or vector type."""
    if isinstance(value_type, ir.VectorType):
        return ir.Constant(value_type, [number] * value_type.count)
    return ir.Constant(value_type, number)


def function_of_one(intrinsic: Callable[[Any], Any], symbol_of: Callable[[Any], str]) -> Any:
    """Build the primitive for an external function of one number; `symbol_of` its LLVM type names it."""

    def function(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value_type = arguments[0].type
            return call(builder, symbol_of(value_type), value_type, arguments)

        return x(x), generate

    return intrinsic(function)


def llvm_function(intrinsic: Callable[[Any], Any], name: str) -> Any:
    """Build the primitive for one of LLVM's own mathematical functions of one number."""
    return function_of_one(intrinsic, lambda value_type: f"llvm.{name}.{suffix(value_type)}")


def libdevice_function(intrinsic: Callable[[Any], Any], name: str) -> Any:
    """Build the primitive for a function of one number of CUDA's libdevice: NVVM lacks LLVM's own."""
    return function_of_one(intrinsic, lambda value_type: f"__nv_{name}{'f' if value_type == ir.FloatType() else ''}")


def packing(intrinsic: Callable[[Any], Any], float32: Any, float64: Any) -> tuple[Any, Any]:
    """Build what hides the bits of a single in a double, and what takes them out: conversions are slow on a GPU."""
    word, bits = ir.IntType(32), ir.IntType(64)

    def pack(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(builder.zext(builder.bitcast(arguments[0], word), bits), ir.DoubleType())

        return float64(float32), generate

    def unpack(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(builder.trunc(builder.bitcast(arguments[0], bits), word), ir.FloatType())

        return float32(float64), generate

    return intrinsic(pack), intrinsic(unpack)


def extremum(intrinsic: Callable[[Any], Any], name: str, has_instruction: Callable[[], bool]) -> Any:
    """Build `minimum` or `maximum` of singles as the one instruction that newer GPUs have for it, which answers NaN to
    NaN, where the GPU has it.
    """
    instruction = {"minimum": "min.NaN.f32", "maximum": "max.NaN.f32"}[name]

    def choose(typing_context: Any, a: Any, b: Any) -> Any:
        result, generate_plain = EXTREMA[name](typing_context, a, b)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value_type = arguments[0].type
            if value_type != ir.FloatType() or not has_instruction():
                return generate_plain(context, builder, signature, arguments)
            kinds = ir.FunctionType(value_type, [value_type] * 2)
            return builder.asm(kinds, f"{instruction} $0, $1, $2;", "=f,f,f", arguments, side_effect=False)

        return result, generate

    return intrinsic(choose)


def approximation(intrinsic: Callable[[Any], Any], single: str, double: str | None) -> Any:
    """Build the primitive for one of the GPU's approximate instructions; without one for doubles, in singles."""

    def instruction(builder: Any, name: str, value: Any) -> Any:
        kind = "f" if value.type == ir.FloatType() else "d"
        signature = ir.FunctionType(value.type, [value.type])
        return builder.asm(signature, f"{name} $0, $1;", f"={kind},{kind}", [value], side_effect=False)

    def function(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (value,) = arguments
            if value.type == ir.FloatType():
                return instruction(builder, single, value)
            if double is not None:
                return instruction(builder, double, value)
            rounded = builder.fptrunc(value, ir.FloatType())
            return builder.fpext(instruction(builder, single, rounded), value.type)

        return x(x), generate

    return intrinsic(function)
