from typing import Protocol, type_check_only

from numba.core.types import Type

@type_check_only
class _Registration(Protocol):
    """Takes an implementation, gives it back; nobody calls it but numba."""

    def __call__(self, impl: object, /) -> object: ...

def lower_builtin(func: object, *argtys: type[Type] | Type) -> _Registration: ...
def lower_cast(fromty: type[Type], toty: type[Type]) -> _Registration: ...
