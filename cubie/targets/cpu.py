"""The CPU: device code compiled for `width` runs side by side in the vector registers of every core.

A kernel is one C function over a range of runs (integers, pointers and numbers; no Python objects, no exceptions), so
that threads, chunks and progress call it without the GIL. The compiler is loaded once device code is built: a process
that finds its kernels in the cache never needs it.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, final

from typing_extensions import override

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    DeviceFunction,
    FloatPrecision,
    Placement,
)
from cubie.targets import cache, machine_code
from cubie.targets.base import KernelLayout, Target, ToRealFn
from cubie.targets.machine_code import ForeignCodeError, MachineCode
from cubie.targets.thread_pool import CpuKernel, n_threads
from cubie.targets.unroll import unrolled

P = ParamSpec("P")
R = TypeVar("R")

register_bytes: Final = machine_code.register_bytes


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
        self._functions: Mapping[str, Any] = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Find a primitive when a factory first asks for it."""
            if name.startswith("_") or name not in self.functions:
                raise AttributeError(f"{type(self).__name__} has no primitive {name!r}")
            return self.functions[name]

    @property
    @override
    def functions(self) -> Mapping[str, Any]:
        if not self._functions:
            from cubie.targets import cpu_device

            self._functions = cpu_device.functions(self.width)
        return self._functions

    @override
    def device(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        from cubie.targets.device_compiler import device_function

        compiled: DeviceFunction[P, R] = device_function(unrolled(function), forceinline=True)
        return compiled

    @override
    def apart(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        from cubie.targets.device_compiler import device_function

        compiled: DeviceFunction[P, R] = device_function(unrolled(function))
        return compiled

    @override
    def inlined(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        from cubie.targets.device_compiler import device_function

        compiled: DeviceFunction[P, R] = device_function(function, inline="always")
        return compiled

    @override
    def to_real(self, precision: FloatPrecision) -> ToRealFn:
        from cubie.targets import cpu_device

        convert: ToRealFn = cpu_device.to_real(precision)
        return convert

    def _allocate(self, placement: Placement) -> Any:
        from cubie.targets import cpu_device

        return cpu_device.allocator(placement, width=self.width, poisons=self.poison)

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

    @property
    @override
    def identity(self) -> tuple[object, ...]:
        return (self.kind, n_threads(), *machine_code.host())

    def _key(self, layout: KernelLayout) -> str:
        """Name what the code of a kernel depends on; empty if it isn't to be kept."""
        if not layout.shape or not machine_code.is_readable():
            return ""
        return cache.key(("cpu", self.width, self.poison, *machine_code.host()), layout, ("numba", "llvmlite"))

    @override
    def kept_kernel(self, layout: KernelLayout, /) -> CpuKernel | None:
        entry = cache.load(self._key(layout))
        if entry is None:
            return None
        try:
            code = MachineCode(entry)
        except ForeignCodeError as error:
            cache.log.debug("a kernel is compiled anew: %s", error)
            return None
        return CpuKernel(layout, code.address, width=self.width, keep=code)

    @override
    def kernel(self, solve_runs: Any, layout: KernelLayout, /) -> CpuKernel:
        from cubie.targets import cpu_device

        object_code = cpu_device.range_kernel(solve_runs, layout, width=self.width, poisons=self.poison)
        code = MachineCode(object_code)
        cache.store(self._key(layout), object_code)
        return CpuKernel(layout, code.address, width=self.width, keep=code)
