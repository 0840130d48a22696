"""Arrays in a GPU's memory, as other libraries see them: what is told of them, and how long the memory lives."""

import ctypes
import gc
import weakref
from typing import Final

import numpy as np
import pytest

from cubie.targets import device_array
from cubie.targets.device_array import CAPSULE, DeviceArray, DeviceView, device_view, is_on_device

ADDRESS: Final = 0x7F0000000200
pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_SetName", ctypes.pythonapi))


class Memory:
    """Stands for a block of a GPU's memory."""


def array(shape: tuple[int, ...] = (2, 3, 4)) -> tuple[DeviceArray, "weakref.ref[Memory]"]:
    memory = Memory()
    return DeviceArray(memory, ADDRESS, shape, np.float32, 1), weakref.ref(memory)


def test_the_cuda_array_interface_tells_where_and_what_the_array_is() -> None:
    made, _ = array()
    told = made.__cuda_array_interface__
    assert (told["shape"], told["typestr"], told["data"], told["version"]) == ((2, 3, 4), "<f4", (ADDRESS, False), 3)
    assert is_on_device(made)
    assert not is_on_device(np.zeros(3))
    assert not is_on_device([1.0])
    assert repr(made) == "<DeviceArray of shape (2, 3, 4), float32, on cuda:1>"


def test_a_row_is_a_view_that_keeps_the_memory() -> None:
    made, memory = array()
    row = made[-1]
    assert (row.shape, row.__cuda_array_interface__["data"]) == ((3, 4), (ADDRESS + 12 * 4, False))
    del made
    gc.collect()
    assert memory() is not None
    with pytest.raises(IndexError):
        row[3]
    with pytest.raises(TypeError, match=r"a row must be a whole number, got slice\(0, 2, None\)\. Ask"):
        row[0:2]  # type: ignore[index]  # the mistake


def test_a_capsule_describes_the_array_and_keeps_its_memory_until_it_is_gone() -> None:
    made, memory = array()
    assert made.__dlpack_device__() == (2, 1)
    capsule = made.__dlpack__(stream=1, max_version=(1, 0))
    address = pointer_of(capsule, CAPSULE)
    managed = device_array._ManagedTensor.from_address(address)
    tensor = managed.tensor
    assert (tensor.data, tensor.device_type, tensor.device_id) == (ADDRESS, 2, 1)
    assert (tensor.code, tensor.bits, tensor.lanes, tensor.byte_offset) == (2, 32, 1, 0)
    assert [tensor.shape[i] for i in range(tensor.ndim)] == [2, 3, 4]
    assert not tensor.strides
    del made, managed, tensor
    gc.collect()
    assert memory() is not None
    del capsule  # nobody took it
    gc.collect()
    assert memory() is None


def test_what_took_a_capsule_frees_the_memory_by_its_deleter() -> None:
    made, memory = array()
    capsule = made.__dlpack__()
    address = pointer_of(capsule, CAPSULE)
    used = ctypes.c_char_p(b"used_dltensor")
    assert rename(capsule, used) == 0
    del capsule, made
    gc.collect()
    assert memory() is not None
    managed = device_array._ManagedTensor.from_address(address)
    managed.deleter(ctypes.pointer(managed))
    del managed
    gc.collect()
    assert memory() is None


@pytest.mark.parametrize("wish", [{"copy": True}, {"dl_device": (1, 0)}])
def test_a_copy_and_another_device_are_refused(wish: dict[str, bool]) -> None:
    made, _ = array()
    with pytest.raises(BufferError, match=r"the array must stay on device \(2, 1\), uncopied"):
        made.__dlpack__(**wish)  # type: ignore[arg-type]  # as a library would ask


def test_rows_of_a_view_stand_where_its_strides_say() -> None:
    memory = Memory()
    view = DeviceView(memory, ADDRESS, (3, 5), np.dtype(np.float32), (8, 24))
    assert device_view(view) is view
    assert is_on_device(view)
    row = view.row(2)
    assert (row.ndim, row.size, row.address, row.strides) == (1, 5, ADDRESS + 16, (24,))
    element = row.element(4)
    assert (element.shape, element.strides, element.address) == ((1,), (4,), ADDRESS + 16 + 96)
    told = row.__cuda_array_interface__
    assert (told["shape"], told["typestr"], told["data"]) == ((5,), "<f4", (ADDRESS + 16, True))
    assert array()[0].n_bytes == 96
