from collections.abc import Mapping, Sequence

from cuda.core import ObjectCode

class CUDACodeLibrary:
    @classmethod
    def _rebuild(
        cls,
        codegen: object,
        name: str,
        entry_name: str,
        llvm_strs: Sequence[str],
        ptx_cache: Mapping[tuple[int, int, str], str],
        cubin_cache: Mapping[tuple[int, int, str], ObjectCode],
        linkerinfo_cache: Mapping[tuple[int, int, str], str],
        max_registers: int | None,
        nvvm_options: Mapping[str, object],
        needs_cudadevrt: bool,
        nrt: bool,
        use_cooperative: bool,
        lto: bool,
    ) -> CUDACodeLibrary: ...
