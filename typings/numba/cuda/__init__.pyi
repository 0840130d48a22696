"""The parts of numba-cuda and its simulator that cubie.targets uses; a device function keeps its body's signature."""

from collections.abc import Callable
from typing import Literal, ParamSpec, Protocol, TypeVar, overload, type_check_only

from numba.cuda.api import as_cuda_array as as_cuda_array
from numba.cuda.api import device_array as device_array
from numba.cuda.api import event as event
from numba.cuda.api import pinned_array as pinned_array
from numba.cuda.api import stream as stream
from numba.cuda.api import to_device as to_device
from numba.cuda.compiler import compile_ptx as compile_ptx
from numba.cuda.cudadrv.devices import gpus as gpus
from numba.cuda.cudadrv.driver import Context
from numba.cuda.cudadrv.driver import event_elapsed_time as event_elapsed_time
from numba.cuda.dispatcher import CUDADispatcher

_P = ParamSpec("_P")
_R = TypeVar("_R")
_ArrayT = TypeVar("_ArrayT")

@type_check_only
class _JitDecorator(Protocol):
    def __call__(self, function: Callable[_P, _R], /) -> CUDADispatcher[_P, _R]: ...

@overload
def jit(func_or_sig: Callable[_P, _R], /) -> CUDADispatcher[_P, _R]: ...
@overload
def jit(
    *,
    device: bool = False,
    inline: Literal["always", "never"] | bool = "never",
    forceinline: bool = False,
    debug: bool | None = None,
    opt: bool | None = None,
    lineinfo: bool = False,
    cache: bool = False,
    launch_bounds: tuple[int, int] | int | None = None,
    max_registers: int | None = None,
    fastmath: bool = ...,
) -> _JitDecorator: ...

# What an array of device code holds is known to numba's typing; to Python's it is what it is assigned to.
class local:
    @staticmethod
    def array(shape: int, dtype: object) -> _ArrayT: ...  # type: ignore[type-var]  # said by the assignment

class shared:
    @staticmethod
    def array(shape: int, dtype: object) -> _ArrayT: ...  # type: ignore[type-var]  # said by the assignment

@type_check_only
class _Dim3(Protocol):
    @property
    def x(self) -> int: ...

blockDim: _Dim3
blockIdx: _Dim3
threadIdx: _Dim3

def current_context(devnum: int | None = None) -> Context: ...
def grid(ndim: Literal[1], /) -> int: ...
def is_available() -> bool: ...
