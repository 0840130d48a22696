"""Working memory as a CPU's device code sees it: elements, and what starts at one, by places from the start."""

import ctypes
from collections.abc import Callable
from types import FunctionType
from typing import TypeAlias

import numpy as np
import pytest
from numba.core import types

from cubie._types import Vector
from cubie.targets.cpu_device import view
from cubie.targets.device_compiler import compile_kernel, device_function
from cubie.targets.machine_code import MachineCode, is_readable

Body: TypeAlias = Callable[[Vector], None]

pytestmark = pytest.mark.skipif(not is_readable(), reason="only ELF files are read")


def code_of(body: Body) -> MachineCode:
    """Compile a device function of one vector of doubles."""
    function = device_function(body)

    def kernel(values: Vector) -> None:
        function(view(values))

    assert isinstance(kernel, FunctionType)
    return MachineCode(compile_kernel(kernel, types.void(types.CPointer(types.float64))))


def test_elements_and_parts_are_read_and_written_by_place() -> None:
    def body(values: Vector) -> None:
        tail = values[2:5]
        for i in range(2):
            values[i] = tail[i] + tail[2]
        tail[1:3][1] = values[0]

    code = code_of(body)
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address)(values.ctypes.data)
    assert values.tolist() == [8.0, 9.0, 3.0, 4.0, 8.0]


def from_the_end(values: Vector) -> None:
    values[0] = values[-1]


def to_the_end(values: Vector) -> None:
    values[-1] = values[0]


@pytest.mark.parametrize("body", [from_the_end, to_the_end], ids=lambda body: body.__name__)
def test_nobody_counts_from_the_end(body: Body) -> None:
    with pytest.raises(IndexError, match="an index in device code must count from the start, got -1"):
        code_of(body)
