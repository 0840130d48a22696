"""Numba, cut down to device code: few operators to choose from, and one optimisation of a whole kernel.

Numba by itself optimises and compiles every function, and again inside each of its callers. Here a device function
stays LLVM's text until the kernel that it is part of is compiled. What strings, lists and array expressions would need
is not there, so that types are found several times faster.
"""

from collections.abc import Sequence
from types import FunctionType
from typing import Any, Final, final

from llvmlite import binding
from numba import _dynfunc
from numba.core import ccallback, compiler, cpu, dispatcher, typed_passes, types, untyped_passes
from numba.core.codegen import CodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.descriptors import TargetDescriptor
from numba.core.target_extension import CPU, dispatcher_registry, target_override, target_registry
from numba.core.typing.context import BaseContext
from numba.core.typing.templates import Registry as Declarations
from numba.core.typing.templates import (
    RegistryLoader,
    Signature,
    _OverloadAttributeTemplate,
    _OverloadFunctionTemplate,
)
from numba.core.typing.templates import builtin_registry as declared
from typing_extensions import override

from cubie.targets.compilation import middle_passes, uncollected, without
from cubie.targets.machine_code import SYMBOL

NAME: Final = "cubie"
OPTIMISATION: Final = 3
OVERLOADS: Final = (_OverloadFunctionTemplate, _OverloadAttributeTemplate)
OPTIONS: Final[dict[str, Any]] = {
    "nopython": True,
    "fastmath": {"contract", "nsz", "arcp"},
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}


@final
class Part(CodeLibrary):
    """The LLVM text of one device function, and the parts that it calls."""

    def __init__(self, codegen: Any, name: str) -> None:
        super().__init__(codegen, name)
        self.texts: Final[list[str]] = []
        self.called: Final[list[Part]] = []

    @override
    def add_ir_module(self, ir_module: Any) -> None:
        self.texts.append(str(ir_module))

    @override
    def add_linking_library(self, library: Any) -> None:
        self.called.append(library)

    @override
    def finalize(self) -> None:
        """Do nothing: the kernel is compiled as a whole."""

    @override
    def get_function(self, name: str) -> Any:
        raise LookupError(f"{name} is compiled with its kernel")

    @override
    def get_llvm_str(self) -> str:
        return "\n".join(self.texts)

    @override
    def get_asm_str(self) -> str:
        return ""


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(typed_passes.NativeLowering):
    """Lower a device function to LLVM's text, and no further."""

    _name = "cubie_part_lowering"

    @override
    def run_pass(self, state: Any) -> bool:
        state.library = Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        key = _dynfunc.make_function(lowered.fndesc.lookup_module(), "part", "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=key)
        return True


@final
class Pipeline(compiler.CompilerBase):
    """From bytecode to LLVM: numba's passes, less those for what the dialect lacks."""

    @override
    def define_pipelines(self) -> list[PassManager]:
        passes = PassManager(NAME)
        for step in (
            untyped_passes.TranslateByteCode,
            *middle_passes(untyped_passes, typed_passes),
            PartLowering,
            typed_passes.NoPythonBackend,
        ):
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


@final
class DeviceTyping(BaseContext):
    """What device code can do, as types: what numba knows, without what it would compile from Python for it (operators
    of strings, lists and sets, methods of arrays).
    """

    @override
    def init(self) -> None:
        self._there = RegistryLoader(declared)
        self._taken = Declarations()
        self._n_there = 0

    @override
    def refresh(self) -> None:
        if not self._n_there:
            from numba.core.typing import arraydecl, builtins  # noqa: F401  # they fill the registry
            from numba.core.unsafe import eh  # noqa: F401  # which the interpreter of bytecode asks for
        n_there = sum(len(getattr(declared, name)) for name in self._there.registry_items)
        if n_there != self._n_there:
            self._n_there = n_there
            for name in self._there.registry_items:
                getattr(self._taken, name).extend(without(OVERLOADS, self._there.new_registrations(name)))
            with target_override(NAME):
                self.install_registry(self._taken)


@final
class DeviceContext(cpu.CPUContext):
    """What device code can do, as LLVM instructions."""

    @override
    def load_additional_registries(self) -> None:
        from numba.core import optional  # noqa: F401  # these fill the registry
        from numba.cpython import builtins, iterators, numbers, rangeobj, slicing, tupleobj  # noqa: F401

    @override
    def post_lowering(self, mod: Any, library: Any) -> None:
        """Add no runtime: device code owns no memory."""


@final
class DeviceCode(CPU):
    """A kind of target, for numba's tables."""


@final
class DeviceDescriptor(TargetDescriptor):
    """The two contexts, made once."""

    options = cpu.CPUTargetOptions

    def __init__(self) -> None:
        super().__init__(NAME)
        target_registry[NAME] = DeviceCode
        self._typing = DeviceTyping()
        self._context = DeviceContext(self._typing, NAME)

    @property
    @override
    def typing_context(self) -> DeviceTyping:
        return self._typing

    @property
    @override
    def target_context(self) -> DeviceContext:
        return self._context


DEVICE: Final = DeviceDescriptor()


@final
class DeviceDispatcher(dispatcher.Dispatcher):
    """Lowers one device function, for each kind of arguments that it is called with."""

    targetdescr = DEVICE

    @override
    def get_call_template(self, args: Sequence[Any], kws: Any) -> Any:
        """Take an integer that is written out as any integer: else each would be lowered by itself."""
        return super().get_call_template(tuple(types.unliteral(kind) for kind in args), kws)


dispatcher_registry[DeviceCode] = DeviceDispatcher


def device_function(function: Any, **options: Any) -> Any:
    """Make a device function of a Python function."""
    return DeviceDispatcher(function, targetoptions={**OPTIONS, **options}, pipeline_class=Pipeline)


@global_compiler_lock
@uncollected()
def compile_kernel(function: FunctionType, signature: Signature) -> bytes:
    """Compile a function and all that it calls to object code, in which it is the C function `SYMBOL`."""
    frontend = ccallback._CFuncCompiler(function, DEVICE, dict(OPTIONS), {}, pipeline_class=Pipeline)
    result = frontend.compile(signature.args, signature.return_type)
    codegen = DEVICE.target_context.codegen()
    module = binding.parse_assembly(str(codegen._create_empty_module(SYMBOL)))
    module.data_layout = codegen._data_layout
    whole = result.library
    assert isinstance(whole, Part)
    for text in _texts(whole):
        module.link_in(binding.parse_assembly(text))
    _keep_only(module, result.fndesc.llvm_cfunc_wrapper_name)
    module.verify()
    _optimise(module, codegen._tm)
    return codegen._tm.emit_object(module)


def _texts(whole: Part) -> Sequence[str]:
    """Return the texts of a part and of all below it, each once."""
    known, waiting = {whole: None}, [whole]
    while waiting:
        for part in waiting.pop().called:
            if part not in known:
                known[part] = None
                waiting.append(part)
    return [text for part in known for text in part.texts]


def _keep_only(module: binding.ModuleRef, entry: str) -> None:
    """Hide everything but the entry, so that what is inlined everywhere goes."""
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != entry:
            value.linkage = "internal"
    module.get_function(entry).name = SYMBOL


def _optimise(module: binding.ModuleRef, machine: binding.TargetMachine) -> None:
    options = binding.create_pipeline_tuning_options()
    options.speed_level = OPTIMISATION
    options.loop_vectorization, options.slp_vectorization = True, False
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
