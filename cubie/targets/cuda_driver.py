"""The calls of CUDA's driver that a launch makes, and a kernel's arguments as the driver takes them.

What numba and cuda.core put around these calls takes longer than a small batch.
"""

import ctypes
import struct
from collections.abc import Iterable, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Final, final

import numpy as np
from numba import cuda, types

from cubie.targets.base import Argument

SLOT_BYTES: Final = 8
BOUNDS: Final = 4
"""The integers that every kernel takes first: start, stop, first run, number of slots."""
FORMATS: Final[dict[Any, str]] = {np.float32: "f4x", np.float64: "d", np.int32: "i4x", np.int64: "q"}
ELEMENTS: Final[dict[Any, Any]] = {
    np.float32: types.float32,
    np.float64: types.float64,
    np.int32: types.int32,
    np.int64: types.int64,
}


class DeviceError(RuntimeError):
    """The driver of the GPU refused something."""


@final
class Driver:
    """The driver of one GPU; as a context manager, it makes that GPU the current one.

    It must be made while that GPU is current.
    """

    def __init__(self) -> None:
        self._api: Final[Any] = import_module("cuda.bindings.driver")
        context: Any = cuda.current_context()
        self._context: Final[Any] = context.handle
        device, host = self._api.CUmemorytype.CU_MEMORYTYPE_DEVICE, self._api.CUmemorytype.CU_MEMORYTYPE_HOST
        self._fetched, self._sent = self._api.CUDA_MEMCPY2D(), self._api.CUDA_MEMCPY2D()
        self._fetched.srcMemoryType, self._fetched.dstMemoryType = device, host
        self._sent.srcMemoryType, self._sent.dstMemoryType = host, device

    def __enter__(self) -> None:
        self._check(self._api.cuCtxPushCurrent(self._context))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.cuCtxPopCurrent()

    def function(self, kernel: Any) -> Any:
        """Return what `launch` takes for a kernel that numba compiled."""
        handle = self._api.CUkernel(int(kernel._codelibrary.get_cufunc().kernel.handle))
        answer = self._api.cuKernelGetFunction(handle)
        self._check(answer)
        return answer[1]

    def launch(self, function: Any, n_blocks: int, block: int, shared_bytes: int, stream: int, arguments: int) -> None:
        """Set off a kernel; `arguments` is the address of an `ArgumentBlock`."""
        self._check(self._api.cuLaunchKernel(function, n_blocks, 1, 1, block, 1, 1, shared_bytes, stream, arguments, 0))

    def send(self, there: int, here: int, n_bytes: int, stream: int) -> None:
        """Copy from the host."""
        self._check(self._api.cuMemcpyHtoDAsync(there, here, n_bytes, stream))

    def fetch(self, here: int, there: int, n_bytes: int, stream: int) -> None:
        """Copy to the host."""
        self._check(self._api.cuMemcpyDtoHAsync(here, there, n_bytes, stream))

    def copy(self, there: int, here: int, n_bytes: int, stream: int) -> None:
        """Copy from the GPU's memory to its memory."""
        self._check(self._api.cuMemcpyDtoDAsync(there, here, n_bytes, stream))

    def device_of(self, address: int) -> int:
        """Return the number of the GPU in whose memory something stands, as the runtime says it: `cuda.bindings` 13.5
        answers the driver's question for it by 0, wherever it stands.
        """
        answer: Any = import_module("cuda.bindings.runtime").cudaPointerGetAttributes(address)
        self._check(answer)
        return int(answer[1].device)

    def send_columns(self, there: int, here: int, pitch: int, n_bytes: int, n_rows: int, stream: int) -> None:
        """Copy `n_bytes` of each row of the host's to the same place there; rows lie `pitch` bytes apart."""
        copy = self._sent
        copy.srcHost, copy.srcPitch, copy.dstDevice, copy.dstPitch = here, pitch, there, pitch
        copy.WidthInBytes, copy.Height = n_bytes, n_rows
        self._check(self._api.cuMemcpy2DAsync(copy, stream))

    def fetch_columns(self, here: int, pitch: int, there: int, n_bytes: int, n_rows: int, stream: int) -> None:
        """Copy rows of `n_bytes`, one after the other, to a part of each row of the host's, `pitch` bytes apart."""
        copy = self._fetched
        copy.dstHost, copy.dstPitch, copy.srcDevice, copy.srcPitch = here, pitch, there, n_bytes
        copy.WidthInBytes, copy.Height = n_bytes, n_rows
        self._check(self._api.cuMemcpy2DAsync(copy, stream))

    def record(self, event: int, stream: int) -> None:
        """Let an event be when all before it in the stream is done."""
        self._check(self._api.cuEventRecord(event, stream))

    def hold(self, stream: int, event: int) -> None:
        """Let what comes in a stream wait for an event."""
        self._check(self._api.cuStreamWaitEvent(stream, event, 0))

    def has_been(self, event: int) -> bool:
        """Tell whether an event has been."""
        return int(self._api.cuEventQuery(event)[0]) == 0

    def wait(self, event: int) -> None:
        """Wait for an event."""
        self._check(self._api.cuEventSynchronize(event))

    def finish(self, stream: int) -> None:
        """Wait for all that a stream has to do."""
        self._check(self._api.cuStreamSynchronize(stream))

    def settle(self) -> None:
        """Wait for all that the GPU has to do."""
        self._check(self._api.cuCtxSynchronize())

    def seconds(self, first: int, last: int) -> float:
        """Return the time between two events."""
        answer = self._api.cuEventElapsedTime(first, last)
        self._check(answer)
        return float(answer[1]) * 1e-3

    def _check(self, answer: tuple[Any, ...]) -> None:
        code = answer[0]
        if code:
            raise DeviceError(f"the GPU must do what it is told, got {code.name}. A kernel before it may have failed.")


@final
class ArgumentBlock:
    """A kernel's arguments in memory, each in eight bytes, and the pointers to them that the driver takes."""

    def __init__(self, arguments: Iterable[Argument]) -> None:
        formats = ["q"] * BOUNDS + ["q" if a.is_array else FORMATS[a.precision] for a in arguments]
        self._format: Final = struct.Struct("<" + "".join(formats))
        n_slots = self._format.size // SLOT_BYTES
        self._memory: Final = ctypes.create_string_buffer(self._format.size)
        first = ctypes.addressof(self._memory)
        self._pointers: Final = (ctypes.c_void_p * n_slots)(*(first + SLOT_BYTES * i for i in range(n_slots)))
        self.address: Final = ctypes.addressof(self._pointers)

    def write(self, values: Sequence[int | float]) -> None:
        """Put values into their places; a launch takes them along."""
        try:
            self._format.pack_into(self._memory, 0, *values)
        except OverflowError:  # what is too large for single precision is infinite there
            rounded = [ctypes.c_float(value).value if isinstance(value, float) else value for value in values]
            self._format.pack_into(self._memory, 0, *rounded)


def signature(arguments: Iterable[Argument]) -> tuple[Any, ...]:
    """Return the types of a kernel's arguments, of the bounds of its runs too."""
    kinds = ((ELEMENTS[argument.precision], argument.is_array) for argument in arguments)
    return (types.int64,) * BOUNDS + tuple(types.CPointer(kind) if is_array else kind for kind, is_array in kinds)
