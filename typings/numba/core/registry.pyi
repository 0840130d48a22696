from typing import Generic, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R_co = TypeVar("_R_co", covariant=True)

class CPUDispatcher(Generic[_P, _R_co]):
    """A compiled function, called like the one it was made from."""

    __name__: str
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...
