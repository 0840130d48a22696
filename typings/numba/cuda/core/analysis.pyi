from collections.abc import Mapping
from typing import Protocol, type_check_only

from numba.cuda.core.ir import Block

@type_check_only
class _UseDefs(Protocol):
    @property
    def usemap(self) -> Mapping[int, set[str]]: ...

def compute_use_defs(blocks: Mapping[int, Block]) -> _UseDefs: ...
def must_use_alloca(blocks: Mapping[int, Block]) -> set[str]: ...
