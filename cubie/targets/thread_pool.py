"""A batch on every core: chunks of runs, taken by threads as they come free, by a C function that holds no lock."""

import ctypes
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from cubie.targets.base import Argument, KernelLayout, LaunchStatistics

C_TYPES: Final[dict[Any, Any]] = {
    np.float32: ctypes.c_float,
    np.float64: ctypes.c_double,
    np.int32: ctypes.c_int32,
    np.int64: ctypes.c_int64,
}
INLINE_RUNS: Final = 32
MAX_CHUNK: Final = 4096


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


_executors: Final[dict[tuple[int, int], ThreadPoolExecutor]] = {}


def _executor(threads: int) -> ThreadPoolExecutor:
    """Return this process's executor of so many threads; a forked child makes its own, since threads don't survive a
    fork.
    """
    return _executors.setdefault((os.getpid(), threads), ThreadPoolExecutor(threads, thread_name_prefix="cubie"))


@final
class CpuKernel:
    """A compiled range kernel and how to spread a batch over it."""

    def __init__(self, layout: KernelLayout, address: int, compile_seconds: float, *, width: int, keep: object) -> None:
        self._arguments: Final[tuple[Argument, ...]] = layout.arguments
        types = [ctypes.c_void_p if argument.is_array else C_TYPES[argument.precision] for argument in layout.arguments]
        self._function: Final = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4, *types)(address)
        self._keep: Final = keep
        self._least: Final = INLINE_RUNS * width
        self.compile_seconds: Final = compile_seconds
        self.free_bytes: Final = None

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
    ) -> LaunchStatistics:
        """Integrate all runs; `progress` is told of every finished piece's number of runs."""
        begin = time.perf_counter()
        n_runs = chunks[-1][1]
        values = [0, n_runs] + [
            value.ctypes.data if isinstance(value, np.ndarray) else value for value in (*inputs, *outputs)
        ]
        threads = min(n_threads(), -(-n_runs // self._least))
        chunk = min(MAX_CHUNK, max(self._least, -(-n_runs // (threads * 32))))
        if threads <= 1 and n_runs <= chunk:
            self._function(0, n_runs, *values)
            if progress is not None:
                progress(n_runs)
        else:
            self._spread(values, n_runs, threads, chunk, progress)
        return LaunchStatistics(kernel=time.perf_counter() - begin, chunks=-(-n_runs // chunk))

    def _spread(
        self, values: list[Any], n_runs: int, threads: int, chunk: int, progress: Callable[[int], None] | None
    ) -> None:
        starts = itertools.count(0, chunk)
        stopped = threading.Event()

        def work() -> None:
            for start in starts:
                if start >= n_runs or stopped.is_set():
                    return
                stop = min(start + chunk, n_runs)
                self._function(start, stop, *values)
                if progress is not None:
                    progress(stop - start)

        futures: list[Future[None]] = [_executor(threads).submit(work) for _ in range(threads)]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stopped.set()
            wait(futures)
