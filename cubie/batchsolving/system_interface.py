"""From the user's names to the positions that kernels use, and back."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, final

import numpy as np
import numpy.typing as npt

from cubie._types import FloatPrecision, nearest
from cubie.batchsolving.arrays import FloatArray, InputsLike, in_precision
from cubie.odesystems.create import Equations, create_ode_system
from cubie.odesystems.ode_system import ODESystem


class UnknownNameError(LookupError):
    """A name that the model, a solution or a list of choices does not have."""


class NamedSystem(Protocol):
    """What a sweep needs to know of an ODE system: names as declared, and defaults, NaN where a solve must give one."""

    @property
    def name(self) -> str: ...
    @property
    def states(self) -> tuple[str, ...]: ...
    @property
    def state_defaults(self) -> tuple[float, ...]: ...
    @property
    def parameters(self) -> tuple[str, ...]: ...
    @property
    def parameter_defaults(self) -> tuple[float, ...]: ...
    @property
    def constants(self) -> tuple[tuple[str, float], ...]: ...
    @property
    def observables(self) -> tuple[str, ...]: ...


@final
@dataclass(frozen=True, slots=True)
class SavedVariables:
    """What is written at each saved time, in the order of the rows of the output."""

    names: tuple[str, ...]
    indices: tuple[int, ...]
    """Index i < n_states is state i; others are observable i - n_states."""


@final
class Defaults(NamedTuple):
    """What inputs are that nobody gives, shape (n_inputs,), and the positions of those that must be given: they have
    no default, or one that the precision can't hold.
    """

    values: FloatArray
    unfit: tuple[int, ...]


@final
class SystemInterface:
    """Names of one system's states, parameters and observables, each with its position."""

    def __init__(self, system: NamedSystem) -> None:
        self.name: Final = system.name
        self.states: Final = system.states
        self.parameters: Final = system.parameters
        self.observables: Final = system.observables
        self.constants: Final = tuple(name for name, _ in system.constants)
        self.inputs: Final = self.states + self.parameters
        """Inputs of a run in the order of `Inputs.offsets`: initial states, then parameters, as declared."""
        self.defaults: Final[npt.NDArray[np.float64]] = np.array(
            [*system.state_defaults, *system.parameter_defaults], dtype=np.float64
        )
        self._positions: Final = {name: position for position, name in enumerate(self.inputs)}
        self._rounded: Final[dict[FloatPrecision, Defaults]] = {}

    def defaults_in(self, precision: FloatPrecision) -> "Defaults":
        """Return the defaults of all inputs in `precision`."""
        if precision not in self._rounded:
            rounded = in_precision(self.defaults, precision)
            unfit = tuple(int(position) for position in np.flatnonzero(~np.isfinite(rounded)))
            self._rounded[precision] = Defaults(rounded, unfit)
        return self._rounded[precision]

    def state_index(self, name: str) -> int:
        """Return the position of state `name` among the inputs."""
        name = canonical(name)
        if name in self.states:
            return self._positions[name]
        hint = f" {name!r} is a parameter: give it in parameters." if name in self.parameters else ""
        raise unknown_name(name, self.states, "state", hint)

    def parameter_index(self, name: str) -> int:
        """Return the position of parameter `name` among the inputs."""
        name = canonical(name)
        if name in self.parameters:
            return self._positions[name]
        hint = f" {name!r} is a state: give its initial value in y0." if name in self.states else ""
        if name in self.constants:
            hint = f" {name!r} is a constant, compiled in: declare it as a parameter to sweep it."
        raise unknown_name(name, self.parameters, "parameter", hint)

    def saved_variables(self, save: str | Sequence[str] | None) -> SavedVariables:
        """Return what `save` asks for, in the order it lists; all states when it is None.

        Raises
        ------
        UnknownNameError: if a name is neither a state nor an observable.
        ValueError: if nothing is named, or something twice.
        """
        if save is None:
            return SavedVariables(self.states, tuple(range(len(self.states))))
        names = tuple(canonical(name) for name in ((save,) if isinstance(save, str) else save))
        if not names:
            raise ValueError("save must name at least one state or observable, got none. Leave it out for all states.")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"save must name each variable once, got {repeated[0]!r} twice. Name it once.")
        return SavedVariables(names, tuple(self._saved_index(name) for name in names))

    def _saved_index(self, name: str) -> int:
        saveable = self.states + self.observables
        if name in saveable:
            return saveable.index(name)
        hint = f" {name!r} is a parameter: see solution.coordinates." if name in self.parameters else ""
        raise unknown_name(name, saveable, "state or observable in save", hint)


def canonical(name: object) -> str:
    """Return a name as Python reads it in source text, so that two spellings of one character are one name."""
    return unicodedata.normalize("NFKC", str(name))


def unknown_name(name: object, known: Iterable[str], kind: str, hint: str = "") -> UnknownNameError:
    """Return the error for `name`: the `hint` or the nearest of the `known` names, and what there is."""
    names = tuple(known)
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    there_is = f"There is: {listed}." if names else "There is none."
    return UnknownNameError(f"unknown {kind}: {name!r}.{hint or nearest(str(name), names)} {there_is}")


def system_of(equations: Equations, y0: InputsLike | None, parameters: InputsLike | None) -> ODESystem:
    """Make the system of raw equations, whose states and parameters are the names that values were given for."""
    for argument, values in (("y0", y0), ("parameters", parameters)):
        if values is not None and not isinstance(values, Mapping):
            raise TypeError(
                f"{argument} must map names to values when equations are given, got {type(values).__name__}. "
                "Write {'x': 1.0}, or make the system first with cubie.create_ode_system(...)."
            )
    states = list(y0) if isinstance(y0, Mapping) else None
    return create_ode_system(
        equations, states=states, parameters=list(parameters) if isinstance(parameters, Mapping) else None
    )
