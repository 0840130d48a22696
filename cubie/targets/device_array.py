"""Results that stay in a GPU's memory, for other libraries to work on: `__cuda_array_interface__` and DLPack.

References
----------
Numba's documentation, "CUDA Array Interface (Version 3)".
The DLPack specification, "Python Specification for DLPack" and `dlpack.h`, version 0.8 (unversioned capsules).
"""

import ctypes
import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Final, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from cubie._types import Precision, whole_number
from cubie.targets.base import LaunchStatistics
from cubie.targets.flow import STILL, Flow

CUDA_DEVICE: Final = 2
"""DLPack's number for memory of a CUDA GPU."""
LEGACY_STREAM: Final = 1
"""The stream in DLPack's words that numba's copies go by: what made an array is complete before them."""
CAPSULE: Final = b"dltensor"
TYPE_CODES: Final = {"i": 0, "u": 1, "f": 2}


class _Tensor(ctypes.Structure):
    _fields_: ClassVar[Any] = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _ManagedTensor(ctypes.Structure):
    pass


_Deleter: Any = ctypes.CFUNCTYPE(None, ctypes.POINTER(_ManagedTensor))
_ManagedTensor._fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))

_lent: Final[dict[int, tuple[object, ...]]] = {}
"""What consumers of DLPack capsules look at, by the address of its description, until they delete it."""


def _delete(managed: Any) -> None:
    _lent.pop(ctypes.addressof(managed.contents), None)


_deleter: Final = _Deleter(_delete)


_CapsuleDestructor: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_new_capsule: Final = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, _CapsuleDestructor)
_is_unused: Final = ctypes.pythonapi.PyCapsule_IsValid
_is_unused.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
_pointer_of: Final = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = (ctypes.c_void_p, ctypes.c_char_p)


def _destroy(capsule: int) -> None:
    if _is_unused(capsule, CAPSULE):  # a consumer renames the capsules whose memory it has taken over
        _lent.pop(int(_pointer_of(capsule, CAPSULE)), None)


_destructor: Final = _CapsuleDestructor(_destroy)


@final
class DeviceArray:
    """A contiguous array in a GPU's memory, complete when it is handed out; nothing ever writes to it again.

    The memory lives as long as this array, an array made from it, or a capsule.

    Parameters
    ----------
    owner : what frees the memory when it is gone.
    address : of the first element.
    """

    def __init__(
        self, owner: object, address: int, shape: tuple[int, ...], precision: Precision, device_id: int
    ) -> None:
        self._owner: Final = owner
        self._address: Final = address
        self._device_id: Final = device_id
        self.shape: Final = shape
        self.dtype: Final = np.dtype(precision)
        self.precision: Final = precision

    @property
    def address(self) -> int:
        """Where its first element stands."""
        return self._address

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._address, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA_DEVICE, self._device_id

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: object = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """Return a capsule; the work is complete, so that any `stream` may read it.

        Raises
        ------
        BufferError: if another device or a copy is asked for.
        """
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError(f"the array must stay on device {self.__dlpack_device__()}, uncopied, got {dl_device}.")
        n_dims = len(self.shape)
        shape = (ctypes.c_int64 * n_dims)(*self.shape)
        managed = _ManagedTensor()
        tensor = managed.tensor
        tensor.data, tensor.device_type, tensor.device_id = self._address, CUDA_DEVICE, self._device_id
        tensor.code, tensor.bits, tensor.lanes = TYPE_CODES[self.dtype.kind], 8 * self.dtype.itemsize, 1
        tensor.ndim, tensor.shape = n_dims, ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
        managed.deleter = _deleter
        address = ctypes.addressof(managed)
        _lent[address] = (managed, shape, self._owner)
        return _new_capsule(address, CAPSULE, _destructor)

    def __getitem__(self, row: int) -> "DeviceArray":
        """Return one row along the first axis: a view."""
        number, rest = whole_number(row), self.shape[1:]
        if number is None:
            raise TypeError(f"a row must be a whole number, got {row!r}. Ask for more of it in a library's own array.")
        start = self._address + range(self.shape[0])[number] * int(np.prod(rest)) * self.dtype.itemsize
        return DeviceArray(self._owner, start, rest, self.precision, self._device_id)

    def copy_to_host(self, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return a copy in NumPy's memory, in `out` if it is given."""
        from numba import cuda

        with cuda.gpus[self._device_id]:
            copied: NDArray[Any] = cuda.as_cuda_array(self).copy_to_host(out)
        return copied

    @override
    def __repr__(self) -> str:
        return f"<DeviceArray of shape {self.shape}, {self.dtype}, on cuda:{self._device_id}>"


@runtime_checkable
class InPlace(Protocol):
    """A kernel whose results may stay in the device's memory."""

    def has_room(self, shapes: Sequence[tuple[tuple[int, ...], Precision]], /) -> bool:
        """Whether memory for results of these shapes was lent on the device before, and is free."""

    def launch_in_place(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        shapes: Sequence[tuple[tuple[int, ...], Precision]],
        flow: Flow = STILL,
    ) -> tuple[list[DeviceArray], LaunchStatistics]: ...


@final
class DeviceView:
    """Another library's array in a GPU's memory, or a part of it; it is read where it stands.

    Parameters
    ----------
    owner : what keeps the memory.
    address : of the first element.
    strides : distances of elements along each axis, in bytes.
    """

    def __init__(
        self, owner: object, address: int, shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...]
    ) -> None:
        self._owner: Final = owner
        self.address: Final = address
        self.shape: Final = shape
        self.dtype: Final = dtype
        self.strides: Final = strides

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, True),
            "strides": self.strides,
            "stream": None,
            "version": 3,
        }

    def row(self, number: int) -> "DeviceView":
        """Return one row along the first axis."""
        start = self.address + number * self.strides[0]
        return DeviceView(self._owner, start, self.shape[1:], self.dtype, self.strides[1:])

    def element(self, place: int) -> "DeviceView":
        """Return one element of a single row, as a row of its own."""
        start = self.address + place * self.strides[0]
        return DeviceView(self._owner, start, (1,), self.dtype, (self.dtype.itemsize,))


