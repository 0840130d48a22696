"""Passes over large arrays, part by part."""

import threading

import numpy as np
import pytest

from cubie.memory.passes import LARGE, PART, WorkAhead, holds_everywhere


@pytest.mark.parametrize("size", [1, LARGE, LARGE + 1, 3 * PART, 5 * PART + 7])
def test_every_element_is_passed_once(size: int) -> None:
    seen = np.zeros(size, np.int8)

    def count(start: int, stop: int) -> bool:
        seen[start:stop] += 1
        return True

    assert holds_everywhere(count, size)
    assert (seen == 1).all()


@pytest.mark.parametrize("size", [10, 4 * LARGE])
def test_one_part_that_fails_is_enough(size: int) -> None:
    values = np.zeros(size)
    values[size - 3] = 1.0

    def is_zero(start: int, stop: int) -> bool:
        return not values[start:stop].any()

    assert not holds_everywhere(is_zero, size)
    values[size - 3] = 0.0
    assert holds_everywhere(is_zero, size)


def test_large_arrays_are_passed_on_threads_and_an_error_there_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBIE_NUM_THREADS", "2")
    names: set[str] = set()

    def note(start: int, stop: int) -> bool:
        names.add(threading.current_thread().name)
        return True

    assert holds_everywhere(note, 4 * LARGE)
    assert names == {"cubie"}

    def fail(start: int, stop: int) -> bool:
        raise ZeroDivisionError("no such part")

    with pytest.raises(ZeroDivisionError, match="no such part"):
        holds_everywhere(fail, 4 * LARGE)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_work_ahead_is_done_once_and_in_order_of_what_is_waited_for(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIE_NUM_THREADS", threads)
    seen = np.zeros(1000, np.int8)

    def count(start: int, stop: int) -> None:
        seen[start:stop] += 1

    ahead = WorkAhead(count, 1000, 7)
    for stop in (0, 1, 500, 500, 1000):
        ahead.reach(stop)
        assert (seen[:stop] == 1).all()
    assert seen.sum() == 1000


@pytest.mark.parametrize("threads", ["1", "4"])
def test_an_error_in_work_ahead_is_raised_where_it_is_waited_for(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBIE_NUM_THREADS", threads)

    def fail(start: int, stop: int) -> None:
        raise ZeroDivisionError("no such part")

    with pytest.raises(ZeroDivisionError, match="no such part"):
        WorkAhead(fail, 100, 10).reach(100)
