"""Symbols that behave like numbers and arrays, and write down what is done with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Final, TypeAlias, final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from typing_extensions import override

from cubie._types import nearest
from cubie.odesystems.errors import BranchOnValueError, TracingError, UnknownSymbolError
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId, Symbol, reachable
from cubie.odesystems.symbolic.known_values import KnownValues
from cubie.odesystems.symbolic.vocabulary import NUMPY_WORDS, as_real

ObjectArray: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.object_]]

_MASKS: Final = {
    "logical_and": "and",
    "logical_or": "or",
    "logical_not": "not",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_invert": "not",
    "invert": "not",
}
_SWAPPED: Final = {"greater": "less", "greater_equal": "less_equal"}
_NATIVE: Final = frozenset({"add", "multiply", "subtract"})


@final
class Trace:
    """One run of a function with symbols.

    Parameters
    ----------
    constants : values of the constants; they may decide branches and lengths.
    """

    def __init__(self, constants: Sequence[float]) -> None:
        self.g: Final = GraphBuilder()
        self.known: Final = KnownValues(self.g, constants)
        self.decided: Final[set[int]] = set()
        self.refusal: BranchOnValueError | None = None
        """The first one, in case the function or NumPy catches it."""

    def call(self, name: str, values: Sequence[object]) -> "Traced":
        """Write down a call of a function that NumPy calls `name`.

        Raises
        ------
        TracingError: if the model language doesn't have it.
        """
        if name in _MASKS:
            return Traced(self, self.g.operation(_MASKS[name], *(self._mask(value) for value in values)))
        if name in _SWAPPED:
            return self.call(_SWAPPED[name], values[::-1])
        word = NUMPY_WORDS.get(name)
        if word is None or not word.accepts(len(values)):
            raise TracingError(
                f"a model can't call {name} with {len(values)} values.{nearest(name, NUMPY_WORDS)} Write it in "
                "arithmetic."
            )
        return Traced(self, word.build(self.g, tuple(self.real(value) for value in values)))

    def select(self, mask: object, a: object, b: object) -> "Traced":
        """Write down a choice."""
        return Traced(self, self.g.operation("select", self._mask(mask), self.real(a), self.real(b)))

    def node(self, value: object) -> NodeId:
        """Return the node of a value: a symbol, or a finite number.

        Raises
        ------
        TracingError: for anything else.
        """
        if isinstance(value, Traced):
            return value.node
        if isinstance(value, Record):
            return self.node(value.operand())
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return self.node(value.item())
        if isinstance(value, (bool, np.bool_)):
            return self.g.operation("true" if value else "false")
        if isinstance(value, (int, float, np.integer, np.floating)) and np.isfinite(float(value)):
            return self.g.number(float(value))
        raise TracingError(
            f"a model must be made of finite numbers, got {value!r}. Compute with the arguments and plain numbers."
        )

    def real(self, value: object) -> NodeId:
        """Return the node of a number; a condition counts as 1 or 0."""
        return as_real(self.g, self.node(value))

    def _mask(self, value: object) -> NodeId:
        node = self.node(value)
        return node if self.g.kind(node) == "mask" else self.g.operation("not_equal", node, self.g.number(0.0))

    def decide(self, node: NodeId, use: str) -> float:
        """Return a value that must be known now, remembering the constants that it comes from.

        Raises
        ------
        BranchOnValueError: if it depends on time, states or parameters.
        """
        value = self.known.value(node)
        if value is None:
            refusal = BranchOnValueError(f"a value that is known only at run time is used {use}")
            self.refusal = self.refusal or refusal
            raise refusal
        symbols = (self.g.nodes[position] for position in reachable(self.g.nodes[: node + 1], [node]))
        self.decided.update(symbol.index for symbol in symbols if isinstance(symbol, Symbol))
        return value


@final
class Traced(NDArrayOperatorsMixin):
    """A number or condition of the model; arithmetic, comparisons and NumPy's functions give others."""

    __slots__ = ("node", "trace")

    def __init__(self, trace: Trace, node: NodeId) -> None:
        self.trace = trace
        self.node = node

    @override
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> object:
        return call_ufunc(ufunc, method, inputs, options)

    def __bool__(self) -> bool:
        return bool(
            self.trace.decide(
                self.node,
                "as the test of an `if`, `while`, `and`, `or`, `not`, or of Python's own sorting. "
                "Write np.where(condition, a, b), and & | ~ between conditions in parentheses",
            )
        )

    def __float__(self) -> float:
        return self.trace.decide(
            self.node,
            "where a plain number is needed. Remove float() and the like, call NumPy's or math's functions, "
            "and collect results in a list or in np.zeros(n) made inside the function",
        )

    def __index__(self) -> int:
        value = self.trace.decide(self.node, "as an index or a count. Only numbers and constants can be that")
        if not value.is_integer():
            raise TracingError(f"an index or a count must be a whole number, got {value!r}. Correct the constant.")
        return int(value)

    def __int__(self) -> int:
        return int(
            self.trace.decide(
                self.node,
                "as a whole number. Write np.floor, np.ceil or np.trunc for int(), and np.zeros(n) for an array of "
                "results",
            )
        )


@final
class TracedArray(np.ndarray[tuple[int, ...], np.dtype[np.object_]]):
    """An array of the model's values; the states can be had by name too."""

    names: tuple[str, ...] = ()

    @override
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> object:
        return call_ufunc(ufunc, method, inputs, options)

    @override
    def __getitem__(self, key: object) -> object:  # type: ignore[override]  # a name is a key too
        if isinstance(key, str):
            return super().__getitem__(position(key, self.names, "state"))
        return super().__getitem__(key.__index__() if isinstance(key, Traced) else key)  # type: ignore[call-overload]  # whatever NumPy takes


