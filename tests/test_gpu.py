"""The same claims on a real GPU: batches of a million runs, chunks, neighbours, statuses, and results that stay.

The CPU build is the reference. Within one build every run is the same bits in every batch and chunk; between builds
(devices, placements, with and without dense output) compilers contract multiply-adds differently, and the controller's
logarithms are in single precision on a GPU, so that steps differ in their seventh digit: bounds are stated.
"""

import gc
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import Unpack

from cubie import ODESystem, Solution, Solver, Status, create_ode_system
from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel
from cubie.batchsolving.solver_settings import PrecisionName, SolverOptions
from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS
from tests.batches import all_shared, assert_same_bits, movable

pytestmark = pytest.mark.gpu

MILLION: Final = 1_000_000
LORENZ: Final[ODESystem] = create_ode_system(
    ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z"],
    states={"x": 1.0, "y": 0.0, "z": 0.0},
    parameters={"rho": 21.0},
    constants={"sigma": 10.0, "beta": 8 / 3},
    name="lorenz",
)
BRITTLE: Final[ODESystem] = create_ode_system(
    ["dx = y + b*x*x", "dy = -w*w*x + 0.1*sin(3*t)", "energy = x*x + y*y", "clock = t"],
    states={"x": 1.0, "y": 0.0},
    parameters={"w": 1.0, "b": 0.0},
    observables=["energy", "clock"],
    name="brittle",
)
W: Final = np.linspace(0.1, 9.0, 1000)
B: Final = np.where(np.arange(1000) % 7 == 3, 20.0, 0.01)
TIMES: Final = np.linspace(0.0, 3.0, 7)
BOUND: Final[dict[str, float]] = {"float64": 1e-7, "float32": 2e-3}
"""Of adaptive runs at rtol = 1e-6 and 1e-4 between two builds, relative to the largest value."""


@cache
def brittle_solver(device: str, precision: PrecisionName) -> Solver:
    rtol = 1e-6 if precision == "float64" else 1e-4
    return Solver(
        BRITTLE, device=device, precision=precision, rtol=rtol, save=["x", "energy", "clock"], controller="pi"
    )


def brittle(solver: Solver, runs: Sequence[int] | npt.NDArray[np.int64]) -> Solution:
    """Solve the runs of the given numbers; one in seven blows up."""
    chosen = np.asarray(runs)
    return solver.solve((0.0, 3.0), parameters={"w": W[chosen], "b": B[chosen]}, t_eval=TIMES)


