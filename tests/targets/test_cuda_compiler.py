"""Numba-cuda compiles cubie's device code in a way of its own, and everybody else's as before."""

import numpy as np
import pytest
from numba import cuda, types
from numba.core.typing.templates import signature
from numpy.typing import NDArray

from cubie._types import Vector
from cubie.targets.cuda import shared_view, view
from tests.ptx import compile_ptx

SUM = signature(types.void, types.Array(types.float64, 1, "C"))


def total(values: NDArray[np.float64]) -> None:
    values[0] = values.sum()


def elements(values: Vector) -> None:
    memory = view(values)
    memory[0] = memory[1] + memory[2]


def through_shared_memory(values: Vector) -> None:
    shared: Vector = shared_view(cuda.shared.array(4, np.float64))
    shared[1] = values[0]
    values[1] = shared[1]


def test_what_others_compile_is_compiled_as_before_even_after_a_failure() -> None:
    from numba.cuda import compiler  # the simulator has none of these
    from numba.cuda.descriptor import cuda_target

    from cubie.targets.cuda_compiler import cut_down

    before = cuda_target.target_context, compiler.CUDACompiler
    with pytest.raises(ValueError, match="of the model"), cut_down():
        raise ValueError("of the model")
    assert (cuda_target.target_context, compiler.CUDACompiler) == before
    text, _ = cuda.compile_ptx(total, SUM, cc=(9, 0))
    assert ".entry" in text


def test_methods_of_arrays_are_nothing_that_device_code_has() -> None:
    with pytest.raises(Exception, match="sum"):
        compile_ptx(total, SUM, (9, 0))


def test_elements_are_read_and_written_by_address_alone() -> None:
    lines = [line.strip() for line in compile_ptx(elements, SUM, (9, 0)).splitlines()]
    assert sum(line.startswith("ld.global") for line in lines) == 2
    assert sum(line.startswith("st.global") for line in lines) == 1
    assert not [line for line in lines if line.startswith(("setp", "selp"))]


def test_what_was_put_into_shared_memory_is_read_from_there() -> None:
    text = compile_ptx(through_shared_memory, SUM, (9, 0))
    assert text.count("st.shared.f64") == 1
    assert text.count("ld.volatile.shared.f64") == 1
