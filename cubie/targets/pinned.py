"""Host memory that a GPU copies to at full speed, lent to result arrays and taken back when the last is gone."""

import math
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
        array = self.lent(shape, dtype)
        if array is not None:
            return array
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        return self._lend(self._allocate(self._block_bytes(n_bytes)), n_bytes, shape, dtype)

    def lent(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any] | None:
        """Return such an array in memory that was lent before and is free, if there is some."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        wanted = self._block_bytes(n_bytes)
        with self._lock:
            for i, block in enumerate(self._free):
                if block.size == wanted:
                    del self._free[i]
                    break
            else:
                return None
        return self._lend(block, n_bytes, shape, dtype)

    def _lend(self, block: NDArray[np.uint8], n_bytes: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        lease = _Lease(block)
        weakref.finalize(lease, self._put_back, block)
        array: NDArray[Any] = np.asarray(lease)[:n_bytes].view(dtype).reshape(shape)
        return array

    def has(self, n_bytes: int) -> bool:
        """Whether an array of so many bytes takes memory that is free here, and none of the system's."""
        wanted = self._block_bytes(n_bytes)
        with self._lock:
            return any(block.size == wanted for block in self._free)

    @staticmethod
    def _block_bytes(n_bytes: int) -> int:
        return max(GRAIN, -(-n_bytes // GRAIN) * GRAIN)

    def _put_back(self, block: NDArray[np.uint8]) -> None:
        with self._lock:
            self._free.append(block)
            while self._free and sum(free.size for free in self._free) > self._most_bytes:
                self._free.pop(0)
