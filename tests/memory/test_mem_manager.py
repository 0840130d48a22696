"""Free memory, refused outputs, and batches cut to fit."""

from pathlib import Path

import numpy as np
import pytest

from cubie.memory.mem_manager import (
    OutputTooLargeError,
    available_host_bytes,
    check_fits,
    check_output_fits,
    plan_chunks,
)

MEMINFO = "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:   4000000 kB\n"


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_this_machine_has_some_memory() -> None:
    available = available_host_bytes()
    assert available is not None
    assert available > 2**20


def test_what_the_kernel_calls_available_counts(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", MEMINFO)
    assert available_host_bytes(tmp_path) == 4_000_000 * 1024


def test_the_limit_of_an_enclosing_control_group_counts_too(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", MEMINFO)
    write(tmp_path, "proc/self/cgroup", "0::/job/step\n")
    for group, limit in (("job", "1000000"), ("job/step", "max")):
        write(tmp_path, f"sys/fs/cgroup/{group}/memory.max", f"{limit}\n")
        write(tmp_path, f"sys/fs/cgroup/{group}/memory.current", "300000\n")
        write(tmp_path, f"sys/fs/cgroup/{group}/memory.stat", "anon 200000\ninactive_file 50000\n")
    assert available_host_bytes(tmp_path) == 1_000_000 - 300_000 + 50_000


def test_control_groups_of_the_first_version_count_too(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "4:memory:/\n3:cpuset:/\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.usage_in_bytes", "6000\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.stat", "cache 0\ntotal_inactive_file 100\n")
    assert available_host_bytes(tmp_path) == 0


def test_a_system_that_tells_nothing_falls_back_to_its_physical_memory(tmp_path: Path) -> None:
    available = available_host_bytes(tmp_path)
    assert available is None or available > 2**20


def test_a_system_without_even_that_is_not_asked_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert available_host_bytes(tmp_path) is None


def test_an_output_larger_than_memory_is_refused_with_its_size_and_what_to_do() -> None:
    with pytest.raises(OutputTooLargeError) as refused:
        check_output_fits((1000, 1024, 2**30), np.float64)
    text = str(refused.value)
    assert "got 8,192,000.00 GiB (1,000 x 1,024 x 1,073,741,824 values of float64)" in text
    assert "t_eval" in text
    assert "save" in text


def test_an_output_that_fits_is_let_through() -> None:
    check_output_fits((11, 3, 1000), np.float32)


def test_the_system_is_not_asked_about_small_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []
    monkeypatch.setattr("cubie.memory.mem_manager.available_host_bytes", lambda: asked.append(None))
    check_fits((2**23,), np.float64, "a small one")
    assert not asked
    check_fits((2**24,), np.float64, "a larger one")
    assert len(asked) == 1


def test_nothing_is_refused_where_the_system_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cubie.memory.mem_manager.available_host_bytes", lambda: None)
    check_fits((2**50,), np.float64, "a giant")


@pytest.mark.parametrize(
    ("n_runs", "per_run", "budget"), [(1, 8, 100), (1000, 8, 1000), (100_000, 7, 65_537), (64, 1, 64)]
)
def test_chunks_cover_all_runs_within_the_budget(n_runs: int, per_run: int, budget: int) -> None:
    chunks = plan_chunks(n_runs, per_run, budget)
    assert [start for start, _ in chunks] == [0, *(stop for _, stop in chunks[:-1])]
    assert chunks[-1][1] == n_runs
    assert all(start < stop and (stop - start) * per_run <= budget for start, stop in chunks)
    assert all(start % 64 == 0 for start, _ in chunks)


def test_a_batch_that_fits_is_one_chunk() -> None:
    assert plan_chunks(1000, 8, 8000) == [(0, 1000)]


def test_chunks_are_of_about_one_size() -> None:
    assert plan_chunks(1000, 1, 960) == [(0, 512), (512, 1000)]


def test_a_budget_too_small_for_one_block_of_runs_is_refused() -> None:
    with pytest.raises(OutputTooLargeError, match=r"64 runs must fit in 0\.00 GiB of free device memory"):
        plan_chunks(1000, 100, 6399)
