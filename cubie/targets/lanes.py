"""Many runs side by side in one core's vector registers: a numba type of `width` numbers that lowers to an LLVM vector.

Device bodies compile unchanged: where a scalar build has a number per run, a lanes build has a vector of them.
Operators have typing templates and lowerings of their own, which compile several times faster than overloads.
"""

import operator
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from typing_extensions import override


class Lanes(types.Type):
    """`width` numbers (or truth values) of type `element`, one for each run."""

    def __init__(self, element: Any, width: int) -> None:
        self.element: Final = element
        self.width: Final = width
        super().__init__(name=f"lanes({element} x {width})")

    @override
    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """One number is spread over all lanes; an integer becomes one of the lanes' type."""
        if isinstance(other, Lanes):
            narrower = (other.element, self.element) == (types.int32, types.int64)
            return Conversion.promote if narrower and other.width == self.width else None
        if isinstance(other, types.Boolean) == (self.element == types.boolean) and isinstance(other, SCALARS):
            return Conversion.safe
        return None


def ir_type(lanes: Lanes) -> ir.VectorType:
    """Return the LLVM vector of a lanes type."""
    return ir.VectorType(IR_ELEMENTS[lanes.element], lanes.width)


SCALARS: Final = (types.Number, types.Boolean)
IR_ELEMENTS: Final[dict[Any, Any]] = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.int32: ir.IntType(32),
    types.int64: ir.IntType(64),
    types.boolean: ir.IntType(1),
}


@register_default(Lanes)
class LanesModel(models.PrimitiveModel):
    """Lanes are one LLVM value, in registers, arguments and memory alike."""

    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, ir_type(fe_type))


def spread(builder: Any, value: Any, width: int) -> Any:
    """Copy one LLVM value to every lane."""
    vector = ir.VectorType(value.type, width)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


@lower_cast(types.Number, Lanes)
@lower_cast(types.Boolean, Lanes)
def number_to_lanes(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Spread a number that stands where lanes are wanted."""
    return spread(builder, context.cast(builder, value, fromty, toty.element), toty.width)


@lower_cast(Lanes, Lanes)
def widen(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """Make 64-bit integers of 32-bit ones."""
    return value if fromty == toty else builder.sext(value, ir_type(toty))


def joined(operands: Any) -> Lanes | None:
    """Return the lanes type in which all operands meet, if one of them is lanes; integers meet in the wider type."""
    lanes = [operand for operand in operands if isinstance(operand, Lanes)]
    if not lanes:
        return None
    if isinstance(lanes[0].element, types.Integer):
        elements = [getattr(operand, "element", operand) for operand in operands]
        return Lanes(max(elements, key=lambda element: int(getattr(element, "bitwidth", 0))), lanes[0].width)
    return lanes[0]


def _register(
    function: Any, result_of: Callable[[Lanes], Lanes], emit: Callable[[Any, Lanes, Any], Any], n_operands: int
) -> None:
    """Give an operator its type and its lowering for lanes."""

    class Template(AbstractTemplate):
        key = function

        def generic(self, arguments: Any, keywords: Any) -> Any:
            lanes = joined(arguments)
            if lanes is None or len(arguments) != n_operands:
                return None
            return signature(result_of(lanes), *[lanes] * n_operands)

    infer_global(function)(Template)

    def lower(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return emit(builder, sig.args[0], arguments)

    lower_builtin(function, *[Lanes] * n_operands)(lower)


FLAGS: Final = ("nsz", "arcp")
"""Nothing is contracted that isn't written as `fma`: two compilations of one step, in the blocks of fixed steps and
outside, must round alike.
"""


def _arithmetic(for_reals: str, for_integers: str) -> Callable[[Any, Lanes, Any], Any]:
    def emit(builder: Any, lanes: Lanes, operands: Any) -> Any:
        is_real = isinstance(lanes.element, types.Float)
        instruction = getattr(builder, for_reals if is_real else for_integers)
        return instruction(*operands, flags=FLAGS) if is_real else instruction(*operands)

    return emit


def _comparison(symbol: str) -> Callable[[Any, Lanes, Any], Any]:
    def emit(builder: Any, lanes: Lanes, operands: Any) -> Any:
        if not isinstance(lanes.element, types.Float):
            return builder.icmp_signed(symbol, *operands)
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        return compare(symbol, *operands)

    return emit


def _mask_of(lanes: Lanes) -> Lanes:
    return Lanes(types.boolean, lanes.width)


def _same(lanes: Lanes) -> Lanes:
    return lanes


COMPARISONS: Final[dict[Any, str]] = {
    **{operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">="},
    **{operator.eq: "==", operator.ne: "!="},
}


def _register_all() -> None:
    for function, for_reals, for_integers in (
        (operator.add, "fadd", "add"),
        (operator.sub, "fsub", "sub"),
        (operator.mul, "fmul", "mul"),
        (operator.truediv, "fdiv", "sdiv"),
    ):
        _register(function, _same, _arithmetic(for_reals, for_integers), 2)
    for function, symbol in COMPARISONS.items():
        _register(function, _mask_of, _comparison(symbol), 2)
    _register(operator.and_, _same, lambda builder, lanes, operands: builder.and_(*operands), 2)
    _register(operator.or_, _same, lambda builder, lanes, operands: builder.or_(*operands), 2)
    _register(operator.neg, _same, lambda builder, lanes, operands: builder.fneg(*operands), 1)


_register_all()