class Gathers(Protocol):
    """What takes inputs from arrays in a device's memory."""

    def takes(self, view: DeviceView, /) -> bool:
        """Whether `gather` can read it."""

    def gather(
        self, view: DeviceView, repeats: int, n_runs: int, precision: Precision, /
    ) -> tuple[DeviceArray, int | None]:
        """Return a value for each run, which stay on the device: each of the view `repeats` times, then from the first
        on again; and the place in the view of the first value that is not finite.
        """


class _OnDevice:
    """Memory of a GPU as a view of another library's array tells it."""

    def __init__(self, view: Any) -> None:
        item = np.dtype(view.dtype).itemsize
        self._view: Final = view  # it keeps the memory
        self.__cuda_array_interface__ = {
            "shape": tuple(view.shape),
            "typestr": np.dtype(view.dtype).str,
            "data": (view.ptr, True),
            "strides": None if view.strides is None else tuple(item * stride for stride in view.strides),
            "stream": None,
            "version": 3,
        }


def is_on_device(value: object) -> bool:
    """Whether another library keeps an array in a GPU's memory."""
    if hasattr(value, "__cuda_array_interface__"):
        return True
    told = getattr(value, "__dlpack_device__", None)
    return told is not None and told()[0] == CUDA_DEVICE


def copied_from_device(value: object) -> NDArray[Any]:
    """Return a copy in NumPy's memory of an array that `is_on_device`, whatever library made it."""
    copied: NDArray[Any] = _seen_by_numba(value).copy_to_host()
    return copied


def device_view(value: object) -> DeviceView:
    """Return what is to be known of an array that `is_on_device`, whatever library made it."""
    if isinstance(value, DeviceView):
        return value
    array = _seen_by_numba(value)
    address = int(array.device_ctypes_pointer.value or 0)
    return DeviceView(array, address, tuple(array.shape), np.dtype(array.dtype), tuple(array.strides))


def _seen_by_numba(value: object) -> Any:
    """Return numba's view of an array, whose work is complete."""
    from numba import cuda

    if hasattr(value, "__cuda_array_interface__"):
        return cuda.as_cuda_array(value)
    view = import_module("cuda.core.utils").StridedMemoryView(value, stream_ptr=LEGACY_STREAM)
    return cuda.as_cuda_array(_OnDevice(view))
