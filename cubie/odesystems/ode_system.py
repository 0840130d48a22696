"""A system of ordinary differential equations as a value: names, defaults and checked expressions."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, final

from typing_extensions import override

from cubie._types import nearest
from cubie.odesystems.declarations import Declarations, Pairs, check_value
from cubie.odesystems.errors import InvalidValueError, UnknownSymbolError
from cubie.odesystems.mass_matrix import MassEntries, identity
from cubie.odesystems.symbolic.checked import CheckedForm, digest
from cubie.odesystems.symbolic.differentiate import SparseMatrix, jacobian, time_derivative
from cubie.odesystems.symbolic.graph import Number
from cubie.odesystems.symbolic.passes import Expressions
from cubie.odesystems.symbolic.to_text import to_text


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class ODESystem:
    """Rates f(t, y, parameters) of some states, and observables; equal by value, and small to pickle.

    Parameters
    ----------
    state_defaults, parameter_defaults : in the order of the names; NaN where a solve must give the value.
    constants : names and numbers, compiled in.
    observables : the auxiliaries that can be saved beside the states.
    expressions : in which names have become positions.
    mass_matrix : row, column and value of each entry of M in ``M @ dy/dt = f`` that is not zero; None for the identity.
    """

    name: str
    states: tuple[str, ...]
    state_defaults: tuple[float, ...]
    parameters: tuple[str, ...]
    parameter_defaults: tuple[float, ...]
    constants: Pairs
    observables: tuple[str, ...]
    expressions: CheckedForm
    mass_matrix: MassEntries | None = None

    def __post_init__(self) -> None:
        # One NaN object: tuples hold equal what is identical, so that a system equals its pickled copy.
        for field, values in (("state_defaults", self.state_defaults), ("parameter_defaults", self.parameter_defaults)):
            object.__setattr__(self, field, tuple(math.nan if math.isnan(value) else value for value in values))

    @classmethod
    def of(
        cls, name: str, declared: Declarations, expressions: CheckedForm, mass_matrix: MassEntries | None = None
    ) -> Self:
        """Make a system of checked parts."""
        states = declared.states or ()
        return cls(
            name=name,
            states=tuple(state for state, _ in states),
            state_defaults=tuple(value for _, value in states),
            parameters=tuple(parameter for parameter, _ in declared.parameters),
            parameter_defaults=tuple(value for _, value in declared.parameters),
            constants=declared.constants,
            observables=declared.observables,
            expressions=expressions,
            mass_matrix=mass_matrix,
        )

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.states)

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    @property
    def n_observables(self) -> int:
        """Number of observables."""
        return len(self.observables)

    @cached_property
    def digest(self) -> str:
        """A hash of what is computed, the same in every process; names and defaults don't count, constants do."""
        saved = self.expressions.observables(self.observables)
        roots = self.expressions.rates + saved.roots
        constants = [value for _, value in self.constants]
        sizes = [self.n_states, self.n_parameters]
        mass = [number for entry in self.mass_matrix or () for number in entry]
        return digest(Expressions(self.expressions.nodes, roots), sizes, constants, mass)

    @property
    def mass(self) -> Mapping[tuple[int, int], float]:
        """The entries of the mass matrix, by row and column."""
        if self.mass_matrix is None:
            return identity(self.n_states)
        return {(row, column): value for row, column, value in self.mass_matrix}

    @cached_property
    def jacobian(self) -> SparseMatrix:
        """The derivatives of the rates by the states, constants compiled in."""
        return jacobian(self.rates, self.constant_values)

    @property
    def jacobian_pattern(self) -> tuple[tuple[int, int], ...]:
        """Row and column of each derivative that is not zero, row by row."""
        return self.jacobian.pattern

    @cached_property
    def is_autonomous(self) -> bool:
        """The rates don't depend on the time, for the constants there are."""
        derivative = time_derivative(self.rates, self.constant_values)
        return all(derivative.nodes[root] == Number(0.0) for root in derivative.roots)

    @property
    def rates(self) -> Expressions:
        """The rates, in which constants are symbols."""
        return Expressions(self.expressions.nodes, self.expressions.rates)

    @property
    def constant_values(self) -> list[float]:
        """The numbers that are compiled in."""
        return [value for _, value in self.constants]

    def with_constants(self, **values: float) -> "ODESystem":
        """Return the system with other values for some of its constants.

        Raises
        ------
        UnknownSymbolError: it offers the nearest name.
        InvalidValueError: if a value isn't a finite number, or decided what a traced function computes.
        """
        names = [name for name, _ in self.constants]
        for name in values:
            if name not in names:
                kind = (
                    " It is a parameter: give its value when you solve."
                    if name in self.parameters
                    else nearest(name, names)
                )
                raise UnknownSymbolError(f"{self.name} has no constant {name!r}.{kind or f' It has {names}.'}")
        for index in self.expressions.decided:
            name, value = self.constants[index]
            if values.get(name, value) != value:
                raise InvalidValueError(
                    f"constant {name!r} must stay {value!r}: it decided what the Python function computes. "
                    "Create the system again with the other value."
                )
        changed = tuple(
            (name, check_value("constant", name, values.get(name, value))) for name, value in self.constants
        )
        return replace(self, constants=changed)

    def to_text(self) -> str:
        """Return the equations as text, one a line, as `create_ode_system` reads it."""
        constants = [name for name, _ in self.constants]
        return to_text(self.expressions, self.states, self.parameters, constants, self.observables)

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (
            self.name,
            self.states,
            self.state_defaults,
            self.parameters,
            self.parameter_defaults,
            self.constants,
            self.observables,
            self.expressions,
            self.mass_matrix,
        )

    @override
    def __repr__(self) -> str:
        parts = [
            f"states {_listed(self.states, self.state_defaults)}",
            f"parameters {_listed(self.parameters, self.parameter_defaults)}",
            f"constants {_listed([name for name, _ in self.constants], [value for _, value in self.constants])}",
            f"observables {', '.join(self.observables)}",
        ]
        counts = (self.n_states, self.n_parameters, len(self.constants), self.n_observables)
        return f"<ODESystem {self.name!r}: {'; '.join(part for part, n in zip(parts, counts, strict=True) if n)}>"


def _restore(
    name: str,
    states: tuple[str, ...],
    state_defaults: tuple[float, ...],
    parameters: tuple[str, ...],
    parameter_defaults: tuple[float, ...],
    constants: Pairs,
    observables: tuple[str, ...],
    expressions: CheckedForm,
    mass_matrix: MassEntries | None,
) -> ODESystem:
    return ODESystem(
        name=name,
        states=states,
        state_defaults=state_defaults,
        parameters=parameters,
        parameter_defaults=parameter_defaults,
        constants=constants,
        observables=observables,
        expressions=expressions,
        mass_matrix=mass_matrix,
    )


def _listed(names: Iterable[str], values: Iterable[float]) -> str:
    shown = [name if math.isnan(value) else f"{name}={value:g}" for name, value in zip(names, values, strict=True)]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:6], "...", shown[-1]])
