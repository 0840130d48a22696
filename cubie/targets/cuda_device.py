"""Launches on a real GPU: small inputs go in one copy, and results of one piece of a batch travel while the next piece
is integrated.
"""

import ctypes
import math
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, Final, final

import numpy as np
from numba import cuda, types
from numpy.typing import NDArray

from cubie._types import Precision
from cubie.targets.base import Argument, KernelLayout
from cubie.targets.device_array import DeviceArray
from cubie.targets.pinned import PinnedPool

SMALL_BYTES: Final = 1 << 16
"""Results that are smaller come in one copy, and are as quick to copy on to ordinary memory."""
PINNED_BYTES: Final = 1 << 32
"""Pinned memory is taken from the whole machine: no single result takes more, and free blocks don't add up to more."""
ALIGNMENT: Final = 256
LEAST_PIECE: Final = 1 << 18
PIECES: Final = 2
"""A chunk of so many runs for each is cut into pieces, whose results travel while the next one is integrated."""
ELEMENTS: Final[dict[Any, tuple[Any, Any]]] = {
    np.float32: (types.float32, ctypes.c_float),
    np.float64: (types.float64, ctypes.c_double),
    np.int32: (types.int32, ctypes.c_int32),
    np.int64: (types.int64, ctypes.c_int64),
}
pinned: Final = PinnedPool(lambda n_bytes: cuda.pinned_array(n_bytes, np.uint8), PINNED_BYTES)


class DeviceError(RuntimeError):
    """The driver of the GPU refused something."""


class Arena:
    """One block of device memory for several arrays, which grows when it must."""

    def __init__(self) -> None:
        self._block: Any = None
        self._address = 0

    def address(self, n_bytes: int) -> int:
        """Return where at least so many bytes start; what was there is lost when the block grows."""
        if self._block is None or self._block.size < n_bytes:
            self._block = None  # first give back what there was
            self._block = cuda.device_array(n_bytes, np.dtype(np.uint8))
            self._address = int(self._block.device_ctypes_pointer.value)
        return self._address

    @property
    def n_bytes(self) -> int:
        """How much it holds."""
        return 0 if self._block is None else int(self._block.size)


@final
class Lane:
    """A stream, memory for its piece's results, and events around its kernel and after its copies."""

    def __init__(self) -> None:
        self.stream: Final = cuda.stream()
        self.core_stream: Final[Any] = import_module("cuda.core").Stream.from_handle(int(self.stream))
        self.results: Final = Arena()
        self.small: Final[NDArray[np.uint8]] = cuda.pinned_array(SMALL_BYTES, np.uint8)
        self.first, self.last, self.done = cuda.event(), cuda.event(), cuda.event()


def aligned(n_bytes: int) -> int:
    """Return the next multiple of the distance at which arrays start."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def signature(arguments: Iterable[Argument]) -> tuple[Any, ...]:
    """Return the types of a kernel's arguments, of the bounds of its runs too."""
    elements = ((ELEMENTS[argument.precision][0], argument.is_array) for argument in arguments)
    return (types.int64,) * 4 + tuple(types.Array(kind, 1, "C") if is_array else kind for kind, is_array in elements)


