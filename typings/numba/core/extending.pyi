from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, type_check_only

from llvmlite import ir
from numba.core.base import BaseContext
from numba.core.typing.templates import Signature

@type_check_only
class _TypingContext(Protocol): ...

_Lowering: TypeAlias = Callable[[BaseContext, ir.IRBuilder, Signature, Sequence[ir.Value]], ir.Value | None]

class _Intrinsic:
    """A function of device code alone: what it takes and gives is known to numba's own typing, not to Python's."""

    __name__: str
    def __call__(self, *args: object, **kwargs: object) -> object: ...
