"""Numba-cuda, cut down to device code: few operators to choose from, declarations read once, and few passes.

What strings, lists and array expressions would need is not there, so that types are found faster.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, final

from numba.cuda import compiler, cudaimpl
from numba.cuda.core import typed_passes, untyped_passes
from numba.cuda.core.analysis import compute_use_defs, must_use_alloca
from numba.cuda.core.compiler_lock import global_compiler_lock
from numba.cuda.core.compiler_machinery import PassManager, register_pass
from numba.cuda.core.ir import assign_types
from numba.cuda.descriptor import cuda_target
from numba.cuda.lowering import CUDALower
from numba.cuda.target import CUDATargetContext, CUDATypingContext
from numba.cuda.typing.templates import (
    Registry as Declarations,
)
from numba.cuda.typing.templates import (
    RegistryLoader,
    _OverloadAttributeTemplate,
    _OverloadFunctionTemplate,
)
from typing_extensions import override

from cubie.targets.compilation import middle_passes, uncollected, without

DECLARED: Final = ("cudadecl", "cudamath", "libdevicedecl")
"""Where numba-cuda has the types of what device code can do."""
IMPLEMENTED: Final = (
    *("cudaimpl", "mathimpl", "libdeviceimpl", "core.optional", "np.arrayobj"),
    *(f"cpython.{name}" for name in ("builtins", "iterators", "numbers", "rangeobj", "slicing", "tupleobj")),
)
"""Where numba-cuda has code for what device code can do; others' import takes longer than a compilation."""
OVERLOADS: Final = (_OverloadFunctionTemplate, _OverloadAttributeTemplate)


@final
class DeviceTyping(CUDATypingContext):
    """What device code can do, as types: what numba knows, without what it would compile from Python for it."""

    @override
    def init(self) -> None:
        self._taken: dict[Declarations, tuple[RegistryLoader, Declarations]] = {}

    @override
    def refresh(self) -> None:
        """Read no declarations while functions are compiled: `read` has."""

    def read(self) -> None:
        """Take what has been declared since the last time."""
        super().refresh()

    @override
    def load_additional_registries(self) -> None:
        for name in DECLARED:
            self.install_registry(import_module(f"numba.cuda.{name}").registry)

    @override
    def install_registry(self, registry: Declarations, external_defs_only: bool = False) -> None:
        if registry not in self._taken:
            self._taken[registry] = RegistryLoader(registry), Declarations()
        there, taken = self._taken[registry]
        for name in there.registry_items:
            getattr(taken, name).extend(without(OVERLOADS, there.new_registrations(name)))
        super().install_registry(taken, external_defs_only)


@final
class DeviceContext(CUDATargetContext):
    """What device code can do, as LLVM instructions."""

    @override
    def load_additional_registries(self) -> None:
        for name in IMPLEMENTED:
            self.install_registry(import_module(f"numba.cuda.{name}").registry)

    @override
    def refresh(self) -> None:
        """Read only what enters while functions are compiled, each when it is first typed."""
        self.install_registry(cudaimpl.registry)

    def read(self) -> None:
        """Take what has been implemented since the last time."""
        super().refresh()


@final
class Lowering(CUDALower):
    """From typed code to LLVM."""

    @override
    def _find_singly_assigned_variable(self) -> None:
        """Tell which variables are assigned once and live in one block; numba-cuda looks through a block for each."""
        blocks = self.func_ir.blocks
        assigned = Counter(it.target.name for block in blocks.values() for it in block.find_insts(assign_types))
        used = set[str]().union(*compute_use_defs(blocks).usemap.values())
        once = {name for name, times in assigned.items() if times == 1}
        self._singly_assigned_vars = once - used - must_use_alloca(blocks)
        self._blk_local_varmap: dict[str, Any] = {}


@register_pass(mutates_CFG=True, analysis_only=False)
class NativeLowering(compiler.CUDANativeLowering):
    """Lower a device function."""

    _name = "cubie_cuda_lowering"

    @property
    @override
    def lowering_class(self) -> type[CUDALower]:
        return Lowering


@final
class Pipeline(compiler.CUDACompiler):
    """From bytecode to LLVM: numba's passes, less those for what the dialect lacks."""

    @override
    def define_pipelines(self) -> list[PassManager]:
        passes = PassManager("cubie")
        for step in (
            compiler.CUDATranslateBytecode,
            *middle_passes(untyped_passes, typed_passes),
            compiler.CreateLibrary,
            NativeLowering,
            compiler.CUDABackend,
        ):
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


@lru_cache(maxsize=1)
def _contexts() -> tuple[DeviceTyping, DeviceContext]:
    typing = DeviceTyping()
    return typing, DeviceContext(typing)


@contextmanager
def cut_down() -> Iterator[None]:
    """Have numba-cuda compile in this way; what other threads compile waits."""
    names: Any = compiler
    with global_compiler_lock, uncollected():
        kept = cuda_target._typingctx, cuda_target._targetctx, names.CUDACompiler
        try:
            typing, context = cuda_target._typingctx, cuda_target._targetctx = _contexts()
            typing.read()
            context.read()
            names.CUDACompiler = Pipeline
            yield
        finally:
            cuda_target._typingctx, cuda_target._targetctx, names.CUDACompiler = kept
