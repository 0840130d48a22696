"""Solutions: names, statuses, single runs, labelled forms, pictures."""

import builtins
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from cubie.batchsolving.solution import IntegrationError, Solution
from cubie.batchsolving.system_interface import UnknownNameError
from cubie.status import Status
from tests.batchsolving.solutions import many_runs, three_runs


def test_a_variable_is_found_by_its_name() -> None:
    solution = three_runs()
    assert np.array_equal(solution["v"], solution.y[:, 1, :], equal_nan=True)
    assert np.shares_memory(solution["v"], solution.y)


def test_an_unknown_variable_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown variable of the solution: 'w'\. There is: x, v"):
        three_runs()["w"]
    with pytest.raises(UnknownNameError, match=r"'k' was swept: see solution\.coordinates"):
        three_runs()["k"]


def test_success_is_told_run_by_run_and_an_event_is_one() -> None:
    solution = three_runs()
    assert solution.success.tolist() == [True, False, True]
    assert not solution.all_succeeded
    assert many_runs(1, 3).all_succeeded


def test_the_message_counts_failures_and_says_what_to_do() -> None:
    message = three_runs().message
    assert message.startswith("2 of 3 runs succeeded. 1 ended with 'non finite' (first: run 1 at t = 1.25). Look for")
    assert many_runs(1, 3).message == "The run succeeded."
    assert "max_steps" in many_runs(5, 3).message


def test_a_batch_without_failures_says_so() -> None:
    solution = many_runs(5, 3)
    solution.status[:] = Status.success
    assert solution.message == "All 5 runs succeeded."
    solution.raise_for_status()


def test_stats_add_up_the_work() -> None:
    stats = three_runs().stats
    assert (stats.n_runs, stats.n_failed, stats.n_steps, stats.n_rejected) == (3, 1, 24, 5)
    assert stats.steps_per_run == (6, 8.0, 10)
    assert stats.n_by_status == {"success": 1, "event": 1, "non finite": 1}
    assert stats.timings == {"solve": 0.25}


def test_raise_for_status_names_the_first_failed_runs_with_their_inputs() -> None:
    with pytest.raises(IntegrationError, match=r"2 of 3 runs succeeded\..* Failed: run 1 \(k=1\)\.") as caught:
        three_runs().raise_for_status()
    assert caught.value.runs.tolist() == [1]
    copy: object = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, IntegrationError)
    assert str(copy) == str(caught.value)


def test_raise_for_status_lists_five_runs_at_most() -> None:
    solution = many_runs(20, 3, swept=False)
    solution.status[:] = Status.max_steps
    with pytest.raises(IntegrationError, match=r"Failed: run 0, run 1, run 2, run 3, run 4 and 15 more\."):
        solution.raise_for_status()


def test_one_run_reads_like_scipys_result() -> None:
    solution = three_runs()
    run = solution.run(0)
    assert run.t.shape == (4,)
    assert run.y.shape == (2, 4)
    assert run["v"].tolist() == solution["v"][:, 0].tolist()
    assert (run.status, run.success, run.n_steps, run.n_rejected) == (0, True, 10, 1)
    assert run.inputs == {"k": 0.5}
    assert run.message == "The run ended at t = 3: success."
    assert repr(run) == "<RunResult: success, 4 times, 10 steps, k=0.5>"
    with pytest.raises(UnknownNameError, match="unknown variable: 'w'"):
        run["w"]


@pytest.mark.parametrize("index", [1, 2, -1, -2])
def test_a_run_that_ended_early_keeps_its_valid_prefix(index: int) -> None:
    run = three_runs().run(index)
    assert run.t.tolist() == [0.0, 1.0]
    assert np.isfinite(run.y).all()
    assert run.t_final < 2.0


def test_a_failed_run_tells_when_and_what_to_do() -> None:
    message = three_runs().run(1).message
    assert message.startswith("The run failed at t = 1.25: non finite. Look for an overflow")


def test_a_run_that_wrote_nothing_has_no_times() -> None:
    solution = three_runs()
    solution.y[:, :, 1] = np.nan
    assert solution.run(1).y.shape == (2, 0)


def test_rows_where_only_some_variables_are_nan_belong_to_the_prefix() -> None:
    solution = three_runs()
    solution.y[1, 1, 1] = np.nan
    assert solution.run(1).t.tolist() == [0.0, 1.0]


