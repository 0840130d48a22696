"""Solves with steps of fixed length, on the CPU or the reference target, for what is measured by halving the step."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from cubie._types import FLOAT_PRECISIONS
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.batch_solver_kernel import BatchSolverKernel, StepLimits
from cubie.batchsolving.schedule import make_schedule
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.batchsolving.sweep import make_inputs
from cubie.batchsolving.system_interface import SystemInterface
from cubie.batchsolving.tolerances import make_tolerances
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.single_integrator_run import RunSettings
from cubie.integrators.step_control.gain_laws import GAIN_LAWS
from cubie.odesystems.create import create_ode_system
from cubie.targets.base import Target

States = npt.NDArray[np.float64]

PENDULUM: Final = create_ode_system(
    ["dz1 = z2*cos(t/2)", "dz2 = -sin(z1)*(1 + 0.3*sin(t)) - 0.1*z2**2"],
    states={"z1": 1.0, "z2": 0.5},
    name="pendulum",
)
"""The problem of `algorithms/orders.json`: neither linear nor autonomous."""


@cache
def cpu_solver(method: ButcherTableau, precision: PrecisionName = "float64") -> Solver:
    """Return the CPU's solver of the pendulum, one run at a time, made once since it takes seconds to compile."""
    return Solver(
        PENDULUM, method=method, controller="fixed", first_step=1.0, precision=precision, device="cpu", lanes=1
    )


def on_cpu(
    method: ButcherTableau,
    dt: float,
    t_eval: Sequence[float],
    *,
    z1: Sequence[float] = (1.0,),
    precision: PrecisionName = "float64",
) -> FloatArray:
    """Solve from 0 to 2 for every initial `z1`; return the states, shape (n_times, n_states, n_runs)."""
    solver = cpu_solver(method, precision)
    solver.update(first_step=dt)
    solution = solver.solve((0.0, 2.0), {"z1": np.array(z1)}, t_eval=t_eval)
    assert solution.all_succeeded
    return solution.y


def on_reference(
    method: ButcherTableau,
    target: Target,
    dt: float,
    t_eval: Sequence[float],
    *,
    z1: Sequence[float] = (1.0,),
    precision: PrecisionName = "float64",
) -> FloatArray:
    """Do the same on a target that `Solver` does not offer."""
    kind, interface = FLOAT_PRECISIONS[precision], SystemInterface(PENDULUM)
    schedule = make_schedule((0.0, 2.0), t_eval, None, kind)
    settings = RunSettings(
        system=PENDULUM,
        method=method,
        controller=GAIN_LAWS["fixed"],
        precision=kind,
        saved=(0, 1),
        dense=schedule.dense,
        scalar_tolerances=True,
    )
    result = BatchSolverKernel(settings, target=target, buffers={}).solve(
        make_inputs(interface, {"z1": np.array(z1)}, None, "paired", kind),
        schedule,
        make_tolerances(1e-6, 1e-9, PENDULUM.states, kind),
        StepLimits(first_step=dt, max_step=None, max_steps=100_000),
        None,
    )
    return result.saved


@cache
def exact(t: float) -> States:
    """Return the state of the pendulum at t, shape (n_states,), by another code's method to about 1e-14."""

    def rate(t: float, z: States) -> list[float]:
        return [float(z[1] * np.cos(t / 2)), float(-np.sin(z[0]) * (1 + 0.3 * np.sin(t)) - 0.1 * z[1] ** 2)]

    return np.asarray(solve_ivp(rate, (0.0, t), [1.0, 0.5], method="DOP853", rtol=3e-14, atol=1e-16).y[:, -1])


def slopes(errors: States, n_steps: Sequence[int]) -> list[float]:
    """Return the orders that errors show between each number of steps and the next; `n_steps` may be longer."""
    falls = np.log(errors[:-1] / errors[1:]) / np.diff(np.log(n_steps[: errors.size]))
    return [float(fall) for fall in falls]
