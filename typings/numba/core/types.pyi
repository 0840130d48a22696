from abc import ABCMeta
from functools import cached_property
from typing import Literal, type_check_only

from numba.core.typing.templates import Signature

@type_check_only
class _TypeMetaclass(ABCMeta): ...

class Type(metaclass=_TypeMetaclass):
    name: str
    def __call__(self, *args: Type) -> Signature: ...

class Integer(Type):
    bitwidth: int

class Float(Type):
    bitwidth: int

class Array(Type):
    @cached_property
    def dtype(self) -> Type: ...
    def __init__(
        self,
        dtype: Type,
        ndim: int,
        layout: Literal["C", "F", "A"],
        readonly: bool = False,
        name: str | None = None,
        aligned: bool = True,
    ) -> None: ...

class CPointer(Type):
    dtype: Type
    def __init__(self, dtype: Type, addrspace: int | None = None) -> None: ...

void: Type
int32: Integer
int64: Integer
intp: Integer
float32: Float
float64: Float
