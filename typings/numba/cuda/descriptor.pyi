from typing import Protocol, type_check_only

@type_check_only
class _Context(Protocol):
    def codegen(self) -> object: ...

class CUDATarget:
    @property
    def target_context(self) -> _Context: ...

cuda_target: CUDATarget
