"""Systems beside Lorenz's whose speed is reported: of exponentials, of any size or frequency, stiff of any size."""

import math
from dataclasses import replace
from typing import Final

from cubie.odesystems.create import create_ode_system
from cubie.odesystems.ode_system import ODESystem
from tests.problems import PROBLEMS, Problem

LORENZ_96_NOTE: Final = (
    "Lorenz 96 starts beside an unstable rest, so that errors grow by exp((1.125*F - 1)*t) at first."
)
"""The fastest wave around x = F has a phase between neighbours whose cosine is 1/4; at F = 8 and t = 2 that is 10^7."""


def hodgkin_huxley() -> ODESystem:
    """Return the squid axon at 6.3 degrees; mV, ms, uA/cm2.

    References
    ----------
    Hodgkin & Huxley (1952), J. Physiol. 117(4), 500-544, with today's sign and zero of the potential.
    """
    return create_ode_system(
        [
            "a_m = (V + 40)/10/(1 - exp(-(V + 40)/10))",
            "b_m = 4*exp(-(V + 65)/18)",
            "a_h = 0.07*exp(-(V + 65)/20)",
            "b_h = 1/(1 + exp(-(V + 35)/10))",
            "a_n = (V + 55)/100/(1 - exp(-(V + 55)/10))",
            "b_n = exp(-(V + 65)/80)/8",
            "dV = current - 120*m**3*h*(V - 50) - 36*n**4*(V + 77) - 0.3*(V + 54.387)",
            "dm = a_m*(1 - m) - b_m*m",
            "dh = a_h*(1 - h) - b_h*h",
            "dn = a_n*(1 - n) - b_n*n",
        ],
        states={"V": -65.0, "m": 0.0529, "h": 0.5961, "n": 0.3177},
        parameters={"current": 10.0},
        name="hodgkin_huxley",
    )


def lorenz96(n: int) -> ODESystem:
    """Return `n` states on a ring, which start at rest but for the first.

    References
    ----------
    Lorenz (1996), Predictability: a problem partly solved, Proc. ECMWF Seminar 1, 1-18, eq. 1.
    """
    equations = [f"dx{i} = (x{(i + 1) % n} - x{(i - 2) % n})*x{(i - 1) % n} - x{i} + F" for i in range(n)]
    states = {f"x{i}": 8.0 for i in range(n)} | {"x0": 8.01}
    return create_ode_system(equations, states=states, parameters={"F": 8.0}, name=f"lorenz96_{n}")


def oscillator() -> ODESystem:
    """Return an oscillator whose steps are as many as its frequency is high."""
    return create_ode_system(
        ["dx = omega*y", "dy = -omega*x"], states={"x": 1.0, "y": 0.0}, parameters={"omega": 1.0}, name="oscillator"
    )


def brusselator(n_cells: int) -> Problem:
    """Return the reaction with diffusion between so many cells, two states each, as of the problems' own 16.

    References
    ----------
    Hairer & Wanner (1996), Solving Ordinary Differential Equations II, Sec. IV.1, eq. 1.6'.
    """
    cells = range(1, n_cells + 1)
    n_squared = f"{(n_cells + 1.0) ** 2:.1f}"

    def diffusion(name: str, i: int, edge: str) -> str:
        left, right = (f"{name}{k}" if k in cells else edge for k in (i - 1, i + 1))
        return f"alpha*{n_squared}*({left} - 2.0*{name}{i} + {right})"

    equations = (
        line
        for i in cells
        for line in (
            f"du{i} = A + u{i}**2*v{i} - (B + 1.0)*u{i} + {diffusion('u', i, '1.0')}",
            f"dv{i} = B*u{i} - u{i}**2*v{i} + {diffusion('v', i, '3.0')}",
        )
    )
    starts = (y0 for i in cells for y0 in (1.0 + math.sin(2.0 * math.pi * (i / (n_cells + 1))), 3.0))
    return replace(
        PROBLEMS["bruss1d_n32"],
        name=f"bruss1d_n{2 * n_cells}",
        title=f"1-D Brusselator PDE, N={n_cells} points, n={2 * n_cells} states (interleaved u,v)",
        equations=tuple(equations),
        states=tuple(f"{name}{i}" for i in cells for name in "uv"),
        y0=tuple(starts),
    )
