from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeAlias

from llvmlite import ir

from numba.core.base import BaseContext
from numba.core.typing.templates import Signature

P = ParamSpec("P")

class TypingContext(Protocol): ...

Lowering: TypeAlias = Callable[[BaseContext, ir.IRBuilder, Signature, Sequence[ir.Value]], ir.Value | None]

class Intrinsic:
    """A function of device code alone: what it takes and gives is known to numba's own typing, not to Python's."""

    __name__: str
    def __call__(self, *args: object) -> object: ...

def intrinsic(function: Callable[Concatenate[TypingContext, P], tuple[Signature, Lowering]], /) -> Intrinsic: ...
