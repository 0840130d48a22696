"""The CUDA target in numba's simulator: every output, every function, and runs that fail, against the reference target.

One thread of a simulated block is a Python thread: batches here are tiny.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import pytest
from numba import cuda
from typing_extensions import Unpack

from cubie import Solution, Solver, Status, create_ode_system
from cubie._types import FLOAT_PRECISIONS
from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.memory.mem_manager import OutputTooLargeError
from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS, BlockTooLargeError, KernelLayout
from cubie.targets.cuda import CudaTarget
from cubie.targets.cuda_inputs import spread
from cubie.targets.cuda_launch import BLOCK, SHARED_BYTES, block_size, padded
from cubie.targets.cuda_primitives import SIMULATED
from cubie.targets.devices import devices
from cubie.targets.reference import FUNCTIONS, ReferenceTarget
from tests.batches import SolveOptions, assert_same_bits, solve_on

pytestmark = pytest.mark.simulator

MODEL: Final = create_ode_system(
    ["dx = y + b*x*x", "dy = -w*w*x + 0.1*sin(3*t)", "energy = x*x + y*y", "clock = t"],
    states={"x": 1.0, "y": 0.0},
    parameters={"w": 1.0, "b": 0.0},
    observables=["energy", "clock"],
)
W: Final = np.array([1.0, 2.0, 0.5])
WAYS: Final[dict[str, SolveOptions]] = {
    "ends only": {},
    "chosen times and observables": {"t_eval": [0.1, 0.25, 0.4], "save": ["clock", "y", "energy"]},
    "regular times": {"save_every": 0.1},
    "fixed steps": {"method": "classical-rk4", "first_step": 0.05, "save_every": 0.25},
    "blocks of fixed steps": {"method": "classical-rk4", "first_step": 0.01},
    "extra stages": {"method": "dop853", "t_eval": [0.2, 0.3]},
    "cubic dense output": {"method": "bogacki-shampine-32", "t_eval": [0.2, 0.3], "rtol": 1e-3},
    "tolerances by state": {"rtol": {"x": 1e-3, "y": 1e-5}, "atol": [1e-6, 1e-8]},
    "a law with memory": {"controller": "gustafsson", "rtol": 1e-3},
    "a run that blows up": {"parameters": {"w": W, "b": [0.0, 40.0, 0.0]}, "t_eval": [0.01, 0.3, 0.5], "rtol": 1e-3},
    "a budget": {"max_steps": 4, "t_eval": [0.0, 0.01, 0.5]},
}


def solutions(span: tuple[float, float], **options: Unpack[SolveOptions]) -> tuple[Solution, Solution]:
    """Solve in the simulator and on the reference target."""
    given: SolveOptions = {"parameters": {"w": W}, **options}
    simulated = solve_on(CudaTarget(), MODEL, span, **given)
    return simulated, solve_on(ReferenceTarget(width=1), MODEL, span, **given)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("way", WAYS)
def test_every_output_is_the_reference_targets_to_the_bit(way: str, precision: PrecisionName) -> None:
    """Both compute with NumPy: one thread a run, or arrays of runs. Not a bit may differ."""
    options = WAYS[way].copy()
    options["precision"] = precision
    simulated, reference = solutions((0.0, 0.5), **options)
    assert_same_bits(simulated, reference)
    assert simulated.variables == reference.variables


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_block_of_fixed_steps_that_went_wrong_is_taken_again_step_by_step(precision: PrecisionName) -> None:
    explosive = create_ode_system("dx = x*x", states={"x": 1.0})
    simulated, reference = (
        solve_on(
            target,
            explosive,
            (0.0, 2.0),
            y0={"x": [1.0, 0.7, 0.1]},
            method="rk4",
            first_step=0.02,
            precision=precision,
        )
        for target in (CudaTarget(), ReferenceTarget(width=1))
    )
    assert simulated.status.tolist() == [Status.non_finite, Status.non_finite, Status.success]
    assert 32 < simulated.n_steps[0] < 100
    assert_same_bits(simulated, reference)


def test_backwards_from_an_awkward_time() -> None:
    for precision in FLOAT_PRECISIONS:
        options: SolveOptions = {"precision": "float32" if precision == "float32" else "float64", "save_every": 0.1}
        simulated, reference = solutions((1e3 + 0.1, 1e3 - 0.3), **options)
        assert simulated.all_succeeded
        assert_same_bits(simulated, reference)


def test_runs_that_fail_end_alone_and_say_how() -> None:
    """PITFALL 13: an error in one thread killed the whole launch.

    What a GPU computes without a word (a root of -1, an overflow, a division by zero) must not stop the batch.
    """
    failing = create_ode_system(
        ["dx = a*x*x + sqrt(s - t) + exp(q*x*1e4) + 1/(c - t) + log(d - t)"],
        states={"x": 1.0},
        parameters={"a": 0.0, "q": 0.0, "s": 9.0, "c": 9.0, "d": 9.0},
    )
    alike = {"a": [0.01, 2.0, 0.01, 0.01, 0.01, 0.01], "q": [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]}
    ends = {"s": [9.0, 9.0, 9.0, 0.5, 9.0, 9.0], "c": [9.0, 9.0, 9.0, 9.0, 0.5, 9.0], "d": [9.0] * 5 + [0.5]}
    for precision in FLOAT_PRECISIONS:
        options: SolveOptions = {"precision": "float32" if precision == "float32" else "float64", "rtol": 1e-3}
        options["parameters"] = alike | ends
        solution = solve_on(CudaTarget(), failing, (0.0, 1.0), **options)
        assert solution.success[:4].tolist() == [True, False, False, False]
        assert set(solution.status.tolist()) <= {Status.success, Status.non_finite, Status.step_too_small}
        assert solution.status[2] == Status.non_finite
        np.testing.assert_allclose(solution.t_final[[3, 5]], 0.5, atol=1e-3)


SPELT: Final = {"absolute": "abs", "minimum": "min", "maximum": "max"}


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_every_function_of_a_model_is_computed_infinities_and_nans_included(precision: PrecisionName) -> None:
    unary = [f"u_{name} = {SPELT.get(name, name)}(x)" for name in UNARY_FUNCTIONS]
    binary = [f"b_{name} = {SPELT.get(name, name)}(x, q)" for name in BINARY_FUNCTIONS]
    names = [line.partition(" ")[0] for line in (*unary, *binary)]
    system = create_ode_system(
        ["dx = 0*x", *unary, *binary], states=["x"], parameters={"q": 1.75}, observables=names, name="functions"
    )
    points = np.array([0.0, 0.5, -0.5, -1.0, 7.3, 1e30, 1e-30])
    solution = solve_on(
        CudaTarget(),
        system,
        (0.0, 1.0),
        y0={"x": points},
        method="explicit-euler",
        first_step=1.0,
        precision=precision,
        save=names,
        t_eval=[0.0],
    )
    x, q = points.astype(precision), FLOAT_PRECISIONS[precision](1.75)
    with np.errstate(all="ignore"):
        for name in UNARY_FUNCTIONS:
            np.testing.assert_array_equal(solution[f"u_{name}"][0], FUNCTIONS[name](x), name)
        for name in BINARY_FUNCTIONS:
            np.testing.assert_array_equal(solution[f"b_{name}"][0], FUNCTIONS[name](x, q), name)


# Blocks and memory


class Nothing(NamedTuple):
    """The arguments of a kernel that takes none."""

    first_run: int
    n_slots: int


def block(n_shared: int) -> tuple[int, int]:
    """Return threads and bytes of shared memory of a block of runs that share so many float64."""
    layout = KernelLayout(
        name="layout",
        group=Nothing,
        arguments=(),
        n_outputs=0,
        n_shared=n_shared,
        shared_precision=np.float64,
        n_persistent=0,
        persistent_precision=np.float64,
    )
    return block_size(layout)


def test_threads_parts_of_shared_memory_fall_into_different_banks() -> None:
    assert [padded(n) for n in (0, 1, 2, 3, 8)] == [0, 1, 3, 3, 9]


def test_blocks_shrink_where_runs_share_much_and_never_below_a_warp() -> None:
    assert block(0) == (BLOCK, 0)
    assert block(11) == (128, 128 * 11 * 8)
    assert block(91) == (64, 64 * 91 * 8)
    assert block(191) == (32, 32 * 191 * 8)
    for n_shared in (1, 50, 190):
        assert block(n_shared)[1] <= SHARED_BYTES


def test_shared_memory_that_no_warp_fits_into_is_refused_with_what_to_do() -> None:
    with pytest.raises(BlockTooLargeError) as raised:
        block(200)
    assert str(raised.value) == (
        "shared buffers must fit 32 runs into 49,152 bytes, got 1,608 bytes a run. "
        "Move some to 'local' with buffers={...}; solver.report() shows the largest."
    )


def test_a_user_who_shares_too_much_reads_it_before_anything_runs() -> None:
    chain = [f"dx{i} = -x{i}" for i in range(60)]
    large = create_ode_system(chain, states={f"x{i}": 1.0 for i in range(60)})
    solver = Solver(large, device="cuda", buffers={"step.stage_rates": "shared"})
    with pytest.raises(BlockTooLargeError, match="Move some to 'local'"):
        solver.solve((0.0, 1.0))


def test_chunks_follow_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cubie.targets.cuda_launch.CudaKernel.free_bytes", 10)
    with pytest.raises(OutputTooLargeError, match="free device memory"):
        solutions((0.0, 0.1))


def test_the_simulator_is_listed_as_a_device() -> None:
    assert SIMULATED
    assert devices()[0].name == "cuda:0"
    assert "simulator" in devices()[0].description
    assert Solver(MODEL).device.name == "cuda:0"


def test_progress_is_told_of_every_chunk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("cubie.targets.cuda_launch.CudaKernel.free_bytes", 1 << 30)
    monkeypatch.setattr(BatchSolverKernel, "_chunks", lambda *given: [(0, 2), (2, 3)])
    Solver(MODEL, device="cuda", rtol=1e-2).solve((0.0, 0.1), parameters={"w": W}, progress=True)
    assert "3.00/3.00" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["tsit5", "dop853"])
def test_poison_changes_no_bit(method: str) -> None:
    poisoned, plain = (
        solve_on(CudaTarget(poison=poison), MODEL, (0.0, 0.3), parameters={"w": W}, method=method, t_eval=[0.1, 0.2])
        for poison in (True, False)
    )
    assert_same_bits(poisoned, plain)


def test_a_launch_after_one_for_which_memory_ran_out_works(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = Solver(MODEL, device="cuda", rtol=1e-2)
    first = solver.solve((0.0, 0.1), parameters={"w": W})
    with monkeypatch.context() as patch:

        def refuse(*size: object) -> None:
            raise MemoryError("out of memory")

        patch.setattr("cubie.targets.cuda_launch.cuda.device_array", refuse)
        with pytest.raises(MemoryError):
            solver.solve((0.0, 0.1), parameters={"w": np.array([1.0])})
    assert_same_bits(solver.solve((0.0, 0.1), parameters={"w": W}), first)


# Inputs that are in a GPU's memory


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_are_spread_over_the_runs_and_one_that_is_not_finite_is_noticed(bad: float) -> None:
    given, n_runs, repeats, stride = np.arange(20, dtype=np.float64), 36, 3, 2
    spreading = cuda.jit(spread)
    for places in ((), (5, 2)):
        given[[stride * place for place in places]] = bad
        values, noticed = np.zeros(n_runs, np.float32), np.zeros(1, np.int64)
        spreading[2, 32, 0, 0](n_runs, 6, repeats, stride, given, values, noticed)
        expected = np.tile(np.repeat(given[: 6 * stride : stride], repeats), 2)[:n_runs]
        np.testing.assert_array_equal(values, expected)
        assert noticed.tolist() == [bool(places)]
