from contextlib import AbstractContextManager
from typing import Protocol, type_check_only

from llvmlite import ir

@type_check_only
class _Loop(Protocol):
    @property
    def index(self) -> ir.Value: ...

def alloca_once(
    builder: ir.IRBuilder, ty: ir.Type, size: ir.Value | int | None = None, name: str = "", zfill: bool = False
) -> ir.AllocaInstr: ...
def alloca_once_value(
    builder: ir.IRBuilder, value: ir.Value, name: str = "", zfill: bool = False
) -> ir.AllocaInstr: ...
def for_range(
    builder: ir.IRBuilder, count: ir.Value, start: ir.Value | None = None, intp: ir.Type | None = None
) -> AbstractContextManager[_Loop]: ...
def get_or_insert_function(module: ir.Module, fnty: ir.FunctionType, name: str) -> ir.Function: ...
