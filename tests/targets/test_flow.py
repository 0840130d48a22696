"""How batches are cut, what a launch tells of its kernels' time, and the bytes that a kernel's arguments are."""

import ctypes
import math
import struct

import numpy as np
import pytest

from cubie.targets.base import Argument
from cubie.targets.cuda_device import BusyTime
from cubie.targets.cuda_driver import ArgumentBlock
from cubie.targets.flow import ALIGNMENT, LEAST_PIECE, MOST_PIECE, STILL, pieces_of

MILLION = 1 << 20


@pytest.mark.parametrize(
    "chunks",
    [
        [(0, 1)],
        [(0, 1000)],
        [(0, 3 * LEAST_PIECE)],
        [(0, MILLION)],
        [(0, 8 * MILLION + 7)],
        [(0, 1), (1, 3)],
        [(0, 64), (64, 1000)],
        [(0, 300_032), (300_032, 600_064), (600_064, MILLION)],
    ],
)
def test_pieces_are_all_runs_of_each_chunk_once(chunks: list[tuple[int, int]]) -> None:
    pieces = pieces_of(chunks)
    assert all(start < stop for start, stop in pieces)
    assert [stop for _, stop in pieces[:-1]] == [start for start, _ in pieces[1:]]
    assert {start for start, _ in chunks} <= {start for start, _ in pieces}
    assert (pieces[0][0], pieces[-1][1]) == (0, chunks[-1][1])


def test_the_first_piece_is_small_and_none_is_more_than_half_of_what_is_left() -> None:
    pieces, n_runs = pieces_of([(0, 8 * MILLION)]), 8 * MILLION
    sizes = [stop - start for start, stop in pieces]
    assert sizes[0] == LEAST_PIECE
    assert max(sizes) == MOST_PIECE
    assert sizes[-1] < 3 * LEAST_PIECE
    assert all(2 * size <= n_runs - start + 2 * ALIGNMENT for (start, _), size in zip(pieces, sizes[:-1], strict=False))


def test_a_batch_of_few_runs_is_one_piece_and_chunks_of_few_are_two() -> None:
    assert pieces_of([(0, 2 * LEAST_PIECE - 1)]) == [(0, 2 * LEAST_PIECE - 1)]
    assert len(pieces_of([(0, 2 * LEAST_PIECE)])) == 2
    assert len(pieces_of([(0, 1000), (1000, 2000)])) == 4


def test_kernels_side_by_side_are_counted_once() -> None:
    busy = BusyTime()
    for begin, end in ((0.0, 2.0), (1.0, 3.0), (1.5, 2.5), (5.0, 6.0)):
        busy.add(begin, end)
    assert busy.seconds == 4.0


def test_arguments_are_eight_bytes_each_and_what_single_precision_cannot_hold_is_infinite() -> None:
    arguments = [
        Argument("values", np.float32, True),
        Argument("rtol", np.float32, False),
        Argument("n_saves", np.int32, False),
        Argument("max_step", np.float32, False),
    ]
    block = ArgumentBlock(arguments)
    for longest in (math.inf, 1e300):
        block.write((0, 5, 0, 5, 4096, 0.1, 7, longest))
        pointers = (ctypes.c_uint64 * 8).from_address(block.address)
        assert [pointer - pointers[0] for pointer in pointers] == [8 * i for i in range(8)]
        words = struct.unpack("<4qqf4xi4xf4x", ctypes.string_at(pointers[0], 8 * 8))
        assert words == (0, 5, 0, 5, 4096, np.float32(0.1), 7, math.inf)


def test_without_a_flow_inputs_stand_and_nothing_is_late() -> None:
    STILL.reach(5)
    assert STILL.check()
    assert not STILL.landed(0, 5)
    assert (STILL.n_rows, STILL.late) == (0, -1)
