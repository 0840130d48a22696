"""Object code made callable: through llvmlite alone, so that a process that finds its kernel compiled needs no numba.

Every name that the code asks for must be one of C's mathematical functions or of its functions on blocks of memory.
"""

import ctypes
import struct
from collections.abc import Iterator
from functools import cache
from typing import Final, final

from llvmlite import binding

from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS

SYMBOL: Final = "cubie_kernel"
"""What every kernel is called in its object code."""
_OTHER_FUNCTIONS: Final = (
    "fma",
    "fmod",
    "rint",
    "round",
    "trunc",
    "copysign",
    "fmin",
    "fmax",
    "sincos",
    "exp10",
    "ldexp",
)
ALLOWED: Final = frozenset(
    {
        *(name + end for name in (*UNARY_FUNCTIONS, *BINARY_FUNCTIONS, *_OTHER_FUNCTIONS) for end in ("", "f")),
        *("memcpy", "memset", "memmove", "bcmp"),
    }
)
ELF_64: Final = b"\x7fELF\x02\x01\x01"
RELOCATABLE: Final = 1
MACHINES: Final = {"x86_64": 62, "aarch64": 183}
"""ELF's numbers of processors; of others, it isn't checked."""
SYMBOL_TABLE: Final = 2
HEADER: Final = struct.Struct("<16xHH20xQ10xHHH")
SECTION: Final = struct.Struct("<IIQQQQIIQQ")
ENTRY: Final = struct.Struct("<IBBHQQ")


class ForeignCodeError(ValueError):
    """Object code that is not what this package compiles, or not for this machine."""


@final
class MachineCode:
    """Object code in memory, callable while this lives.

    Raises
    ------
    ForeignCodeError: if the code can't be read, asks for a name outside `ALLOWED`, or lacks the kernel.
    """

    def __init__(self, object_code: bytes) -> None:
        for name in _undefined(object_code):
            _bind(name)
        self._engine: Final = binding.create_mcjit_compiler(binding.parse_assembly(""), _machine())
        try:
            self._engine.add_object_file(binding.ObjectFileRef.from_data(object_code))
        except RuntimeError as error:
            raise ForeignCodeError(str(error)) from error
        self._engine.finalize_object()
        self.address: Final = int(self._engine.get_function_address(SYMBOL))


def host() -> tuple[str, str]:
    """Return the name and the features of this machine's processor, which object code depends on."""
    return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


def register_bytes() -> int:
    """Return the width of this CPU's vector registers."""
    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


def _machine() -> binding.TargetMachine:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine(jit=True)


@cache
def _bind(name: str) -> None:
    """Tell LLVM where one of C's functions is."""
    if name not in ALLOWED:
        raise ForeignCodeError(f"object code asks for {name!r}, which no kernel needs")
    address = ctypes.cast(ctypes.CDLL(None)[name], ctypes.c_void_p).value
    if address is None:
        raise ForeignCodeError(f"object code asks for {name!r}, which is not in this process")
    binding.add_symbol(name, address)


def _undefined(object_code: bytes) -> list[str]:
    """Return the names that object code asks for; the kernel's own must be among those that it defines.

    Only ELF is read. Elsewhere LLVM binds what it finds in the process, and kernels are not kept between processes.
    """
    if not object_code.startswith(ELF_64):
        if is_readable():
            raise ForeignCodeError("object code is no 64-bit ELF file")
        return []
    try:
        symbols = list(_symbols(object_code))
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise ForeignCodeError(f"object code is damaged ({error})") from error
    if (SYMBOL, True) not in symbols:
        raise ForeignCodeError(f"object code lacks {SYMBOL}")
    return sorted({name for name, is_defined in symbols if name and not is_defined})


@cache
def is_readable() -> bool:
    """Whether this machine's object code is of the kind whose names can be checked before it is loaded."""
    return "linux" in binding.get_process_triple() and struct.calcsize("P") == 8


def _sections(code: bytes) -> list[tuple[int, ...]]:
    """Return what an ELF file's header says of its sections.

    Raises
    ------
    ValueError: if it isn't for this machine's linker, or one of them reaches beyond the file.
    """
    kind, machine, start, size, count, names = HEADER.unpack_from(code)
    expected = MACHINES.get(binding.get_process_triple().partition("-")[0], machine)
    if (kind, machine, size) != (RELOCATABLE, expected, SECTION.size) or names >= count:
        raise ValueError("it is of another kind")
    sections = [SECTION.unpack_from(code, start + i * size) for i in range(count)]
    if any(offset + length > len(code) or link >= count for _, _, _, _, offset, length, link, *_ in sections):
        raise ValueError("a section reaches beyond it")
    return sections


def _symbols(code: bytes) -> Iterator[tuple[str, bool]]:
    """Yield the names of an ELF file's symbols, and whether it defines them."""
    sections = _sections(code)
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind != SYMBOL_TABLE:
            continue
        names = code[sections[link][4] : sections[link][4] + sections[link][5]]
        for at in range(offset, offset + length, ENTRY.size):
            name, _, _, section, _, _ = ENTRY.unpack_from(code, at)
            yield names[name : names.index(b"\0", name)].decode("ascii"), section != 0
