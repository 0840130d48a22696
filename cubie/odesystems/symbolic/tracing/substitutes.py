"""What stands for functions of `math`, NumPy and the builtins where their arguments may be symbols."""

from collections.abc import Sequence
from functools import reduce
from typing import Final, final

import numpy as np

from cubie.odesystems.errors import TracingError
from cubie.odesystems.symbolic.tracing.values import (
    Traced,
    TracedArray,
    as_array,
    dressed,
    elementwise,
    for_each,
    traced_in,
)


@final
class MathFunction:
    """A function of `math` that takes symbols too."""

    def __init__(self, name: str, original: object) -> None:
        self._name = name
        self._original = original

    def __call__(self, *arguments: object) -> object:
        trace = traced_in(arguments)
        if trace is not None and self._name != "fsum":
            return trace.call(self._name, arguments)
        if trace is not None:
            return NumpyFunction(np.sum)(*arguments)
        assert callable(self._original)
        return self._original(*arguments)


@final
class NumpyFunction:
    """A function of NumPy whose results hold symbols where its arguments do."""

    def __init__(self, original: object) -> None:
        self._original = original

    def __call__(self, *arguments: object, **options: object) -> object:
        assert callable(self._original)
        return dressed(
            self._original(*map(_argument, arguments), **{name: _argument(v) for name, v in options.items()})
        )

    def __getattr__(self, name: str) -> object:
        return NumpyFunction(getattr(self._original, name))


@final
class Extremum:
    """`min` and `max`, of symbols too."""

    def __init__(self, word: str, original: object) -> None:
        self._word = word
        self._original = original

    def __call__(self, *arguments: object, **options: object) -> object:
        single = arguments[0] if len(arguments) == 1 else arguments
        values = (
            list(single) if isinstance(single, (list, tuple, np.ndarray)) or hasattr(single, "__iter__") else [single]
        )
        if options or traced_in(values) is None:
            assert callable(self._original)
            return self._original(*arguments, **options)
        return reduce(lambda a, b: elementwise(self._word, [a, b]), values)


def _argument(value: object) -> object:
    """Return an argument of NumPy's functions, lists of symbols as arrays."""
    if isinstance(value, (list, tuple)) and any(isinstance(item, Traced) for item in value):
        return as_array(value)
    if hasattr(value, "operand"):
        return as_array(value)
    return dressed(value) if isinstance(value, np.ndarray) else value


def _array(values: object, *_: object, **__: object) -> object:
    """Make an array: one that can take symbols, unless it is of whole numbers or truth values."""
    if traced_in(values) is None:
        plain = np.array(values)
        if plain.dtype.kind != "f":
            return plain
    return as_array(values)


def _full(shape: int | Sequence[int], value: object, *_: object, **__: object) -> TracedArray:
    return np.full(shape, value, dtype=object).view(TracedArray)


def _zeros(shape: int | Sequence[int], *_: object, **__: object) -> TracedArray:
    return _full(shape, 0.0)


def _ones(shape: int | Sequence[int], *_: object, **__: object) -> TracedArray:
    return _full(shape, 1.0)


def _empty(shape: int | Sequence[int], *_: object, **__: object) -> TracedArray:
    return _full(shape, None)


def _where(mask: object, *choices: object) -> object:
    if len(choices) != 2:
        raise TracingError(
            "np.where must have three arguments, got one. Positions aren't known before a run; give both values"
        )
    trace = traced_in([mask, *choices])
    if trace is None:
        return np.where(np.asarray(mask), np.asarray(choices[0]), np.asarray(choices[1]))
    return for_each(lambda values: trace.select(*values), [mask, *choices])


def _select(masks: Sequence[object], choices: Sequence[object], default: object = 0.0) -> object:
    result = default
    for mask, choice in zip(reversed(masks), reversed(choices), strict=True):
        result = _where(mask, choice, result)
    return result


def _clip(x: object, low: object = None, high: object = None, **_: object) -> object:
    if low is not None:
        x = elementwise("maximum", [x, low])
    return x if high is None else elementwise("minimum", [x, high])


NUMPY_SUBSTITUTES: Final[dict[str, object]] = {
    "array": _array,
    "asarray": _array,
    "asanyarray": _array,
    "zeros": _zeros,
    "ones": _ones,
    "empty": _empty,
    "full": _full,
    "where": _where,
    "select": _select,
    "clip": _clip,
}
