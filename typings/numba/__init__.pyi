"""The parts of numba that cubie.targets uses, with decorators that keep signatures; tests/stubs.py compares them with numba.

A name that is missing here is not used yet: add it with its type, and only it.
"""

from collections.abc import Callable, Set
from typing import Generic, Literal, ParamSpec, Protocol, TypeAlias, TypeVar

from numba.core import types as types
from numba.core.ccallback import CFunc
from numba.core.typing.templates import Signature

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

FastMathFlag: TypeAlias = Literal["nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc", "fast"]
Inlining: TypeAlias = Literal["always", "never"]

class CPUDispatcher(Generic[P, R_co]):
    __name__: str
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

class NjitDecorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> CPUDispatcher[P, R]: ...

class CFuncDecorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> CFunc: ...

def njit(
    *,
    boundscheck: bool | None = ...,
    cache: bool = ...,
    debug: bool = ...,
    error_model: Literal["python", "numpy"] = ...,
    fastmath: bool | Set[FastMathFlag] = ...,
    forceinline: bool = ...,
    inline: Inlining = ...,
    no_cfunc_wrapper: bool = ...,
    no_cpython_wrapper: bool = ...,
    nogil: bool = ...,
    _nrt: bool = ...,
) -> NjitDecorator: ...
def cfunc(
    sig: Signature,
    /,
    *,
    cache: bool = ...,
    error_model: Literal["python", "numpy"] = ...,
    fastmath: bool | Set[FastMathFlag] = ...,
    forceinline: bool = ...,
    _nrt: bool = ...,
) -> CFuncDecorator: ...

__version__: str
