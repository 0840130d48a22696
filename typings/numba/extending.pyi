from collections.abc import Callable
from typing import Concatenate, ParamSpec

from numba.core.extending import _Intrinsic, _Lowering, _TypingContext
from numba.core.typing.templates import Signature

_P = ParamSpec("_P")

def intrinsic(func: Callable[Concatenate[_TypingContext, _P], tuple[Signature, _Lowering]], /) -> _Intrinsic: ...
