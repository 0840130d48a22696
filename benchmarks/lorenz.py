"""The sweep of all Lorenz figures: t from 0 to 10, rho from 0 to 21, by cubie and by SciPy."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.odesystems.create import create_ode_system
from tests.integrators.scores import PeerName

States: TypeAlias = npt.NDArray[np.float64]

T_SPAN: Final = (0.0, 10.0)
RTOL: Final = 1e-6
ATOL: Final = 1e-9
BATCH_ATOL: Final[Mapping[PrecisionName, float]] = {"float32": 1e-6, "float64": ATOL}
RHO: Final = (0.0, 21.0)
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


def rate(t: float, state: States, rho_of_run: float) -> list[float]:
    """The right-hand side in plain floats, which SciPy's solvers are fastest with."""
    x, y, z = state.tolist()
    return [SIGMA * (y - x), x * (rho_of_run - z) - y, x * y - BETA * z]


def scipys_final_states(method: PeerName, values: FloatArray) -> States:
    """Solve for each value of rho with SciPy, one after the other; return the states at the end, shape (3, n_runs)."""
    y0 = np.array(Y0)
    solved = [
        solve_ivp(rate, T_SPAN, y0, method=method, rtol=RTOL, atol=ATOL, args=(value,)) for value in values.tolist()
    ]
    return np.array([each.y[:, -1] for each in solved]).T
