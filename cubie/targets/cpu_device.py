"""Device code on a CPU core: its primitives, its allocators, and kernels over ranges of runs, compiled by numba.

Every working array is a stack slot that LLVM takes apart into registers.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from cubie._types import Placement, Precision
from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS, KernelLayout, poison_value
from cubie.targets.device_compiler import compile_kernel, device_function
from cubie.targets.lane_primitives import ACROSS_LANES, conversion, lane_by_lane, spreading
from cubie.targets.lanes import Lanes
from cubie.targets.llvm import INSTRUCTIONS, constant, llvm_function, primitives
from cubie.targets.storage import Storage, element_pointer, ir_element
from cubie.targets.vector_math import vector_functions

NUMBA_TYPES: Final[dict[Any, Any]] = {
    np.float32: types.float32,
    np.float64: types.float64,
    np.int32: types.int32,
    np.int64: types.int64,
}


def stack_array(size: int, element: Any) -> Any:
    """Build the intrinsic that makes a stack array of `size` elements; legal because allocators are inlined as IR."""

    def allocate(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            storage = ir_element(element)
            slot = cgutils.alloca_once(builder, ir.ArrayType(storage, max(size, 1)))
            return builder.bitcast(slot, storage.as_pointer())

        return Storage(element)(), generate

    return intrinsic(allocate)


def _view(typing_context: Any, pointer: Any) -> Any:
    """See what a C pointer points to."""
    return Storage(pointer.dtype)(pointer), lambda context, builder, signature, arguments: arguments[0]


def _functions() -> dict[str, Any]:
    """Name the functions of models and the primitives, all but those that make lanes."""
    libm = {
        **{name: lane_by_lane(name, 1) for name in UNARY_FUNCTIONS},
        **{name: lane_by_lane(name, 2) for name in BINARY_FUNCTIONS},
    }
    from_llvm = {name: llvm_function(intrinsic, spelling) for name, spelling in INSTRUCTIONS.items()}
    return libm | from_llvm | vector_functions(intrinsic) | primitives(intrinsic, types.int32) | ACROSS_LANES


FUNCTIONS: Final = _functions()
view: Final = intrinsic(_view)


def functions(width: int) -> Mapping[str, Any]:
    """Return the primitives and the functions of models by name, for so many lanes."""
    return FUNCTIONS | spreading(width)


def to_real(precision: Precision) -> Any:
    """Return the conversion of per-run integers to `precision`."""
    return conversion(NUMBA_TYPES[precision])


def _element(precision: Precision, width: int) -> Any:
    """Return what an array holds in the place of one number."""
    return NUMBA_TYPES[precision] if width == 1 else Lanes(NUMBA_TYPES[precision], width)


def allocator(placement: Placement, *, width: int, poisons: bool) -> Any:
    """Build what hands out one buffer: a part of a pool, or an array of its own.

    An intrinsic stands in the function that calls it, as the other targets' allocators do once they are inlined; that
    saves numba a dozen inlinings a kernel.
    """
    own = _element(placement.precision, width)
    start, size, poison = placement.start, placement.size, poison_value(placement.precision)
    takes_poison = poisons and not placement.kept and size > 0

    def allocate_buffer(typing_context: Any, shared_parent: Any, persistent_parent: Any) -> Any:
        parents = {"shared": (shared_parent, 0), "persistent_local": (persistent_parent, 1)}
        parent, position = parents.get(placement.pool, (None, -1))
        element = own if parent is None else parent.dtype

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            storage = ir_element(element)
            if parent is None:
                slot = cgutils.alloca_once(builder, ir.ArrayType(storage, max(size, 1)))
                data = builder.bitcast(slot, storage.as_pointer())
            else:
                data = element_pointer(builder, arguments[position], ir.Constant(ir.IntType(64), start))
            if takes_poison:
                with cgutils.for_range(builder, ir.Constant(ir.IntType(64), size)) as loop:
                    builder.store(constant(storage, poison.item()), builder.gep(data, [loop.index], inbounds=True))
            return data

        return Storage(element)(shared_parent, persistent_parent), generate

    return intrinsic(allocate_buffer)


def range_kernel(solve_runs: Any, layout: KernelLayout, *, width: int, poisons: bool) -> bytes:
    """Compile the C function that integrates a range of runs; return its object code."""
    names = ", ".join(argument.name for argument in layout.arguments)
    views = ", ".join(f"view({argument.name})" if argument.is_array else argument.name for argument in layout.arguments)
    text = (
        f"def kernel(start, stop, first_run, n_slots, {names}):\n"
        f"    solve_range(start, stop, group(first_run, n_slots, {views}))\n"
    )
    solve_range = _solve_range(solve_runs, layout, width=width, poisons=poisons)
    namespace: dict[str, Any] = {"view": view, "group": layout.group, "solve_range": solve_range}
    exec(text, namespace)
    element = {argument.name: NUMBA_TYPES[argument.precision] for argument in layout.arguments}
    arguments = [types.CPointer(element[a.name]) if a.is_array else element[a.name] for a in layout.arguments]
    return compile_kernel(namespace["kernel"], types.void(*[types.int64] * 4, *arguments))


def _solve_range(solve_runs: Any, layout: KernelLayout, *, width: int, poisons: bool) -> Any:
    shared_bank = stack_array(layout.n_shared, _element(layout.shared_precision, width))
    persistent_bank = stack_array(layout.n_persistent, _element(layout.persistent_precision, width))
    n_shared, n_persistent = layout.n_shared, layout.n_persistent
    shared_poison, persistent_poison = (
        poison_value(layout.shared_precision),
        poison_value(layout.persistent_precision),
    )

    def solve_range(start: int, stop: int, arguments: Any) -> None:
        shared, persistent = shared_bank(), persistent_bank()
        if poisons:
            for i in range(n_shared):
                shared[i] = shared_poison
            for i in range(n_persistent):
                persistent[i] = persistent_poison
        solve_runs(start, stop, arguments, shared, persistent)

    return device_function(solve_range, forceinline=True)
