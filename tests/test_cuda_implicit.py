"""Implicit methods on the CUDA target: what their kernels take of a GPU, and sweeps in the simulator or on a GPU."""

from typing import Final

import numpy as np
import pytest

from cubie import Solution, Solver
from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel
from cubie.integrators.algorithms.methods import find_method
from cubie.integrators.single_integrator_run import RunSettings
from cubie.integrators.step_control.gain_laws import find_gain_law
from cubie.targets.cuda import CudaTarget
from cubie.targets.cuda_primitives import SIMULATED
from tests.problems import PROBLEMS
from tests.ptx import batch_kernel_ptx, called, depot_bytes, resources

SYSTEM: Final = PROBLEMS["robertson"].system()
CAPABILITY: Final = (9, 0)
MOST_REGISTERS: Final = {"kvaerno-3": 136, "radau": 168}
"""168 leave room for 3 blocks of 128 threads on a multiprocessor."""


@pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
@pytest.mark.parametrize("method", MOST_REGISTERS)
def test_small_systems_live_in_registers(method: str) -> None:
    settings = RunSettings(
        system=SYSTEM,
        method=find_method(method),
        controller=find_gain_law("pi"),
        precision=np.float64,
        saved=(0, 1, 2),
        dense=False,
        scalar_tolerances=True,
    )
    ptx = batch_kernel_ptx(BatchSolverKernel(settings, target=CudaTarget(), buffers={}), CAPABILITY)
    taken = resources(ptx, CAPABILITY)
    assert (taken.stack_bytes, taken.spill_bytes, depot_bytes(ptx)) == (0, 0, 0)
    assert called(ptx) == set()
    assert taken.registers <= MOST_REGISTERS[method]


@pytest.mark.simulator
@pytest.mark.gpu
@pytest.mark.parametrize("method", ["trbdf2", "radau-iia-3"])
def test_a_sweep_agrees_with_the_cpu_to_rounding(method: str) -> None:
    def sweep(device: str) -> Solution:
        solver = Solver(SYSTEM, method=method, device=device, rtol=1e-3, atol=1e-6)
        return solver.solve((0.0, 0.3), parameters={"k1": np.array([0.04, 0.4])}, t_eval=[0.0, 0.1, 0.3])

    on_gpu, on_cpu = sweep("cuda"), sweep("cpu")
    assert on_gpu.all_succeeded
    np.testing.assert_allclose(on_gpu.y, on_cpu.y, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(on_gpu.n_steps, on_cpu.n_steps)
