"""The kernel of a batch: its result's shapes, its steps, its memory, and no compilation it was not asked for."""

from typing import Final

import numpy as np
import pytest

from cubie import OutputTooLargeError, Solver, create_ode_system
from cubie._types import FLOAT_PRECISIONS, Location
from cubie.batchsolving.batch_solver_kernel import BatchResult, BatchSolverKernel, StepLimits
from cubie.batchsolving.schedule import make_schedule
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.batchsolving.sweep import make_inputs
from cubie.batchsolving.system_interface import SystemInterface
from cubie.batchsolving.tolerances import make_tolerances
from cubie.buffer_registry import buffer_registry
from cubie.integrators.algorithms.methods import find_method
from cubie.integrators.loops.ode_loop_config import N_OUTPUTS, LoopArguments, loop_arguments
from cubie.integrators.single_integrator_run import RunSettings
from cubie.integrators.step_control.gain_laws import find_gain_law
from cubie.targets.device_compiler import PartLowering
from cubie.targets.reference import ReferenceTarget

DECAY: Final = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0}, name="decay")
FREE: Final = StepLimits(first_step=None, max_step=None, max_steps=1000)


def kernel(
    method: str = "tsit5",
    controller: str = "pi",
    precision: PrecisionName = "float64",
    buffers: dict[str, Location] | None = None,
) -> BatchSolverKernel:
    settings = RunSettings(
        system=DECAY,
        method=find_method(method),
        controller=find_gain_law(controller),
        precision=FLOAT_PRECISIONS[precision],
        saved=(0,),
        dense=False,
        scalar_tolerances=True,
    )
    return BatchSolverKernel(settings, target=ReferenceTarget(width=3), buffers=buffers or {})


def solve(
    made: BatchSolverKernel,
    span: tuple[float, float] = (0.0, 1.0),
    limits: StepLimits = FREE,
    n_runs: int = 4,
    finished: list[int] | None = None,
    save_every: float | None = None,
) -> BatchResult:
    precision = made.settings.precision
    return made.solve(
        make_inputs(SystemInterface(DECAY), None, {"k": np.linspace(0, 1, n_runs)}, "paired", precision),
        make_schedule(span, None, save_every, precision),
        make_tolerances(1e-6, 1e-9, DECAY.states, precision),
        limits,
        None if finished is None else finished.append,
    )


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_results_have_the_shapes_and_types_that_are_promised(precision: PrecisionName) -> None:
    result = solve(kernel(precision=precision))
    assert result.saved.shape == (2, 1, 4)
    assert result.saved.dtype == np.dtype(precision)
    assert (result.t_final.shape, str(result.t_final.dtype)) == ((4,), "float64")
    assert (result.counts.shape, str(result.counts.dtype)) == ((3, 4), "int32")
    assert result.launch.kernel > 0


@pytest.mark.parametrize("method", ["tsit5", "rodas5p", "kvaerno-3", "radau"])
def test_one_kernel_serves_every_value_time_tolerance_and_size(method: str) -> None:
    """PITFALL 21: changing one number compiled for half a minute."""
    made = kernel(method)
    for span, n_runs in (((0.0, 1.0), 1), ((5.0, -5.0), 7), ((1e3, 1e3 + 1), 4)):
        solve(made, span, n_runs=n_runs)
    assert made.n_compilations == 1


def test_a_kernel_is_built_when_it_is_asked_for_and_again_when_its_settings_change() -> None:
    made = kernel()
    assert made.n_compilations == 0
    made.compile()
    made.compile()
    assert made.n_compilations == 1
    made.configure_run(made.settings)
    made.compile()
    assert made.n_compilations == 1
    buffer_registry.relocate(made.run.loop, "y", "shared")
    made.compile()
    assert made.n_compilations == 2


def test_progress_is_told_of_all_runs() -> None:
    finished: list[int] = []
    solve(kernel(), n_runs=8, finished=finished)
    assert sum(finished) == 8


