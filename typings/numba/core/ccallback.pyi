from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Protocol, type_check_only

from numba.core.codegen import CodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.descriptors import TargetDescriptor
from numba.core.types import Type

class CFunc:
    @property
    def address(self) -> int: ...

@type_check_only
class _FunctionDescriptor(Protocol):
    @property
    def llvm_cfunc_wrapper_name(self) -> str: ...

@type_check_only
class _CompileResult(Protocol):
    @property
    def library(self) -> CodeLibrary: ...
    @property
    def fndesc(self) -> _FunctionDescriptor: ...

class _CFuncCompiler:
    def __init__(
        self,
        py_func: FunctionType,
        targetdescr: TargetDescriptor,
        targetoptions: Mapping[str, object],
        locals: Mapping[str, object],
        pipeline_class: type[CompilerBase],
    ) -> None: ...
    def compile(self, args: Sequence[Type], return_type: Type) -> _CompileResult: ...
