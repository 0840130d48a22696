from typing import Generic, ParamSpec, Protocol, TypeVar, type_check_only

from numba.core.typing.templates import Signature
from numba.cuda.codegen import CUDACodeLibrary

_P = ParamSpec("_P")
_R_co = TypeVar("_R_co", covariant=True)

@type_check_only
class _Launch(Protocol):
    def __call__(self, *args: object) -> None: ...

class CUDADispatcher(Generic[_P, _R_co]):
    """A device function, called like the one it was made from; or a kernel, called after its launch configuration."""

    __name__: str
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...
    def __getitem__(self, args: tuple[int, int, int, int]) -> _Launch: ...

class _Kernel:
    @classmethod
    def _rebuild(
        cls,
        cooperative: bool,
        name: str,
        signature: Signature,
        codelibrary: CUDACodeLibrary,
        debug: bool,
        lineinfo: bool,
        call_helper: object,
        extensions: list[object],
    ) -> _Kernel: ...
