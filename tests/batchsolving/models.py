"""The models that the tests of the host side sweep."""

from typing import Final

from cubie.batchsolving.system_interface import SystemInterface
from cubie.odesystems.create import create_ode_system

LORENZ: Final = create_ode_system(
    [
        "dx = sigma*(y - x)",
        "dy = x*(rho - z) - y",
        "dz = x*y - beta*z",
        "energy = x**2 + y**2 + z**2 + gravity*z",
    ],
    states={"x": 1.0, "y": 2.0, "z": 3.0},
    parameters={"sigma": 10.0, "rho": 21.0, "beta": 2.5},
    constants={"gravity": 9.81},
    observables=["energy"],
    name="lorenz",
)
INTERFACE: Final = SystemInterface(LORENZ)
DECAY: Final = SystemInterface(create_ode_system("dx = -x", states={"x": 1.0}, name="decay"))
NO_DEFAULTS: Final = SystemInterface(create_ode_system("dx = -k*x", states=["x"], parameters=["k"]))
