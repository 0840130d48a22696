"""Object code: what is loaded, and what is refused."""

import ctypes
from typing import Final

import pytest
from llvmlite import binding

from cubie.targets.machine_code import ALLOWED, ENTRY, HEADER, SECTION, ForeignCodeError, MachineCode, host, is_readable

CUBE: Final = """
declare double @{name}(double)
define double @{symbol}(double %x) {{
  %y = call double @{name}(double %x)
  ret double %y
}}
"""

pytestmark = pytest.mark.skipif(not is_readable(), reason="only ELF files are read")


def compiled(name: str, symbol: str = "cubie_kernel") -> bytes:
    """Return the object code of a function that calls another."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_triple(binding.get_process_triple()).create_target_machine(jit=True)
    return machine.emit_object(binding.parse_assembly(CUBE.format(name=name, symbol=symbol)))


def test_code_that_calls_a_mathematical_function_is_loaded_and_right() -> None:
    code = MachineCode(compiled("expm1"))
    function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(code.address)
    assert function(1.0) == pytest.approx(1.718281828459045, rel=1e-15)


@pytest.mark.parametrize("name", ["system", "dlopen", "PyRun_SimpleString", "no_such_function"])
def test_code_that_asks_for_anything_else_is_refused(name: str) -> None:
    with pytest.raises(ForeignCodeError, match=f"object code asks for '{name}', which no kernel needs"):
        MachineCode(compiled(name))


def test_code_without_the_kernel_is_refused() -> None:
    with pytest.raises(ForeignCodeError, match="object code lacks cubie_kernel"):
        MachineCode(compiled("exp", symbol="another"))


def test_what_is_no_object_code_is_refused() -> None:
    code = compiled("exp")
    for content in (b"", b"text", code[:16], code[:80], b"MZ" + code[2:], code[: -ENTRY.size]):
        with pytest.raises(ForeignCodeError, match="object code"):
            MachineCode(content)


@pytest.mark.parametrize(
    ("what", "place", "content"),
    [
        ("another class", 4, b"\1"),
        ("a program", 16, b"\2"),
        ("another processor's", 18, b"\xf3"),
        ("a table of sections beyond the file", 40, b"\xff" * 4),
        ("a table of sections beyond all files", 40, b"\xff" * 8),
        ("short entries of the table", 58, b"\x20"),
        ("more sections than there are", 60, b"\xff"),
        ("names of sections beyond the table", 62, b"\xff"),
    ],
)
def test_a_header_that_is_not_this_machines_or_points_beyond_the_file_is_refused(
    what: str, place: int, content: bytes
) -> None:
    code = compiled("exp")
    with pytest.raises(ForeignCodeError, match="object code"):
        MachineCode(code[:place] + content + code[place + len(content) :])


@pytest.mark.parametrize("field", [4, 5, 6])
@pytest.mark.parametrize("number", [1 << 20, (1 << 64) - 1])
def test_sections_that_reach_beyond_the_file_are_refused(field: int, number: int) -> None:
    code = compiled("exp")
    _, _, start, size, count, _ = HEADER.unpack_from(code)
    for section in range(count):
        crafted = bytearray(code)
        fields = list(SECTION.unpack_from(code, start + section * size))
        fields[field] = number & 0xFFFFFFFF if field == 6 else number
        SECTION.pack_into(crafted, start + section * size, *fields)
        with pytest.raises(ForeignCodeError, match="object code is damaged"):
            MachineCode(bytes(crafted))


def test_every_function_of_models_is_allowed_in_both_precisions() -> None:
    assert {"sin", "sinf", "pow", "powf", "erf", "memcpy"} <= ALLOWED
    assert not {name for name in ALLOWED if name.startswith(("Py", "_"))}


def test_the_processor_has_a_name_and_features() -> None:
    name, features = host()
    assert name
    assert features.startswith(("+", "-"))
