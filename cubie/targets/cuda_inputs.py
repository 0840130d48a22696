"""Inputs that another library keeps in a GPU's memory: spread over the runs there, in the precision of the solve, and
looked at.
"""

import math
import threading
from functools import lru_cache
from typing import Any, Final, final

import numpy as np
from numba import cuda

from cubie._types import Precision
from cubie.targets.base import Argument
from cubie.targets.cuda_driver import ELEMENTS, ArgumentBlock, Driver, signature
from cubie.targets.device_array import DeviceArray, DeviceView

BLOCK: Final = 256
PRECISIONS: Final[dict[Any, Any]] = {np.dtype(precision): precision for precision in ELEMENTS}


def spread(n_runs: int, n_given: int, repeats: int, stride: int, given: Any, values: Any, bad: Any) -> None:
    run = cuda.grid(1)
    if run < n_runs:
        place = (run // repeats) % n_given
        values[run] = np.float64(given[place * stride])
        if not math.isfinite(values[run]):
            bad[0] = 1


@final
class Spreading:
    """The kernel for given numbers of one type and values of another; it must be made while its GPU is current."""

    def __init__(self, given: Precision, precision: Precision) -> None:
        arguments = [
            Argument("given", given, True),
            Argument("values", precision, True),
            Argument("bad", np.int64, True),
        ]
        self._driver: Final = Driver()
        dispatcher: Any = cuda.jit(spread)
        self._kernel: Final[Any] = dispatcher.compile(signature(arguments))
        self._function: Final = self._driver.function(self._kernel)
        self._arguments: Final = ArgumentBlock(arguments)
        self._bad: Final[Any] = cuda.device_array(1, np.int64)
        self._lock: Final = threading.Lock()

    def __call__(self, view: DeviceView, repeats: int, values: int, n_runs: int) -> bool:
        """Fill memory with values; tell whether all are finite."""
        stride = view.strides[0] // view.dtype.itemsize
        bad = int(self._bad.device_ctypes_pointer.value)
        with self._lock:
            self._bad.copy_to_device(np.zeros(1, np.int64))
            self._arguments.write((n_runs, view.size, repeats, stride, view.address, values, bad))
            self._driver.launch(self._function, -(-n_runs // BLOCK), BLOCK, 0, 0, self._arguments.address)
            return not self._bad.copy_to_host()[0]


@lru_cache(maxsize=64)
def _spreading(given: str, precision: str, device_id: int) -> Spreading:
    return Spreading(PRECISIONS[np.dtype(given)], PRECISIONS[np.dtype(precision)])


@final
class GpuInputs:
    """What takes inputs from the memory of one GPU, see `Gathers`."""

    def __init__(self, device_id: int) -> None:
        self._device_id: Final = device_id

    def takes(self, view: DeviceView, /) -> bool:
        """Whether it holds numbers that kernels read, and lies in this GPU's memory."""
        item = view.dtype.itemsize
        if view.dtype not in PRECISIONS or view.size == 0 or any(stride % item for stride in view.strides):
            return False
        with cuda.gpus[self._device_id]:
            return Driver().device_of(view.address) == self._device_id

    def gather(
        self, view: DeviceView, repeats: int, n_runs: int, precision: Precision, /
    ) -> tuple[DeviceArray, int | None]:
        """Return a value for each run, and the place of the first that is not finite."""
        with cuda.gpus[self._device_id]:
            memory: Any = cuda.device_array(n_runs, precision)
            address = int(memory.device_ctypes_pointer.value)
            fill = _spreading(view.dtype.str, np.dtype(precision).str, self._device_id)
            bad_run = None if fill(view, repeats, address, n_runs) else np.argmin(np.isfinite(memory.copy_to_host()))
        place = None if bad_run is None else int(bad_run) // repeats % view.size
        return DeviceArray(memory, address, (n_runs,), precision, self._device_id), place