@pytest.mark.parametrize(
    ("first_step", "max_step", "n_steps"),
    [(0.3, None, 4), (0.3, 0.1, 10), (0.1, 0.3, 10), (1 / 3, None, 3), (0.1 + 1e-17, None, 10), (99.0, None, 1)],
)
def test_fixed_steps_fill_the_span_and_honour_the_longest(
    first_step: float, max_step: float | None, n_steps: int
) -> None:
    limits = StepLimits(first_step=first_step, max_step=max_step, max_steps=1000)
    for precision in FLOAT_PRECISIONS:
        made = kernel("euler", "fixed", "float32" if precision == "float32" else "float64")
        result = solve(made, limits=limits)
        assert result.counts[1].tolist() == [n_steps] * 4
        np.testing.assert_allclose(result.saved[-1, 0], (1 - np.linspace(0, 1, 4) / n_steps) ** n_steps, rtol=1e-5)


@pytest.mark.parametrize("first_step", [1e-3 * (1 - 1e-9), 1e-6, 1e-300, 5e-324])
def test_more_fixed_steps_than_the_budget_are_refused_before_anything_runs(first_step: float) -> None:
    made = kernel("euler", "fixed")
    limits = StepLimits(first_step=first_step, max_step=None, max_steps=1000)
    with pytest.raises(ValueError, match=r"steps of fixed .* be at most max_steps, 1,000, got .* Raise max"):
        solve(made, limits=limits)
    assert made.n_compilations == 0


def test_an_output_that_does_not_fit_is_refused_before_anything_runs() -> None:
    made = kernel()
    with pytest.raises(OutputTooLargeError, match=r"1,000,001 x 1 x 1,000,000 values of float64"):
        solve(made, n_runs=1_000_000, save_every=1e-6)
    assert made.n_compilations == 0


def test_failed_runs_tell_their_last_time_and_others_the_end() -> None:
    for precision in FLOAT_PRECISIONS:
        made = kernel(precision="float32" if precision == "float32" else "float64")
        limits = StepLimits(first_step=None, max_step=None, max_steps=9)
        result = solve(made, (0.1, 100.7), limits)
        assert result.counts[0].tolist() == [0, 2, 2, 2]
        assert result.t_final[0] == 100.7
        assert (result.t_final[1:] < 50).all()
        assert (result.t_final[1:] > 0.1).all()


def test_device_code_and_host_agree_on_the_arguments() -> None:
    names = [argument.name for argument in loop_arguments(np.float32)]
    assert ["first_run", "n_slots", *names] == list(LoopArguments._fields)
    assert all(argument.is_array for argument in loop_arguments(np.float64)[-N_OUTPUTS:])


def test_buffers_are_placed_when_a_kernel_is_made() -> None:
    made = kernel(buffers={"step.stage_rates": "shared", "controller.history": "shared"})
    assert made.shared_buffer_size == 5 + 2
    assert made.persistent_local_buffer_size == 0
    np.testing.assert_array_equal(solve(made).saved, solve(kernel()).saved)


def test_free_memory_is_asked_for_again_only_when_a_batch_has_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def free(kernel: object) -> int:
        asked.append(1)
        return 100_000

    monkeypatch.setattr("cubie.targets.reference.ReferenceKernel.free_bytes", property(free))
    made = kernel()
    for n_runs, n_asked in ((4, 1), (4, 1), (8, 2), (4, 3), (4, 3)):
        solve(made, n_runs=n_runs)
        assert len(asked) == n_asked
    monkeypatch.setattr("cubie.batchsolving.batch_solver_kernel.plan_chunks", lambda *sizes: [(0, 2), (2, 5)])
    for _ in range(2):
        solve(made, n_runs=5)
    assert len(asked) == 5


def test_more_states_are_no_more_functions_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """PITFALL 21: a system of 35 states compiled for 20 minutes."""
    lowered: list[object] = []

    def lower(lowering: PartLowering, state: object) -> bool:
        lowered.append(state)
        return once(lowering, state)

    once = PartLowering.run_pass
    monkeypatch.setattr(PartLowering, "run_pass", lower)
    counts = []
    for n in (5, 35):
        lowered.clear()
        rates = [f"dx{i} = k*(x{(i + 1) % n} - x{(i - 2) % n})*x{(i - 1) % n} - x{i}" for i in range(n)]
        ring = create_ode_system(rates, states={f"x{i}": 1.0 for i in range(n)}, parameters={"k": 1.0})
        Solver(ring, method="heun-21", device="cpu", lanes=1).compile()
        counts.append(len(lowered))
    assert counts[0] == counts[1] > 0
