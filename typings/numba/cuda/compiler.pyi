from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba.core.types import Type
from numba.core.typing.templates import Signature
from numba.cuda.core.compiler_machinery import FunctionPass, LoweringPass, PassManager
from numba.cuda.lowering import CUDALower

_P = ParamSpec("_P")
_R = TypeVar("_R")

class CreateLibrary(LoweringPass): ...
class CUDABackend(LoweringPass): ...

class CUDANativeLowering(LoweringPass):
    @property
    def lowering_class(self) -> type[CUDALower]: ...

class CUDATranslateBytecode(FunctionPass): ...

class CUDACompiler:
    def define_pipelines(self) -> list[PassManager]: ...

def compile_ptx(pyfunc: Callable[_P, _R], sig: Signature, *, cc: tuple[int, int] | None = None) -> tuple[str, Type]: ...