def assert_near(left: Solution, right: Solution, bound: float) -> None:
    """Require the same statuses and missing rows, and values to a bound, of the runs that reached the end."""
    np.testing.assert_array_equal(left.success, right.success)
    good = right.success
    np.testing.assert_array_equal(np.isnan(left.y), np.isnan(right.y))
    scale = float(np.abs(right.y[..., good]).max())
    np.testing.assert_allclose(left.y[..., good], right.y[..., good], rtol=bound, atol=bound * scale)
    np.testing.assert_allclose(left.t_final, right.t_final, rtol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_statuses_prefixes_and_values_are_the_cpus(precision: PrecisionName) -> None:
    everything = np.arange(1000)
    on_gpu, on_cpu = (brittle(brittle_solver(device, precision), everything) for device in ("cuda", "cpu"))
    assert on_gpu.device.startswith("cuda:")
    assert np.count_nonzero(~on_cpu.success) > 100
    assert_near(on_gpu, on_cpu, BOUND[precision])
    clock = np.broadcast_to(TIMES.astype(precision)[:, None], (7, 1000))
    reached = ~np.isnan(on_gpu["x"])
    np.testing.assert_array_equal(on_gpu["clock"][reached], clock[reached])
    np.testing.assert_array_equal(on_gpu.t_final[on_gpu.success], 3.0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_run_is_the_same_bits_in_every_batch(precision: PrecisionName) -> None:
    solver, everything = brittle_solver("cuda", precision), np.arange(1000)
    whole = brittle(solver, everything)
    shuffled = np.random.default_rng(7).permutation(1000)
    alone = np.array([3])
    calm = everything[whole.success]
    for part in (shuffled, everything[::-1], everything[:129], everything[500:], everything[::7], alone, calm):
        got = brittle(solver, part)
        np.testing.assert_array_equal(got.y, whole.y[..., part])
        np.testing.assert_array_equal(got.n_steps, whole.n_steps[part])
        np.testing.assert_array_equal(got.n_rejected, whole.n_rejected[part])
        np.testing.assert_array_equal(got.status, whole.status[part])
        np.testing.assert_array_equal(got.t_final, whole.t_final[part])


@pytest.mark.parametrize("sizes", [(64, 936), (512, 256, 232), (999, 1)])
def test_chunks_are_the_same_bits(sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """PITFALL 23: chunked solves returned zeros, or another chunk's rows."""
    solver, everything = brittle_solver("cuda", "float64"), np.arange(1000)
    whole = brittle(solver, everything)
    stops = np.cumsum(sizes).tolist()
    cuts = list(zip([0, *stops[:-1]], stops, strict=True))
    monkeypatch.setattr(BatchSolverKernel, "_chunks", lambda *given: cuts)
    assert_same_bits(brittle(solver, everything), whole)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_million_adaptive_runs_agree_with_the_cpu(precision: PrecisionName, monkeypatch: pytest.MonkeyPatch) -> None:
    rtol = 1e-6 if precision == "float64" else 1e-4
    solver = Solver(LORENZ, device="cuda", precision=precision, rtol=rtol)
    rho = np.linspace(0.0, 21.0, MILLION)
    solution = solver.solve((0.0, 1.0), parameters={"rho": rho})
    assert solution.all_succeeded
    assert solution.y.shape == (2, 3, MILLION)
    some = np.linspace(0, MILLION - 1, 1000).astype(np.int64)
    reference = Solver(LORENZ, device="cpu", precision=precision, rtol=rtol)
    on_cpu = reference.solve((0.0, 1.0), parameters={"rho": rho[some]})
    np.testing.assert_allclose(solution.y[..., some], on_cpu.y, rtol=BOUND[precision], atol=BOUND[precision])
    steps, on_cpu_steps = solution.n_steps[some], on_cpu.n_steps
    assert np.abs(steps - on_cpu_steps).max() <= 0.2 * on_cpu_steps.mean()
    assert abs(steps.mean() / on_cpu_steps.mean() - 1) < 0.01
    few = solver.solve((0.0, 1.0), parameters={"rho": rho[some]})
    np.testing.assert_array_equal(few.y, solution.y[..., some])
    cuts = [(0, 300_032), (300_032, 600_064), (600_064, MILLION)]
    monkeypatch.setattr(BatchSolverKernel, "_chunks", lambda *given: cuts)
    assert_same_bits(solver.solve((0.0, 1.0), parameters={"rho": rho}), solution)


@pytest.mark.parametrize(
    ("method", "precision"), [("classical-rk4", "float32"), ("tsit5", "float64"), ("dop853", "float32")]
)
def test_fixed_steps_agree_to_rounding(method: str, precision: PrecisionName) -> None:
    """The bound: two thousand units of rounding after a thousand steps of a system that is not chaotic yet."""
    on_gpu, on_cpu = (
        Solver(LORENZ, device=device, method=method, controller="fixed", first_step=1e-3, precision=precision).solve(
            (0.0, 1.0), parameters={"rho": np.linspace(0, 21, 1000)}, save_every=0.25
        )
        for device in ("cuda", "cpu")
    )
    bound = 2000 * float(np.finfo(precision).eps)
    np.testing.assert_allclose(on_gpu.y, on_cpu.y, rtol=bound, atol=10 * bound)
    np.testing.assert_array_equal(on_gpu.n_steps, 1000)


@pytest.mark.parametrize("method", ["tsit5", "dop853", "bogacki-shampine-32"])
def test_dense_output_lies_on_the_way_and_meets_the_end(method: str) -> None:
    k = np.linspace(0.5, 3.0, 100)
    times = np.linspace(0.0, 7.0, 71)
    decay = create_ode_system(
        ["dx = y", "dy = -k*k*x"], states={"x": 1.0, "y": 0.0}, parameters=["k"], name="oscillator"
    )
    solver = Solver(decay, device="cuda", method=method, rtol=1e-6)
    dense = solver.solve((0.0, 7.0), parameters={"k": k}, t_eval=times)
    ends = solver.solve((0.0, 7.0), parameters={"k": k})
    np.testing.assert_allclose(dense["x"], np.cos(np.outer(times, k)), atol=2e-4)
    np.testing.assert_allclose(dense.y[-1], ends.y[-1], rtol=1e-6, atol=1e-7)
    backwards = solver.solve((7.0, 0.0), y0=dense.y[-1], parameters={"k": k}, t_eval=times[::-1])
    np.testing.assert_allclose(backwards["x"][-1], 1.0, atol=1e-3)


@pytest.mark.parametrize("poison", [False, True])
def test_every_placement_agrees_to_rounding(poison: bool) -> None:
    """Shared memory, registers and local memory hold the same numbers; only contraction differs."""
    everything = np.arange(200)
    expected = brittle(brittle_solver("cuda", "float64"), everything)
    paths = movable(brittle_solver("cuda", "float64").report(dense=True))
    for choice in (paths[::2], paths[1::2], paths):
        moved = Solver(
            BRITTLE,
            device="cuda",
            rtol=1e-6,
            save=["x", "energy", "clock"],
            buffers=all_shared(choice),
            poison=poison,
        )
        assert_near(brittle(moved, everything), expected, BOUND["float64"])


def test_every_way_to_end_is_reached() -> None:
    ends = create_ode_system(
        ["dx = a*x*x + q*sqrt(s - t)"], states={"x": 1.0}, parameters={"a": 0.0, "q": 0.0, "s": 100.0}
    )
    parameters = {"a": [0.1, 1.0, 0.1, 0.0], "q": [0.0, 0.0, 1.0, 1.0], "s": [100.0, 100.0, 1.5, -1.0]}
    expected = [Status.success, Status.step_too_small, Status.non_finite, Status.non_finite]
    solver = Solver(ends, device="cuda")
    solution = solver.solve((0.0, 2.0), parameters=parameters)
    assert solution.status.tolist() == expected
    np.testing.assert_allclose(solution.t_final, [2.0, 1.0, 1.5, 0.0], atol=1e-5)
    solver.update(max_steps=3)
    assert set(solver.solve((0.0, 2.0), parameters={"a": 0.5}).status.tolist()) == {Status.max_steps}


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_function_of_a_model_is_the_cpus_to_a_few_units_of_rounding(precision: PrecisionName) -> None:
    spelt = {"absolute": "abs", "minimum": "min", "maximum": "max"}
    unary = [f"u_{name} = {spelt.get(name, name)}(x)" for name in UNARY_FUNCTIONS]
    binary = [f"b_{name} = {spelt.get(name, name)}(x, q)" for name in BINARY_FUNCTIONS]
    names = [line.partition(" ")[0] for line in (*unary, *binary)]
    functions = create_ode_system(
        ["dx = 0*x", *unary, *binary], states=["x"], parameters={"q": 1.75}, observables=names, name="functions"
    )
    points = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 0.999, 3.0, -7.3, 1e-30, 20.0, 1e6, 1e30, 2.5])
    solutions = [
        Solver(
            functions, device=device, method="explicit-euler", first_step=1.0, precision=precision, save=names
        ).solve((0.0, 1.0), y0={"x": points}, t_eval=[0.0])
        for device in ("cuda", "cpu")
    ]
    eps = float(np.finfo(precision).eps)
    for name in names:
        np.testing.assert_allclose(
            solutions[0][name],
            solutions[1][name],
            rtol=16 * eps,
            atol=4 * float(np.finfo(precision).tiny),
            err_msg=name,
        )


def test_nothing_is_compiled_for_new_values_times_or_sizes() -> None:
    solver = Solver(LORENZ, device="cuda")
    solver.solve((0.0, 1.0), parameters={"rho": [1.0, 2.0]})
    before = solver.n_compilations
    for n_runs in (1, 33, 10_000):
        solver.update(rtol=10.0 ** -(3 + n_runs % 5))
        solver.solve((1.0, 0.0), parameters={"rho": np.linspace(0, 21, n_runs)})
    assert solver.n_compilations == before


def lorenz_ends(solver: Solver, **options: Unpack[SolverOptions]) -> Solution:
    solver.update(**options)
    return solver.solve((0.0, 1.0), parameters={"rho": np.linspace(0, 21, 100_000)})


def test_results_are_never_overwritten_and_pickle() -> None:
    """PITFALL 24: arrays were overwritten by the next solve.

    They lie in pinned memory that is lent again once nobody looks at it: at a view either.
    """
    solver = Solver(LORENZ, device="cuda")
    first = lorenz_ends(solver)
    view, status, copy = first["z"][-1, ::7], first.status[:5], first.y.copy()
    pickled: object = pickle.loads(pickle.dumps(first))
    del first
    gc.collect()
    for rtol in (1e-3, 1e-4, 1e-5):
        lorenz_ends(solver, rtol=rtol)
        gc.collect()
    np.testing.assert_array_equal(view, copy[-1, 2, ::7])
    assert status.tolist() == [0] * 5
    assert isinstance(pickled, Solution)
    np.testing.assert_array_equal(pickled.y, copy)


def test_several_threads_solve_at_once() -> None:
    solver = Solver(LORENZ, device="cuda")
    expected = lorenz_ends(solver)

    def again(number: int) -> bool:
        part = slice(number * 10_000, (number + 1) * 10_000)
        rho = np.linspace(0, 21, 100_000)[part]
        got = solver.solve((0.0, 1.0), parameters={"rho": rho})
        return bool(np.array_equal(got.y, expected.y[..., part]))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(again, range(10)))


def test_a_dropped_solver_gives_its_device_memory_back() -> None:
    """PITFALL 4: the memory pool kept dropped solvers' device memory alive."""
    from numba import cuda

    def free() -> int:
        gc.collect()
        # numba puts freeing off, in a queue of the memory's own beside that of streams and events
        cuda.current_context().memory_manager.deallocations.clear()  # type: ignore[attr-defined]  # not in the stubs
        return int(cuda.current_context().get_memory_info().free)

    warm = Solver(LORENZ, device="cuda")
    lorenz_ends(warm)
    before = free()
    solver = Solver(LORENZ, device="cuda")
    solver.solve((0.0, 1e-3), parameters={"rho": np.linspace(0, 21, 4 * MILLION)})
    during = free()
    assert before - during > 100 * 2**20
    del solver
    assert before - free() < 32 * 2**20
