"""A batch on a GPU: inputs sent once, chunks of runs that fit its memory, results copied back."""

import math
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from cubie._types import Precision
from cubie.targets.base import KernelLayout, LaunchStatistics
from cubie.targets.pinned import PinnedPool

BLOCK: Final = 128
LEAST_BLOCK: Final = 32
SHARED_BYTES: Final = 48 * 1024
"""Shared memory that a block can have on every GPU without asking for more."""
MEMORY_SHARE: Final = 0.9
SMALL_BYTES: Final = 1 << 16
"""Smaller results are as quick to copy to ordinary memory."""
PINNED_BYTES: Final = 1 << 32
"""Pinned memory is taken from the whole machine: no single result takes more, and free blocks don't add up to more."""
_pinned: Final = PinnedPool(lambda n_bytes: cuda.pinned_array(n_bytes, np.uint8), PINNED_BYTES)


class SharedMemoryError(ValueError):
    """A run's shared buffers are too large for a block of runs."""


def padded(n_shared: int) -> int:
    """Return the distance of two threads' parts of shared memory: odd, so that a warp's accesses fall into different
    banks.
    """
    return n_shared | 1 if n_shared else 0


def block_size(layout: KernelLayout) -> tuple[int, int]:
    """Return threads and bytes of shared memory of a block, fewer threads where shared buffers are large.

    Raises
    ------
    SharedMemoryError: if not even a warp fits.
    """
    per_run = padded(layout.n_shared) * np.dtype(layout.shared_precision).itemsize
    block = BLOCK
    while block > LEAST_BLOCK and block * per_run > SHARED_BYTES:
        block //= 2
    if block * per_run > SHARED_BYTES:
        raise SharedMemoryError(
            f"shared buffers must fit {LEAST_BLOCK} runs into {SHARED_BYTES:,} bytes, got {per_run:,} bytes a run. "
            "Move some to 'local' with buffers={...}; solver.report() shows the largest."
        )
    return block, block * per_run


@final
class CudaKernel:
    """A kernel and how to launch it over a batch; it is compiled at the first launch."""

    def __init__(self, layout: KernelLayout, compiled: Any, device_id: int, *, simulated: bool) -> None:
        self._layout: Final = layout
        self._compiled: Final = compiled
        self._device_id: Final = device_id
        self._simulated: Final = simulated
        self._block, self._shared_bytes = block_size(layout)
        self._wanted: list[tuple[int, Any]] = []
        self._buffers: Final[list[Any]] = []
        self._lock: Final = threading.Lock()
        self.compile_seconds: float = 0.0

    @property
    def free_bytes(self) -> int | None:
        """The device memory that chunks of runs must fit in."""
        with cuda.gpus[self._device_id]:
            if self._simulated:
                return None
            kept = sum(size * element.itemsize for size, element in self._wanted)  # is given back before it is needed
            return int((cuda.current_context().get_memory_info().free + kept) * MEMORY_SHARE)

    def host_array(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]:
        """Return an uninitialised array for results: in pinned memory, unless it is very large."""
        n_bytes = math.prod(shape) * np.dtype(precision).itemsize
        if self._simulated or not SMALL_BYTES <= n_bytes <= PINNED_BYTES:
            return np.empty(shape, precision)
        with cuda.gpus[self._device_id]:
            return _pinned.empty(shape, precision)

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
    ) -> LaunchStatistics:
        """Integrate all runs, chunk after chunk; `progress` is told of each chunk's number of runs."""
        with self._lock, cuda.gpus[self._device_id], warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*low occupancy")  # a small batch is what the user asked for
            arguments = self._on_device(inputs)
            seconds = 0.0
            for start, stop in chunks:
                seconds += self._launch_chunk(arguments, outputs, start, stop)
                if progress is not None:
                    progress(stop - start)
        return LaunchStatistics(kernel=seconds, chunks=len(chunks))

    def _on_device(self, inputs: Sequence[NDArray[Any] | int | float]) -> list[Any]:
        """Send arrays to the GPU; make numbers of the very types that the kernel was declared with."""
        return [
            cuda.to_device(np.ascontiguousarray(value, argument.precision))
            if argument.is_array
            else argument.precision(value)
            for argument, value in zip(self._layout.arguments, inputs, strict=False)
        ]

    def _launch_chunk(self, arguments: list[Any], outputs: Sequence[NDArray[Any]], start: int, stop: int) -> float:
        n_slots = stop - start
        buffers = self._device_buffers(
            [(output.size // output.shape[-1] * n_slots, output.dtype) for output in outputs]
        )
        bounds = [np.int64(number) for number in (start, stop, start, n_slots)]
        configured = self._compiled[-(-n_slots // self._block), self._block, 0, self._shared_bytes]
        seconds = self._timed(lambda: configured(*bounds, *arguments, *buffers))
        for output, buffer in zip(outputs, buffers, strict=True):
            part = output[..., start:stop]
            if part.flags.c_contiguous:
                buffer.copy_to_host(part.reshape(-1))
            else:
                part[...] = buffer.copy_to_host().reshape(part.shape)
        return seconds

    def _device_buffers(self, wanted: list[tuple[int, Any]]) -> list[Any]:
        """Return device memory for one chunk's results: the last chunk's if it is of the very sizes, which is usual."""
        if self._wanted != wanted:
            self._wanted = []  # until all are there, should memory run out
            self._buffers.clear()
            self._buffers.extend(cuda.device_array(size, element) for size, element in wanted)
            self._wanted = wanted
        return list(self._buffers)

    def _timed(self, launch: Callable[[], None]) -> float:
        """Run a launch to its end and return the seconds it took on the device, compilation left out."""
        begin = time.perf_counter()
        if self._simulated:
            launch()
            return time.perf_counter() - begin
        first, last = cuda.event(), cuda.event()
        first.record()
        launch()
        last.record()
        last.synchronize()
        return float(cuda.event_elapsed_time(first, last)) * 1e-3
