"""The parts of numba-cuda and its simulator that cubie.targets uses; a device function keeps its body's signature."""

from collections.abc import Callable
from typing import Literal, ParamSpec, Protocol, TypeVar, overload, type_check_only

import numpy as np
from numba.cuda.compiler import compile_ptx as compile_ptx
from numba.cuda.dispatcher import CUDADispatcher

_P = ParamSpec("_P")
_R = TypeVar("_R")
_ElementT = TypeVar("_ElementT", bound=np.float32 | np.float64 | np.int32)

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
    fastmath: bool = ...,
) -> _JitDecorator: ...

class local:
    @staticmethod
    def array(
        shape: int, dtype: type[_ElementT] | np.dtype[_ElementT]
    ) -> np.ndarray[tuple[int], np.dtype[_ElementT]]: ...

class shared:
    @staticmethod
    def array(
        shape: int, dtype: type[_ElementT] | np.dtype[_ElementT]
    ) -> np.ndarray[tuple[int], np.dtype[_ElementT]]: ...

@type_check_only
class _Dim3(Protocol):
    @property
    def x(self) -> int: ...

blockDim: _Dim3
blockIdx: _Dim3
threadIdx: _Dim3

def grid(ndim: Literal[1], /) -> int: ...
def is_available() -> bool: ...
