"""The sweep of all Lorenz figures: t from 0 to 10, rho from 0 to 21, with cubie and with SciPy."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.odesystems.create import create_ode_system
from tests.integrators.scores import PeerName

States: TypeAlias = npt.NDArray[np.float64]

T_SPAN: Final = (0.0, 10.0)
RTOL: Final = 1e-6
ATOL: Final = 1e-9
ATOL_IN_SINGLE: Final = 1e-6
Y0: Final = (1.0, 0.0, 0.0)
SIGMA: Final = 10.0
BETA: Final = 8 / 3

LORENZ: Final = create_ode_system(
    ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z"],
    states=dict(zip("xyz", Y0, strict=True)),
    parameters={"rho": 21.0},
    constants={"sigma": SIGMA, "beta": BETA},
    name="lorenz",
)


def rho(n_runs: int) -> States:
    """Return the swept parameter of so many runs."""
    return np.linspace(0.0, 21.0, n_runs)


def solver(method: str, device: str, lanes: int | None = None, precision: PrecisionName = "float64") -> Solver:
    """Return a solver of the sweep; `lanes` runs stand side by side in a core, by default as many as are best."""
    atol = ATOL if precision == "float64" else ATOL_IN_SINGLE
    return Solver(LORENZ, method=method, rtol=RTOL, atol=atol, device=device, lanes=lanes, precision=precision)


def swept(with_solver: Solver, values: States) -> Solution:
    """Solve for each value of rho with cubie, for the states at the end."""
    return with_solver.solve(T_SPAN, parameters={"rho": values}, t_eval=T_SPAN[1:])


def final_states(with_solver: Solver, values: States) -> States:
    """Solve for each value of rho with cubie; return the states at the end, shape (3, n_runs)."""
    ends: States = swept(with_solver, values).y[-1].astype(np.float64, copy=False)
    return ends


def rate(t: float, state: States, rho_of_run: float) -> list[float]:
    """The right-hand side in plain floats, which SciPy's solvers are fastest with."""
    x, y, z = state.tolist()
    return [SIGMA * (y - x), x * (rho_of_run - z) - y, x * y - BETA * z]


def scipys_final_states(method: PeerName, values: States, rtol: float = RTOL, atol: float = ATOL) -> States:
    """Solve for each value of rho with SciPy, one after the other; return the states at the end, shape (3, n_runs)."""
    y0 = np.array(Y0)
    solved = [
        solve_ivp(rate, T_SPAN, y0, method=method, rtol=rtol, atol=atol, args=(value,)) for value in values.tolist()
    ]
    return np.array([each.y[:, -1] for each in solved]).T
