"""The settings of a solver: what users say, and what it means, checked once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, TypedDict, final, get_args

import numpy as np

from cubie._types import FLOAT_PRECISIONS, FloatPrecision, Location, canonical_form, nearest, whole_number
from cubie.batchsolving.arrays import SupportsArray
from cubie.batchsolving.auto_method import EXPLICIT_METHOD, STIFF_METHOD
from cubie.batchsolving.batch_solver_kernel import StepLimits
from cubie.batchsolving.sweep import Sweep
from cubie.batchsolving.tolerances import ToleranceLike
from cubie.batchsolving.tuning import BLOCK_SIZES, LANES, REGISTERS, Plan
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.methods import METHODS, Method, error_order, find_method, is_explicit
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.integrators.matrix_free_solvers.linear_choice import LinearChoice, LinearKind, find_linear_choice
from cubie.integrators.matrix_free_solvers.preconditioners import Preconditioner
from cubie.integrators.step_control.gain_laws import GAIN_LAWS, GainLaw, find_gain_law
from cubie.odesystems.ode_system import ODESystem
from cubie.targets.devices import Device, find_device

PrecisionName = Literal["float32", "float64"]
Times = Sequence[float | SupportsArray] | SupportsArray
AUTO: Final = "auto"
DEFAULT_CONTROLLER: Final = "pi"
IMPLICIT_CONTROLLER: Final = "gustafsson"
"""It lets steps grow as fast as errors shrink. Under PI control, which gives them three tenths of that, `radau` took
1.6 times the steps of SciPy's Radau on POLLU at 1e-3; so it takes 0.93 times. `rodas5p` takes 11 to 22 % fewer on five
stiff problems at 1e-6, 22 to 42 % at 1e-3, mostly for errors within a factor of two; on POLLU at 1e-3 they grow from
0.04 to 0.4 of what the tolerances ask for.
"""
DEFAULT_MAX_STEPS: Final = 100_000
LOCATIONS: Final[tuple[str, ...]] = get_args(Location)


class UnknownOptionError(TypeError):
    """A setting's name is not one of the solver's."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SolverSettings:
    """Everything about a solver but the values it sweeps: `solve_ivp` says what each means."""

    method: str | Method = "tsit5"
    controller: str | GainLaw | None = None
    precision: PrecisionName = "float64"
    rtol: ToleranceLike = 1e-6
    atol: ToleranceLike = 1e-9
    first_step: float | None = None
    max_step: float | None = None
    max_steps: int = DEFAULT_MAX_STEPS
    save: str | Sequence[str] | None = None
    sweep: Sweep = "paired"
    linear_solver: LinearKind = "auto"
    preconditioner: Preconditioner | None = None
    buffers: Mapping[str, Location] | None = None
    device: str = "auto"
    lanes: int | None = None
    block_size: int | None = None
    max_registers: int | None = None
    poison: bool = False


class SolverOptions(TypedDict, total=False):
    """What `Solver` and `Solver.update` take by name."""

    method: str | Method
    controller: str | GainLaw | None
    precision: PrecisionName
    rtol: ToleranceLike
    atol: ToleranceLike
    first_step: float | None
    max_step: float | None
    max_steps: int
    save: str | Sequence[str] | None
    sweep: Sweep
    linear_solver: LinearKind
    preconditioner: Preconditioner | None
    buffers: Mapping[str, Location] | None
    device: str
    lanes: int | None
    block_size: int | None
    max_registers: int | None
    poison: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSettings:
    """What a solver's settings mean; `stiff_method` is what ``method="auto"`` may take too, by its own law."""

    tableau: Method
    stiff_method: Method | None
    law: GainLaw
    stiff_law: GainLaw
    precision: FloatPrecision
    limits: StepLimits
    linear: LinearChoice
    device: Device
    plan: Plan


def changed(settings: SolverSettings, changes: SolverOptions) -> SolverSettings:
    """Return the settings with some replaced.

    Raises
    ------
    UnknownOptionError: it offers the nearest name.
    """
    known = [field.name for field in fields(settings)]
    for name in changes:
        if name not in known:
            raise UnknownOptionError(f"unknown option '{name}'.{nearest(name, known) or f' There are {known}.'}")
    return replace(settings, **changes)


def checked(settings: SolverSettings) -> CheckedSettings:
    """Check the settings, all but those that need the system.

    Raises
    ------
    TypeError, ValueError, LookupError: if one makes no sense.
    """
    if not isinstance(settings.method, str | ButcherTableau | RosenbrockTableau):
        raise TypeError(
            f"method must be a name or a tableau, got {settings.method!r}. cubie.methods() lists the names."
        )
    chooses = isinstance(settings.method, str) and canonical_form(settings.method) == AUTO
    named = EXPLICIT_METHOD if chooses else settings.method
    tableau = find_method(named) if isinstance(named, str) else named
    law = _control(settings, tableau)
    if chooses and not law.is_adaptive:
        raise ValueError(
            f"method 'auto' must have a controller that adapts the steps, got '{law.name}'. Name a method, or leave "
            "the controller out."
        )
    stiff_method = find_method(STIFF_METHOD) if chooses else None
    return CheckedSettings(
        tableau=tableau,
        stiff_method=stiff_method,
        law=law,
        stiff_law=law if stiff_method is None else _control(settings, stiff_method),
        precision=_precision(settings.precision),
        limits=_limits(settings, law),
        linear=find_linear_choice(settings.linear_solver, settings.preconditioner),
        device=find_device(settings.device),
        plan=_plan(settings),
    )


