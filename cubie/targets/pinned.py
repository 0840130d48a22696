"""Host memory that a GPU copies to at full speed, lent to result arrays and taken back when the last is gone."""

import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

GRAIN: Final = 1 << 20
"""Blocks are multiples of so many bytes, so that batches of about one size share them."""


class _Lease:
    """Owns a block for as long as an array looks at it."""

    def __init__(self, block: NDArray[np.uint8]) -> None:
        self.__array_interface__ = {**block.__array_interface__, "data": (block.ctypes.data, False)}


@final
class PinnedPool:
    """Keeps pinned blocks between solves: pinning costs more than copying.

    Parameters
    ----------
    allocate : makes a pinned block of so many bytes.
    most_bytes : free blocks beyond this are given back to the system, oldest first.
    """

    def __init__(self, allocate: Callable[[int], NDArray[np.uint8]], most_bytes: int) -> None:
        self._allocate: Final = allocate
        self._most_bytes: Final = most_bytes
        self._free: Final[list[NDArray[np.uint8]]] = []
        self._lock: Final = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an uninitialised array in pinned memory; it belongs to its holder until it is garbage."""
        n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        block = self._take(max(GRAIN, -(-n_bytes // GRAIN) * GRAIN))
        lease = _Lease(block)
        weakref.finalize(lease, self._put_back, block)
        array: NDArray[Any] = np.asarray(lease)[:n_bytes].view(dtype).reshape(shape)
        return array

    def _take(self, n_bytes: int) -> NDArray[np.uint8]:
        with self._lock:
            for i, block in enumerate(self._free):
                if block.size == n_bytes:
                    return self._free.pop(i)
        return self._allocate(n_bytes)

    def _put_back(self, block: NDArray[np.uint8]) -> None:
        with self._lock:
            self._free.append(block)
            while self._free and sum(free.size for free in self._free) > self._most_bytes:
                self._free.pop(0)
