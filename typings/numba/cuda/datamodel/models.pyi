from llvmlite import ir
from numba.core.types import Type

class DataModel:
    def __init__(self, dmm: object, fe_type: Type) -> None: ...

class PrimitiveModel(DataModel):
    def __init__(self, dmm: object, fe_type: Type, be_type: ir.Type) -> None: ...
