"""Plans are tried in turn, the fastest is taken and kept, and what the user names stays as it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from cubie import Solver, create_ode_system
from cubie.batchsolving import tuning
from cubie.batchsolving.tuning import Plan, best_plan, keep_plan, kept_plan, median_seconds, variations
from cubie.buffer_registry import buffer_registry
from cubie.targets import cache
from cubie.targets.base import BlockTooLargeError
from cubie.targets.reference import ReferenceTarget
from tests.batches import building_for

DECAY: Final = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0}, name="decay")
RATES: Final = np.linspace(0.5, 2.0, 500)
NAME: Final = "0123456789abcdef" * 4


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn the cache on, in an empty folder of its own."""
    monkeypatch.setenv("CUBIE_CACHE", "1")
    monkeypatch.setenv("CUBIE_CACHE_DIR", str(tmp_path))


@pytest.fixture
def few_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three widths be tried."""
    monkeypatch.setattr(tuning, "LANES", (4, 8, 16))


def by_lanes(best: Plan) -> Iterator[Plan]:
    yield from (Plan(lanes=lanes, block_size=best.block_size) for lanes in (1, 8))


def by_blocks(best: Plan) -> Iterator[Plan]:
    yield from (Plan(lanes=best.lanes, block_size=block) for block in (64, 256))


def test_each_plan_is_timed_once_and_axes_start_from_the_best_so_far() -> None:
    timed = list[Plan]()

    def seconds(plan: Plan) -> float:
        timed.append(plan)
        return {1: 1.0, 8: 0.5}[plan.lanes or 1] * {64: 0.9, 256: 1.5, 128: 1.0}[plan.block_size or 128]

    tuned = best_plan(Plan(lanes=1), [by_lanes, by_blocks], seconds)
    assert timed == [Plan(lanes=1), Plan(lanes=8), Plan(lanes=8, block_size=64), Plan(lanes=8, block_size=256)]
    assert tuned.best == Plan(lanes=8, block_size=64)
    assert tuned.gain == pytest.approx(1.0 / 0.45)
    assert str(tuned).splitlines()[2].endswith("450.000 ms  <- taken")
    assert "lanes 8, block_size 256" in str(tuned)


def test_a_gain_within_noise_changes_nothing_and_neither_does_a_plan_the_device_has_no_room_for() -> None:
    def seconds(plan: Plan) -> float:
        return median_seconds(lambda: too_large() if plan.lanes == 8 else 0.99 if plan.block_size else 1.0, 3)

    def too_large() -> float:
        raise BlockTooLargeError("too large")

    tuned = best_plan(Plan(lanes=1), [by_lanes, by_blocks], seconds)
    assert tuned.best == Plan(lanes=1)
    assert np.isinf(tuned.trials[1].seconds)


def test_what_the_user_names_is_not_varied() -> None:
    report = buffer_registry.report(Solver(DECAY, device="cpu")._kernel(dense=False).run.loop)
    assert variations("cpu", report, Plan(lanes=4)) == []
    assert len(variations("cuda", report, Plan())) == 3
    assert len(variations("cuda", report, Plan(block_size=64, buffers={"y": "shared"}))) == 1
    both = Plan(lanes=8, buffers={"y": "shared", "error": "shared"}).under(Plan(lanes=2, buffers={"y": "local"}))
    assert both == Plan(lanes=2, buffers={"y": "local", "error": "shared"})


def test_large_buffers_are_moved_to_shared_memory_one_after_the_other() -> None:
    names = [f"x{i}" for i in range(12)]
    chain = create_ode_system([f"d{name} = -{name}" for name in names], states=dict.fromkeys(names, 1.0))
    with building_for(ReferenceTarget(width=1)):
        report = buffer_registry.report(Solver(chain, device="cpu")._kernel(dense=False).run.loop)
    blocks, placements, caps = (list(axis(Plan())) for axis in variations("cuda", report, Plan()))
    assert [len(plan.buffers) for plan in placements] == [1, 2, 3]
    assert placements[0].buffers == {"step.stage_rates": "shared"}
    assert {plan.block_size for plan in blocks} == {*tuning.BLOCK_SIZES}
    assert {plan.max_registers for plan in caps} == {*tuning.REGISTER_CAPS}


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize(
    "entry",
    [b"", b"[]", b"{", b"{}", b'{"lanes": 3, "block_size": null, "max_registers": null, "buffers": {}}',
     b"\xff\xfe"],
)  # fmt: skip
def test_a_kept_plan_is_read_back_and_nothing_else_is_believed(entry: bytes) -> None:
    plan = Plan(lanes=8, block_size=64, max_registers=96, buffers={"step.stage_rates": "shared"})
    keep_plan(NAME, plan)
    assert kept_plan(NAME) == plan
    cache.store(NAME, entry)
    assert kept_plan(NAME) is None
    assert kept_plan(NAME[::-1]) is None


@pytest.mark.usefixtures("cached", "few_lanes")
def test_the_fastest_width_is_taken_kept_for_the_next_solver_and_gives_the_same_answers() -> None:
    solver = Solver(DECAY, method="heun-21", rtol=1e-4, device="cpu")
    before = solver.solve((0.0, 5.0), parameters={"k": RATES})
    tuned = solver.tune((0.0, 5.0), parameters={"k": RATES}, repeats=1)
    assert {trial.plan.lanes for trial in tuned.trials} >= {4, 8, 16}
    assert solver.lanes == tuned.best.lanes
    after = solver.solve((0.0, 5.0), parameters={"k": RATES})
    np.testing.assert_allclose(after.y, before.y, rtol=1e-12)
    again = Solver(DECAY, method="heun-21", rtol=1e-6, device="cpu")
    assert again.lanes == tuned.best.lanes
    assert again.solve((0.0, 5.0)).all_succeeded and again.n_compilations == 0
    assert Solver(DECAY, method="heun-21", device="cpu", lanes=2).lanes == 2


@pytest.mark.usefixtures("few_lanes")
def test_a_solver_goes_by_its_best_plan_where_nothing_is_kept_and_another_method_by_rule() -> None:
    with building_for(ReferenceTarget(width=4)):
        solver = Solver(DECAY, method="auto", device="cpu", poison=True)
        tuned = solver.tune((0.0, 1.0), parameters={"k": RATES[:4]}, save_every=0.5, repeats=1)
        assert len(tuned.trials) > 1
        solver.update(method="heun-21")
        assert solver.solve((0.0, 1.0), save_every=0.5).all_succeeded


def test_impossible_wishes_are_refused() -> None:
    for repeats in (0, 1.5, "a", None, True):
        with pytest.raises(ValueError, match=rf"repeats must be a whole number of at least 1, got {repeats!r}\. Three"):
            Solver(DECAY, device="cpu").tune((0.0, 1.0), repeats=repeats)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(
        ValueError, match=r"block_size must be one of \(32, 64, 128, 256, 512\), got 100\. Leave it out"
    ):
        Solver(DECAY, device="cpu", block_size=100)
    with pytest.raises(ValueError, match=r"max_registers must be from 16 to 255, got 8\. Leave it out"):
        Solver(DECAY, device="cpu", max_registers=8)


@pytest.mark.gpu
def test_a_gpus_blocks_registers_and_buffers_are_tuned() -> None:
    solver = Solver(DECAY, method="heun-21", device="cuda")
    before = solver.solve((0.0, 5.0), parameters={"k": RATES})
    tuned = solver.tune((0.0, 5.0), parameters={"k": RATES}, repeats=1)
    assert {trial.plan.block_size for trial in tuned.trials} >= {32, 64, 256}
    after = solver.solve((0.0, 5.0), parameters={"k": RATES})
    np.testing.assert_allclose(after.y, before.y, rtol=1e-10)
    small = Solver(DECAY, method="heun-21", device="cuda", block_size=32, max_registers=64)
    np.testing.assert_allclose(small.solve((0.0, 5.0), parameters={"k": RATES}).y, before.y, rtol=1e-10)
