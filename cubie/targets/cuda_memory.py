"""Memory of a launcher: blocks on the GPU, what a piece that is under way takes, arrays that solves share, memory of
results that stay on a GPU, and pinned memory of the host.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple, final

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from cubie._types import Precision
from cubie.targets.cuda_driver import Driver
from cubie.targets.flow import aligned
from cubie.targets.memory_pool import Lease, MemoryPool
from cubie.targets.pinned import PinnedPool

SMALL_BYTES: Final = 1 << 16
"""Smaller results are written to the host by the GPU itself, and are as quick to copy on to ordinary memory."""
PINNED_BYTES: Final = 1 << 32
"""Pinned memory is taken from the whole machine: no single result takes more, and free blocks don't add up to more."""
STAYING_GRAIN: Final = 1 << 16
STAYING_BYTES: Final = 1 << 29
"""Of memory for results that stay on a GPU so much is kept, if they have been dropped."""
pinned: Final = PinnedPool(lambda n_bytes: cuda.pinned_array(n_bytes, np.uint8), PINNED_BYTES)


@final
class DeviceBlock:
    """So many bytes of the current GPU's memory."""

    def __init__(self, n_bytes: int) -> None:
        memory: Any = cuda.device_array(n_bytes, np.dtype(np.uint8))
        self._memory: Final = memory
        self.address: Final = int(memory.device_ctypes_pointer.value)
        self.size: Final = n_bytes


@cache
def staying(device_id: int) -> MemoryPool[DeviceBlock]:
    """Return the memory of one GPU for what outlives a launch."""

    def allocate(n_bytes: int) -> DeviceBlock:
        with cuda.gpus[device_id]:
            return DeviceBlock(n_bytes)

    return MemoryPool(allocate, STAYING_GRAIN, STAYING_BYTES)


def staying_memory(device_id: int, n_bytes: int, driver: Driver) -> Lease[DeviceBlock]:
    """Return memory for what outlives a launch.

    Where it was lent before, all work on the GPU is waited for: other libraries may still read what they have dropped.
    """
    pool = staying(device_id)
    lease = pool.lend_free(n_bytes)
    if lease is None:
        lease = pool.lend(n_bytes)
    else:
        driver.settle()
    return lease


class Arena:
    """One block of device memory for several arrays, which grows when it must."""

    def __init__(self) -> None:
        self._block: DeviceBlock | None = None

    def address(self, n_bytes: int) -> int:
        """Return where at least so many bytes start; what was there is lost when the block grows."""
        if self._block is None or self._block.size < n_bytes:
            self._block = None  # first give back what there was
            self._block = DeviceBlock(n_bytes)
        return self._block.address

    @property
    def n_bytes(self) -> int:
        """How much it holds."""
        return 0 if self._block is None else self._block.size


@final
class Slot:
    """What a piece that is under way takes: a stream, events around its kernel and after its copies, and memory of the
    host for small results.
    """

    def __init__(self, stream: Any) -> None:
        self.events: Final[list[Any]] = [cuda.event(), cuda.event(), cuda.event(timing=False)]
        self.stream: Final = int(stream)
        self.first, self.last, self.done = (int(event.handle) for event in self.events)
        self.small: Final[NDArray[np.uint8]] = cuda.pinned_array(SMALL_BYTES, np.uint8)
        self.small_address: Final = int(self.small.ctypes.data)

    def event_of(self, piece: "Piece") -> int:
        """Return the event at which a piece's results are there."""
        return self.last if piece.is_small else self.done


@final
class Piece(NamedTuple):
    """Some runs, and where their results stand: `begin` to `end` in the memory of all, each output at its place there,
    or, if they are small, in their slot's memory.
    """

    start: int
    stop: int
    begin: int
    end: int
    places: tuple[int, ...]

    @property
    def is_small(self) -> bool:
        """Whether the GPU writes the results to the host by itself."""
        return self.end - self.begin <= SMALL_BYTES


class Constants:
    """Arrays that solves share, sent when they are others than last time."""

    def __init__(self, driver: Driver) -> None:
        self._driver: Final = driver
        self._memory: Final = Arena()
        self._small: Final[NDArray[np.uint8]] = cuda.pinned_array(SMALL_BYTES, np.uint8)
        self._sent: tuple[NDArray[Any], ...] = ()
        self._addresses: list[int] = []

    @property
    def n_bytes(self) -> int:
        """How much device memory they take."""
        return self._memory.n_bytes

    def addresses(self, arrays: Sequence[NDArray[Any]], stream: int) -> list[int]:
        """Return where they start, once the stream has come so far."""
        if len(arrays) == len(self._sent) and all(map(lambda a, b: a is b, arrays, self._sent)):
            return self._addresses
        flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
        places, total = places_of([array.nbytes for array in flat])
        address = self._memory.address(max(total, 1))
        for array, place in zip(flat, places, strict=True):
            if total <= SMALL_BYTES:
                self._small[place : place + array.nbytes] = array.view(np.uint8)
            else:
                self._driver.send(address + place, array.ctypes.data, array.nbytes, stream)
        if total <= SMALL_BYTES:
            self._driver.send(address, self._small.ctypes.data, total, stream)
        else:
            self._driver.finish(stream)  # copies of theirs may be read still
        self._sent, self._addresses = tuple(arrays), [address + place for place in places]
        return self._addresses


def places_of(sizes: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Return where arrays of so many bytes start in one block, and where the last one ends."""
    places, total = [], 0
    for n_bytes in sizes:
        places.append(total)
        total += aligned(max(n_bytes, 1))
    return tuple(places), total


def places_in_place(shapes: Sequence[tuple[tuple[int, ...], Precision]]) -> tuple[tuple[int, ...], int]:
    """Return where outputs that stay on the GPU start in one block, and where the last one ends."""
    return places_of([math.prod(shape) * np.dtype(precision).itemsize for shape, precision in shapes])
