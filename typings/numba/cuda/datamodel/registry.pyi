from collections.abc import Callable
from typing import TypeVar

from numba.core.types import Type
from numba.cuda.datamodel.models import DataModel

_ModelT = TypeVar("_ModelT", bound=DataModel)

def register_default(typecls: type[Type]) -> Callable[[type[_ModelT]], type[_ModelT]]: ...
