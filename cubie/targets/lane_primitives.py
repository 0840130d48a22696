"""Primitives that look across lanes or reach into memory lane by lane; a plain number is one lane."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from cubie.targets.lanes import Lanes, ir_type, spread
from cubie.targets.llvm import suffix
from cubie.targets.storage import element_pointer

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def each_lane(builder: Any, width: int) -> Any:
    """Open a loop over lanes; the caller takes one lane after the other out of its vectors."""
    return cgutils.for_range(builder, ir.Constant(I64, width))


def lane_of(builder: Any, vector: Any, index: Any) -> Any:
    """Take one lane out of a vector; a plain number is every lane."""
    is_vector = isinstance(vector.type, ir.VectorType)
    return builder.extract_element(vector, builder.trunc(index, I32)) if is_vector else vector


def _for_lanes_of(builder: Any, mask: Any, body: Callable[[Any], None]) -> None:
    """Emit a loop over the lanes that a mask holds for: as many rounds as there are, and code for one."""
    count = mask.type.count
    word = ir.IntType(max(count, 32))
    bits = builder.bitcast(mask, ir.IntType(count))
    bits = builder.zext(bits, word) if count < 32 else bits
    before, inside, after = builder.block, builder.append_basic_block("lane"), builder.append_basic_block("after")
    none, one = ir.Constant(word, 0), ir.Constant(word, 1)
    builder.cbranch(builder.icmp_unsigned("!=", bits, none), inside, after)
    builder.position_at_end(inside)
    left = builder.phi(word)
    left.add_incoming(bits, before)
    lane = builder.cttz(left, ir.Constant(I1, 1))
    body(builder.zext(lane, I64) if word.width < 64 else lane)
    rest = builder.and_(left, builder.sub(left, one))
    left.add_incoming(rest, builder.block)
    builder.cbranch(builder.icmp_unsigned("!=", rest, none), inside, after)
    builder.position_at_end(after)


def _in_memory(builder: Any, vector: Any) -> Any:
    """Put a vector on the stack; return where its first element is."""
    return builder.bitcast(cgutils.alloca_once_value(builder, vector), vector.type.element.as_pointer())


def _any_run(typing_context: Any, mask: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        if not isinstance(mask, Lanes):
            return value
        bits = builder.bitcast(value, ir.IntType(mask.width))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(mask), generate


def _seldom(typing_context: Any, truth: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        expect = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I1, [I1, I1]), "llvm.expect.i1")
        return builder.call(expect, [arguments[0], ir.Constant(I1, 0)])

    return types.boolean(types.boolean), generate


def _negate(typing_context: Any, mask: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.not_(arguments[0])

    return mask(mask), generate


def _count(typing_context: Any, mask: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        if not isinstance(mask, Lanes):
            return builder.zext(value, I64)
        bits = builder.bitcast(value, ir.IntType(mask.width))
        bits = builder.zext(bits, I64) if mask.width < 64 else bits
        return builder.ctpop(bits)

    return types.int64(mask), generate


def _rank(typing_context: Any, mask: Any) -> Any:
    """Count, for each lane, the lanes of the mask before it."""
    if not isinstance(mask, Lanes):
        return types.int64(mask), lambda context, builder, signature, arguments: ir.Constant(I64, 0)
    result = Lanes(types.int64, mask.width)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ranks, count = ir.Constant(ir_type(result), ir.Undefined), ir.Constant(I64, 0)
        for lane in range(mask.width):
            place = ir.Constant(I32, lane)
            ranks = builder.insert_element(ranks, count, place)
            count = builder.add(count, builder.zext(builder.extract_element(arguments[0], place), count.type))
        return ranks

    return result(mask), generate


def _load_at(typing_context: Any, array: Any, index: Any) -> Any:
    if not isinstance(index, Lanes):

        def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.load(element_pointer(builder, *arguments))

        return array.dtype(array, types.int64), load
    result, places = Lanes(array.dtype, index.width), Lanes(types.int64, index.width)

    def gather(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, indices = arguments
        return _gathered(builder, data, context.get_abi_sizeof(data.type.pointee), indices)

    return result(array, places), gather


def _gathered(builder: Any, data: Any, item_bytes: int, places: Any) -> Any:
    """Read the elements of an array at the places in all lanes."""
    width, element = places.type.count, data.type.pointee
    vector, mask = ir.VectorType(element, width), ir.VectorType(I1, width)
    offsets = builder.mul(places, ir.Constant(places.type, [item_bytes] * width))
    addresses = builder.add(spread(builder, builder.ptrtoint(data, I64), width), offsets)
    pointers = builder.inttoptr(addresses, ir.VectorType(data.type, width))
    kind = ir.FunctionType(vector, [pointers.type, I32, mask, vector])
    spelt = f"v{width}i{element.width}" if isinstance(element, ir.IntType) else suffix(vector)
    gathering = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.gather.{spelt}.v{width}p0")
    everywhere, nothing = ir.Constant(mask, [1] * width), ir.Constant(vector, ir.Undefined)
    return builder.call(gathering, [pointers, ir.Constant(I32, item_bytes), everywhere, nothing])


def _store_at(typing_context: Any, array: Any, index: Any, value: Any, mask: Any) -> Any:
    lanes = next((operand for operand in (index, value, mask) if isinstance(operand, Lanes)), None)
    if lanes is None:

        def store(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            storage, place, number, wanted = arguments
            with builder.if_then(wanted):
                builder.store(number, element_pointer(builder, storage, place))
            return context.get_dummy_value()

        return types.void(array, types.int64, array.dtype, types.boolean), store
    places, values = Lanes(types.int64, lanes.width), Lanes(array.dtype, lanes.width)

    def scatter(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        storage, place, numbers, wanted = arguments
        places_in_memory, numbers_in_memory = _in_memory(builder, place), _in_memory(builder, numbers)

        def store_lane(lane: Any) -> None:
            index = builder.load(builder.gep(places_in_memory, [lane]))
            number = builder.load(builder.gep(numbers_in_memory, [lane]))
            builder.store(number, element_pointer(builder, storage, index))

        _for_lanes_of(builder, wanted, store_lane)
        return context.get_dummy_value()

    return types.void(array, places, values, Lanes(types.boolean, lanes.width)), scatter


ACROSS_LANES = {
    "any_run": intrinsic(_any_run),
    "seldom": intrinsic(_seldom),
    "negate": intrinsic(_negate),
    "count": intrinsic(_count),
    "rank": intrinsic(_rank),
    "load_at": intrinsic(_load_at),
    "store_at": intrinsic(_store_at),
}


def spreading(width: int) -> dict[str, Any]:
    """Build the primitives that make lanes of one number: `splat`, and `side_by_side`, the runs from a first one on."""

    def splat(typing_context: Any, value: Any) -> Any:
        result = value if width == 1 or isinstance(value, Lanes) else Lanes(value, width)
        return result(result), lambda context, builder, signature, arguments: arguments[0]

    def side_by_side(typing_context: Any, first: Any) -> Any:
        if width == 1:
            return first(first), lambda context, builder, signature, arguments: arguments[0]
        result = Lanes(types.int64, width)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            steps = ir.Constant(ir_type(result), list(range(width)))
            return builder.add(spread(builder, arguments[0], width), steps)

        return result(types.int64), generate

    return {"splat": intrinsic(splat), "side_by_side": intrinsic(side_by_side)}


def conversion(element: Any) -> Callable[..., Any]:
    """Build the conversion of per-run integers to reals of type `element`."""

    def to_real(typing_context: Any, count: Any) -> Any:
        result = Lanes(element, count.width) if isinstance(count, Lanes) else element

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.sitofp(
                arguments[0], ir_type(result) if isinstance(result, Lanes) else context.get_value_type(element)
            )

        return result(count), generate

    return intrinsic(to_real)


def lane_by_lane(name: str, n_operands: int) -> Any:
    """Build the primitive for a function of libm, called for one lane after the other."""

    def function_of(operands: Any) -> Any:
        lanes = next((operand for operand in operands if isinstance(operand, Lanes)), None)
        element = operands[0] if lanes is None else lanes.element
        result = element if lanes is None else lanes
        symbol = name if element == types.float64 else f"{name}f"

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            scalar = context.get_value_type(element)
            kind = ir.FunctionType(scalar, [scalar] * n_operands)
            libm = cgutils.get_or_insert_function(builder.module, kind, symbol)
            if lanes is None:
                return builder.call(libm, arguments)
            slot = cgutils.alloca_once(builder, ir_type(lanes))
            elements = builder.bitcast(slot, scalar.as_pointer())
            with each_lane(builder, lanes.width) as loop:
                answer = builder.call(libm, [lane_of(builder, argument, loop.index) for argument in arguments])
                builder.store(answer, builder.gep(elements, [loop.index]))
            return builder.load(slot)

        return result(*[result] * n_operands), generate

    def unary(typing_context: Any, x: Any) -> Any:
        return function_of((x,))

    def binary(typing_context: Any, a: Any, b: Any) -> Any:
        return function_of((a, b))

    return intrinsic(unary if n_operands == 1 else binary)
