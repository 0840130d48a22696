"""Mathematical functions on all lanes at once, without a call per lane.

Each is a formula over vectors, emitted once for a module as a function of its own. One number goes through the same
formula in a small vector: every width gives the same bits.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils

from cubie.targets.lane_primitives import each_lane, lane_of
from cubie.targets.llvm import alike, suffix
from cubie.targets.vector_exponentials import cosh, exp, exp2, expm1, sinh, tanh
from cubie.targets.vector_expressions import Reals, Truths
from cubie.targets.vector_logarithms import log, log1p, log2, log10
from cubie.targets.vector_power import pow
from cubie.targets.vector_remainder import fmod, is_far
from cubie.targets.vector_roots import cbrt
from cubie.targets.vector_rough import rough_exp2, rough_log2
from cubie.targets.vector_trigonometry import cos, is_large, sin, tan

FIRST: Final = ir.Constant(ir.IntType(32), 0)
Formula = Callable[..., Reals]
FORMULAS: Final[tuple[Formula, ...]] = (exp, exp2, expm1, sinh, cosh, tanh, log, log2, log10, log1p, cbrt)
ROUGH_FORMULAS: Final[tuple[Formula, ...]] = (rough_log2, rough_exp2)
PERIODIC_FORMULAS: Final[tuple[Formula, ...]] = (sin, cos, tan)
FORMULAS_OF_TWO: Final[tuple[Formula, ...]] = (pow, fmod)
BEYOND: Final[dict[Formula, Callable[..., Truths]]] = {**dict.fromkeys(PERIODIC_FORMULAS, is_large), fmod: is_far}
"""Where formulas don't reach, and libm's functions of the same names are called."""


def function_in(module: Any, kind: Any, formula: Formula, n_operands: int) -> Any:
    """Return the function of a module that computes a formula on vectors of a kind; define it if there is none."""
    symbol = f"cubie.{formula.__name__}.{suffix(kind)}"
    function = module.globals.get(symbol)
    if function is None:
        function, inside = _new_function(module, kind, n_operands, symbol)
        if formula not in ROUGH_FORMULAS:
            # Thirty exponentials in seven stages took twice the time to compile when written out, and ran no faster.
            function.attributes.add("noinline")
        result = formula(*[Reals(inside, argument) for argument in function.args])
        if formula in BEYOND:
            result = _with_far_lanes(formula, function.args, result)
        inside.ret(result.value)
    return function


def _new_function(module: Any, kind: Any, n_operands: int, symbol: str) -> tuple[Any, Any]:
    function = ir.Function(module, ir.FunctionType(kind, [kind] * n_operands), symbol)
    function.linkage = "linkonce_odr"
    return function, ir.IRBuilder(function.append_basic_block("entry"))


def _with_far_lanes(formula: Formula, operands: Any, near: Reals) -> Reals:
    """Put in what libm says of the lanes that a formula doesn't reach, if there are any."""
    builder, kind = near.builder, near.value.type
    before = builder.block
    with builder.if_then(_is_beyond(builder, formula, operands).any(), likely=False):
        far = builder.call(_far_lanes(builder.module, formula, kind, len(operands)), [*operands, near.value])
        beyond = builder.block
    result = builder.phi(kind)
    result.add_incoming(near.value, before)
    result.add_incoming(far, beyond)
    return Reals(builder, result)


def _is_beyond(builder: Any, formula: Formula, operands: Any) -> Truths:
    return BEYOND[formula](*[Reals(builder, operand) for operand in operands])


def _far_lanes(module: Any, formula: Formula, kind: Any, n_operands: int) -> Any:
    """Return the function of a module that computes the lanes beyond a formula one by one; define it if need be."""
    name = formula.__name__
    symbol = f"cubie.{name}.far.{suffix(kind)}"
    function = module.globals.get(symbol)
    if function is None:
        function, builder = _new_function(module, kind, n_operands + 1, symbol)
        function.attributes.add("noinline")
        function.attributes.add("cold")
        *operands, near = function.args
        element = kind.element
        libm = cgutils.get_or_insert_function(
            module,
            ir.FunctionType(element, [element] * n_operands),
            name if element == ir.DoubleType() else f"{name}f",
        )
        beyond = _is_beyond(builder, formula, operands).value
        slot = cgutils.alloca_once_value(builder, near)
        answers = builder.bitcast(slot, element.as_pointer())
        with each_lane(builder, kind.count) as loop, builder.if_then(lane_of(builder, beyond, loop.index)):
            answer = builder.call(libm, [lane_of(builder, operand, loop.index) for operand in operands])
            builder.store(answer, builder.gep(answers, [loop.index]))
        builder.ret(builder.load(slot))
    return function


def _calling(formula: Formula, n_operands: int) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one_number = not isinstance(arguments[0].type, ir.VectorType)
        operands = [_in_vector(builder, argument) for argument in arguments] if one_number else arguments
        function = function_in(builder.module, operands[0].type, formula, n_operands)
        answer = builder.call(function, operands)
        return builder.extract_element(answer, FIRST) if one_number else answer

    return generate


def _in_vector(builder: Any, number: Any) -> Any:
    """Put one number into the smallest vector register, where choices don't jump; the other lanes are 0."""
    kind = ir.VectorType(number.type, 4 if number.type == ir.FloatType() else 2)
    return builder.insert_element(ir.Constant(kind, [0.0] * kind.count), number, FIRST)


def _unary(formula: Formula) -> Callable[..., Any]:
    generate = _calling(formula, 1)

    def function(typing_context: Any, x: Any) -> Any:
        return x(x), generate

    return function


def _binary(formula: Formula) -> Callable[..., Any]:
    generate = _calling(formula, 2)

    def function(typing_context: Any, a: Any, b: Any) -> Any:
        result = alike(formula.__name__, a, b)
        return result(result, result), generate

    return function


def vector_functions(intrinsic: Callable[[Any], Any]) -> dict[str, Any]:
    """Build the primitives with numba's `intrinsic` decorator."""
    every = (*FORMULAS, *PERIODIC_FORMULAS, *ROUGH_FORMULAS)
    unary = {formula.__name__: intrinsic(_unary(formula)) for formula in every}
    return unary | {formula.__name__: intrinsic(_binary(formula)) for formula in FORMULAS_OF_TWO}
