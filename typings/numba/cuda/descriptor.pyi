from numba.cuda.target import CUDATargetContext, CUDATypingContext

class CUDATarget:
    _typingctx: CUDATypingContext | None
    _targetctx: CUDATargetContext | None
    @property
    def target_context(self) -> CUDATargetContext: ...

cuda_target: CUDATarget
