"""What a user declares about a model: names and numbers, checked once."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Final, SupportsFloat, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from cubie.odesystems.errors import DuplicateNameError, InvalidNameError, InvalidValueError

TIME: Final = "t"
GRAMMAR_WORDS: Final = frozenset({"if", "else", "and", "or", "not"})
NOT_GIVEN: Final = math.nan
"""Stands for a default that a name has not been given: a solve must give the value."""

Names: TypeAlias = Sequence[str]
Numbers: TypeAlias = Mapping[str, SupportsFloat]
Values: TypeAlias = Numbers | Names
StateValues: TypeAlias = Values | Sequence[SupportsFloat] | NDArray[np.float64]
Pairs: TypeAlias = tuple[tuple[str, float], ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Names in the order of declaration, each with its number; a default that was not given is NaN.

    Parameters
    ----------
    states : None where the equations shall tell.
    """

    states: Pairs | None
    parameters: Pairs
    constants: Pairs
    observables: tuple[str, ...]


def declarations(
    states: StateValues | None,
    parameters: Values | None,
    constants: Numbers | None,
    observables: Names | None,
) -> Declarations:
    """Check what was declared.

    Raises
    ------
    InvalidNameError, InvalidValueError, DuplicateNameError
    """
    if constants is not None and not isinstance(constants, Mapping):
        raise InvalidValueError(
            f"constants must map names to numbers, got {constants!r}. Write constants={{'g': 9.81}}."
        )
    declared = Declarations(
        states=None if states is None else _state_pairs(states),
        parameters=_pairs("parameters", parameters),
        constants=_pairs("constants", constants),
        observables=tuple(_names("observables", observables)),
    )
    check_all_distinct(declared)
    return declared


def check_all_distinct(declared: Declarations) -> None:
    """Refuse names that are, or normalise to, the same.

    Raises
    ------
    DuplicateNameError
    """
    kinds = {"state": declared.states, "parameter": declared.parameters, "constant": declared.constants}
    _check_distinct([(kind, name) for kind, pairs in kinds.items() for name, _ in pairs or ()])
    _check_distinct([("observable", name) for name in declared.observables])


def key(name: str) -> str:
    """Return the form in which names are compared: Unicode's NFKC, as Python compares identifiers."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def check_name(kind: str, name: object) -> str:
    """Return the name if an equation can use it.

    Raises
    ------
    InvalidNameError
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidNameError(
            f"{kind} names must be identifiers (a letter or _, then letters, digits and _), got {name!r}. Rename it."
        )
    if key(name) in GRAMMAR_WORDS or key(name) == TIME:
        meaning = "the independent variable" if key(name) == TIME else "a word of the model language"
        raise InvalidNameError(f"{kind} names must differ from {name!r}, which is {meaning}. Rename it.")
    return name


def check_value(kind: str, name: str, value: object) -> float:
    """Return the value as a float if it is one finite real number.

    Raises
    ------
    InvalidValueError
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise InvalidValueError(
        f"{kind} {name!r} must be one finite number, got {value!r}. "
        "Declare a single default here; give the values of a sweep when you solve."
    )


def _check_distinct(declared: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for kind, name in declared:
        if key(name) in seen:
            other_kind, other = seen[key(name)]
            alike = "" if other == name else f" ({other!r} and {name!r} are one name in Unicode's NFKC form)"
            raise DuplicateNameError(
                f"every name must be declared once, got {name!r} as {_article(other_kind)} and as "
                f"{_article(kind)}{alike}. "
                "Rename one of them."
            )
        seen[key(name)] = (kind, name)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _state_pairs(states: StateValues) -> Pairs:
    if isinstance(states, (Mapping, str)):
        return _pairs("states", states)
    values = list(states)
    names = [value for value in values if isinstance(value, str)]
    if names and len(names) == len(values):
        return _pairs("states", names)
    return tuple((f"y{i}", check_value("state", f"y{i}", value)) for i, value in enumerate(values))


def _pairs(kind: str, values: Values | None) -> Pairs:
    if isinstance(values, Mapping):
        single = kind.removesuffix("s")
        return tuple((check_name(single, name), check_value(single, name, value)) for name, value in values.items())
    return tuple((name, NOT_GIVEN) for name in _names(kind, values))


def _names(kind: str, names: Names | None) -> list[str]:
    if isinstance(names, str):
        raise InvalidNameError(f"{kind} must be a list of names, got the text {names!r}. Write [{names!r}].")
    return [check_name(kind.removesuffix("s"), name) for name in names or ()]
