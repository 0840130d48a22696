"""Batches on threads: whole, from several threads and processes at once, and gone at once when interrupted."""

import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie import Solver, create_ode_system
from cubie.targets import thread_pool
from cubie.targets.base import Argument, KernelLayout
from cubie.targets.thread_pool import Chunks, CpuKernel, n_threads, run_on_threads

K: Final = np.linspace(0.1, 3.0, 257)
THREADS: Final = 3


@cache
def decay_solver() -> Solver:
    system = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters=["k"])
    solver = Solver(system, device="cpu")
    solver.compile()
    return solver


def worst_error(shift: float = 0.0) -> float:
    """Solve a batch on all threads and return its largest error."""
    k = K + shift
    solution = decay_solver().solve((0.0, 1.0), parameters={"k": k})
    return float(np.abs(solution["x"][-1] - np.exp(-k)).max())


# A kernel that is no integrator: it counts how often every run was taken.


def counting_kernel(width: int, *, seconds_a_run: float = 0.0) -> tuple[CpuKernel, object]:
    """Return a kernel whose C function adds one to every run's element of its only array."""
    layout = KernelLayout(
        name="counting",
        group=tuple,
        arguments=(Argument("counts", np.int32, True),),
        n_outputs=1,
        n_shared=0,
        shared_precision=np.float64,
        n_persistent=0,
        persistent_precision=np.float64,
    )
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4, ctypes.c_void_p)

    def count(start: int, stop: int, first_run: int, n_slots: int, address: int) -> None:
        counts = (ctypes.c_int32 * n_slots).from_address(address)
        for run in range(start, stop):
            counts[run] += 1
        time.sleep(seconds_a_run * (stop - start))

    callback = prototype(count)
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert address is not None
    return CpuKernel(layout, address, width=width, keep=callback), callback


def counted(n_runs: int, width: int, finished: list[int]) -> npt.NDArray[np.int32]:
    counts = np.zeros(n_runs, np.int32)
    kernel, _ = counting_kernel(width)
    launch = kernel.launch([], [counts], [(0, n_runs)], finished.append)
    assert launch.chunks == len(finished)
    return counts


@pytest.mark.parametrize("width", [1, 4, 16])
@pytest.mark.parametrize("n_runs", [1, 3, 16, 17, 255, 256, 5000])
def test_every_run_is_taken_once_and_progress_is_told_of_all(
    n_runs: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIE_NUM_THREADS", str(THREADS))
    finished: list[int] = []
    np.testing.assert_array_equal(counted(n_runs, width, finished), np.ones(n_runs))
    assert sum(finished) == n_runs
    assert min(finished) > 0


def taken(n_runs: int, least: int, threads: int, seconds_a_run: float) -> list[int]:
    """Return the sizes of the chunks that one thread takes when it is alone."""
    chunks, size, sizes = Chunks(n_runs, least, threads), least, list[int]()
    while True:
        start, stop = chunks.take(size)
        if start == stop:
            assert chunks.n_taken == len(sizes)
            return sizes
        sizes.append(stop - start)
        size = chunks.next_size(stop - start, seconds_a_run * (stop - start))


def test_chunks_of_short_runs_grow_and_shrink_towards_the_end() -> None:
    sizes = taken(1_000_000, 16, 2, 1e-6)
    assert sizes[:4] == [16, 64, 256, 1024]
    assert max(sizes) == thread_pool.MAX_CHUNK
    assert sizes[-1] <= 16
    assert sum(sizes) == 1_000_000
    assert len(sizes) < 130


def test_chunks_of_long_runs_stay_as_small_as_they_can() -> None:
    assert set(taken(640, 16, 2, 1.0)) == {16}


def test_chunks_hold_whole_groups_of_lanes_but_for_the_last() -> None:
    sizes = taken(12_345, 16, 3, 1e-6)
    assert all(size % 16 == 0 for size in sizes[:-1])
    assert sum(sizes) == 12_345


def test_no_chunk_is_handed_out_after_a_stop() -> None:
    chunks = Chunks(100, 1, 1)
    chunks.take(10)
    chunks.stop()
    start, stop = chunks.take(10)
    assert start == stop


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " 4"])
def test_a_number_of_threads_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBIE_NUM_THREADS", text)
    with pytest.raises(
        ValueError, match=rf"CUBIE_NUM_THREADS must be a whole number of at least 1, got '{text}'\. Unset"
    ):
        n_threads()


def test_threads_are_as_many_as_asked_for_or_as_cores_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBIE_NUM_THREADS", "7")
    assert n_threads() == 7
    monkeypatch.setenv("CUBIE_NUM_THREADS", "")
    assert n_threads() == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def test_batches_of_few_runs_use_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBIE_NUM_THREADS", str(THREADS))
    seen: set[int] = set()
    counts = np.zeros(THREADS, np.int32)
    kernel, _ = counting_kernel(1, seconds_a_run=0.05)
    kernel.launch([], [counts], [(0, THREADS)], lambda finished: seen.add(threading.get_ident()))
    assert len(seen) > 1
    assert threading.get_ident() not in seen


# What goes wrong


def test_an_error_in_a_callback_is_raised_and_does_not_hang() -> None:
    def complain(finished: int) -> None:
        raise RuntimeError("the bar broke")

    counts = np.zeros(1000, np.int32)
    kernel, _ = counting_kernel(1)
    with pytest.raises(RuntimeError, match="the bar broke"):
        kernel.launch([], [counts], [(0, 1000)], complain)
    assert worst_error() < 1e-5


