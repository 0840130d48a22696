"""The CPU: numba on LLVM, `width` runs side by side in the vector registers of every core.

A kernel is one C function over a range of runs (integers, pointers and numbers; no Python objects, no exceptions), so
that threads, chunks and progress call it without the GIL. Every working array is a stack slot that LLVM takes apart
into registers.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar, final

import numba
import numpy as np
from llvmlite import binding, ir
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
    PersistentBank,
    Placement,
    Precision,
    SharedBank,
    span,
)
from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS, KernelLayout, Target, ToRealFn, poison_value
from cubie.targets.lane_primitives import ACROSS_LANES, conversion, lane_by_lane, spreading
from cubie.targets.lanes import Lanes
from cubie.targets.llvm import INSTRUCTIONS, llvm_function, primitives
from cubie.targets.thread_pool import CpuKernel
from cubie.targets.unroll import unrolled
from cubie.targets.vector_math import vector_functions

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
CALL_OPTIONS: Final = {key: value for key, value in OPTIONS.items() if not key.startswith("no_")}


def _compiled(function: Callable[P, R]) -> DeviceFunction[P, R]:
    return numba.njit(forceinline=True, **OPTIONS)(function)


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


def stack_array(size: int, element: Any) -> Any:
    """Build the intrinsic that makes a stack array of `size` elements; legal because allocators are inlined as IR."""

    def allocate(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            storage = context.get_data_type(element)
            slot = cgutils.alloca_once(builder, ir.ArrayType(storage, max(size, 1)))
            return _array_of(context, builder, element, builder.bitcast(slot, storage.as_pointer()), max(size, 1))

        return types.Array(element, 1, "C")(), generate

    return intrinsic(allocate)


def _view(typing_context: Any, pointer: Any) -> Any:
    """See a C pointer as an array; the caller knows its length."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _array_of(context, builder, pointer.dtype, arguments[0], 1 << 62)

    return types.Array(pointer.dtype, 1, "C")(pointer), generate


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


def register_bytes() -> int:
    """Return the width of this CPU's vector registers."""
    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


@final
class CpuTarget(Target):
    """Builds device functions for a CPU core.

    Parameters
    ----------
    width : how many runs stand side by side; 1 is one run at a time.
    """

    kind = "cpu"
    refills = True

    def __init__(self, *, width: int = 1, poison: bool = False) -> None:
        super().__init__(width=width, poison=poison)
        self._functions: Final = FUNCTIONS | spreading(width)
        for name, function in self._functions.items():
            setattr(self, name, function)

    @property
    @override
    def functions(self) -> Mapping[str, Any]:
        return self._functions

    @override
    def device(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return _compiled(unrolled(function))

    @override
    def inlined(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return numba.njit(inline="always", **OPTIONS)(function)

    @override
    def to_real(self, precision: FloatPrecision) -> ToRealFn:
        to_real: ToRealFn = conversion(NUMBA_TYPES[precision])
        return to_real

    def _element(self, precision: Precision) -> Any:
        """Return what an array of this target holds in the place of one number."""
        return NUMBA_TYPES[precision] if self.width == 1 else Lanes(NUMBA_TYPES[precision], self.width)

    def _allocate(self, placement: Placement) -> Any:
        _shared = placement.pool == "shared"
        _persistent = placement.pool == "persistent_local"
        _poison = self.poison and not placement.kept
        shared_slice = persistent_local_slice = span(placement.start, placement.size)
        local_array = stack_array(placement.size, self._element(placement.precision))
        size, poison = placement.size, poison_value(placement.precision)

        def allocate_buffer(shared_parent: SharedBank, persistent_parent: PersistentBank) -> Any:
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

        return numba.njit(inline="always", **OPTIONS)(allocate_buffer)

    @override
    def allocator(self, placement: Placement, /) -> AllocateFn:
        allocate: AllocateFn = self._allocate(placement)
        return allocate

    @override
    def shared_allocator(self, placement: Placement, /) -> AllocateSharedFn:
        allocate: AllocateSharedFn = self._allocate(placement)
        return allocate

    @override
    def persistent_allocator(self, placement: Placement, /) -> AllocatePersistentFn:
        allocate: AllocatePersistentFn = self._allocate(placement)
        return allocate

    @override
    def kernel(self, solve_runs: Any, layout: KernelLayout, /) -> CpuKernel:
        begin = time.perf_counter()
        names = ", ".join(argument.name for argument in layout.arguments)
        views = ", ".join(
            f"view({argument.name})" if argument.is_array else argument.name for argument in layout.arguments
        )
        text = (
            f"def kernel(start, stop, first_run, n_slots, {names}):\n"
            f"    solve_range(start, stop, group(first_run, n_slots, {views}))\n"
        )
        solve_range = self._solve_range(solve_runs, layout)
        namespace: dict[str, Any] = {"view": view, "group": layout.group, "solve_range": solve_range}
        exec(text, namespace)
        element = {argument.name: NUMBA_TYPES[argument.precision] for argument in layout.arguments}
        arguments = [types.CPointer(element[a.name]) if a.is_array else element[a.name] for a in layout.arguments]
        signature = types.void(*[types.int64] * 4, *arguments)
        compiled = numba.cfunc(signature, **CALL_OPTIONS)(namespace["kernel"])
        return CpuKernel(layout, compiled.address, time.perf_counter() - begin, width=self.width, keep=compiled)

    def _solve_range(self, solve_runs: Any, layout: KernelLayout) -> Any:
        shared_bank = stack_array(layout.n_shared, self._element(layout.shared_precision))
        persistent_bank = stack_array(layout.n_persistent, self._element(layout.persistent_precision))
        n_shared, n_persistent, poison = layout.n_shared, layout.n_persistent, self.poison
        shared_poison, persistent_poison = (
            poison_value(layout.shared_precision),
            poison_value(layout.persistent_precision),
        )

        def solve_range(start: int, stop: int, arguments: Any) -> None:
            shared, persistent = shared_bank(), persistent_bank()
            if poison:
                for i in range(n_shared):
                    shared[i] = shared_poison
                for i in range(n_persistent):
                    persistent[i] = persistent_poison
            solve_runs(start, stop, arguments, shared, persistent)

        return _compiled(solve_range)
