"""Working memory on a GPU, `cubie.targets.storage`, as numba-cuda is taught it: its types and tables are its own."""

import operator
from typing import Any, Final, final

from llvmlite import ir
from numba.core import types
from numba.cuda.cudadecl import registry as declared
from numba.cuda.cudaimpl import registry as implemented
from numba.cuda.datamodel.models import PrimitiveModel
from numba.cuda.datamodel.registry import register_default
from numba.cuda.extending import intrinsic
from numba.cuda.typing.templates import AbstractTemplate, signature
from typing_extensions import override

from cubie.targets.storage import Storage, element_pointer, ir_element, read, read_from, reading, write, writing


@final
class SharedStorage(Storage):
    """Storage that every read goes to: else the compiler would keep in registers what it has seen written, and what was
    put into shared memory to save them would be spilled.
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__(dtype, "shared_storage")


@register_default(SharedStorage)
@register_default(Storage)
class StorageModel(PrimitiveModel):
    """A pointer to the first element."""

    def __init__(self, dmm: Any, fe_type: Storage) -> None:
        super().__init__(dmm, fe_type, ir_element(fe_type.dtype).as_pointer())


@declared.register_global(operator.getitem)
class Read(AbstractTemplate):
    """``storage[i]`` and ``storage[i:j]``."""

    def generic(self, arguments: Any, keywords: Any) -> Any:
        kinds = reading(*arguments)
        return kinds and signature(*kinds)


@declared.register_global(operator.setitem)
class Write(AbstractTemplate):
    """``storage[i] = value``."""

    def generic(self, arguments: Any, keywords: Any) -> Any:
        kinds = writing(*arguments[:2])
        return kinds and signature(*kinds)


@final
class VolatileLoad(ir.LoadInstr):
    """A load that is made where it stands."""

    @override
    def descr(self, buf: list[str]) -> None:
        start = len(buf)
        super().descr(buf)
        buf[start] = buf[start].replace("load ", "load volatile ", 1)


@implemented.lower(operator.getitem, SharedStorage, types.Integer)
def read_there(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
    """Load one element from memory."""
    loaded = VolatileLoad(builder.block, element_pointer(builder, *arguments))
    builder._insert(loaded)
    return loaded


implemented.lower(operator.getitem, Storage, types.Integer)(read)
implemented.lower(operator.getitem, Storage, types.SliceType)(read_from)
implemented.lower(operator.setitem, Storage, types.Integer, types.Any)(write)


def _view(typing_context: Any, memory: Any) -> Any:
    """See an array, or what a C pointer points to, as working memory."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        if not isinstance(memory, types.Array):
            return arguments[0]
        place = context.data_model_manager[memory].get_field_position("data")
        return builder.extract_value(arguments[0], place)

    return (memory if isinstance(memory, Storage) else Storage(memory.dtype))(memory), generate


def _shared_view(typing_context: Any, array: Any) -> Any:
    """See an array in shared memory as such."""
    _, generate = _view(typing_context, array)
    return SharedStorage(array.dtype)(array), generate


view: Final = intrinsic(_view)
shared_view: Final = intrinsic(_shared_view)
