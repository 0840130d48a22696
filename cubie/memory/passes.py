"""Passes over large arrays of the host on several threads: a core alone takes longer to look at a million results than
a GPU to compute them.
"""

from collections import deque
from queue import Empty, SimpleQueue
from typing import Final, Protocol, final

from cubie.targets.thread_pool import hire, n_threads, run_on_threads

LARGE: Final = 1 << 21
"""More elements are worth the half millisecond that it takes to set threads to work."""
PART: Final = 1 << 18
"""Elements of a part."""
MOST_THREADS: Final = 8
"""More of them wait for the memory."""
PART_AHEAD: Final = 1 << 17
PARTS_PER_THREAD: Final = 16
MOST_AHEAD: Final = 3
"""Threads that work ahead: more of them wait for each other's turns."""


class PartFn(Protocol):
    """Work on the elements from `start` to before `stop`, and tell whether all is well with them."""

    def __call__(self, start: int, stop: int, /) -> bool: ...


class WorkFn(Protocol):
    """Work on the elements from `start` to before `stop`."""

    def __call__(self, start: int, stop: int, /) -> None: ...


def holds_everywhere(check: PartFn, size: int) -> bool:
    """Tell whether `check` holds for all of `size` elements, part by part; after a failure some may be left out."""
    if size <= LARGE:
        return check(0, size)
    starts: SimpleQueue[int] = SimpleQueue()
    for start in range(0, size, PART):
        starts.put(start)
    failed: list[int] = []

    def stop() -> None:
        failed.append(-1)

    def work() -> None:
        while not failed:
            try:
                start = starts.get_nowait()
            except Empty:
                return
            if not check(start, min(start + PART, size)):
                failed.append(start)

    run_on_threads(work, min(MOST_THREADS, n_threads()), stop)
    return not failed


@final
class WorkAhead:
    """Does the parts of some work in order, on threads of its own and on the one that waits for the first of them.

    Parameters
    ----------
    work : done for the elements of each part, once.
    size : how many elements there are.
    part : how many a part has.
    """

    def __init__(self, work: WorkFn, size: int, part: int = PART_AHEAD) -> None:
        self._work: Final = work
        self._size: Final = size
        self._part: Final = part
        n_parts = -(-size // part)
        self._left: Final = deque(range(n_parts))
        self._is_done: Final = bytearray(n_parts)
        self._news: Final[SimpleQueue[BaseException | None]] = SimpleQueue()
        if n_parts > 1:
            hire(self._help, min(MOST_AHEAD, n_threads() - 1, -(-n_parts // PARTS_PER_THREAD)))

    def reach(self, stop: int) -> None:
        """Wait until all elements before `stop` are done, and help meanwhile.

        Raises
        ------
        BaseException: what the work has raised.
        """
        n_needed = -(-stop // self._part)
        while self._first_left() < n_needed:
            self._take()
        while 0 in self._is_done[:n_needed]:
            error = self._news.get()
            if error is not None:
                raise error

    def _first_left(self) -> int:
        try:
            return self._left[0]
        except IndexError:
            return len(self._is_done)

    def _take(self) -> bool:
        """Do the next part; tell whether there was one."""
        try:
            number = self._left.popleft()
        except IndexError:
            return False
        start = number * self._part
        self._work(start, min(start + self._part, self._size))
        self._is_done[number] = 1
        return True

    def _help(self) -> None:
        error = None
        try:
            while self._take():
                self._news.put(None)
        except BaseException as raised:
            error = raised
        self._news.put(error)
