"""The bar: shown when asked for, exact at the end, and no danger to the solve."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import pytest
from tqdm import tqdm

from cubie import Solver, create_ode_system
from cubie.batchsolving import progress
from cubie.batchsolving.progress import clock, progress_bar

DECAY: Final = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0}, name="decay")
RUNS: Final = {"k": np.linspace(0, 1, 1000)}


@pytest.fixture(scope="module")
def solver() -> Solver:
    return Solver(DECAY, device="cpu", method="euler", first_step=0.01, lanes=1)


def test_nothing_is_shown_unless_it_is_asked_for(solver: Solver, capsys: pytest.CaptureFixture[str]) -> None:
    solver.solve((0.0, 1.0), parameters=RUNS)
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""
    with progress_bar(10, "name", shown=False) as tell:
        assert not tell


def test_the_bar_names_the_model_and_ends_at_all_runs(solver: Solver, capsys: pytest.CaptureFixture[str]) -> None:
    solver.solve((0.0, 1.0), parameters=RUNS, progress=True)
    shown = capsys.readouterr().err
    assert "decay: 100%" in shown
    assert "1.00k/1.00k" in shown


def test_many_threads_may_tell_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    barrier = threading.Barrier(8)
    with progress_bar(8000, "many", shown=True) as tell, ThreadPoolExecutor(8) as pool:
        assert tell is not None
        list(pool.map(lambda number: (barrier.wait(), [tell(1) for _ in range(1000)]), range(8)))
    assert "8.00k/8.00k" in capsys.readouterr().err


def test_a_bar_that_breaks_ends_the_solve_and_leaves_the_solver_usable(
    solver: Solver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def complain(bar: object, finished: int) -> None:
            raise OSError("no terminal")

        patch.setattr("tqdm.std.tqdm.update", complain)
        with pytest.raises(OSError, match="no terminal"):
            solver.solve((0.0, 1.0), parameters=RUNS, progress=True)
    np.testing.assert_allclose(solver.solve((0.0, 1.0), parameters=RUNS)["x"][-1], np.exp(-RUNS["k"]), rtol=1e-2)


def test_a_clock_tells_what_takes_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "TICK_SECONDS", 0.001)
    ticked = threading.Event()

    def refresh(bar: "tqdm[int]", **options: object) -> None:
        bar.display()
        ticked.set()

    monkeypatch.setattr("tqdm.std.tqdm.refresh", refresh)
    with clock("compiling decay", shown=True):
        assert ticked.wait(60)
    assert "compiling decay: 00:00" in capsys.readouterr().err


def test_a_clock_shows_nothing_of_what_is_short_or_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "TICK_SECONDS", 60.0)
    with clock("short", shown=True), clock("not asked for", shown=False):
        pass
    assert capsys.readouterr().err == ""
