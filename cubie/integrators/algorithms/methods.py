"""All methods by name, and the family whose body steps each of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, find_row
from cubie.integrators.algorithms.generic_erk import ErkSettings, ExplicitRungeKutta
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS
from cubie.integrators.algorithms.generic_rosenbrock_w import RosenbrockSettings, RosenbrockW
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import RateFunction

Method: TypeAlias = ButcherTableau | RosenbrockTableau
StepSettings: TypeAlias = ErkSettings | RosenbrockSettings
Step: TypeAlias = ExplicitRungeKutta | RosenbrockW

METHODS: Final[Mapping[str, Method]] = MappingProxyType({**ERK_TABLEAUS, **ROSENBROCK_TABLEAUS})


def find_method(name: str) -> Method:
    """Find a method by its name or an alias, in any case.

    Raises
    ------
    UnknownMethodError: it offers the nearest name.
    """
    return find_row(name, METHODS.values())


def step_settings(
    method: Method, system: ODESystem, precision: FloatPrecision, *, estimates_error: bool
) -> StepSettings:
    """Return the settings of the family that steps `method`.

    Raises
    ------
    TableauError: if no family does.
    """
    if isinstance(method, RosenbrockTableau):
        return RosenbrockSettings(tableau=method, system=system, precision=precision, estimates_error=estimates_error)
    return ErkSettings(tableau=method, n_states=system.n_states, precision=precision, estimates_error=estimates_error)


def make_step(settings: StepSettings, rate: RateFunction) -> Step:
    """Make the factory of a method's steps."""
    if isinstance(settings, RosenbrockSettings):
        return RosenbrockW(settings, rate)
    return ExplicitRungeKutta(settings, rate)


def configured(step: Step, settings: StepSettings) -> bool:
    """Let a factory go by other settings, if they are its family's; tell whether they are."""
    if isinstance(step, RosenbrockW) and isinstance(settings, RosenbrockSettings):
        step.configure_step(settings)
        return True
    if isinstance(step, ExplicitRungeKutta) and isinstance(settings, ErkSettings):
        step.configure(settings)
        return True
    return False
