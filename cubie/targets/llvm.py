"""The primitives that both compilers share: numba's for the CPU and numba-cuda's for the GPU lower the same LLVM
instructions.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir

INSTRUCTIONS: Final = {"absolute": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil"}
"""Primitives that are an instruction or two on both kinds of processor, by their name in LLVM and in libdevice."""


def alike(name: str, *operands: Any) -> Any:
    """Return the one type of all operands, so that a float64 that slips into a float32 build is an error."""
    first, *others = operands
    if any(other != first for other in others):
        raise TypeError(f"{name} needs operands of one type, got {', '.join(map(str, operands))}.")
    return first


def primitives(intrinsic: Callable[[Any], Any], int32: Any) -> dict[str, Any]:
    """Build the primitives with one compiler's `intrinsic` decorator; `int32` is that compiler's type of counters."""

    @intrinsic
    def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fma(*arguments)

        return alike("fma", a, b, c)(a, b, c), generate

    @intrinsic
    def select(typing_context: Any, mask: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            condition, on_true, on_false = arguments
            return builder.select(condition, on_true, on_false)

        return alike("select", a, b)(mask, a, b), generate

    @intrinsic
    def increment(typing_context: Any, counter: Any, mask: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value, condition = arguments
            return builder.add(value, builder.zext(condition, value.type))

        return alike("increment", counter, int32)(counter, mask), generate

    @intrinsic
    def sign(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (value,) = arguments
            zero, one, minus_one = (ir.Constant(value.type, number) for number in (0.0, 1.0, -1.0))
            below = builder.select(builder.fcmp_ordered("<", value, zero), minus_one, value)
            return builder.select(builder.fcmp_ordered(">", value, zero), one, below)

        return x(x), generate

    return {"fma": fma, "select": select, "increment": increment, "sign": sign}


def libdevice_function(intrinsic: Callable[[Any], Any], name: str) -> Any:
    """Build the primitive for a function of one number of CUDA's libdevice, which NVVM has where it lacks LLVM's own."""

    @intrinsic
    def function(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (value,) = arguments
            symbol = f"__nv_{name}{'f' if value.type == ir.FloatType() else ''}"
            declared = builder.module.globals.get(symbol)
            if declared is None:
                declared = ir.Function(builder.module, ir.FunctionType(value.type, [value.type]), symbol)
            return builder.call(declared, arguments)

        return x(x), generate

    return function


def llvm_function(intrinsic: Callable[[Any], Any], name: str) -> Any:
    """Build the primitive for one of LLVM's own mathematical functions of one number."""

    @intrinsic
    def function(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (value,) = arguments
            return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [value.type]), arguments)

        return x(x), generate

    return function
