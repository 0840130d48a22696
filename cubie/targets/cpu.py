"""The CPU: numba on LLVM, one run at a time in every core.

A kernel is one C function over a range of runs (integers, pointers and numbers; no Python objects, no exceptions), so
that threads, chunks and progress call it without the GIL. Every working array is a stack slot that LLVM takes apart
into registers.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar, cast, final

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np import arrayobj
from typing_extensions import override

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    DeviceFunction,
    FloatPrecision,
    Placement,
    Precision,
    span,
)
from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS, KernelLayout, Target, ToRealFn, poison_value
from cubie.targets.llvm import INSTRUCTIONS, llvm_function, primitives
from cubie.targets.thread_pool import CpuKernel
from cubie.targets.unroll import unrolled

P = ParamSpec("P")
R = TypeVar("R")

NUMBA_TYPES: Final[dict[Any, Any]] = {
    np.float32: types.float32,
    np.float64: types.float64,
    np.int32: types.int32,
    np.int64: types.int64,
}
OPTIONS: Final[dict[str, Any]] = {
    "fastmath": {"contract", "nsz", "arcp"},
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}


def _array_of(context: Any, builder: Any, element: Any, pointer: Any, size: int) -> Any:
    """Dress a bare pointer as a one-dimensional numba array that owns nothing."""
    array = arrayobj.make_array(types.Array(element, 1, "C"))(context, builder)
    item = context.get_abi_sizeof(context.get_data_type(element))
    arrayobj.populate_array(
        array,
        data=pointer,
        shape=[context.get_constant(types.intp, size)],
        strides=[context.get_constant(types.intp, item)],
        itemsize=context.get_constant(types.intp, item),
        meminfo=None,
    )
    return array._getvalue()


def stack_array(size: int, precision: Precision) -> Any:
    """Build the intrinsic that makes a stack array of `size` elements; legal because allocators are inlined as IR."""
    element = NUMBA_TYPES[precision]

    @intrinsic
    def allocate(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            storage = context.get_data_type(element)
            slot = cgutils.alloca_once(builder, ir.ArrayType(storage, max(size, 1)))
            return _array_of(context, builder, element, builder.bitcast(slot, storage.as_pointer()), max(size, 1))

        return types.Array(element, 1, "C")(), generate

    return allocate


@intrinsic
def view(typing_context: Any, pointer: Any) -> Any:
    """See a C pointer as an array; the caller knows its length."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _array_of(context, builder, pointer.dtype, arguments[0], 1 << 62)

    return types.Array(pointer.dtype, 1, "C")(pointer), generate


def _device(function: Callable[P, R]) -> Any:
    return numba.njit(forceinline=True, **OPTIONS)(function)


@_device
def any_run(mask: Any) -> Any:
    return mask


@_device
def splat(value: Any) -> Any:
    return value


@_device
def load_at(array: Any, index: Any) -> Any:
    return array[index]


@_device
def store_at(array: Any, index: Any, value: Any, mask: Any) -> None:
    if mask:
        array[index] = value


@_device
def negate(mask: Any) -> Any:
    return not mask


@_device
def minimum(a: Any, b: Any) -> Any:
    return select(a < b, a, b)


@_device
def maximum(a: Any, b: Any) -> Any:
    return select(a > b, a, b)


SHARED: Final = primitives(intrinsic, types.int32)
select: Final = SHARED["select"]
SPELLINGS: Final = INSTRUCTIONS | {name: name for name in ("exp", "exp2", "log", "log2", "log10", "sin", "cos")}
LLVM: Final = {name: llvm_function(intrinsic, spelling) for name, spelling in SPELLINGS.items()}
OURS: Final = {f.__name__: f for f in (any_run, splat, load_at, store_at, negate, minimum, maximum)}
NAMES: Final = (*UNARY_FUNCTIONS, *BINARY_FUNCTIONS)
FUNCTIONS: Final[dict[str, Any]] = (
    {name: getattr(math, name) for name in NAMES if hasattr(math, name)} | LLVM | SHARED | OURS
)


