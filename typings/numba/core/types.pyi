from typing import Literal

from numba.core.typing.templates import Signature

class Type:
    @property
    def name(self) -> str: ...
    def __call__(self, *args: Type) -> Signature: ...

class Integer(Type):
    bitwidth: int

class Float(Type):
    bitwidth: int

class Array(Type):
    dtype: Type
    def __init__(self, dtype: Type, ndim: int, layout: Literal["C", "F", "A"], readonly: bool = ...) -> None: ...

class CPointer(Type):
    dtype: Type
    def __init__(self, dtype: Type) -> None: ...

void: Type
int32: Integer
int64: Integer
intp: Integer
float32: Float
float64: Float