def pieces_of(chunks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut large chunks of runs into pieces of whole blocks."""
    pieces = []
    for start, stop in chunks:
        n_pieces = max(1, min(PIECES, (stop - start) // LEAST_PIECE))
        size = aligned(-(-(stop - start) // n_pieces))
        pieces += [(first, min(first + size, stop)) for first in range(start, stop, size)]
    return pieces


@final
class DeviceLauncher:
    """A compiled kernel and the memory that its launches share.

    Parameters
    ----------
    kernel : as numba compiled it.
    """

    def __init__(self, kernel: Any, layout: KernelLayout) -> None:
        self._kernel: Final = kernel
        self._layout: Final = layout
        self._driver: Final[Any] = import_module("cuda.bindings.driver")
        self._core: Final[Any] = import_module("cuda.core")
        self._inputs: Final = Arena()
        self._lanes: Final = (Lane(), Lane())
        self._small: Final[NDArray[np.uint8]] = cuda.pinned_array(SMALL_BYTES, np.uint8)
        self._sent: list[Any] = []

    @property
    def kept_bytes(self) -> int:
        """Device memory that is kept between launches."""
        return self._inputs.n_bytes + sum(lane.results.n_bytes for lane in self._lanes)

    @property
    def thread_resources(self) -> tuple[int, int]:
        """Registers that a thread takes, and bytes of local memory."""
        return int(self._kernel.regs_per_thread), int(self._kernel.local_mem_per_thread)

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        block: int,
        shared_bytes: int,
        progress: Callable[[int], None] | None,
    ) -> float:
        """Integrate all runs; return the seconds that kernels took."""
        if self._sent:  # an interrupted launch may still read them
            for lane in self._lanes:
                lane.stream.synchronize()
        sent, seconds, pieces = self._send(inputs), 0.0, pieces_of(chunks)
        if len(pieces) > 1:
            self._lanes[0].done.record(self._lanes[0].stream)
            self._lanes[0].done.wait(self._lanes[1].stream)
        for number, piece in enumerate(pieces):
            lane = self._lanes[number % 2]
            if number > 1:
                seconds += self._finish(lane, outputs, pieces[number - 2], progress)
            self._start(lane, sent, outputs, piece, block, shared_bytes)
        for number in range(max(0, len(pieces) - 2), len(pieces)):
            seconds += self._finish(self._lanes[number % 2], outputs, pieces[number], progress)
        self._sent = []
        return seconds

    def launch_in_place(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        shapes: Sequence[tuple[tuple[int, ...], Precision]],
        block: int,
        shared_bytes: int,
        device_id: int,
    ) -> tuple[list[DeviceArray], float]:
        """Integrate all runs into arrays that stay where they are; return these, and the kernel's seconds."""
        if self._sent:  # an interrupted launch may still read them
            self._lanes[0].stream.synchronize()
        sent, lane, n_runs = self._send(inputs), self._lanes[0], shapes[0][0][-1]
        empty = [np.broadcast_to(np.zeros(1, precision), shape) for shape, precision in shapes]
        sizes = self._sizes(empty, n_runs)
        places, total = self._places(empty, sizes)
        memory = Arena()
        address = memory.address(total)
        self._integrate(lane, sent, (0, n_runs), block, shared_bytes, self._taken(empty, sizes, places, address))
        lane.last.synchronize()
        self._sent = []
        arrays = [
            DeviceArray(memory, address + place, shape, precision, device_id)
            for place, (shape, precision) in zip(places, shapes, strict=True)
        ]
        return arrays, float(lane.first.elapsed_time(lane.last)) * 1e-3

    def _send(self, inputs: Sequence[NDArray[Any] | int | float]) -> list[Any]:
        """Copy arrays to the GPU, small ones together; return the kernel's arguments."""
        arrays = [
            np.ascontiguousarray(value, argument.precision) if argument.is_array else None
            for argument, value in zip(self._layout.arguments, inputs, strict=False)
        ]
        small = [array for array in arrays if array is not None and array.nbytes <= SMALL_BYTES // 8]
        large = [array for array in arrays if array is not None and array.nbytes > SMALL_BYTES // 8]
        together = sum(aligned(array.nbytes) for array in small)
        if together > SMALL_BYTES:
            small, large, together = [], [*small, *large], 0
        address = self._inputs.address(max(1, together + sum(aligned(array.nbytes) for array in large)))
        stream, place, places = self._lanes[0].stream, 0, {}
        for array in small:
            self._small[place : place + array.nbytes] = array.reshape(-1).view(np.uint8)
            places[id(array)] = address + place
            place += aligned(array.nbytes)
        if small:
            self._check(self._driver.cuMemcpyHtoDAsync(address, self._small.ctypes.data, together, int(stream)))
        for array in large:
            places[id(array)] = address + place
            self._check(self._driver.cuMemcpyHtoDAsync(address + place, array.ctypes.data, array.nbytes, int(stream)))
            place += aligned(array.nbytes)
        self._sent = arrays  # until they have arrived
        sent: list[Any] = []
        for argument, given, value in zip(self._layout.arguments, arrays, inputs, strict=False):
            if given is None:
                sent.append(ELEMENTS[argument.precision][1](value))
            else:
                sent += self._array(places[id(given)], given.size, given.itemsize)
        return sent

    @staticmethod
    def _array(address: int, size: int, item_bytes: int) -> tuple[int, ...]:
        """Return what a kernel takes for an array: two unused pointers, sizes, address, length and stride."""
        return 0, 0, size, item_bytes, address, size, item_bytes

    def _start(
        self,
        lane: Lane,
        sent: list[Any],
        outputs: Sequence[NDArray[Any]],
        piece: tuple[int, int],
        block: int,
        shared_bytes: int,
    ) -> None:
        """Set off one piece's kernel, and the copies of its results."""
        start, stop = piece
        sizes = self._sizes(outputs, stop - start)
        places, total = self._places(outputs, sizes)
        address = lane.results.address(total)
        self._integrate(lane, sent, piece, block, shared_bytes, self._taken(outputs, sizes, places, address))
        if total <= SMALL_BYTES:
            self._check(self._driver.cuMemcpyDtoHAsync(lane.small.ctypes.data, address, total, int(lane.stream)))
        else:
            for output, place in zip(outputs, places, strict=True):
                self._fetch(lane, output, address + place, start, stop)
        lane.done.record(lane.stream)

    def _taken(
        self, outputs: Sequence[NDArray[Any]], sizes: Sequence[int], places: Sequence[int], address: int
    ) -> list[int]:
        """Return what a kernel takes for the outputs of a piece, which lie in one block."""
        return [
            number
            for output, size, place in zip(outputs, sizes, places, strict=True)
            for number in self._array(address + place, size, output.itemsize)
        ]

    def _integrate(
        self, lane: Lane, sent: list[Any], piece: tuple[int, int], block: int, shared_bytes: int, taken: list[int]
    ) -> None:
        """Set off the kernel for a piece."""
        start, stop = piece
        arguments = [*(ctypes.c_int64(number) for number in (start, stop, start, stop - start)), *sent, *taken]
        config = self._core.LaunchConfig(grid=-(-(stop - start) // block), block=block, shmem_size=shared_bytes)
        kernel = self._kernel._codelibrary.get_cufunc().kernel
        self.timed(lane, lambda: self._core.launch(lane.core_stream, config, kernel, *arguments))

    def timed(self, lane: Lane, launch: Callable[[], None]) -> None:
        """Launch between two events."""
        lane.first.record(lane.stream)
        launch()
        lane.last.record(lane.stream)

    def _fetch(self, lane: Lane, output: NDArray[Any], address: int, start: int, stop: int) -> None:
        """Copy results to a part of every row of an output."""
        n_runs, item, stream = output.shape[-1], output.itemsize, int(lane.stream)
        there = output.ctypes.data + start * item
        if stop - start == n_runs:
            self._check(self._driver.cuMemcpyDtoHAsync(there, address, output.nbytes, stream))
            return
        copy = self._driver.CUDA_MEMCPY2D()
        copy.srcMemoryType = self._driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        copy.dstMemoryType = self._driver.CUmemorytype.CU_MEMORYTYPE_HOST
        copy.srcDevice, copy.srcPitch = address, (stop - start) * item
        copy.dstHost, copy.dstPitch = there, n_runs * item
        copy.WidthInBytes, copy.Height = (stop - start) * item, output.size // n_runs
        self._check(self._driver.cuMemcpy2DAsync(copy, stream))

    def _finish(
        self,
        lane: Lane,
        outputs: Sequence[NDArray[Any]],
        piece: tuple[int, int],
        progress: Callable[[int], None] | None,
    ) -> float:
        """Wait for one piece's results; return the seconds that its kernel took."""
        lane.done.synchronize()
        start, stop = piece
        sizes = self._sizes(outputs, stop - start)
        places, total = self._places(outputs, sizes)
        if total <= SMALL_BYTES:
            for output, size, place in zip(outputs, sizes, places, strict=True):
                part = lane.small[place : place + size * output.itemsize].view(output.dtype)
                output[..., start:stop] = part.reshape(*output.shape[:-1], stop - start)
        if progress is not None:
            progress(stop - start)
        return float(lane.first.elapsed_time(lane.last)) * 1e-3

    @staticmethod
    def _sizes(outputs: Sequence[NDArray[Any]], n_runs: int) -> list[int]:
        return [math.prod(output.shape[:-1]) * n_runs for output in outputs]

    @staticmethod
    def _places(outputs: Sequence[NDArray[Any]], sizes: Sequence[int]) -> tuple[list[int], int]:
        """Return where each output of a piece starts in its memory, and where the last one ends."""
        places, total = [], 0
        for output, size in zip(outputs, sizes, strict=True):
            places.append(total)
            total += aligned(max(size, 1) * output.itemsize)
        return places, total

    def _check(self, answer: tuple[Any, ...]) -> None:
        code = answer[0]
        if int(code) != 0:
            raise DeviceError(f"the GPU must take a copy, got {code.name}. A kernel before it may have failed.")
