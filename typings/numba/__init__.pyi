"""The parts of numba that cubie.targets uses, with decorators that keep signatures; `tests/stubs.py` checks them.

A name that is missing here is not used yet: add it with its type, and only it.
"""

from collections.abc import Callable, Set
from typing import Literal, ParamSpec, Protocol, TypeAlias, TypeVar, type_check_only

from numba.core import types as types
from numba.core.ccallback import CFunc
from numba.core.registry import CPUDispatcher
from numba.core.typing.templates import Signature

__version__: str

_P = ParamSpec("_P")
_R = TypeVar("_R")
_FastMathFlag: TypeAlias = Literal["nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc", "fast"]

@type_check_only
class _NjitDecorator(Protocol):
    def __call__(self, function: Callable[_P, _R], /) -> CPUDispatcher[_P, _R]: ...

@type_check_only
class _CFuncDecorator(Protocol):
    def __call__(self, function: Callable[_P, _R], /) -> CFunc: ...

def njit(
    *,
    boundscheck: bool | None = ...,
    cache: bool = ...,
    debug: bool = ...,
    error_model: Literal["python", "numpy"] = ...,
    fastmath: bool | Set[_FastMathFlag] = ...,
    forceinline: bool = ...,
    inline: Literal["always", "never"] = ...,
    no_cfunc_wrapper: bool = ...,
    no_cpython_wrapper: bool = ...,
    nogil: bool = ...,
    _nrt: bool = ...,
) -> _NjitDecorator: ...
def cfunc(
    sig: Signature,
    *,
    cache: bool = ...,
    error_model: Literal["python", "numpy"] = ...,
    fastmath: bool | Set[_FastMathFlag] = ...,
    forceinline: bool = ...,
    _nrt: bool = ...,
) -> _CFuncDecorator: ...
