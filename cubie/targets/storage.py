"""Working memory as device code sees it: a numba type that is one pointer.

Numba's own arrays are seven numbers each, which functions hand to each other; no device body asks for one of the other
six.
"""

import operator
from typing import Any, Final

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from cubie.targets.lanes import IR_ELEMENTS, Lanes, ir_type


class Storage(types.Type):
    """Elements of one type, `dtype`, from an address on; whoever reads them knows how many there are."""

    def __init__(self, dtype: Any, kind: str = "storage") -> None:
        self.dtype: Final = dtype
        super().__init__(name=f"{kind}({dtype})")


def ir_element(dtype: Any) -> Any:
    """Return the LLVM type of an element."""
    return ir_type(dtype) if isinstance(dtype, Lanes) else IR_ELEMENTS[dtype]


@register_default(Storage)
class StorageModel(models.PrimitiveModel):
    """A pointer to the first element."""

    def __init__(self, dmm: Any, fe_type: Storage) -> None:
        super().__init__(dmm, fe_type, ir_element(fe_type.dtype).as_pointer())


def element_pointer(builder: Any, storage: Any, index: Any) -> Any:
    """Return the address of an element.

    Raises
    ------
    IndexError: if the index is written out and below zero.
    """
    if isinstance(index, ir.Constant) and isinstance(index.constant, int) and index.constant < 0:
        raise IndexError(
            f"an index in device code must count from the start, got {index.constant}. Nothing there has an end."
        )
    return builder.gep(storage, [index], inbounds=True)


def reading(storage: Any, index: Any) -> tuple[Any, ...] | None:
    """Return the types of an element ``storage[i]``, or of what starts at element i, ``storage[i:j]``, and of both
    operands; None for what is no such thing.
    """
    if isinstance(storage, Storage) and isinstance(index, types.SliceType):
        return storage, storage, types.slice2_type
    if isinstance(storage, Storage) and isinstance(index, types.Integer):
        return storage.dtype, storage, types.intp
    return None


def writing(storage: Any, index: Any) -> tuple[Any, ...] | None:
    """Return the types of ``storage[i] = value``: of nothing, and of all operands."""
    if isinstance(storage, Storage) and isinstance(index, types.Integer):
        return types.none, storage, types.intp, storage.dtype
    return None


@infer_global(operator.getitem)
class Read(AbstractTemplate):
    """``storage[i]`` and ``storage[i:j]``."""

    key = operator.getitem

    def generic(self, arguments: Any, keywords: Any) -> Any:
        kinds = reading(*arguments)
        return kinds and signature(*kinds)


@infer_global(operator.setitem)
class Write(AbstractTemplate):
    """``storage[i] = value``."""

    key = operator.setitem

    def generic(self, arguments: Any, keywords: Any) -> Any:
        kinds = writing(*arguments[:2])
        return kinds and signature(*kinds)


@lower_builtin(operator.getitem, Storage, types.Integer)
def read(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
    """Load one element."""
    return builder.load(element_pointer(builder, *arguments))


@lower_builtin(operator.getitem, Storage, types.SliceType)
def read_from(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
    """Go to where a slice starts."""
    storage, bounds = arguments
    return element_pointer(builder, storage, builder.extract_value(bounds, 0))


@lower_builtin(operator.setitem, Storage, types.Integer, types.Any)
def write(context: Any, builder: Any, sig: Any, arguments: Any) -> None:
    """Store one element."""
    storage, index, value = arguments
    builder.store(value, element_pointer(builder, storage, index))