def test_a_run_is_a_copy_that_a_change_of_the_batch_does_not_reach() -> None:
    solution = three_runs()
    run = solution.run(0)
    solution.y[:] = 0.0
    solution.t[:] = 0.0
    assert run.y[1, 0] == 3.0
    assert run.t[-1] == 3.0


@pytest.mark.parametrize("index", [3, -4, 1.0, True, "1", None])
def test_a_run_that_is_not_there_is_refused(index: object) -> None:
    with pytest.raises(IndexError, match=f"run must be a whole number from 0 to 2, got {index!r}"):
        three_runs().run(index)  # type: ignore[arg-type]  # the mistake


def test_a_run_is_found_by_numpys_numbers() -> None:
    assert three_runs().run(np.argmax([0, 1, 0])).n_steps == three_runs().run(1).n_steps


def test_the_representation_tells_what_was_done() -> None:
    text = repr(three_runs())
    for part in ("'toy': 3 runs, 4 times, 2 variables (x, v), float64", "0 to 3", "k: 0.5 to 1.5", "1 non finite"):
        assert part in text
    for part in ("6 to 10 a run (mean 8.0), 5 rejected", "tsit5 on cpu", "solve 0.25 s"):
        assert part in text


def test_results_pickle() -> None:
    solution = three_runs()
    copy: object = pickle.loads(pickle.dumps(solution))
    assert isinstance(copy, Solution)
    assert np.array_equal(copy.y, solution.y, equal_nan=True)
    assert repr(copy) == repr(solution)


def test_labelled_arrays_carry_times_variables_runs_and_what_was_swept() -> None:
    solution = three_runs()
    array = solution.to_xarray()
    assert array.dims == ("time", "variable", "run")
    assert np.shares_memory(array.values, solution.y)
    assert float(array.sel(time=1.0, variable="v", run=2)) == solution["v"][1, 2]
    assert array.coords["k"].dims == ("run",)
    assert array.coords["status"].values.tolist() == [0, 4, 1]
    assert array.name == "toy"


def test_an_input_named_like_a_label_gets_an_underscore() -> None:
    renamed = renamed_sweep("time")
    assert renamed.to_xarray().coords["time_"].values.tolist() == [0.5, 1.0, 1.5]
    assert renamed.to_dataframe()["time_"].iloc[0] == 0.5
    assert renamed_sweep("x").to_dataframe().columns.tolist() == ["x", "x_", "v"]


def renamed_sweep(name: str) -> Solution:
    """Return the three runs with their one coordinate renamed."""
    solution = three_runs()
    return replace(solution, coordinates={name: solution.coordinates["k"]})


def test_tables_have_a_row_per_run_and_time() -> None:
    frame = three_runs().to_dataframe()
    assert frame.index.names == ["run", "time"]
    assert frame.columns.tolist() == ["k", "x", "v"]
    assert frame.shape == (12, 3)
    assert frame.loc[(2, 1.0), "x"] == three_runs()["x"][1, 2]
    assert frame.loc[(2, 1.0), "k"] == 1.5


@pytest.mark.parametrize(
    ("n_runs", "n_times", "swept"), [(1, 9, True), (5, 9, True), (5, 9, False), (200, 9, True), (200, 2, True)]
)
def test_pictures_have_one_panel_per_variable(n_runs: int, n_times: int, swept: bool, tmp_path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure = many_runs(n_runs, n_times, swept=swept).plot()
    figure.savefig(tmp_path / "figure.png")
    labels = [axis.get_ylabel() for axis in figure.axes]
    plt.close(figure)
    assert labels[0] == "x"
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_a_picture_may_show_some_variables_only() -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure = three_runs().plot("v")
    labels = [axis.get_ylabel() for axis in figure.axes]
    plt.close(figure)
    assert labels == ["v", "k"]
    with pytest.raises(UnknownNameError, match="unknown variable of the solution: 'w'"):
        three_runs().plot(["x", "w"])


def test_pictures_without_matplotlib_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_matplotlib(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, globals, locals, fromlist or (), level)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r"Solution\.plot needs matplotlib.*pip install matplotlib"):
        three_runs().plot()
