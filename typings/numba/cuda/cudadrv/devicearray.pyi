from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_ElementT = TypeVar("_ElementT", bound=np.float32 | np.float64 | np.int32 | np.int64)

class DeviceNDArray(Generic[_ElementT]):
    @property
    def __cuda_array_interface__(self) -> object: ...
    def copy_to_host(self, ary: NDArray[_ElementT] | None = None, stream: int = 0) -> NDArray[_ElementT]: ...
