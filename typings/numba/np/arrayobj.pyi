from collections.abc import Callable, Sequence
from typing import Protocol

from llvmlite import ir

from numba.core.base import BaseContext
from numba.core.types import Array

class ArrayProxy(Protocol):
    def _getvalue(self) -> ir.Value: ...

def make_array(array_type: Array) -> Callable[[BaseContext, ir.IRBuilder], ArrayProxy]: ...
def populate_array(
    array: ArrayProxy,
    data: ir.Value,
    shape: Sequence[ir.Value],
    strides: Sequence[ir.Value],
    itemsize: ir.Value,
    meminfo: ir.Value | None,
) -> ArrayProxy: ...
