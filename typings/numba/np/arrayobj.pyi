from collections.abc import Sequence
from typing import Protocol, type_check_only

from llvmlite import ir
from numba.core.base import BaseContext
from numba.core.types import Array

@type_check_only
class _ArrayStruct(Protocol):
    @property
    def data(self) -> ir.Value: ...
    def _getvalue(self) -> ir.Value: ...

@type_check_only
class _ArrayStructMaker(Protocol):
    def __call__(self, context: BaseContext, builder: ir.IRBuilder, value: ir.Value | None = None) -> _ArrayStruct: ...

def make_array(array_type: Array) -> _ArrayStructMaker: ...
def populate_array(
    array: _ArrayStruct,
    data: ir.Value,
    shape: Sequence[ir.Value],
    strides: Sequence[ir.Value],
    itemsize: ir.Value,
    meminfo: ir.Value | None,
    parent: ir.Value | None = None,
) -> _ArrayStruct: ...
