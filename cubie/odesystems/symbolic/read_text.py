"""From equations in text to the checked form: what each line defines, and whether every name is right."""

import graphlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, final

from cubie._types import nearest
from cubie.odesystems.declarations import NOT_GIVEN, TIME, Declarations, check_all_distinct, key
from cubie.odesystems.errors import (
    CyclicAuxiliaryError,
    DuplicateNameError,
    InvalidNameError,
    MissingEquationError,
    ShadowedStateError,
    UnknownSymbolError,
    UnusedNameError,
)
from cubie.odesystems.symbolic.checked import CheckedForm
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId
from cubie.odesystems.symbolic.known_values import KnownValues
from cubie.odesystems.symbolic.parser import parse
from cubie.odesystems.symbolic.statements import Statement, quoted, statements
from cubie.odesystems.symbolic.vocabulary import WORDS, as_real

NUMBERS: Final[Mapping[str, float]] = {"pi": math.pi, "π": math.pi}
TRUTHS: Final[Mapping[str, str]] = {"True": "true", "true": "true", "False": "false", "false": "false"}


def read_text(equations: str | Sequence[str], declared: Declarations) -> tuple[CheckedForm, Declarations]:
    """Check equations against what was declared; return them with the declarations, states inferred where asked.

    Raises
    ------
    ModelError: one of its kinds for each thing that can be wrong.
    """
    lines = statements(equations)
    if declared.states is None:
        names = _inferred_states(lines, declared.observables)
        declared = replace(declared, states=tuple((name, NOT_GIVEN) for name in names))
        check_all_distinct(declared)
    model = _TextModel(lines, declared)
    return model.checked(), declared


def _inferred_states(lines: Iterable[Statement], observables: Iterable[str]) -> list[str]:
    """Return x for x' = ..., dx/dt = ..., and for every dx = ... whose left side is used nowhere."""
    used = {name for line in lines for name in line.references} | {key(name) for name in observables}
    found: dict[str, None] = {}
    for line in lines:
        if line.form == "rate":
            found[line.target] = None
        elif line.target[0] == "d" and line.target not in used and line.target[1:].isidentifier():
            found[line.target[1:]] = None
    if not found:
        raise MissingEquationError(
            "a model must have at least one rate, got none. Write dx = ..., x' = ... or dx/dt = ..."
        )
    return list(found)


