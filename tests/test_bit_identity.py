"""Results are the same bits wherever buffers stand, whatever scratch held, and whoever a run's neighbours are."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest
from typing_extensions import Unpack

from cubie import ODESystem, Solution, Solver, Status, create_ode_system
from cubie._types import Location
from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.buffer_registry import buffer_registry
from cubie.targets.base import Target
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import SolveOptions, all_shared, assert_same_bits, movable, solve_on

# Forced, so that t matters; with b > 0 it can blow up, and then its neighbours have to stay as they are.
BRITTLE: Final[ODESystem] = create_ode_system(
    ["dx = y + b*x*x", "dy = -w*w*x + 0.1*sin(3*t)", "energy = x*x + y*y", "clock = t"],
    states={"x": 1.0, "y": 0.0},
    parameters={"w": 1.0, "b": 0.0},
    observables=["energy", "clock"],
    name="brittle",
)
SPAN: Final = (0.0, 3.0)
TIMES: Final = np.linspace(0.0, 3.0, 7)
LANES: Final = 4
"""Fewer than runs, so that runs take each other's places."""
W: Final = np.array([1.0, 2.0, 0.5, 3.0, 1.5, 7.0, 0.1])
B: Final = np.array([0.0, 0.1, 5.0, 0.0, 0.0, 60.0, 0.2])
FEW: Final[SolveOptions] = {
    "parameters": {"w": W, "b": B},
    "t_eval": TIMES,
    "rtol": 1e-4,
    "save": ["y", "energy", "x", "clock"],
}


def solved(target: Target, **options: Unpack[SolveOptions]) -> Solution:
    """Solve a batch of which two runs blow up."""
    given: SolveOptions = {**FEW, **options}
    solution = solve_on(target, BRITTLE, SPAN, **given)
    assert solution.success.tolist() == [True, True, False, True, True, False, True]
    return solution


def paths(**options: Unpack[SolveOptions]) -> list[str]:
    """Return where every buffer of some size is found."""
    solver = Solver(BRITTLE, device="cpu", save=["x", "energy"], method=options.get("method", "tsit5"))
    found = movable(solver.report(dense=True))
    assert {"y", "rate", "error", "dense_state", "parameters", "step.stage_rates", "controller.history"} <= set(found)
    assert "output.observables_out" in found
    return found


@pytest.mark.parametrize(
    ("method", "precision"), [("tsit5", "float64"), ("dop853", "float32"), ("cash-karp-54", "float64")]
)
def test_no_placement_changes_a_bit_on_the_reference_target(method: str, precision: PrecisionName) -> None:
    expected = solved(ReferenceTarget(width=4), method=method, precision=precision)
    for path in paths(method=method):
        moved = solved(ReferenceTarget(width=4), method=method, precision=precision, buffers=all_shared([path]))
        assert_same_bits(moved, expected, path)
    everywhere = all_shared(paths(method=method))
    assert_same_bits(solved(ReferenceTarget(), method=method, precision=precision, buffers=everywhere), expected)


@pytest.fixture(scope="module")
def on_cpu() -> Solution:
    """Return the batch as the CPU solves it where nothing was moved."""
    return solved(CpuTarget(width=LANES))


def test_no_placement_changes_a_bit_on_the_cpu(on_cpu: Solution) -> None:
    """Every buffer is moved with some of its neighbours, and with all: one by one would take a compilation each."""
    found = paths()
    for choice in (found[::2], found[1::2], found):
        assert_same_bits(solved(CpuTarget(width=LANES), buffers=all_shared(choice)), on_cpu, str(choice))


def test_a_placement_can_be_taken_back() -> None:
    back: dict[str, Location] = {path: "local" for path in paths()}
    assert_same_bits(solved(ReferenceTarget(), buffers=back), solved(ReferenceTarget()))


@pytest.mark.parametrize("placed", ["where they are", "all in shared memory"])
def test_poisoned_scratch_changes_no_bit_on_the_cpu(on_cpu: Solution, placed: str) -> None:
    buffers = all_shared(paths()) if placed == "all in shared memory" else None
    assert_same_bits(solved(CpuTarget(width=LANES, poison=True), buffers=buffers), on_cpu)


