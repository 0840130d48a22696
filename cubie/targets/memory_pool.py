"""Blocks of memory that solves lend to arrays, and take back when the last array is gone."""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, final


class Block(Protocol):
    """Memory of some kind."""

    @property
    def size(self) -> int:
        """How many bytes it has."""


B = TypeVar("B", bound=Block)


@final
class Lease(Generic[B]):
    """A block that belongs to whoever holds this."""

    def __init__(self, block: B) -> None:
        self.block: Final = block


@final
class MemoryPool(Generic[B]):
    """Keeps blocks between solves: to have them of the system takes longer than to fill them.

    Parameters
    ----------
    allocate : makes a block of so many bytes.
    grain : blocks are multiples of so many bytes, so that batches of about one size share them.
    most_bytes : free blocks beyond this are given back to the system, oldest first.
    """

    def __init__(self, allocate: Callable[[int], B], grain: int, most_bytes: int) -> None:
        self._allocate: Final = allocate
        self._grain: Final = grain
        self._most_bytes: Final = most_bytes
        self._free: Final[list[B]] = []
        self._returned: Final[deque[B]] = deque()
        self._lock: Final = threading.Lock()

    def lend(self, n_bytes: int) -> Lease[B]:
        """Return a block of at least so many bytes, which the system must make."""
        wanted = self._block_bytes(n_bytes)
        try:
            block = self._allocate(wanted)
        except Exception:
            if not self.clear():
                raise
            block = self._allocate(wanted)
        return self._leased(block)

    def lend_free(self, n_bytes: int) -> Lease[B] | None:
        """Return a block that was lent before and is free, if there is one of the size."""
        wanted = self._block_bytes(n_bytes)
        with self._lock:
            self._sort_in()
            for i, block in enumerate(self._free):
                if block.size == wanted:
                    del self._free[i]
                    return self._leased(block)
        return None

    def has(self, n_bytes: int) -> bool:
        """Whether `lend_free` has something for so many bytes."""
        wanted = self._block_bytes(n_bytes)
        with self._lock:
            self._sort_in()
            return any(block.size == wanted for block in self._free)

    def clear(self) -> bool:
        """Give all free blocks back to the system; tell whether there were some."""
        with self._lock:
            self._sort_in()
            had_some = bool(self._free)
            self._free.clear()
        return had_some

    def _leased(self, block: B) -> Lease[B]:
        lease = Lease(block)
        weakref.finalize(lease, self._put_back, block)
        return lease

    def _block_bytes(self, n_bytes: int) -> int:
        return max(1, -(-n_bytes // self._grain)) * self._grain

    def _put_back(self, block: B) -> None:
        """Take a block back; the garbage collector may call this in the middle of anything, of this class too."""
        self._returned.append(block)
        if self._lock.acquire(blocking=False):
            try:
                self._sort_in()
            finally:
                self._lock.release()

    def _sort_in(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())
        while self._free and sum(free.size for free in self._free) > self._most_bytes:
            del self._free[0]
