"""A batch on a GPU: inputs sent once, chunks of runs that fit its memory, results copied back."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, ParamSpec, final

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from cubie._types import DeviceFunction, Precision
from cubie.targets.base import BlockTooLargeError, KernelLayout, LaunchStatistics
from cubie.targets.cuda_device import DeviceLauncher
from cubie.targets.cuda_driver import signature
from cubie.targets.cuda_memory import PINNED_BYTES, SMALL_BYTES, pinned, places_in_place, staying
from cubie.targets.device_array import DeviceArray
from cubie.targets.flow import STILL, Flow

P = ParamSpec("P")

BLOCK: Final = 128
LEAST_BLOCK: Final = 32
SHARED_BYTES: Final = 48 * 1024
"""Shared memory that a block can have on every GPU without asking for more."""
MEMORY_SHARE: Final = 0.9


def padded(n_shared: int) -> int:
    """Return the distance of two threads' parts of shared memory: odd, so that a warp's accesses fall into different
    banks.
    """
    return n_shared | 1 if n_shared else 0


def block_size(layout: KernelLayout, most: int | None = None) -> tuple[int, int]:
    """Return threads and bytes of shared memory of a block, `most` or fewer threads where shared buffers are large.

    Raises
    ------
    BlockTooLargeError: if not even a warp fits.
    """
    per_run = padded(layout.n_shared) * np.dtype(layout.shared_precision).itemsize
    block = most or BLOCK
    while block > LEAST_BLOCK and block * per_run > SHARED_BYTES:
        block //= 2
    if block * per_run > SHARED_BYTES:
        raise BlockTooLargeError(
            f"shared buffers must fit {LEAST_BLOCK} runs into {SHARED_BYTES:,} bytes, got {per_run:,} bytes a run. "
            "Move some to 'local' with buffers={...}; solver.report() shows the largest."
        )
    return block, block * per_run


def is_pinned(n_bytes: int) -> bool:
    """Whether arrays of so many bytes lie in pinned memory: those that are neither small nor very large."""
    return SMALL_BYTES < n_bytes <= PINNED_BYTES


def is_lent(n_bytes: int) -> bool:
    """Whether pinned memory for so many bytes was lent before, and is free."""
    return is_pinned(n_bytes) and pinned.has(n_bytes)


def host_array(shape: tuple[int, ...], precision: Precision, device_id: int, *, simulated: bool) -> NDArray[Any]:
    """Return an uninitialised array: in pinned memory, unless it is small or very large."""
    n_bytes = math.prod(shape) * np.dtype(precision).itemsize
    if simulated or not is_pinned(n_bytes):
        return np.empty(shape, precision)
    lent = pinned.lent(shape, precision)
    if lent is not None:
        return lent
    with cuda.gpus[device_id]:
        return pinned.empty(shape, precision)


@final
class CudaKernel:
    """A kernel and how to launch it over a batch; it is compiled at the first launch, or when it is asked to be."""

    def __init__(
        self, layout: KernelLayout, compiled: Any, device_id: int, *, block: int | None, simulated: bool
    ) -> None:
        self._layout: Final = layout
        self._compiled: Final = compiled
        self._device_id: Final = device_id
        self._simulated: Final = simulated
        self._block, self._shared_bytes = block_size(layout, block)
        self._launcher: DeviceLauncher | None = None
        self._lock: Final = threading.Lock()

    @property
    def free_bytes(self) -> int | None:
        """The device memory that chunks of runs must fit in."""
        if self._simulated:
            return None
        with cuda.gpus[self._device_id]:
            kept = self._launcher.kept_bytes if self._launcher else 0  # is given back before it is needed
            staying(self._device_id).clear()
            return int((cuda.current_context().get_memory_info().free + kept) * MEMORY_SHARE)

    def host_array(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]:
        """Return an uninitialised array for results: in pinned memory, unless it is very large."""
        return host_array(shape, precision, self._device_id, simulated=self._simulated)

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
        flow: Flow = STILL,
    ) -> LaunchStatistics:
        """Integrate all runs, chunk after chunk; `progress` is told of the runs that are done."""
        with self._lock:
            if self._simulated:
                flow.reach(outputs[0].shape[-1])
                seconds = self._simulate(inputs, outputs, chunks, progress)
                flow.landed(0, outputs[0].shape[-1])
            else:
                launcher = self._ready()
                with launcher.driver:
                    seconds = launcher.launch(inputs, outputs, chunks, self._block, self._shared_bytes, progress, flow)
        return LaunchStatistics(kernel=seconds, chunks=len(chunks))

    def has_room(self, shapes: Sequence[tuple[tuple[int, ...], Precision]], /) -> bool:
        """Whether memory for results of these shapes was lent on the GPU before, and is free."""
        return not self._simulated and staying(self._device_id).has(places_in_place(shapes)[1])

    def launch_in_place(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        shapes: Sequence[tuple[tuple[int, ...], Precision]],
        flow: Flow = STILL,
    ) -> tuple[list[DeviceArray], LaunchStatistics]:
        """Integrate all runs into arrays that stay on the GPU.

        Raises
        ------
        ValueError: in the simulator, which has no such memory.
        """
        if self._simulated:
            raise ValueError("results can't stay on a simulated GPU. Leave on_device out.")
        with self._lock:
            launcher = self._ready()
            with launcher.driver:
                arrays, seconds = launcher.launch_in_place(
                    inputs, shapes, self._block, self._shared_bytes, self._device_id, flow
                )
        return arrays, LaunchStatistics(kernel=seconds, chunks=1)

    def bind(self) -> None:
        """Compile, and make ready to be launched.

        Raises
        ------
        BlockTooLargeError: if the registers of a block's threads are more than a multiprocessor has.
        """
        self._ready()

    def _ready(self) -> DeviceLauncher:
        """Return what launches the kernel, compiled at the first call."""
        if self._launcher is None:
            from cubie.targets.cuda_compiler import cut_down

            with cuda.gpus[self._device_id]:
                with cut_down():
                    kernel = self._compiled.compile(signature(self._layout.arguments))
                self._check_registers(kernel.max_threads_per_block)
                self._launcher = DeviceLauncher(kernel, self._layout)
        return self._launcher

    def _check_registers(self, most: int) -> None:
        if self._block > most:
            raise BlockTooLargeError(
                f"block_size must be at most {most} for the registers that this kernel takes, got {self._block}. "
                "Give fewer threads, or cap the registers of each with max_registers."
            )

    def _simulate(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
    ) -> float:
        """Integrate all runs in numba's simulator."""
        begin = time.perf_counter()
        with cuda.gpus[self._device_id]:
            self._simulate_chunks(self._simulated_arrays(inputs), outputs, chunks, progress)
        return time.perf_counter() - begin

    def _simulate_chunks(
        self,
        arguments: Sequence[Any],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
    ) -> None:
        for start, stop in chunks:
            buffers = [cuda.device_array(output[..., start:stop].size, output.dtype) for output in outputs]
            bounds = [np.int64(number) for number in (start, stop, start, stop - start)]
            configured = self._compiled[-(-(stop - start) // self._block), self._block, 0, self._shared_bytes]
            configured(*bounds, *arguments, *buffers)
            for output, buffer in zip(outputs, buffers, strict=True):
                output[..., start:stop] = buffer.copy_to_host().reshape(output[..., start:stop].shape)
            if progress is not None:
                progress(stop - start)

    def _simulated_arrays(self, inputs: Sequence[NDArray[Any] | int | float]) -> list[Any]:
        """Return arrays for the simulator, and numbers of the very types that the kernel was declared with."""
        return [
            cuda.to_device(np.ascontiguousarray(value, argument.precision))
            if argument.is_array
            else argument.precision(value)
            for argument, value in zip(self._layout.arguments, inputs, strict=False)
        ]


def without_warnings(solve_thread: DeviceFunction[P, None]) -> Callable[P, None]:
    """Let infinities and NaNs arise in the simulator as they do on a GPU: without a word, and not as errors."""

    def solve_quietly(*args: P.args, **kwargs: P.kwargs) -> None:
        with np.errstate(all="ignore"):
            solve_thread(*args, **kwargs)

    return solve_quietly
