"""Inputs that another library keeps in a GPU's memory: spread over the runs there, in the precision of the solve, and
looked at.
"""

import math
import threading
from functools import cache
from typing import Any, Final, final

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from cubie._types import Precision
from cubie.targets.base import Argument, address_of
from cubie.targets.cuda_driver import ELEMENTS, ArgumentBlock, Driver, signature
from cubie.targets.cuda_memory import staying_memory
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

    def __init__(self, given: Precision, precision: Precision, driver: Driver) -> None:
        arguments = [
            Argument("given", given, True),
            Argument("values", precision, True),
            Argument("bad", np.int64, True),
        ]
        self._driver: Final = driver
        dispatcher: Any = cuda.jit(spread)
        self._kernel: Final[Any] = dispatcher.compile(signature(arguments))
        self._function: Final = self._driver.function(self._kernel)
        self._arguments: Final = ArgumentBlock(arguments)
        self._bad: Final[NDArray[np.int64]] = cuda.pinned_array(8, np.uint8).view(np.int64)
        self._lock: Final = threading.Lock()

    def __call__(self, view: DeviceView, repeats: int, values: int, n_runs: int) -> bool:
        """Fill memory with values; tell whether all are finite."""
        stride = view.strides[0] // view.dtype.itemsize
        with self._lock:
            self._bad[0] = 0
            self._arguments.write((n_runs, view.size, repeats, stride, view.address, values, address_of(self._bad)))
            self._driver.launch(self._function, -(-n_runs // BLOCK), BLOCK, 0, 0, self._arguments.address)
            self._driver.finish(0)
            return not self._bad[0]


@cache
def _driver(device_id: int) -> Driver:
    with cuda.gpus[device_id]:
        return Driver()


@cache
def _spreading(given: "np.dtype[Any]", precision: "np.dtype[Any]", device_id: int) -> Spreading:
    with cuda.gpus[device_id]:
        return Spreading(PRECISIONS[given], PRECISIONS[precision], _driver(device_id))


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
        driver = _driver(self._device_id)
        with driver:
            return driver.device_of(view.address) == self._device_id

    def gather(
        self, view: DeviceView, repeats: int, n_runs: int, precision: Precision, /
    ) -> tuple[DeviceArray, int | None]:
        """Return a value for each run, and the place of the first that is not finite."""
        spreading, driver = _spreading(view.dtype, np.dtype(precision), self._device_id), _driver(self._device_id)
        with driver:
            memory = staying_memory(self._device_id, n_runs * np.dtype(precision).itemsize, driver)
            are_finite = spreading(view, repeats, memory.block.address, n_runs)
        row = DeviceArray(memory, memory.block.address, (n_runs,), precision, self._device_id)
        place = None if are_finite else int(np.argmin(np.isfinite(row.copy_to_host()))) // repeats % view.size
        return row, place
