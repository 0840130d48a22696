from collections.abc import Mapping
from types import FunctionType

from numba.core.compiler import CompilerBase
from numba.core.descriptors import TargetDescriptor

class Dispatcher:
    @property
    def targetdescr(self) -> TargetDescriptor: ...
    def __init__(
        self,
        py_func: FunctionType,
        locals: Mapping[str, object] | None = None,
        targetoptions: Mapping[str, object] | None = None,
        pipeline_class: type[CompilerBase] = ...,
    ) -> None: ...
