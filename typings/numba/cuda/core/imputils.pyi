from typing import Protocol, type_check_only

from numba.core.types import Type

@type_check_only
class _Registration(Protocol):
    """Takes an implementation, gives it back; nobody calls it but numba."""

    def __call__(self, impl: object, /) -> object: ...

class Registry:
    def __init__(self, name: str = "unspecified") -> None: ...
    def lower(self, func: object, *argtys: type[Type] | Type) -> _Registration: ...