@pytest.mark.parametrize("method", ["tsit5", "dop853", "vern9", "cash-karp-54"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_poisoned_scratch_changes_no_bit_on_the_reference_target(method: str, precision: PrecisionName) -> None:
    expected = solved(ReferenceTarget(), method=method, precision=precision)
    for buffers in (None, all_shared(paths(method=method))):
        poisoned = solved(ReferenceTarget(poison=True), method=method, precision=precision, buffers=buffers)
        assert_same_bits(poisoned, expected)


def alias_dense_state(kernel: BatchSolverKernel, *, location: Location) -> None:
    """Let dense output work in the storage of the error, which is done with by then."""
    buffer_registry.update_buffer("error", kernel.run.loop, location=location)
    buffer_registry.update_buffer("dense_state", kernel.run.loop, location=location, aliases="error")


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (ReferenceTarget(poison=True), "shared"),
        (ReferenceTarget(poison=True), "local"),
        (CpuTarget(width=LANES, poison=True), "shared"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_an_alias_changes_no_bit(
    target: Target, location: Location, on_cpu: Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = on_cpu if target.kind == "cpu" else solved(ReferenceTarget())
    made = BatchSolverKernel.__init__

    def with_alias(kernel: BatchSolverKernel, *arguments: object, **options: object) -> None:
        made(kernel, *arguments, **options)  # type: ignore[arg-type]  # handed on as they came
        alias_dense_state(kernel, location=location)
        report = buffer_registry.report(kernel.run.loop)
        (row,) = (row for row in report.rows if row.name == "dense_state")
        assert (row.inside == "error") == (location == "shared")

    monkeypatch.setattr(BatchSolverKernel, "__init__", with_alias)
    assert_same_bits(solved(target), expected)


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8])
def test_the_width_of_the_reference_target_changes_no_bit(width: int) -> None:
    assert_same_bits(solved(ReferenceTarget(width=width)), solved(ReferenceTarget(width=5)))


def batch(solver: Solver, runs: Sequence[int]) -> Solution:
    """Solve the runs of the given numbers, of a sweep of 300."""
    w, b = np.linspace(0.1, 9.0, 300), np.where(np.arange(300) % 7 == 3, 20.0, 0.01)
    return solver.solve(SPAN, parameters={"w": w[list(runs)], "b": b[list(runs)]}, t_eval=TIMES)


def taken(solution: Solution, places: Sequence[int]) -> Solution:
    """Return the runs that stand at some places of a solution."""
    chosen = list(places)
    return Solution(
        system=solution.system,
        t=solution.t,
        y=solution.y[:, :, chosen],
        variables=solution.variables,
        status=solution.status[chosen],
        t_final=solution.t_final[chosen],
        n_steps=solution.n_steps[chosen],
        n_rejected=solution.n_rejected[chosen],
        coordinates={},
        method=solution.method,
        device=solution.device,
    )


@pytest.fixture(scope="module")
def solver() -> Solver:
    """Return a solver in double precision, as users make them: with lanes, on all threads."""
    return Solver(BRITTLE, device="cpu", rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_run_does_not_depend_on_its_batch_its_neighbours_or_its_place(
    precision: PrecisionName, solver: Solver
) -> None:
    """PITFALL 12: batching changed a member's answer; one bad member stopped the batch."""
    solver = solver if precision == "float64" else Solver(BRITTLE, device="cpu", rtol=1e-5, precision="float32")
    everything = list(range(300))
    whole = batch(solver, everything)
    failed = np.flatnonzero(~whole.success)
    assert 20 < failed.size < 60
    assert set(whole.status[failed].tolist()) <= {Status.non_finite, Status.step_too_small}
    shuffled = np.random.default_rng(5).permutation(300).tolist()
    assert_same_bits(batch(solver, shuffled), taken(whole, shuffled), "shuffled")
    assert_same_bits(batch(solver, everything[::-1]), taken(whole, everything[::-1]), "reversed")
    for part in (everything[:37], everything[37:], everything[::7], [299], [3, 3, 3, 4], failed.tolist()):
        assert_same_bits(batch(solver, part), taken(whole, part), f"runs {part}")
    for run in (0, 3, 150, 299):
        assert_same_bits(batch(solver, [run]), taken(whole, [run]), f"run {run} alone")
    calm = [run for run in everything if run not in set(failed.tolist())]
    assert_same_bits(batch(solver, calm), taken(whole, calm), "without those that fail")
    assert_same_bits(batch(solver, everything * 40), taken(whole, everything * 40), "12,000 runs on all threads")


def test_scalar_and_equal_per_state_tolerances_give_the_same_bits(solver: Solver) -> None:
    everything = list(range(300))
    scalar = batch(solver, everything)
    solver.update(rtol={"x": 1e-5, "y": 1e-5}, atol=np.array([1e-9, 1e-9]))
    by_state = batch(solver, everything)
    solver.update(rtol=1e-5, atol=1e-9)
    assert_same_bits(scalar, by_state)
