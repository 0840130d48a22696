from typing import Literal, TypeVar

import numpy as np
from numba.cuda.cudadrv.devicearray import DeviceNDArray
from numba.cuda.cudadrv.driver import Event
from numpy.typing import NDArray

_ElementT = TypeVar("_ElementT", bound=np.float32 | np.float64 | np.int32 | np.int64)

def device_array(shape: int, dtype: type[_ElementT] | np.dtype[_ElementT]) -> DeviceNDArray[_ElementT]: ...
def event(timing: bool = True) -> Event: ...
def pinned_array(
    shape: int, dtype: type[np.float64] | type[np.uint8] = ..., strides: None = None, order: Literal["C"] = "C"
) -> NDArray[np.uint8]: ...
def to_device(obj: NDArray[_ElementT]) -> DeviceNDArray[_ElementT]: ...
