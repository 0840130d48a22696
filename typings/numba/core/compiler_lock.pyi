from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

class _CompilerLock:
    def __call__(self, func: Callable[_P, _R]) -> Callable[_P, _R]: ...

global_compiler_lock: _CompilerLock