@final
class Record(NDArrayOperatorsMixin):
    """All parameters as one argument: by name, by attribute, by position, unpacked, or as an array; constants by name.

    It has no methods of its own, so that no parameter's name is in the way; `keys` and the like work where none has it.
    """

    __slots__ = ("_constants", "_parameters")

    def __init__(self, parameters: Mapping[str, Traced], constants: Mapping[str, Traced]) -> None:
        self._parameters = dict(parameters)
        self._constants = dict(constants)

    @override
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> object:
        return call_ufunc(ufunc, method, inputs, options)

    def __getitem__(self, key: object) -> object:
        if not isinstance(key, str):
            return as_array(list(self._parameters.values()))[key]
        named = self._parameters | self._constants
        return list(named.values())[position(key, tuple(named), "parameter")]

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") or (name in ("keys", "values", "items", "get") and name not in self):
            return getattr(self._parameters | self._constants, name)
        return self[name]

    def __iter__(self) -> Iterator[Traced]:
        return iter(self._parameters.values())

    def __len__(self) -> int:
        return len(self._parameters)

    def __contains__(self, name: object) -> bool:
        return name in self._parameters or name in self._constants

    def operand(self) -> object:
        """Return what arithmetic sees: the only parameter, or the array of all."""
        values = list(self._parameters.values())
        return values[0] if len(values) == 1 else as_array(values)


def position(name: str, names: Sequence[str], what: str) -> int:
    """Return where a name stands.

    Raises
    ------
    UnknownSymbolError: it offers the nearest name.
    """
    if name not in names:
        raise UnknownSymbolError(f"there is no {what} {name!r}.{nearest(name, names) or f' There are {list(names)}.'}")
    return names.index(name)


def as_array(values: object) -> TracedArray:
    """Return an array that can hold the model's values."""
    if isinstance(values, Record):
        values = list(values)
    return np.array(values, dtype=object).view(TracedArray)


def traced_in(values: object) -> Trace | None:
    """Return the trace of any symbol in a value, a sequence or an array."""
    if isinstance(values, Traced):
        return values.trace
    if isinstance(values, np.ndarray):
        return traced_in(values.ravel().tolist()) if values.dtype == object else None
    if isinstance(values, (list, tuple, Record)):
        return next((trace for value in values if (trace := traced_in(value)) is not None), None)
    return None


def call_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[object], options: Mapping[str, object]) -> object:
    """Do what NumPy's function does, element by element, on symbols.

    Raises
    ------
    TracingError: for what a model can't hold.
    """
    operands = [value.operand() if isinstance(value, Record) else value for value in inputs]
    if method != "__call__":
        return _call_method(ufunc, method, operands, options)
    result = _matmul(operands) if ufunc.__name__ == "matmul" else elementwise(ufunc, operands)
    match options.get("out"):
        case (TracedArray() as out,):
            out[...] = result
            return out
        case (np.ndarray(),):
            raise TracingError(
                "an array of plain numbers can't take a model's values. Make it with np.zeros inside the function."
            )
        case _:
            return result


def elementwise(function: np.ufunc | str, operands: Sequence[object]) -> object:
    """Write down a function of numbers for each element of broadcast arrays."""
    trace = traced_in(list(operands))
    name = function if isinstance(function, str) else function.__name__
    if trace is None:
        plain = [np.asarray(operand, dtype=float) for operand in operands]
        result: object = function(*plain) if isinstance(function, np.ufunc) else getattr(np, name)(*plain)
        return as_array(result) if isinstance(result, np.ndarray) and result.dtype == float else result
    return for_each(lambda values: trace.call(name, values), operands)


def for_each(write: Callable[[Sequence[object]], Traced], operands: Sequence[object]) -> object:
    """Call `write` for each element of broadcast operands; return a scalar if all are."""
    if not any(isinstance(operand, (np.ndarray, list, tuple)) for operand in operands):
        return write(operands)
    arrays = np.broadcast_arrays(*(np.asarray(operand, dtype=object) for operand in operands))
    result: ObjectArray = np.empty(arrays[0].shape, dtype=object)
    for index in np.ndindex(*arrays[0].shape):
        result[index] = write([array[index] for array in arrays])
    return result.view(TracedArray) if result.ndim else result.item()


def _plain(value: object) -> object:
    """Return an array without our own behaviour, on which NumPy's loops over objects use `+` and `*`."""
    return np.asarray(value, dtype=object).view(np.ndarray) if isinstance(value, (np.ndarray, list, tuple)) else value


def dressed(value: object) -> object:
    """Return a result of NumPy's, arrays of symbols with our behaviour."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.view(TracedArray)
    if type(value) in (list, tuple) and isinstance(value, (list, tuple)):
        return type(value)(map(dressed, value))
    return value


def _matmul(operands: Sequence[object]) -> object:
    a, b = (np.asarray(operand, dtype=object).view(np.ndarray) for operand in operands)
    return dressed(np.matmul(a, b))


def _call_method(ufunc: np.ufunc, method: str, operands: Sequence[object], options: Mapping[str, object]) -> object:
    if ufunc.__name__ in _NATIVE:
        return dressed(getattr(ufunc, method)(*map(_plain, operands), **options))
    axis = options.get("axis", 0)
    if method != "reduce" or options.get("keepdims") or not (axis is None or isinstance(axis, int)):
        raise TracingError(f"a model can't call {ufunc.__name__}.{method} like this. Write a loop over the elements.")
    array = np.asarray(operands[0], dtype=object)
    parts = array.ravel() if axis is None else np.moveaxis(array, axis, 0)
    return reduce(lambda a, b: elementwise(ufunc, [a, b]), list(parts))
