"""Whole sweeps on the CUDA target: in its simulator, and on a GPU where there is one."""

from typing import Final

import numpy as np
import pytest

from cubie import ODESystem, Solution, Solver, Status, create_ode_system
from cubie._types import Location
from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel
from cubie.buffer_report import BufferReport
from cubie.targets.cuda_primitives import SIMULATED

pytestmark = [pytest.mark.simulator, pytest.mark.gpu]

LORENZ: Final = create_ode_system(
    ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z", "energy = x*x + y*y + z*z"],
    states={"x": 1.0, "y": 0.0, "z": 0.0},
    parameters={"rho": 21.0},
    constants={"sigma": 10.0, "beta": 8 / 3},
    observables=["energy"],
)
RHO: Final = np.array([0.5, 10.0, 21.0])
TIMES: Final = np.linspace(0.0, 0.2, 5)


def sweep(solver: Solver) -> Solution:
    return solver.solve((0.0, 0.2), parameters={"rho": RHO}, t_eval=TIMES)


def lorenz_solver(device: str = "cuda", buffers: dict[str, Location] | None = None, *, poison: bool = False) -> Solver:
    return Solver(LORENZ, device=device, buffers=buffers, save=["x", "y", "z", "energy"], poison=poison)


def assert_same_build(got: Solution, expected: Solution, message: str) -> None:
    """Two builds agree bit for bit in the simulator, and on a GPU, whose compiler contracts by placement, to rounding.

    There steps follow from logarithms in single precision, so that rounding is what 1e-7 of a step's length makes of
    its error of 1e-6.
    """
    if SIMULATED:
        np.testing.assert_array_equal(got.y, expected.y, err_msg=message)
    else:
        np.testing.assert_allclose(got.y, expected.y, rtol=1e-9, atol=1e-11, err_msg=message)


def movable(report: BufferReport, path: str = "") -> list[str]:
    """Return the paths of all buffers that a user may place."""
    own = [f"{path}{row.name}" for row in report.rows if row.child is None]
    return own + [name for child in report.children for name in movable(child, f"{path}{child.name}.")]


def all_shared(paths: list[str]) -> dict[str, Location]:
    return {path: "shared" for path in paths}


def test_a_sweep_agrees_with_the_cpu_to_rounding() -> None:
    on_gpu, on_cpu = sweep(lorenz_solver()), sweep(lorenz_solver("cpu"))
    assert on_gpu.device == "cuda:0"
    assert on_gpu.all_succeeded
    tolerance = 1e-11 if SIMULATED else 1e-9
    np.testing.assert_allclose(on_gpu.y, on_cpu.y, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(on_gpu.n_steps, on_cpu.n_steps)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_fixed_steps_backwards_agree_with_the_cpu(precision: str) -> None:
    solutions = [
        Solver(
            LORENZ,
            method="classical-rk4",
            controller="fixed",
            first_step=0.02,
            precision="float32" if precision == "float32" else "float64",
            device=device,
        ).solve((0.1, -0.1), parameters={"rho": RHO}, t_eval=[0.1, 0.03, -0.1])
        for device in ("cuda", "cpu")
    ]
    tolerance = 2e-6 if precision == "float32" else 1e-13
    np.testing.assert_allclose(solutions[0].y, solutions[1].y, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(solutions[0].n_steps, 10)


def test_no_placement_of_any_buffer_changes_a_bit() -> None:
    solver = lorenz_solver()
    paths = movable(solver.report(dense=True))
    assert {"y", "error", "step.stage_rates", "controller.history"} <= set(paths)
    expected = sweep(solver)
    for choice in [*(all_shared([path]) for path in paths), all_shared(paths)]:
        assert_same_build(sweep(lorenz_solver(buffers=choice)), expected, str(choice))


def test_poisoned_scratch_changes_no_bit() -> None:
    expected = sweep(lorenz_solver())
    for paths in ([], movable(lorenz_solver().report(dense=True))):
        assert_same_build(sweep(lorenz_solver(buffers=all_shared(paths), poison=True)), expected, str(paths))


def test_chunks_give_what_one_launch_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """PITFALL 23: chunked solves returned zeros, or another chunk's rows."""
    expected = sweep(lorenz_solver())
    monkeypatch.setattr("cubie.targets.cuda_launch.CudaKernel.free_bytes", 1_000_000_000)
    monkeypatch.setattr(BatchSolverKernel, "_chunks", lambda *given: [(0, 1), (1, 3)])
    chunked = sweep(lorenz_solver())
    np.testing.assert_array_equal(chunked.y, expected.y)
    np.testing.assert_array_equal(chunked.n_steps, expected.n_steps)


def blow_up() -> ODESystem:
    return create_ode_system("dx = x*x", states={"x": 1.0})


def test_a_run_that_blows_up_ends_alone() -> None:
    start = {"x": np.array([0.1, 4.0, 0.2])}
    solution = Solver(blow_up(), device="cuda").solve((0.0, 0.5), start, t_eval=[0.0, 0.1, 0.2, 0.5])
    calm = {"x": np.array([0.1, 0.2])}
    alone = Solver(blow_up(), device="cuda").solve((0.0, 0.5), calm, t_eval=[0.0, 0.1, 0.2, 0.5])
    np.testing.assert_array_equal(solution["x"][:, [0, 2]], alone["x"])
    assert solution.success.tolist() == [True, False, True]
    assert solution.status[1] in {Status.non_finite, Status.step_too_small}
    np.testing.assert_allclose(solution["x"][:3, 1], 1 / (0.25 - np.array([0.0, 0.1, 0.2])), rtol=1e-5)
    assert np.isnan(solution["x"][3, 1])
    assert abs(solution.t_final[1] - 0.25) < 1e-5
