"""Blocks that are lent and taken back."""

import gc
import weakref
from typing import Final

import pytest

from cubie.targets.memory_pool import Lease, MemoryPool

GRAIN: Final = 16


class Bytes:
    """A block, which may make something else garbage when it is looked at."""

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self.doomed: list[Lease[Bytes]] = []

    @property
    def size(self) -> int:
        """How many bytes it stands for."""
        self.doomed.clear()
        return self._size


class System:
    """Makes blocks while there are few."""

    def __init__(self, most: int) -> None:
        self.sizes: list[int] = []
        self._most: Final = most
        self._alive: Final[weakref.WeakSet[Bytes]] = weakref.WeakSet()

    def __call__(self, n_bytes: int) -> Bytes:
        gc.collect()
        if len(self._alive) == self._most:
            raise MemoryError(n_bytes)
        self.sizes.append(n_bytes)
        block = Bytes(n_bytes)
        self._alive.add(block)
        return block


def test_blocks_are_whole_grains_and_go_round() -> None:
    system = System(9)
    pool = MemoryPool(system, GRAIN, 10 * GRAIN)
    first, second = pool.lend(0), pool.lend(GRAIN + 1)
    assert system.sizes == [GRAIN, 2 * GRAIN]
    block = second.block
    del first, second
    gc.collect()
    assert pool.has(2 * GRAIN)
    assert not pool.has(2 * GRAIN + 1)
    again = pool.lend_free(2 * GRAIN)
    assert again is not None
    assert again.block is block
    assert pool.lend_free(2 * GRAIN) is None


def test_free_blocks_go_back_to_a_system_that_has_no_more_and_when_that_is_asked_for() -> None:
    pool = MemoryPool(System(2), GRAIN, 10 * GRAIN)
    held = pool.lend(GRAIN)
    pool.lend(2 * GRAIN)  # is free at once
    more = pool.lend(3 * GRAIN)
    with pytest.raises(MemoryError):
        pool.lend(GRAIN)
    del held, more
    gc.collect()
    assert pool.clear()
    assert not pool.clear()


def test_what_is_dropped_in_the_middle_of_a_call_is_free_after_it() -> None:
    """The garbage collector may run while the pool holds its own lock, and must not wait for it."""
    pool = MemoryPool(System(9), GRAIN, 10 * GRAIN)
    first, second = pool.lend(GRAIN), pool.lend(2 * GRAIN)
    watched = first.block
    del first
    gc.collect()
    watched.doomed.append(second)
    del second
    assert not pool.has(3 * GRAIN)
    assert not watched.doomed
    assert pool.has(2 * GRAIN)
