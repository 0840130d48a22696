"""A batch on every core: chunks of runs, taken by threads as they come free, by a C function that holds no lock."""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from cubie._types import Precision
from cubie.targets.base import Argument, KernelLayout, LaunchStatistics, address_of
from cubie.targets.flow import STILL, Flow

C_TYPES: Final[dict[Any, Any]] = {
    np.float32: ctypes.c_float,
    np.float64: ctypes.c_double,
    np.int32: ctypes.c_int32,
    np.int64: ctypes.c_int64,
}
Call: TypeAlias = "tuple[Callable[[], None], SimpleQueue[BaseException | None]]"

IDLE_SECONDS: Final = 60.0
MAX_CHUNK: Final = 16384
SHORT, LONG = 0.01, 0.05
"""Seconds: a chunk that takes less is followed by a larger one, one that takes more by a smaller one."""


def n_threads() -> int:
    """Count the threads of a launch: `CUBIE_NUM_THREADS` if set, else the cores this process may use."""
    wanted = os.environ.get("CUBIE_NUM_THREADS", "")
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(
                f"CUBIE_NUM_THREADS must be a whole number of at least 1, got {wanted!r}. Unset it to use every core."
            )
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@final
class Team:
    """Threads that make calls as they come free, and go when they have been idle. They are daemons, so that an
    interrupted program can end while one of them still computes.
    """

    def __init__(self) -> None:
        self._calls: Final[SimpleQueue[Call]] = SimpleQueue()
        self._lock: Final = threading.Lock()
        self._n_hired = 0

    def call(self, work: Callable[[], None], answers: "SimpleQueue[BaseException | None]", size: int) -> None:
        """Let one of `size` threads call `work` and put what it raised, or None, into `answers`."""
        with self._lock:
            if self._n_hired < size:
                self._n_hired += 1
                threading.Thread(target=self._serve, name="cubie", daemon=True).start()
            self._calls.put((work, answers))

    def _serve(self) -> None:
        while True:
            try:
                work, answers = self._calls.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._calls.empty():
                        self._n_hired -= 1
                        return
                continue
            try:
                work()
                answers.put(None)
            except BaseException as error:
                answers.put(error)
            del work, answers  # a waiting thread must not keep the arrays of the last batch


_teams: Final[dict[int, Team]] = {}
"""By process: threads don't survive a fork, so that a child has a team of its own."""


def hire(work: Callable[[], None], threads: int) -> None:
    """Let so many threads call `work`, and don't wait for them; it must not raise."""
    team = _teams.setdefault(os.getpid(), Team())
    answers: SimpleQueue[BaseException | None] = SimpleQueue()
    for _ in range(threads):
        team.call(work, answers, threads)


def run_on_threads(work: Callable[[], None], threads: int, stop: Callable[[], None]) -> None:
    """Call `work` on so many threads at once and wait for all.

    At an error or an interrupt, call `stop` and wait no longer: what threads have begun goes on unseen.
    """
    team = _teams.setdefault(os.getpid(), Team())
    answers: SimpleQueue[BaseException | None] = SimpleQueue()
    try:
        for _ in range(threads):
            team.call(work, answers, threads)
        for _ in range(threads):
            error = answers.get()
            if error is not None:
                raise error
    except BaseException:
        stop()
        _teams.pop(os.getpid(), None)  # the next launch does not wait for what goes on
        raise


@final
class Chunks:
    """Hands out the runs of a batch in chunks: large ones where runs are short, small ones where they are long and
    towards the end, so that all threads end together, and soon after a stop.
    """

    def __init__(self, n_runs: int, least: int, threads: int) -> None:
        self._n_runs: Final = n_runs
        self._least: Final = least
        self._shares: Final = 2 * threads
        self._lock: Final = threading.Lock()
        self._start = 0
        self.n_taken = 0

    def take(self, size: int) -> tuple[int, int]:
        """Return the start and the stop of the next chunk, of about `size` runs; an empty one at the end."""
        with self._lock:
            start, left = self._start, self._n_runs - self._start
            fair = min(size, left // self._shares) // self._least * self._least
            self._start = start + min(max(fair, self._least), left)
            self.n_taken += left > 0
            return start, self._start

    def next_size(self, size: int, seconds: float) -> int:
        """Return how large a chunk should be after one of `size` runs took so long."""
        if seconds < SHORT:
            return min(4 * size, MAX_CHUNK)
        return size if seconds < LONG else max(size // 2, self._least)

    def stop(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._start = self._n_runs


@final
class CpuKernel:
    """A compiled range kernel and how to spread a batch over it."""

    def __init__(self, layout: KernelLayout, address: int, *, width: int, keep: object) -> None:
        self._arguments: Final[tuple[Argument, ...]] = layout.arguments
        types = [ctypes.c_void_p if argument.is_array else C_TYPES[argument.precision] for argument in layout.arguments]
        self._function: Final = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4, *types)(address)
        self._keep: Final = keep
        self._width: Final = width
        self.free_bytes: Final = None

    def host_array(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]:
        """Return an uninitialised array for results."""
        return np.empty(shape, precision)

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
        flow: Flow = STILL,
    ) -> LaunchStatistics:
        """Integrate all runs; `progress` is told of every finished piece's number of runs.

        No work is done on the calling thread, so that it can be interrupted. What is being computed then goes on, in
        arrays that nobody sees, to the end of its chunk.
        """
        begin = time.perf_counter()
        n_runs = chunks[-1][1]
        flow.reach(n_runs)
        threads = min(n_threads(), -(-n_runs // self._width))
        pieces = Chunks(n_runs, self._width, threads)
        arguments = (*inputs, *outputs)

        def work() -> None:
            values = [address_of(value) if isinstance(value, np.ndarray) else value for value in arguments]
            size = self._width
            while True:
                start, stop = pieces.take(size)
                if start == stop:
                    return
                started = time.perf_counter()
                self._function(start, stop, 0, n_runs, *values)
                size = pieces.next_size(stop - start, time.perf_counter() - started)
                if progress is not None:
                    progress(stop - start)

        run_on_threads(work, threads, pieces.stop)
        flow.landed(0, n_runs)
        return LaunchStatistics(kernel=time.perf_counter() - begin, chunks=pieces.n_taken)
