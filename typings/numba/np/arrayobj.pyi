from collections.abc import Callable, Sequence
from typing import Protocol, type_check_only

from llvmlite import ir
from numba.core.base import BaseContext
from numba.core.types import Array

@type_check_only
class _ArrayStruct(Protocol):
    def _getvalue(self) -> ir.Value: ...

def make_array(array_type: Array) -> Callable[[BaseContext, ir.IRBuilder], _ArrayStruct]: ...
def populate_array(
    array: _ArrayStruct,
    data: ir.Value,
    shape: Sequence[ir.Value],
    strides: Sequence[ir.Value],
    itemsize: ir.Value,
    meminfo: ir.Value | None,
    parent: ir.Value | None = None,
) -> _ArrayStruct: ...
