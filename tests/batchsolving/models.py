"""Names and defaults of the models that the tests of the host side sweep."""

from dataclasses import dataclass
from typing import Final

from cubie.batchsolving.system_interface import SystemInterface


@dataclass(frozen=True, kw_only=True)
class Names:
    """As much of an ODE system as a sweep needs to know."""

    name: str
    states: tuple[str, ...]
    state_defaults: tuple[float, ...]
    parameters: tuple[str, ...] = ()
    parameter_defaults: tuple[float, ...] = ()
    constants: tuple[tuple[str, float], ...] = ()
    observables: tuple[str, ...] = ()


LORENZ: Final = Names(
    name="lorenz",
    states=("x", "y", "z"),
    state_defaults=(1.0, 2.0, 3.0),
    parameters=("sigma", "rho", "beta"),
    parameter_defaults=(10.0, 21.0, 2.5),
    constants=(("gravity", 9.81),),
    observables=("energy",),
)
INTERFACE: Final = SystemInterface(LORENZ)
DECAY: Final = SystemInterface(Names(name="decay", states=("x",), state_defaults=(1.0,)))
