"""Arrays in host memory that a GPU copies to at full speed."""

import math
from collections.abc import Callable
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from cubie.targets.memory_pool import Lease, MemoryPool

GRAIN: Final = 1 << 20


class _Memory:
    """Pinned memory as NumPy looks at it; an array holds this, and so the lease, for as long as it is there."""

    def __init__(self, lease: Lease[NDArray[np.uint8]]) -> None:
        self._lease: Final = lease
        self.__array_interface__ = lease.block.__array_interface__


@final
class PinnedPool:
    """Lends arrays, and takes their memory back when the last one is gone.

    Parameters
    ----------
    allocate : makes a pinned block of so many bytes.
    most_bytes : how much of free memory is kept.
    """

    def __init__(self, allocate: Callable[[int], NDArray[np.uint8]], most_bytes: int) -> None:
        self._blocks: Final = MemoryPool(allocate, GRAIN, most_bytes)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an uninitialised array in pinned memory; it belongs to its holder until it is garbage."""
        array = self.lent(shape, dtype)
        return _array(self._blocks.lend(_bytes(shape, dtype)), shape, dtype) if array is None else array

    def lent(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any] | None:
        """Return such an array in memory that was lent before and is free, if there is some."""
        lease = self._blocks.lend_free(_bytes(shape, dtype))
        return None if lease is None else _array(lease, shape, dtype)

    def has(self, n_bytes: int) -> bool:
        """Whether an array of so many bytes takes memory that is free here, and none of the system's."""
        return self._blocks.has(n_bytes)


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    n_bytes: int = math.prod(shape) * np.dtype(dtype).itemsize
    return n_bytes


def _array(lease: Lease[NDArray[np.uint8]], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(_Memory(lease))[: _bytes(shape, dtype)].view(dtype).reshape(shape)
    return array