@final
class _TextModel:
    """The lines of one model, sorted into rates and auxiliaries."""

    def __init__(self, lines: Iterable[Statement], declared: Declarations) -> None:
        self._declared = declared
        states = declared.states or ()
        self._states: Final = {key(name): i for i, (name, _) in enumerate(states)}
        self._parameters: Final = {key(name): i for i, (name, _) in enumerate(declared.parameters)}
        self._constants: Final = {key(name): i for i, (name, _) in enumerate(declared.constants)}
        self._inputs: Final = {
            **dict.fromkeys(self._states, "state"),
            **dict.fromkeys(self._parameters, "parameter"),
            **dict.fromkeys(self._constants, "constant"),
        }
        self._rates: Final[dict[str, Statement]] = {}
        self._auxiliaries: Final[dict[str, Statement]] = {}
        self._g: Final = GraphBuilder()
        self._known: Final = KnownValues(self._g)
        self._nodes: Final[dict[str, NodeId]] = {}
        """Nodes of the auxiliaries read so far."""
        for line in lines:
            self._sort(line)

    def checked(self) -> CheckedForm:
        """Read all expressions."""
        self._check_complete()
        lines = (*self._rates.values(), *self._auxiliaries.values())
        for line in lines:
            self._check_names(line)
        for name in self._definition_order():
            self._nodes[name] = parse(self._auxiliaries[name], self._g, self._resolve, self._known)
        rates = [
            as_real(self._g, parse(self._rates[name], self._g, self._resolve, self._known)) for name in self._states
        ]
        saved = [self._observable(name) for name in self._declared.observables]
        self._check_used(lines)
        shown = {key(name): name for name in self._declared.observables}
        auxiliaries = {shown.get(name, name): self._nodes[name] for name in self._auxiliaries}
        auxiliaries |= dict(zip(self._declared.observables, saved, strict=True))
        return CheckedForm.of(self._g.nodes, rates, tuple(auxiliaries.items()))

    def _sort(self, line: Statement) -> None:
        """Tell a rate from an auxiliary: `dx = ...` is a rate exactly when x is a state."""
        name = line.target
        if line.form == "rate":
            if name not in self._states:
                raise UnknownSymbolError(
                    f"{quoted(line.source)} is for {name!r}, which isn't a state.{nearest(name, self._states)} "
                    "Declare it in states."
                )
            self._define(self._rates, name, line, "rate of")
        elif name[0] == "d" and name[1:] in self._states:
            if name in self._inputs:
                raise DuplicateNameError(
                    f"{quoted(line.source)} could be for the {self._inputs[name]} {name!r} or for the rate of "
                    f"{name[1:]!r}. "
                    f"Write {name[1:]}' = ... or d{name[1:]}/dt = ..., or rename {name!r}."
                )
            self._define(self._rates, name[1:], line, "rate of")
        else:
            self._check_free(line)
            self._define(self._auxiliaries, name, line, "auxiliary")

    def _define(self, table: dict[str, Statement], name: str, line: Statement, what: str) -> None:
        if name in table:
            raise DuplicateNameError(
                f"the {what} {name!r} must have one equation, got {quoted(table[name].source)} and "
                f"{quoted(line.source)}. "
                "Remove or rename one."
            )
        table[name] = line

    def _check_free(self, line: Statement) -> None:
        name = line.target
        if name in self._states:
            raise ShadowedStateError(
                f"{quoted(line.source)} defines the state {name!r}. Write d{name} = ... for its rate, or choose "
                "another name."
            )
        if name in self._inputs:
            raise DuplicateNameError(
                f"{quoted(line.source)} defines {name!r}, which is declared as a {self._inputs[name]}. "
                "Remove the line or the declaration."
            )
        if name == TIME:
            raise InvalidNameError(
                f"{quoted(line.source)} defines {TIME!r}, the independent variable. Choose another name."
            )

    def _check_complete(self) -> None:
        missing = [name for name in self._states if name not in self._rates]
        if missing:
            name = missing[0]
            others = f" (nor have {', '.join(missing[1:])})" if len(missing) > 1 else ""
            raise MissingEquationError(
                f"the state {name!r} has no equation{others}. Add d{name} = ... or remove the state."
            )
        if not self._states:
            raise MissingEquationError("a model must have at least one state, got none. Declare states={'x': 1.0}.")

    def _check_names(self, line: Statement) -> None:
        for name in line.names:
            if name in line.references and not self._is_known(name):
                raise UnknownSymbolError(
                    f"{quoted(line.source)} has the unknown symbol {described(name)}.{self._hint(name)}"
                )

    def _is_known(self, name: str) -> bool:
        return any(name in table for table in (self._inputs, self._auxiliaries, NUMBERS, TRUTHS)) or name == TIME

    def _hint(self, name: str) -> str:
        if name in WORDS:
            return f" It is a function: write {name}(...)."
        if name in ("e", "E"):
            return " Declare it; or write exp(1) for Euler's number."
        if name[0] == "d" and name[1:] in self._states:
            return f" For the rate of {name[1:]!r}, put its expression in an auxiliary line and use that."
        close = nearest(name, (*self._inputs, *self._auxiliaries, TIME, *NUMBERS))
        return close or " Declare it in parameters or constants, or define it by a line of its own."

    def _definition_order(self) -> list[str]:
        """Return the auxiliaries so that each comes after those it needs."""
        needs = {
            name: [other for other in line.names if other in self._auxiliaries and other in line.references]
            for name, line in self._auxiliaries.items()
        }
        try:
            return list(graphlib.TopologicalSorter(needs).static_order())
        except graphlib.CycleError as error:
            cycle = error.args[1]
            assert isinstance(cycle, list)
            raise CyclicAuxiliaryError(
                f"auxiliaries must not need their own values, got {' <- '.join(cycle)}. Make one of them a state, or "
                "eliminate it."
            ) from None

    def _resolve(self, name: str) -> NodeId:
        """Return the node of a name that is known; the user's own names come before pi and True."""
        if name in self._states:
            return self._g.symbol("state", self._states[name])
        if name in self._parameters:
            return self._g.symbol("parameter", self._parameters[name])
        if name in self._constants:
            return self._g.symbol("constant", self._constants[name])
        if name in self._nodes:
            return self._nodes[name]
        if name == TIME:
            return self._g.symbol("time", 0)
        return self._g.number(NUMBERS[name]) if name in NUMBERS else self._g.operation(TRUTHS[name])

    def _observable(self, name: str) -> NodeId:
        """Return the node of an observable, a condition as 1 or 0."""
        if key(name) in self._nodes:
            return as_real(self._g, self._nodes[key(name)])
        kind = self._inputs.get(key(name))
        if kind == "state":
            raise ShadowedStateError(
                f"the observable {name!r} is a state, which is saved anyway. Take it out of observables."
            )
        hint = f" It is a {kind}, the same at all times." if kind else nearest(name, self._auxiliaries)
        raise UnknownSymbolError(f"observables must be auxiliary lines, got {name!r}.{hint} Add a line '{name} = ...'.")

    def _check_used(self, lines: Iterable[Statement]) -> None:
        used = {name for line in lines for name in line.references} | {key(name) for name in self._declared.observables}
        for name, kind in self._inputs.items():
            if kind != "state" and name not in used:
                close = nearest(name, self._auxiliaries)
                raise UnusedNameError(f"the {kind} {name!r} is used in no equation.{close} Use it or remove it.")
        for name, line in self._auxiliaries.items():
            if name not in used:
                rate = (
                    f" If it is the rate of {name[1:]!r}, declare {name[1:]!r} in states."
                    if name[0] == "d" and name[1:]
                    else ""
                )
                raise UnusedNameError(
                    f"the auxiliary of {quoted(line.source)} is used nowhere.{rate} Use it, list it in observables, "
                    "or remove it."
                )


def described(name: str) -> str:
    """Return a name as messages show it, with its code points where it may look like another."""
    points = " ".join(f"U+{ord(character):04X}" for character in name if not character.isascii())
    return f"{name!r} ({points})" if points else f"{name!r}"