def test_the_error_of_one_thread_stops_the_others() -> None:
    stopped = threading.Event()
    turns = iter(range(10))

    def work() -> None:
        if next(turns) == 0:
            raise ValueError("first")
        assert stopped.wait(20)

    with pytest.raises(ValueError, match="first"):
        run_on_threads(work, 2, stopped.set)


def test_threads_go_when_they_have_been_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(thread_pool, "_teams", {})
    names: list[str] = []
    done = threading.Event()

    def work() -> None:
        names.append(threading.current_thread().name)
        done.set()

    for _ in range(2):  # the second time, after the first one's threads have gone
        done.clear()
        before = {thread for thread in threading.enumerate() if thread.name == "cubie"}
        run_on_threads(work, 1, done.set)
        mine = {thread for thread in threading.enumerate() if thread.name == "cubie"} - before
        for thread in mine:
            thread.join(5)
            assert not thread.is_alive()
    assert names == ["cubie", "cubie"]


INTERRUPTED: Final = """
import os, signal, sys, threading, time
import numpy as np
import cubie

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have programs in the background ignore it
system = cubie.create_ode_system("dx = -k*x", states={"x": 1.0}, parameters=["k"])
solver = cubie.Solver(system, device="cpu", method="rk4", first_step=1e-7, max_steps=2**31 - 1, lanes=1)
solver.compile()
heard = []
def interrupt():
    time.sleep(0.3)
    heard.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
n_runs, end = int(sys.argv[1]), float(sys.argv[2])
threading.Thread(target=interrupt).start()
try:
    solver.solve((0.0, end), parameters={"k": np.ones(n_runs)})
    print("it was not interrupted")
except KeyboardInterrupt:
    print(f"after {time.monotonic() - heard[0]:.3f} s")
solver.update(first_step=0.01)
x = solver.solve((0.0, 1.0), parameters={"k": np.ones(100)})["x"][-1]
print("and then", np.abs(x - np.exp(-1.0)).max() < 1e-9)
"""


@pytest.mark.parametrize(("n_runs", "end"), [(1, 200.0), (200_000, 1.0)])
def test_an_interrupt_ends_a_long_solve_at_once_and_leaves_the_solver_usable(n_runs: int, end: float) -> None:
    """One run that takes minutes; and many runs whose chunks would. "At once" leaves room for a busy machine."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(n_runs), str(end)], capture_output=True, text=True, timeout=600
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("after "), done.stdout + done.stderr
    assert float(first.split()[1]) < 10.0
    assert second == "and then True"
    assert done.returncode == 0


def test_arrays_live_until_the_threads_that_write_them_are_done() -> None:
    """After an interrupt nobody waits, and the caller's arrays may be gone: threads hold what they write to."""
    kernel, callback = counting_kernel(1, seconds_a_run=0.2)
    started = threading.Event()
    raised: list[BaseException] = []

    def launch() -> None:
        counts = np.zeros(4, np.int32)
        try:
            kernel.launch([], [counts], [(0, 4)], fail_at_first)
        except RuntimeError as error:
            raised.append(error)

    def fail_at_first(finished: int) -> None:
        started.set()
        raise RuntimeError("stop")

    thread = threading.Thread(target=launch)
    thread.start()
    thread.join(20)
    assert started.is_set()
    assert [str(error) for error in raised] == ["stop"]
    time.sleep(0.5)  # the other threads' chunks end in this time, in memory that must still be there
    assert callback is not None


# Several threads and processes


def test_several_threads_solve_at_once_with_one_solver() -> None:
    with ThreadPoolExecutor(4) as pool:
        errors = list(pool.map(worst_error, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]))
    assert max(errors) < 1e-5


def test_threads_that_compile_at_once_get_right_answers() -> None:
    system = create_ode_system("dx = -k*x + 0*t", states={"x": 1.0}, parameters=["k"])
    solver = Solver(system, device="cpu", lanes=1)

    def solve(k: float) -> float:
        return float(solver.solve((0.0, 1.0), parameters={"k": [k, k]})["x"][-1, 1])

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(solve, [0.5, 1.0, 2.0]))
    np.testing.assert_allclose(answers, np.exp([-0.5, -1.0, -2.0]), rtol=1e-5)


def answers_of_children(method: str, shifts: Sequence[float]) -> list[float]:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        return list(pool.map(worst_error, shifts))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_children_solve_with_the_solver_they_inherit() -> None:
    """Threads don't survive a fork: a pool that was inherited would wait for them for ever."""
    assert worst_error() < 1e-5
    assert max(answers_of_children("fork", [0.0, 0.3])) < 1e-5
    assert worst_error() < 1e-5


def test_spawned_children_solve_with_a_solver_of_their_own() -> None:
    assert max(answers_of_children("spawn", [0.0, 0.3])) < 1e-5


def test_a_launch_that_is_given_up_stops_no_other() -> None:
    """While one launch is given up, another one that was begun by another thread goes on to its end."""
    release = threading.Event()
    gone_on: list[int] = []

    def slow() -> None:
        assert release.wait(20)
        gone_on.append(1)

    other = threading.Thread(target=run_on_threads, args=(slow, 1, lambda: None))
    other.start()

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_on_threads(fail, 2, lambda: None)
    assert worst_error() < 1e-5
    release.set()
    other.join(20)
    assert gone_on == [1]
