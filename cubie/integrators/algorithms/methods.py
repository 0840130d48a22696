"""All methods by name, and the family whose body steps each of them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeAlias, final

from typing_extensions import override

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, TableauError, UnknownMethodError, find_row
from cubie.integrators.algorithms.dirk_settings import DirkSettings, is_diagonal
from cubie.integrators.algorithms.firk_settings import FirkSettings
from cubie.integrators.algorithms.firk_weights import analysed
from cubie.integrators.algorithms.generic_dirk import DiagonallyImplicitRungeKutta
from cubie.integrators.algorithms.generic_erk import ErkSettings, ExplicitRungeKutta
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS
from cubie.integrators.algorithms.generic_firk import FullyImplicitRungeKutta
from cubie.integrators.algorithms.generic_rosenbrock_w import RosenbrockSettings, RosenbrockW
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.integrators.matrix_free_solvers.linear_choice import AS_SUITS, LinearChoice
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import RateFunction

Method: TypeAlias = ButcherTableau | RosenbrockTableau
StepSettings: TypeAlias = ErkSettings | RosenbrockSettings | DirkSettings | FirkSettings
Step: TypeAlias = ExplicitRungeKutta | RosenbrockW | DiagonallyImplicitRungeKutta | FullyImplicitRungeKutta


def _families() -> Iterator[Mapping[str, Method]]:
    """Yield the rows of each family, which are loaded then: exact arithmetic takes time that explicit methods need not
    wait for.
    """
    yield ERK_TABLEAUS
    from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS

    yield ROSENBROCK_TABLEAUS
    from cubie.integrators.algorithms.generic_dirk_tableaus import DIRK_TABLEAUS

    yield DIRK_TABLEAUS
    from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS

    yield FIRK_TABLEAUS


@final
class Methods(Mapping[str, Method]):
    """All rows by name."""

    @override
    def __getitem__(self, name: str) -> Method:
        return {title: row for family in _families() for title, row in family.items()}[name]

    @override
    def __iter__(self) -> Iterator[str]:
        for family in _families():
            yield from family

    @override
    def __len__(self) -> int:
        return sum(len(family) for family in _families())


METHODS: Final = Methods()


def find_method(name: str) -> Method:
    """Find a method by its name or an alias, however it is spelt (see `canonical_form`).

    Raises
    ------
    UnknownMethodError: it offers the nearest name.
    """
    for family in _families():
        with suppress(UnknownMethodError):
            return find_row(name, family.values())
    return find_row(name, METHODS.values())


def is_explicit(method: Method) -> bool:
    """Tell whether no stage of a method has to be solved for."""
    return isinstance(method, ButcherTableau) and method.is_explicit


def is_fully_implicit(method: Method) -> bool:
    """Tell whether all stages of a method have to be solved at once."""
    return isinstance(method, ButcherTableau) and not (method.is_explicit or is_diagonal(method))


def error_order(method: Method) -> int | None:
    """Return the p of an error estimate that shrinks as ``dt**(p + 1)``; None where there is none.

    Raises
    ------
    TableauError: if no family steps the method.
    """
    if isinstance(method, ButcherTableau) and is_fully_implicit(method):
        return analysed(method)[1].order
    return method.error_order


def require_mass(method: Method, system: ODESystem) -> None:
    """Refuse an explicit method for a system with a mass matrix.

    Raises
    ------
    TableauError: if it is one.
    """
    if system.mass_matrix is not None and is_explicit(method):
        raise TableauError(
            f"the method for '{system.name}', which has a mass matrix, must be an implicit one, got '{method.name}', "
            "which can't solve for rates. Use method='rodas5p'."
        )


def step_settings(
    method: Method,
    system: ODESystem,
    precision: FloatPrecision,
    *,
    estimates_error: bool,
    linear: LinearChoice = AS_SUITS,
) -> StepSettings:
    """Return the settings of the family that steps `method`.

    Raises
    ------
    TableauError: if no family does.
    """
    require_mass(method, system)
    if isinstance(method, RosenbrockTableau):
        return RosenbrockSettings(
            tableau=method,
            system=system,
            precision=precision,
            estimates_error=estimates_error,
            linear_choice=linear,
        )
    if is_fully_implicit(method):
        return FirkSettings(
            tableau=method,
            system=system,
            precision=precision,
            estimates_error=estimates_error,
            linear_choice=linear,
        )
    if is_diagonal(method):
        return DirkSettings(
            tableau=method,
            system=system,
            precision=precision,
            estimates_error=estimates_error,
            linear_choice=linear,
        )
    return ErkSettings(tableau=method, n_states=system.n_states, precision=precision, estimates_error=estimates_error)


def weighs_errors(settings: StepSettings) -> bool:
    """Tell whether a method's steps want to know what error the tolerances allow."""
    if isinstance(settings, RosenbrockSettings):
        return settings.weighs_errors
    return isinstance(settings, DirkSettings | FirkSettings)


def checks_dense(settings: StepSettings) -> bool:
    """Tell whether a method's steps can be too long for their dense output, so that it is checked where it is used."""
    return not isinstance(settings, ErkSettings)


def shared_vectors(settings: StepSettings) -> tuple[str, ...]:
    """Return the names of the loop's vectors that a method wants in a GPU's shared memory."""
    return settings.shared_vectors if isinstance(settings, ErkSettings) else ()


def make_step(settings: StepSettings, rate: RateFunction) -> Step:
    """Make the factory of a method's steps."""
    if isinstance(settings, RosenbrockSettings):
        return RosenbrockW(settings, rate)
    if isinstance(settings, FirkSettings):
        return FullyImplicitRungeKutta(settings, rate)
    if isinstance(settings, DirkSettings):
        return DiagonallyImplicitRungeKutta(settings, rate)
    return ExplicitRungeKutta(settings, rate)


def configured(step: Step, settings: StepSettings) -> bool:
    """Let a factory go by other settings, if they are its family's; tell whether they are."""
    if isinstance(step, RosenbrockW) and isinstance(settings, RosenbrockSettings):
        step.configure_step(settings)
        return True
    if isinstance(step, FullyImplicitRungeKutta) and isinstance(settings, FirkSettings):
        step.configure_step(settings)
        return True
    if isinstance(step, DiagonallyImplicitRungeKutta) and isinstance(settings, DirkSettings):
        step.configure_step(settings)
        return True
    if isinstance(step, ExplicitRungeKutta) and isinstance(settings, ErkSettings):
        step.configure(settings)
        return True
    return False
