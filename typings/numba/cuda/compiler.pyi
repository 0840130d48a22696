from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba.core.types import Type
from numba.core.typing.templates import Signature

_P = ParamSpec("_P")
_R = TypeVar("_R")

def compile_ptx(pyfunc: Callable[_P, _R], sig: Signature, *, cc: tuple[int, int] | None = None) -> tuple[str, Type]: ...
