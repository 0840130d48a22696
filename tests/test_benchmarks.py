"""Benchmarks measure what their columns say; the figures themselves are kept in benchmarks/README.md."""

import json
import math
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from benchmarks import harness
from benchmarks.__main__ import TABLES
from benchmarks.floors.systems import brusselator
from benchmarks.harness import README, ROW_HEADERS, WRONG_USAGE, Row, Table, finish, shown
from benchmarks.rounds import Sample, in_turn, timed, uncounted
from benchmarks.sweeps import FEW, Sweep, WarmSweep, spaced
from benchmarks.work_precision import SHEETS, Curve, Point
from cubie.odesystems import create_ode_system
from cubie.targets.devices import Device
from tests.problems import PROBLEMS

NAMES: Final = [name for names in TABLES.values() for name in names]
DECAY: Final = create_ode_system(["dx = -k*x"], states={"x": 1.0}, parameters={"k": 1.0}, name="decay")
ROW: Final = Row(
    problem="Lorenz",
    n_states=3,
    n_runs=100_000,
    precision="float32",
    method="tsit5",
    tolerances="1e-06, 1e-09",
    error=0.01234,
    cold=2.5,
    warm=1234.5,
)


def decay(values: Sequence[float] = (0.5, 2.0, 1.0)) -> Sweep:
    return Sweep(title="Decay", system=DECAY, parameter="k", values=np.array(values), t_span=(0.0, 1.0), method="vern7")


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_has_a_command_and_a_place_for_its_table(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").main)
    assert f"<!-- {name} -->" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHEETS)
