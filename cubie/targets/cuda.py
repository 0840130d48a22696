"""CUDA GPUs through numba-cuda, and its simulator under `NUMBA_ENABLE_CUDASIM=1`: one thread integrates one run.

All of a model's device code that names `cuda` stands in this file, because the simulator swaps that one global. Chains
of multiply-adds are explicit, so no fast-math flag is asked for: numba-cuda would take it for all of them, and
non-finite checks would lose their meaning.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar, cast, final

import numpy as np
from numba import cuda
from numpy.typing import NDArray
from typing_extensions import override

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    DeviceFunction,
    FloatPrecision,
    GlobalReals,
    PersistentBank,
    Placement,
    Precision,
    Real,
    Scalar,
    SharedBank,
    Vector,
    span,
)
from cubie.targets import cache
from cubie.targets.base import (
    BinaryFn,
    KernelLayout,
    SolveRunsFn,
    Target,
    ToRealFn,
    UnaryFn,
    poison_value,
)
from cubie.targets.cuda_inputs import GpuInputs
from cubie.targets.cuda_launch import CudaKernel, host_array, is_lent, padded, without_warnings
from cubie.targets.cuda_primitives import NAMES, SIMULATED, packs, shared_primitives
from cubie.targets.unroll import unrolled

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_LOOP: Final = 32
"""Rounds of a loop that the compiler writes out by itself: longer ones are cut, so that vectors stay in registers."""
compile_kwargs: Final[dict[str, Any]] = {} if SIMULATED else {"forceinline": True}


def _device(function: Callable[P, R]) -> DeviceFunction[P, R]:
    return cuda.jit(device=True, **compile_kwargs)(function)


@_device
def seen(memory: Vector) -> Vector:
    return memory


view = shared_view = seen
if not SIMULATED:
    from cubie.targets import cuda_storage

    view, shared_view = cast(Any, cuda_storage.view), cast(Any, cuda_storage.shared_view)


@_device
def any_run(mask: bool) -> bool:
    return mask


@_device
def seldom(truth: bool) -> bool:
    return truth


@_device
def splat(value: Real) -> Real:
    return value


@_device
def load_at(array: GlobalReals, index: int) -> Real:
    return array[index]


@_device
def store_at(array: Vector, index: int, value: Real, mask: bool) -> None:
    if mask:
        array[index] = value


@_device
def negate(mask: bool) -> bool:
    return not mask


@_device
def side_by_side(first: int) -> int:
    return first


@_device
def rank(mask: bool) -> int:
    return 0


@_device
def count(mask: bool) -> int:
    return 1 if mask else 0


OURS: Final[dict[str, Any]] = {
    "any_run": any_run,
    "seldom": seldom,
    "splat": splat,
    "load_at": load_at,
    "store_at": store_at,
    "negate": negate,
    "side_by_side": side_by_side,
    "rank": rank,
    "count": count,
}
FUNCTIONS: Final[dict[str, Any]] = (
    {name: getattr(math, name) for name in NAMES if hasattr(math, name)} | shared_primitives() | OURS
)


@final
class CudaTarget(Target):
    """Builds device functions for a CUDA thread.

    Parameters
    ----------
    device_id : which of the machine's GPUs integrates.
    block_size : threads of a block, and `max_registers` of a thread; None leaves them to rule and compiler.
    """

    kind = "cuda"
    refills = False
    sums_early = True
    fetches = not SIMULATED

    def __init__(
        self,
        *,
        device_id: int = 0,
        poison: bool = False,
        block_size: int | None = None,
        max_registers: int | None = None,
    ) -> None:
        super().__init__(width=1, poison=poison)
        self.device_id: Final = device_id
        self._block_size: Final = block_size
        self._max_registers: Final = max_registers
        self.gathers = None if SIMULATED else GpuInputs(device_id)
        for name, function in self.functions.items():
            setattr(self, name, function)

    @property
    @override
    def functions(self) -> Mapping[str, Any]:
        return FUNCTIONS

    @override
    def device(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return cast(DeviceFunction[P, R], _device(unrolled(function, LONGEST_LOOP)))

    @override
    def apart(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return cast(DeviceFunction[P, R], cuda.jit(device=True)(unrolled(function, LONGEST_LOOP)))

    @override
    def inlined(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return cuda.jit(device=True, inline="always", **compile_kwargs)(function)

    @override
    def to_real(self, precision: FloatPrecision) -> ToRealFn:
        @_device
        def to_real(count: int) -> Scalar:
            return precision(count)

        return cast(ToRealFn, to_real)

    @override
    def host_array(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]:
        return host_array(shape, precision, self.device_id, simulated=SIMULATED)

    @override
    def lends(self, n_bytes: int) -> bool:
        return not SIMULATED and is_lent(n_bytes)

    @override
    def rough_precision(self, precision: FloatPrecision) -> FloatPrecision:
        return precision if SIMULATED else np.float32

    def _is_packed(self, precision: FloatPrecision) -> bool:
        return self.rough_precision(precision) is not precision

    @override
    def remember(self, precision: FloatPrecision) -> UnaryFn:
        return packs()[0] if self._is_packed(precision) else super().remember(precision)

    @override
    def recall(self, precision: FloatPrecision) -> UnaryFn:
        return packs()[1] if self._is_packed(precision) else super().recall(precision)

    @override
    def larger_magnitude(self, precision: FloatPrecision) -> BinaryFn:
        if precision is np.float32:
            return super().larger_magnitude(precision)
        absolute, select = self.absolute, self.select

        @self.device
        def larger(a: Real | Scalar, b: Real | Scalar) -> Real:
            return absolute(select(absolute(a) > absolute(b), a, b))  # signs are taken off where an operand is read

        return larger

    @override
    def to_rough(self, precision: FloatPrecision) -> UnaryFn:
        return cast(UnaryFn, self.to_real(self.rough_precision(precision)))

    @override
    def from_rough(self, precision: FloatPrecision) -> UnaryFn:
        return cast(UnaryFn, self.to_real(precision))

    def _allocate(self, placement: Placement) -> Any:
        _shared = placement.pool == "shared"
        _persistent = placement.pool == "persistent_local"
        _poison = self.poison and not placement.kept
        shared_slice = persistent_local_slice = span(placement.start, placement.size)
        local_size, precision = max(placement.size, 1), placement.precision
        size, poison = placement.size, poison_value(placement.precision)

        @cuda.jit(device=True, inline="always", **compile_kwargs)
        def allocate_buffer(shared_parent: SharedBank, persistent_parent: PersistentBank) -> Vector:
            if _shared:
                array = shared_parent[shared_slice]
            elif _persistent:
                array = persistent_parent[persistent_local_slice]
            else:
                array = cuda.local.array(local_size, precision)
            array = view(array)
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
    def kernel(self, solve_runs: SolveRunsFn, layout: KernelLayout, /) -> CudaKernel:
        names = ", ".join(argument.name for argument in layout.arguments)
        views = ", ".join(f"view({a.name})" if a.is_array else a.name for a in layout.arguments)
        text = (
            f"def kernel(start, stop, first_run, n_slots, {names}):\n"
            "    run = start + cuda.grid(1)\n"
            "    if run < stop:\n"
            f"        solve_thread(run, group(first_run, n_slots, {views}))\n"
        )
        namespace: dict[str, Any] = {
            "cuda": cuda,
            "view": view,
            "group": layout.group,
            "solve_thread": self._solve_thread(solve_runs, layout),
        }
        exec(text, namespace)
        capped: dict[str, Any] = {} if SIMULATED else {"max_registers": self._max_registers}
        compiled = cuda.jit(**capped)(namespace["kernel"])
        key, _ = self._key(layout)
        if key:
            from cubie.targets import cuda_cache

            with cuda.gpus[self.device_id]:
                cuda_cache.keep(key, compiled, layout)
        kernel = CudaKernel(layout, compiled, self.device_id, block=self._block_size, simulated=SIMULATED)
        if self._has_gpu():
            kernel.bind()
        return kernel

    def _has_gpu(self) -> bool:
        if SIMULATED:
            return False
        from cubie.targets import cuda_cache

        return cuda_cache.capability(self.device_id) is not None

    @property
    @override
    def identity(self) -> tuple[object, ...]:
        if SIMULATED:
            return (self.kind, "simulator")
        from cubie.targets import cuda_cache

        architecture = cuda_cache.capability(self.device_id)
        return (self.kind, architecture, architecture and str(cuda.gpus[self.device_id].name))

    def _key(self, layout: KernelLayout) -> tuple[str, tuple[int, int]]:
        """Name what the code of a kernel depends on, empty if it isn't to be kept, and the GPU's architecture."""
        if SIMULATED or not layout.shape or not cache.is_on():
            return "", (0, 0)
        from cubie.targets import cuda_cache

        architecture = cuda_cache.capability(self.device_id)
        if architecture is None:
            return "", (0, 0)
        target = ("cuda", architecture, self.poison, self._max_registers)
        return cache.key(target, layout, cuda_cache.BUILDERS), architecture

    @override
    def kept_kernel(self, layout: KernelLayout, /) -> CudaKernel | None:
        key, architecture = self._key(layout)
        if not key:
            return None
        from cubie.targets import cuda_cache

        try:
            with cuda.gpus[self.device_id]:
                loaded = cuda_cache.kept(key, layout, architecture)
                for kernel in loaded.overloads.values() if loaded else ():
                    kernel.bind()
        except Exception as error:  # whatever the driver says of machine code that it can't load
            cache.log.debug("a kernel is compiled anew: %s", error)
            return None
        if loaded is None:
            return None
        return CudaKernel(layout, loaded, self.device_id, block=self._block_size, simulated=False)

    def _solve_thread(self, solve_runs: SolveRunsFn, layout: KernelLayout) -> Any:
        n_shared, n_persistent = layout.n_shared, layout.n_persistent
        shared_stride = padded(n_shared)
        shared_precision, persistent_precision = np.dtype(layout.shared_precision), layout.persistent_precision
        shared_poison, persistent_poison = (
            poison_value(layout.shared_precision),
            poison_value(layout.persistent_precision),
        )
        integrate = cast(Callable[..., None], solve_runs)
        persistent_size, poison = max(n_persistent, 1), self.poison

        def solve_thread(run: int, arguments: Any) -> None:
            block: Any = shared_view(cuda.shared.array(0, shared_precision))
            first = cuda.threadIdx.x * shared_stride
            shared = block[first : first + n_shared]
            persistent: Any = view(cuda.local.array(persistent_size, persistent_precision))
            if poison:
                for i in range(n_shared):
                    shared[i] = shared_poison
                for i in range(n_persistent):
                    persistent[i] = persistent_poison
            integrate(run, run + 1, arguments, shared, persistent)

        return without_warnings(_device(solve_thread)) if SIMULATED else _device(solve_thread)
