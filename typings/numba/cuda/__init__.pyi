"""The parts of numba-cuda (and of its simulator) that cubie.targets uses. Device functions keep the signature of their body."""

from collections.abc import Callable
from typing import Generic, Literal, ParamSpec, Protocol, TypeVar, overload

import numpy as np
from numba.cuda.dispatcher import CUDADispatcher

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
ElementT = TypeVar("ElementT", bound=np.float32 | np.float64 | np.int32)

class CUDADeviceFunction(Generic[P, R_co]):
    """What `jit(device=True)` gives: called from device code like the function it was made from."""

    __name__: str
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

class DeviceDecorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> CUDADeviceFunction[P, R]: ...

class KernelDecorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> CUDADispatcher: ...

class Dim3:
    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def z(self) -> int: ...

@overload
def jit(function: Callable[P, R], /) -> CUDADispatcher: ...
@overload
def jit(
    *,
    device: Literal[True],
    inline: Literal["always", "never"] | bool = ...,
    fastmath: bool = ...,
    forceinline: bool = ...,
    cache: bool = ...,
    debug: bool = ...,
    lineinfo: bool = ...,
    opt: bool = ...,
) -> DeviceDecorator: ...
@overload
def jit(
    *,
    fastmath: bool = ...,
    cache: bool = ...,
    debug: bool = ...,
    lineinfo: bool = ...,
    opt: bool = ...,
    launch_bounds: tuple[int, int] | int | None = ...,
) -> KernelDecorator: ...

class local:
    @staticmethod
    def array(shape: int, dtype: type[ElementT] | np.dtype[ElementT]) -> np.ndarray[tuple[int], np.dtype[ElementT]]: ...

class shared:
    @staticmethod
    def array(shape: int, dtype: type[ElementT] | np.dtype[ElementT]) -> np.ndarray[tuple[int], np.dtype[ElementT]]: ...

blockIdx: Dim3
blockDim: Dim3
gridDim: Dim3
threadIdx: Dim3

def fma(a: R, b: R, c: R, /) -> R: ...
def grid(ndim: Literal[1], /) -> int: ...
def is_available() -> bool: ...
