from collections.abc import Callable
from typing import TypeVar

from numba.core.datamodel.models import DataModel
from numba.core.types import Type

_ModelT = TypeVar("_ModelT", bound=DataModel)

def register_default(typecls: type[Type]) -> Callable[[type[_ModelT]], type[_ModelT]]: ...
