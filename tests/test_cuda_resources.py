"""What kernels take of a GPU, read off their PTX and ptxas' report for three generations, without a GPU.

Budgets are registers a thread: with the pinned compiler wheels 48 leave room for 10 blocks of 128 threads on a
multiprocessor (of 65,536 registers), 72 for 7, 120 for 4.
"""

from functools import cache
from typing import Final

import numpy as np
import pytest
from numba import cuda, types

from benchmarks.floors.systems import lorenz96
from cubie import ODESystem, create_ode_system
from cubie._types import FLOAT_PRECISIONS, GlobalReals, PersistentBank, Placement, Pool, SharedBank
from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel
from cubie.integrators.algorithms.generic_erk_tableaus import find_tableau
from cubie.integrators.single_integrator_run import RunSettings
from cubie.integrators.step_control.gain_laws import find_gain_law
from cubie.targets.cuda import CudaTarget
from tests.ptx import (
    CAPABILITIES,
    Capability,
    batch_kernel_ptx,
    called,
    compile_ptx,
    depot_bytes,
    double_instructions,
    memory_spaces,
    resources,
)

pytestmark = pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda cc: f"sm_{cc[0]}{cc[1]}")

BANK: Final = 8
SIZE: Final = 3

LORENZ: Final = create_ode_system(
    ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z", "energy = x*x + y*y + z*z"],
    states={"x": 1.0, "y": 0.0, "z": 0.0},
    parameters={"rho": 21.0},
    constants={"sigma": 10.0, "beta": 8 / 3},
    observables=["energy"],
)
PENDULUM: Final = create_ode_system(
    ["da = v", "dv = -k*sin(a) - c*v**p"],
    states={"a": 1.0, "v": 0.5},
    parameters={"k": 9.81, "c": 0.1, "p": 1.5},
)
# What is too long to inline, for seldom arguments. The reduction of huge angles keeps their digits in local memory.
LIBDEVICE_SLOW_PATHS: Final = frozenset({"__internal_accurate_pow", "__internal_trig_reduction_slowpathd"})
ANGLE_DEPOT_BYTES: Final = {"float32": 56, "float64": 40}
ANGLE_DOUBLES: Final = frozenset({"cvt.rn.f64.s64", "mul.f64", "cvt.rn.f32.f64"})


@cache
def batch_kernel(
    system: ODESystem, method: str, controller: str, precision: str, *, every_output: bool
) -> BatchSolverKernel:
    """Build a kernel that saves every variable, between steps too, with tolerances for each state; or the least."""
    n_variables = system.n_states + (system.n_observables if every_output else 0)
    settings = RunSettings(
        system=system,
        method=find_tableau(method),
        controller=find_gain_law(controller),
        precision=FLOAT_PRECISIONS[precision],
        saved=tuple(range(n_variables)),
        dense=every_output,
        scalar_tolerances=not every_output,
    )
    return BatchSolverKernel(settings, target=CudaTarget(), buffers={})


def allocator_ptx(pool: Pool, capability: Capability) -> str:
    """Compile a kernel that writes one buffer and reads it at an index of the run's, so that it stays memory."""
    placement = Placement(pool=pool, start=2, size=SIZE, precision=np.float32, kept=False)
    allocate = CudaTarget().allocator(placement)

    def kernel(out: GlobalReals, index: int) -> None:
        shared: SharedBank = cuda.shared.array(BANK, np.float32)
        persistent: PersistentBank = cuda.local.array(BANK, np.float32)
        buffer = allocate(shared, persistent)
        for i in range(SIZE):
            buffer[i] = out[i]
        out[0] = buffer[index]  # type: ignore[index]  # a kernel may write where a device function uses store_at

    return compile_ptx(kernel, types.void(types.Array(types.float32, 1, "C"), types.int32), capability)


@pytest.mark.parametrize(
    ("pool", "spaces", "local_bytes"),
    [
        ("shared", {"global", "shared"}, 0),
        ("persistent_local", {"global", "local"}, 4 * BANK),
        ("local", {"global", "local"}, 4 * SIZE),
    ],
)
def test_each_placement_touches_only_its_memory_space(
    pool: Pool, spaces: set[str], local_bytes: int, capability: Capability
) -> None:
    ptx = allocator_ptx(pool, capability)
    assert memory_spaces(ptx) == spaces
    assert depot_bytes(ptx) == local_bytes
    assert not called(ptx)


@pytest.mark.parametrize(
    ("method", "controller", "precision", "every_output", "budget"),
    [
        ("classical-rk4", "fixed", "float32", False, 40),
        ("classical-rk4", "fixed", "float64", False, 48),
        ("tsit5", "fixed", "float32", False, 48),
        ("tsit5", "fixed", "float64", False, 96),
        ("tsit5", "pi", "float32", False, 48),
        ("tsit5", "pi", "float64", False, 72),
        ("tsit5", "pi", "float32", True, 72),
        ("tsit5", "pi", "float64", True, 120),
    ],
)
def test_lorenz_kernels_stay_in_registers(
    method: str, controller: str, precision: str, every_output: bool, budget: int, capability: Capability
) -> None:
    kernel = batch_kernel(LORENZ, method, controller, precision, every_output=every_output)
    ptx = batch_kernel_ptx(kernel, capability)
    assert not called(ptx)
    assert depot_bytes(ptx) == 0
    assert precision == "float64" or not double_instructions(ptx)
    taken = resources(ptx, capability)
    assert (taken.stack_bytes, taken.spill_bytes) == (0, 0)
    assert taken.registers <= budget


def test_a_system_of_twenty_states_stays_in_registers(capability: Capability) -> None:
    """All vectors of a step are straight-line code: no array is left to be kept in memory."""
    ptx = batch_kernel_ptx(batch_kernel(lorenz96(20), "tsit5", "pi", "float32", every_output=False), capability)
    assert depot_bytes(ptx) == 0
    taken = resources(ptx, capability)
    assert (taken.stack_bytes, taken.spill_bytes) == (0, 0)
    assert taken.registers <= 168  # three blocks of 128 threads


def test_shared_memory_takes_what_a_large_system_would_spill(capability: Capability) -> None:
    kernel = batch_kernel(lorenz96(48), "tsit5", "pi", "float32", every_output=False)
    taken = resources(batch_kernel_ptx(kernel, capability), capability)
    assert taken.stack_bytes <= 96


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_only_slow_paths_of_libdevice_are_called(precision: str, capability: Capability) -> None:
    ptx = batch_kernel_ptx(batch_kernel(PENDULUM, "tsit5", "pi", precision, every_output=True), capability)
    assert called(ptx) <= LIBDEVICE_SLOW_PATHS
    assert depot_bytes(ptx) <= ANGLE_DEPOT_BYTES[precision]
    assert precision == "float64" or set(double_instructions(ptx)) <= ANGLE_DOUBLES
    assert resources(ptx, capability).spill_bytes == 0
