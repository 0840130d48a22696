from numba.core.types import Type
from numba.core.typing.templates import Signature

def signature(return_type: Type, *args: Type) -> Signature: ...