def refuse_idle(named: SolverOptions, meant: CheckedSettings, system: ODESystem) -> None:
    """Refuse what is named now and would do nothing; what was named before may wait for another method.

    Raises
    ------
    ValueError: it says what to leave out.
    """
    linear, method = meant.linear, meant.tableau
    names_solver = "linear_solver" in named and linear.kind != "auto"
    names_preconditioner = "preconditioner" in named and linear.preconditioner is not None
    if is_explicit(method) and meant.stiff_method is None and (names_solver or names_preconditioner):
        option = "linear_solver" if names_solver else "preconditioner"
        raise ValueError(
            f"{option} must go with an implicit method, got '{method.name}', which solves no linear systems. Leave it "
            "out, or use such as method='rodas5p'."
        )
    if names_preconditioner and linear.kind_for(system) == "direct":
        raise ValueError(
            f"preconditioner must go with an iterative linear_solver, got '{linear.preconditioner}' with "
            f"'{linear.kind}', which eliminates here. Leave it out, or use linear_solver='bicgstab'."
        )


def _precision(name: object) -> FloatPrecision:
    if not isinstance(name, str) or name not in FLOAT_PRECISIONS:
        said = name.__name__ if isinstance(name, type) else str(name)
        raise ValueError(f"precision must be 'float32' or 'float64', got {name!r}.{nearest(said, FLOAT_PRECISIONS)}")
    return FLOAT_PRECISIONS[name]


def usual_controller(method: Method) -> str:
    """Return the name of a method's default controller; a method without an error estimate takes fixed steps."""
    if error_order(method) is None:
        return "fixed"
    return DEFAULT_CONTROLLER if is_explicit(method) else IMPLICIT_CONTROLLER


def _control(settings: SolverSettings, tableau: Method) -> GainLaw:
    """Return the controller: by default the method's usual one."""
    estimates_error = error_order(tableau) is not None
    if isinstance(settings.controller, GainLaw):
        law = settings.controller
    elif settings.controller is None:
        law = GAIN_LAWS[usual_controller(tableau)]
    else:
        law = find_gain_law(settings.controller)
    if law.is_adaptive and not estimates_error:
        raise ValueError(
            f"controller '{law.name}' must have an error to go by, got '{tableau.name}', which estimates none. "
            "Use controller='fixed' with first_step, or an adaptive method."
        )
    return law


def _limits(settings: SolverSettings, law: GainLaw) -> StepLimits:
    for name, length in (("first_step", settings.first_step), ("max_step", settings.max_step)):
        if length is not None and not (_is_number(length) and length > 0 and not math.isnan(length)):
            raise ValueError(
                f"{name} must be a positive length in the units of t, got {length!r}. Leave it out for no bound."
            )
    if settings.first_step is None and not law.is_adaptive:
        raise ValueError(
            "first_step must be given for steps of fixed length, got None. Give their length in the units of t."
        )
    if settings.first_step is not None and math.isinf(settings.first_step):
        raise ValueError("first_step must be finite, got inf. Leave it out for an automatic first step.")
    max_steps = whole_number(settings.max_steps)
    if max_steps is None or not 1 <= max_steps < 2**31:
        raise ValueError(
            f"max_steps must be a whole number from 1 to {2**31 - 1}, got {settings.max_steps!r}. Give such a number."
        )
    return StepLimits(
        first_step=None if settings.first_step is None else float(settings.first_step),
        max_step=None if settings.max_step is None else float(settings.max_step),
        max_steps=max_steps,
    )


def _plan(settings: SolverSettings) -> Plan:
    """Return what is said of building and launching kernels."""
    return Plan(
        lanes=_one_of("lanes", settings.lanes, LANES),
        block_size=_one_of("block_size", settings.block_size, BLOCK_SIZES),
        max_registers=_one_of("max_registers", settings.max_registers, REGISTERS),
        buffers=_locations(settings.buffers),
    )


def _one_of(name: str, value: object, allowed: Sequence[int]) -> int | None:
    """Return a whole number that is allowed, or the None of who leaves the choice."""
    number = whole_number(value)
    if value is not None and number not in allowed:
        listed = f"from {allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else f"one of {allowed}"
        raise ValueError(f"{name} must be {listed}, got {value!r}. Leave it out for what suits.")
    return number


def methods() -> list[str]:
    """List the names that `method` takes, one for each method; its aliases are in its row."""
    return list(METHODS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _locations(buffers: Mapping[str, Location] | None) -> dict[str, Location]:
    if buffers is not None and not isinstance(buffers, Mapping):
        raise TypeError(
            "buffers must be a mapping from a buffer's path to 'shared' or 'local', such as "
            f"{{'step.stage_rates': 'shared'}}, got {buffers!r}. Solver.report() lists the paths."
        )
    for path, location in (buffers or {}).items():
        if location not in LOCATIONS:
            raise ValueError(f"the location of buffer '{path}' must be 'shared' or 'local', got {location!r}.")
    return dict(buffers or {})
