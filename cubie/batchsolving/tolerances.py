"""Error tolerances, one number for all states or one for each."""

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np

from cubie._types import FloatPrecision
from cubie.batchsolving.arrays import FloatArray, SupportsArray, Values, check_finite, float_array, in_precision
from cubie.batchsolving.system_interface import canonical, unknown_name

DEFAULT_RTOL: Final = 1e-6
DEFAULT_ATOL: Final = 1e-9
MIN_RTOL_IN_EPS: Final = 4
"""A relative error below a few units of rounding can't be told from rounding itself."""

ToleranceLike: TypeAlias = Values | Mapping[str, float | SupportsArray]


class CubieWarning(UserWarning):
    """Something was asked for that can't be had as it stands; the text says what is done instead."""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tolerances:
    """What a step's error is measured against: ``atol + rtol * abs(y)``, state by state."""

    rtol: FloatArray
    """Shape (n_states,), in the precision of the solve."""
    atol: FloatArray
    """Shape (n_states,), in the precision of the solve and the units of each state."""
    both: FloatArray
    """Shape (2 * n_states,): rtol, then atol."""
    first: tuple[float, float]
    """rtol and atol of the first state."""
    scalar: bool
    """Whether one rtol and one atol hold for all states."""


def make_tolerances(
    rtol: ToleranceLike, atol: ToleranceLike, states: tuple[str, ...], precision: FloatPrecision
) -> Tolerances:
    """Check tolerances and spread them over the states.

    States that a mapping leaves out take the default. An rtol below four units of rounding, and an atol below the
    smallest number of the precision, are raised to these, with a warning; an atol of 0 without one, so that a state
    that is exactly 0 still has a scale.

    Raises
    ------
    UnknownNameError: if a mapping names no state.
    TypeError: if values are not real numbers.
    ValueError: if a tolerance is negative or not finite, a shape is wrong, or a state's two tolerances are both 0.
    """
    relative, absolute = _per_state("rtol", rtol, DEFAULT_RTOL, states), _per_state("atol", atol, DEFAULT_ATOL, states)
    for state, r, a in zip(states, relative, absolute, strict=True):
        if r == 0 and a == 0:
            raise ValueError(f"rtol and atol must not both be 0, got 0 and 0 for {state!r}. Give one of them a value.")
    limits = np.finfo(precision)
    least, tiny = MIN_RTOL_IN_EPS * float(limits.eps), float(limits.tiny)
    if bool((relative < least).any()):
        advice = " Use precision='float64' for less." if precision is np.float32 else ""
        warn(f"rtol must be at least 4 units of rounding, got {float(relative.min())!r}; {least:.3g} is used.{advice}")
    if bool(((absolute > 0) & (absolute < tiny)).any()):
        warn(f"atol must be a normal number of {precision.__name__}, got {absolute.min()!r}; {tiny:.3g} is used.")
    rounded_rtol = _rounded(np.maximum(relative, least), precision, "rtol")
    rounded_atol = _rounded(np.maximum(absolute, tiny), precision, "atol")
    return Tolerances(
        rtol=rounded_rtol,
        atol=rounded_atol,
        both=np.concatenate([rounded_rtol, rounded_atol]),
        first=(float(rounded_rtol[0]), float(rounded_atol[0])),
        scalar=not any(isinstance(given, Mapping) or np.asarray(given).ndim for given in (rtol, atol)),
    )


def warn(message: str) -> None:
    """Warn of something in the user's call, shown at the line that made it."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cubie."):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, CubieWarning, stacklevel=depth)


def _per_state(name: str, given: ToleranceLike, default: float, states: tuple[str, ...]) -> FloatArray:
    """Return one argument as an array of float64, shape (n_states,)."""
    if isinstance(given, Mapping):
        values = np.full(len(states), default)
        for state, value in given.items():
            state = canonical(state)
            if state not in states:
                raise unknown_name(state, states, f"state in {name}")
            number = float_array(value, f"{name}[{state!r}]")
            if number.ndim != 0:
                raise ValueError(
                    f"{name}[{state!r}] must be one number, got shape {number.shape}. It holds in all runs."
                )
            values[states.index(state)] = number
    else:
        array = float_array(given, name).astype(np.float64)
        if array.shape not in ((), (len(states),)):
            raise ValueError(
                f"{name} must be one number or have shape ({len(states)},), got {array.shape}. "
                "Give one value per state, in declared order, or a mapping by name."
            )
        values = np.broadcast_to(array, (len(states),))
    check_finite(values, values, name)
    if bool((values < 0).any()):
        raise ValueError(f"{name} must not be negative, got {float(values.min())!r}. Give a positive tolerance.")
    return values


def _rounded(values: FloatArray, precision: FloatPrecision, name: str) -> FloatArray:
    rounded = in_precision(values, precision)
    check_finite(rounded, values, name)
    return rounded
