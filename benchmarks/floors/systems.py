"""Systems beside Lorenz's whose speed is reported: one full of exponentials, one of any size, one of any frequency."""

from cubie.odesystems.create import create_ode_system
from cubie.odesystems.ode_system import ODESystem


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
