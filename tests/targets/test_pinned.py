"""Memory that is lent and taken back."""

import gc

import numpy as np
from numpy.typing import NDArray

from cubie.targets.pinned import GRAIN, PinnedPool


class Allocator:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, n_bytes: int) -> NDArray[np.uint8]:
        self.sizes.append(n_bytes)
        return np.zeros(n_bytes, np.uint8)


def test_an_array_has_the_shape_and_type_asked_for_and_can_be_written() -> None:
    array = PinnedPool(Allocator(), GRAIN).empty((2, 3, 5), np.float32)
    array[:] = 1.5
    assert array.shape == (2, 3, 5)
    assert array.dtype == np.float32
    assert float(array.sum()) == 45.0


def test_memory_is_lent_again_only_when_no_array_looks_at_it() -> None:
    """PITFALL 24: arrays were overwritten once the result object was collected."""
    allocator = Allocator()
    pool = PinnedPool(allocator, 4 * GRAIN)
    first = pool.empty((10,), np.float64)
    first[:] = 7.0
    part = first[2:4]
    del first
    gc.collect()
    second = pool.empty((10,), np.float64)
    second[:] = 1.0
    assert part.tolist() == [7.0, 7.0]
    assert allocator.sizes == [GRAIN, GRAIN]
    del part
    gc.collect()
    pool.empty((10,), np.float64)
    assert len(allocator.sizes) == 2


def test_free_memory_beyond_the_bound_is_given_back() -> None:
    allocator = Allocator()
    pool = PinnedPool(allocator, GRAIN)
    arrays = [pool.empty((4,), np.float64) for _ in range(3)]
    del arrays
    gc.collect()
    kept = [pool.empty((4,), np.float64) for _ in range(2)]
    assert len(kept) == 2
    assert len(allocator.sizes) == 4


def test_memory_that_is_free_is_known_and_lent_without_the_system() -> None:
    allocator = Allocator()
    pool = PinnedPool(allocator, 4 * GRAIN)
    assert pool.lent((10,), np.float64) is None
    array = pool.empty((10,), np.float64)
    assert not pool.has(80)
    del array
    gc.collect()
    assert pool.has(80)
    assert not pool.has(GRAIN + 1)
    lent = pool.lent((2, 5), np.float64)
    assert lent is not None
    assert lent.shape == (2, 5)
    assert allocator.sizes == [GRAIN]
