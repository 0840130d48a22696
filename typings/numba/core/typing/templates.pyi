from numba.core.types import Type

class Signature:
    @property
    def args(self) -> tuple[Type, ...]: ...
    @property
    def return_type(self) -> Type: ...