@final
class CpuTarget(Target):
    """Builds device functions for a CPU core, one run at a time."""

    kind = "cpu"

    def __init__(self, *, poison: bool = False) -> None:
        super().__init__(poison=poison)
        for name, function in self.functions.items():
            setattr(self, name, function)

    @property
    @override
    def functions(self) -> Mapping[str, Any]:
        return FUNCTIONS

    @override
    def device(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return cast(DeviceFunction[P, R], _device(unrolled(function)))

    @override
    def to_real(self, precision: FloatPrecision) -> ToRealFn:
        element = NUMBA_TYPES[precision]

        @_device
        def to_real(count: Any) -> Any:
            return element(count)

        return cast(ToRealFn, to_real)

    def _allocate(self, placement: Placement) -> Any:
        _shared = placement.pool == "shared"
        _persistent = placement.pool == "persistent_local"
        _poison = self.poison and not placement.kept
        shared_slice = persistent_local_slice = span(placement.start, placement.size)
        local_array = stack_array(placement.size, placement.precision)
        size, poison = placement.size, poison_value(placement.precision)

        @numba.njit(inline="always", **OPTIONS)
        def allocate_buffer(shared_parent: Any, persistent_parent: Any) -> Any:
            if _shared:
                array = shared_parent[shared_slice]
            elif _persistent:
                array = persistent_parent[persistent_local_slice]
            else:
                array = local_array()
            if _poison:
                for i in range(size):
                    array[i] = poison
            return array

        return allocate_buffer

    @override
    def allocator(self, placement: Placement, /) -> AllocateFn:
        return cast(AllocateFn, self._allocate(placement))

    @override
    def shared_allocator(self, placement: Placement, /) -> AllocateSharedFn:
        return cast(AllocateSharedFn, self._allocate(placement))

    @override
    def persistent_allocator(self, placement: Placement, /) -> AllocatePersistentFn:
        return cast(AllocatePersistentFn, self._allocate(placement))

    @override
    def kernel(self, solve_run: Any, layout: KernelLayout, /) -> CpuKernel:
        begin = time.perf_counter()
        names = [argument.name for argument in layout.arguments]
        views = ", ".join(
            f"view({argument.name})" if argument.is_array else argument.name for argument in layout.arguments
        )
        text = (
            f"def kernel(start, stop, first_run, n_slots, {', '.join(names)}):\n"
            f"    run_range(start, stop, group(first_run, n_slots, {views}))\n"
        )
        namespace: dict[str, Any] = {
            "view": view,
            "group": layout.group,
            "run_range": self._run_range(solve_run, layout),
        }
        exec(text, namespace)
        element = {argument.name: NUMBA_TYPES[argument.precision] for argument in layout.arguments}
        arguments = [types.CPointer(element[a.name]) if a.is_array else element[a.name] for a in layout.arguments]
        options = {key: value for key, value in OPTIONS.items() if not key.startswith("no_")}
        compiled = numba.cfunc(types.void(*[types.int64] * 4, *arguments), **options)(namespace["kernel"])
        return CpuKernel(layout, compiled.address, time.perf_counter() - begin, keep=compiled)

    def _run_range(self, solve_run: Any, layout: KernelLayout) -> Any:
        shared_bank = stack_array(layout.n_shared, layout.shared_precision)
        persistent_bank = stack_array(layout.n_persistent, layout.persistent_precision)
        n_shared, n_persistent = layout.n_shared, layout.n_persistent
        shared_poison, persistent_poison = (
            poison_value(layout.shared_precision),
            poison_value(layout.persistent_precision),
        )
        poison = self.poison

        @_device
        def run_range(start: Any, stop: Any, arguments: Any) -> None:
            shared, persistent = shared_bank(), persistent_bank()
            for run in range(start, stop):
                if poison:
                    for i in range(n_shared):
                        shared[i] = shared_poison
                    for i in range(n_persistent):
                        persistent[i] = persistent_poison
                solve_run(run, True, arguments, shared, persistent)

        return run_range
