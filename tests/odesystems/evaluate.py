"""Runs the emitted text with plain NumPy, as a target would."""

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cubie._types import FloatPrecision
from cubie.odesystems import DeviceSource, ODESystem, observables_source, rate_source

Values: TypeAlias = npt.NDArray[np.float64]

_SAME_NAME: Final = [
    "sqrt",
    "exp",
    "expm1",
    "exp2",
    "log",
    "log1p",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "floor",
    "ceil",
    "absolute",
    "cbrt",
    "fmod",
    "sign",
]
_RENAMED: Final = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "pow": "power",
    "atan2": "arctan2",
    "minimum": "minimum",
    "maximum": "maximum",
    "hypot": "hypot",
    "select": "where",
    "negate": "logical_not",
}


def _fma(a: Values, b: Values, c: Values) -> Values:
    return a * b + c


def _splat(value: np.float64) -> np.float64:
    return value


def _erf(x: Values) -> Values:
    return np.array([math.erf(value) for value in x.flat], dtype=x.dtype).reshape(x.shape)


PRIMITIVES: Final[dict[str, object]] = {
    "fma": _fma,
    "splat": _splat,
    "erf": _erf,
    **{name: getattr(np, name) for name in _SAME_NAME},
    **{name: getattr(np, numpys) for name, numpys in _RENAMED.items()},
}


def run(
    source: DeviceSource,
    n_out: int,
    t: float,
    y: Sequence[float],
    p: Sequence[float],
    precision: FloatPrecision,
    *more: Sequence[float],
) -> Values:
    """Return what the function of a source stores, shape (n_out,), computed in `precision`; `more` precedes `out`."""
    namespace: dict[str, object] = {**PRIMITIVES, **{name: precision(value) for name, value in source.constants}}
    exec(source.text, namespace)
    function = namespace[source.name]
    assert callable(function)
    out = np.full(n_out, np.nan, dtype=precision)
    inputs = [np.array(values, dtype=precision) for values in (y, p, (), *more)]
    with np.errstate(all="ignore"):
        function(precision(t), *inputs, out)
    assert out.dtype == precision
    return out.astype(np.float64)


def rates(
    system: ODESystem,
    y: Sequence[float],
    p: Sequence[float] = (),
    *,
    t: float = 0.0,
    precision: FloatPrecision = np.float64,
) -> Values:
    """Return f(t, y), shape (n_states,)."""
    return run(rate_source(system, precision), system.n_states, t, y, p, precision)


def observables(
    system: ODESystem,
    y: Sequence[float],
    p: Sequence[float] = (),
    *,
    t: float = 0.0,
    precision: FloatPrecision = np.float64,
) -> Values:
    """Return the observables at (t, y), shape (n_observables,)."""
    return run(observables_source(system, precision), system.n_observables, t, y, p, precision)
