from abc import ABCMeta
from functools import cached_property
from typing import Literal, type_check_only

from numba.core.typeconv import Conversion
from numba.core.typing.templates import Signature

@type_check_only
class _TypeMetaclass(ABCMeta): ...

class Type(metaclass=_TypeMetaclass):
    name: str
    def __init__(self, name: str) -> None: ...
    def can_convert_from(self, typingctx: object, other: Type) -> Conversion | None: ...
    def __call__(self, *args: Type) -> Signature: ...

class Boolean(Type): ...
class Number(Type): ...

class Integer(Number):
    bitwidth: int

class IntegerLiteral(Integer): ...

class Float(Number):
    bitwidth: int

class SliceType(Type): ...

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
none: Type
Any: Type
slice2_type: SliceType
boolean: Boolean
int32: Integer
int64: Integer
intp: Integer
float32: Float
float64: Float

def unliteral(lit_type: Type) -> Type: ...
