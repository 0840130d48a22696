"""Kernels of a GPU kept between processes: machine code, which numba-cuda loads and launches without compiling.

Of numba-cuda's own way to keep kernels only the last step is taken, to make a kernel of machine code: the rest of it
would be pickled.
"""

from typing import Any, Final

from cuda.core import ObjectCode
from numba import cuda, types
from numba.cuda.codegen import CUDACodeLibrary
from numba.cuda.descriptor import cuda_target
from numba.cuda.dispatcher import _Kernel
from numba.cuda.typing import signature

from cubie.targets import cache
from cubie.targets.base import KernelLayout
from cubie.targets.cuda_compiler import cut_down
from cubie.targets.cuda_driver import signature as argument_types

BUILDERS: Final = (
    "numba",
    "llvmlite",
    "numba-cuda",
    "cuda-core",
    "nvidia-nvvm",
    "nvidia-cuda-nvcc",
    "nvidia-nvjitlink",
)
"""The packages that make machine code."""
ACCELERATED: Final = (9, 0)
"""From here on numba-cuda compiles for the one architecture, and looks machine code up as ``(9, 0, "a")``."""


def capability(device_id: int) -> tuple[int, int] | None:
    """Return a GPU's compute capability, or None where there is no GPU: then device code is looked at, not run."""
    try:
        major, minor = cuda.gpus[device_id].compute_capability
    except Exception:  # the driver's errors have no common base
        return None
    return major, minor


def keep(name: str, dispatcher: Any, layout: KernelLayout) -> None:
    """Compile a kernel for the current GPU, and keep it under a name."""
    with cut_down():
        compiled = dispatcher.compile(argument_types(layout.arguments))
    cache.store(name, compiled.entry_name.encode() + b"\n" + compiled.library.get_cubin().code)


def kept(name: str, layout: KernelLayout, architecture: tuple[int, int]) -> Any:
    """Return what launches the kernel that was kept under a name, if there is one: it will never compile."""
    entry = cache.load(name)
    if entry is None:
        return None
    entry_name, _, image = entry.partition(b"\n")
    looked_up = (*architecture, "a" if architecture >= ACCELERATED else "")
    library = CUDACodeLibrary._rebuild(
        codegen=cuda_target.target_context.codegen(),
        name=layout.name,
        entry_name=entry_name.decode(),
        llvm_strs=[],
        ptx_cache={},
        cubin_cache={looked_up: ObjectCode.from_cubin(image)},
        linkerinfo_cache={looked_up: ""},
        max_registers=None,
        nvvm_options={},
        needs_cudadevrt=False,
        nrt=False,
        use_cooperative=False,
        lto=False,
    )
    arguments = argument_types(layout.arguments)
    kernel = _Kernel._rebuild(
        cooperative=False,
        name=entry_name.decode(),
        signature=signature(types.none, *arguments),
        codelibrary=library,
        debug=False,
        lineinfo=False,
        call_helper=None,
        extensions=[],
    )
    namespace: dict[str, Any] = {}
    names = ", ".join(argument.name for argument in layout.arguments)
    exec(f"def kernel(start, stop, first_run, n_slots, {names}): pass", namespace)
    dispatcher: Any = cuda.jit(namespace["kernel"])
    dispatcher.add_overload(kernel, arguments)
    dispatcher.disable_compile()
    return dispatcher
