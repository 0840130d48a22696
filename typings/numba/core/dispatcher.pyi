from collections.abc import Mapping, Sequence
from types import FunctionType

from numba.core.compiler import CompilerBase
from numba.core.descriptors import TargetDescriptor
from numba.core.types import Type

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
    def get_call_template(self, args: Sequence[Type], kws: Mapping[str, Type]) -> object: ...
