"""Compile device code for a GPU that is not there, and read what it will use."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final, ParamSpec, TypeAlias, TypeVar, final

import pytest
from cuda.core import Linker, LinkerOptions, ObjectCode
from numba import cuda, types
from numba.core.typing.templates import Signature

from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel
from cubie.integrators.loops.ode_loop_config import loop_arguments
from cubie.targets.cuda_driver import signature
from cubie.targets.cuda_launch import CudaKernel

P = ParamSpec("P")
R = TypeVar("R")
Capability: TypeAlias = tuple[int, int]

CAPABILITIES: Final[tuple[Capability, ...]] = ((8, 0), (9, 0), (12, 0))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one thread of a kernel takes, as ptxas reports it."""

    registers: int
    stack_bytes: int
    spill_bytes: int


def compile_ptx(kernel: Callable[P, R], kinds: Signature, capability: Capability) -> str:
    """Compile a kernel; device functions in it ask what the current GPU can do, and are told `capability`."""
    from cubie.targets.cuda_compiler import cut_down  # the simulator has no such thing

    with pytest.MonkeyPatch.context() as patch:
        device = SimpleNamespace(compute_capability=capability)
        patch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)
        with cut_down():
            text, _ = cuda.compile_ptx(kernel, kinds, cc=capability)
    return text


def batch_kernel_ptx(kernel: BatchSolverKernel, capability: Capability) -> str:
    """Compile the kernel of a batch, as a launch would."""
    launched = kernel.device_function
    assert isinstance(launched, CudaKernel)
    arguments = loop_arguments(kernel.settings.precision)
    return compile_ptx(launched._compiled.py_func, types.void(*signature(arguments)), capability)


def resources(ptx: str, capability: Capability) -> Resources:
    """Assemble PTX with the wheels' own assembler and read its report."""
    options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}", ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    linker.link("cubin")
    log = linker.get_info_log()
    linker.close()
    memory = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    stack, stores, loads = (sum(map(int, column)) for column in zip(*memory, strict=True))
    [registers] = re.findall(r"Used (\d+) registers", log)
    return Resources(registers=int(registers), stack_bytes=stack, spill_bytes=stores + loads)


def depot_bytes(ptx: str) -> int:
    """Return the bytes of local memory that hold arrays."""
    return sum(map(int, re.findall(r"__local_depot\d+\[(\d+)\]", ptx)))


def called(ptx: str) -> set[str]:
    """Return the names of the functions that are still called."""
    code = re.sub(r"//.*", "", ptx)
    return set(re.findall(r"\bcall[.\w]*\s+(?:\([^)]*\),\s*)?([\w$%]+)", code))


def memory_spaces(ptx: str) -> set[str]:
    """Return the memory spaces, parameters apart, that are read or written."""
    return set(re.findall(r"\b(?:ld|st)\.(?:volatile\.)?(\w+)", ptx)) - {"param"}


def double_instructions(ptx: str) -> list[str]:
    """Return the instructions on 64-bit floating-point numbers."""
    return re.findall(r"^\s*(?:@%p\d+\s+)?(\w[\w.]*\.f64\S*)", ptx, re.MULTILINE)