def test_every_sheet_has_a_place(name: str) -> None:
    assert f"<!-- end of {name} -->" in README.read_text(encoding="utf-8")


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a GPU, as far as anybody asks."""
    gpu = Device(name="cuda:0", kind="cuda", description="a GPU", usable=True)
    monkeypatch.setattr("cubie.targets.devices._gpus", lambda: ([gpu], ""))


def refused(name: str, options: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line by which a benchmark refuses its options."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", [f"{name}.py", *options])
        import_module(f"benchmarks.{name}").main()
    said = capsys.readouterr().err
    assert ended.value.code == WRONG_USAGE
    assert said.startswith(f"{name}: ") and said.count("\n") == 1
    return said


@pytest.mark.usefixtures("one_gpu")
@pytest.mark.parametrize(("name", "other"), [("cpu_lanes", "cuda"), ("cpu_floors", "cuda:0"), ("gpu_floors", "cpu")])
def test_a_device_that_a_benchmark_does_not_measure_is_refused(
    name: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"which alone is measured here, got '{other}'. Leave it out." in refused(name, ["--device", other], capsys)


@pytest.mark.parametrize("name", NAMES)
def test_no_round_at_all_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--repeats must be at least 1, got 0." in refused(name, ["--repeats", "0"], capsys)


@pytest.mark.parametrize("name", TABLES["cuda"])
def test_a_benchmark_of_gpus_says_what_it_needs(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cubie.targets.devices._gpus", lambda: ([], "the CUDA driver sees no GPU"))
    assert "device 'cuda' can't be used: the CUDA driver sees no GPU." in refused(name, [], capsys)


@pytest.mark.usefixtures("one_gpu")
@pytest.mark.parametrize(("name", "compiler"), [("gpu_floors", "nvcc"), ("cpu_floors", "g++")])
def test_a_compiler_of_floors_that_is_missing_or_fails_is_named(
    name: str, compiler: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for found, said in (
        ("false", f"which failed as said above. It needs {compiler}"),
        (None, f"{compiler} must be on"),
    ):
        monkeypatch.setattr("shutil.which", lambda name, path=None, found=found: found)
        assert said in refused(name, [], capsys)


@pytest.mark.usefixtures("one_gpu")
@pytest.mark.parametrize(
    ("name", "package"),
    [("cpu_vs_scipy", "numbalsoda"), ("stiff_vs_scipy", "numbalsoda"), ("gpu_vs_diffrax", "diffrax")],
)
def test_a_peer_that_is_missing_is_refused_before_anything_is_measured(
    name: str, package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(name, ["--peer", "no-such-python"], capsys)
    assert f"--peer must be an interpreter with {package}, got 'no-such-python'. Install" in said


@pytest.mark.parametrize("name", NAMES)
def test_help_tells_the_device_that_is_taken(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit):
        import_module(f"benchmarks.{name}").main()
    device = "cuda" if name in TABLES["cuda"] else "cpu"
    assert f"or 'auto' (default: {device})" in " ".join(capsys.readouterr().out.split())


def test_a_row_names_problem_size_precision_method_tolerances_error_and_times() -> None:
    cells = ("Lorenz, 3 x 100,000", "float32", "tsit5", "1e-06, 1e-09", "0.0123", "2.5", "1,234", "-")
    assert dict(zip(ROW_HEADERS, ROW.cells(), strict=True)) == dict(zip(ROW_HEADERS, cells, strict=True))
    assert ROW.rate == pytest.approx(100_000 / 1.2345)


@pytest.mark.parametrize(
    ("figure", "text"),
    [(None, "-"), (0.0, "0"), (0.01234, "0.0123"), (99.96, "100"), (123456.0, "123,456"), (1.234e6, "1.23e+06")],
)
def test_figures_are_shown_with_three_digits_or_more_before_the_point(figure: float | None, text: str) -> None:
    assert shown(figure) == text


def test_things_have_their_turns_there_and_back_after_a_round_that_does_not_count() -> None:
    """PITFALL 27: a slow release went unnoticed. Ratios are of one run, in turns."""
    order: list[str] = []

    def thing(name: str) -> Callable[[], Sample]:
        return uncounted(lambda: order.append(name))

    rounds = in_turn({"a": thing("a"), "b": thing("b")}, n_rounds=2)
    assert order in (["b", "a", "a", "b", "b", "a"], ["a", "b", "b", "a", "a", "b"])
    assert [len(samples) for samples in rounds.samples.values()] == [2, 2]


def test_counted_work_tells_its_steps() -> None:
    sample = timed(lambda: 7)()
    assert sample.n_steps == 7
    assert sample.kernel == sample.wall > 0.0


def test_the_few_runs_have_the_least_and_the_largest_value() -> None:
    values = np.random.default_rng(1).permutation(np.linspace(0.0, 1.0, 1000))
    chosen = values[decay(values.tolist()).few()]
    assert (chosen.size, chosen.min(), chosen.max()) == (FEW, 0.0, 1.0)


def test_errors_are_in_units_of_the_tolerances() -> None:
    sweep = decay()
    runs = np.arange(3)
    exact = np.exp(-sweep.values)[np.newaxis]
    assert sweep.error(exact, runs) < 1e-5
    off = exact + 3.0 * (sweep.rtol * exact + sweep.atol) * np.array([0.0, -1.0, 0.5])
    assert sweep.error(off, runs) == pytest.approx(3.0, rel=1e-5)


def test_a_sweep_is_solved_cold_then_warm() -> None:
    ours = WarmSweep(decay())
    sample = ours.measure()
    row = ours.row([sample])
    assert row.cold is not None
    assert row.compiling is not None
    assert row.kernel is not None
    assert row.cold > row.compiling > row.warm / 1e3 > row.kernel / 1e3 > 0.0
    assert row.steps == pytest.approx(sample.n_steps / 3)
    assert row.error is not None
    assert 0.0 < row.error < 10.0
    assert (row.method, row.tolerances, row.n_runs) == ("vern7", "1e-06, 1e-09", 3)


def test_other_tolerances_reach_solver_and_row() -> None:
    ours = WarmSweep(decay())
    before = ours.measure().n_steps
    ours.go_by(1e-10, 1e-13)
    assert ours.measure().n_steps > before
    assert ours.row([ours.measure()], error=0.5).tolerances == "1e-10, 1e-13"


def test_methods_are_compared_at_equal_error() -> None:
    """PITFALL 17: benchmarks at equal tolerance instead of equal error."""
    points = tuple(Point(rtol=rtol, error=100 * rtol, seconds=1 / rtol) for rtol in (1e-6, 1e-4))
    curve = Curve(problem="decay", method="tsit5", points=points)
    assert curve.seconds_at(1e-3) == pytest.approx(1e5)
    assert curve.seconds_at(1e-5) is None


def test_values_are_made_in_the_precision_of_the_batch() -> None:
    assert spaced(0.0, 21.0, 3, "float32").dtype == np.float32
    assert spaced(0.0, 21.0, 3).tolist() == [0.0, 10.5, 21.0]


def test_the_brusselator_of_16_cells_is_the_problem_with_trusted_answers() -> None:
    assert brusselator(16) == PROBLEMS["bruss1d_n32"]
    assert len(brusselator(32).equations) == 64


def test_saving_keeps_figures_and_fills_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PITFALL 27: the same. Figures are kept with machine and commit."""
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- made_up -->\nstale\n<!-- end of made_up -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(harness, "FOLDER", tmp_path)
    monkeypatch.setattr(harness, "README", page)
    table = Table(headers=ROW_HEADERS, rows=(ROW.cells(),))
    finish("made_up", table, "Notes.", {"errors": [0.5, math.inf]}, harness.machine(), save=True)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- made_up -->\n| problem, states x runs |")
    assert text.endswith("<!-- end of made_up -->\nafter\n")
    assert "stale" not in text
    kept = json.loads((tmp_path / "results" / "made_up.json").read_text(encoding="utf-8"))
    assert kept["figures"] == {"errors": [0.5, "inf"]}
    assert kept["machine"]["commit"]
