"""Passes over large arrays of the host on several threads: a core alone takes longer to look at a million results than
a GPU to compute them.
"""

from queue import Empty, SimpleQueue
from typing import Final, Protocol

from cubie.targets.thread_pool import n_threads, run_on_threads

LARGE: Final = 1 << 21
"""More elements are worth the half millisecond that it takes to set threads to work."""
PART: Final = 1 << 18
"""Elements of a part."""
MOST_THREADS: Final = 8
"""More of them wait for the memory."""


class PartFn(Protocol):
    """Work on the elements from `start` to before `stop`, and tell whether all is well with them."""

    def __call__(self, start: int, stop: int) -> bool: ...


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
