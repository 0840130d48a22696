"""Copies of functions, in a world where `math`, NumPy and the builtins know symbols and the outside is read-only."""

import builtins
import dis
import importlib
import linecache
import math
import types
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Final, NoReturn, final

import numpy as np
from typing_extensions import override

from cubie.odesystems.errors import SideEffectError, TracingError
from cubie.odesystems.symbolic.tracing.values import (
    Traced,
    TracedArray,
    as_array,
    dressed,
    elementwise,
    for_each,
    traced_in,
)

_MATH: Final = {id(value): name for name, value in vars(math).items() if callable(value)}
_ROOM: Final = "It must depend on its arguments and on constants alone"
_DENIED_BUILTINS: Final = [
    "print",
    "open",
    "input",
    "exec",
    "eval",
    "compile",
    "breakpoint",
    "globals",
    "locals",
    "vars",
    "setattr",
    "delattr",
    "help",
    "exit",
    "quit",
]
_LIST_CHANGES: Final = [
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "clear",
    "sort",
    "reverse",
    "__setitem__",
    "__delitem__",
    "__iadd__",
    "__imul__",
]
_DICT_CHANGES: Final = ["pop", "popitem", "clear", "update", "setdefault", "__setitem__", "__delitem__", "__ior__"]


def _refuse_change(container: object, *_: object, **__: object) -> NoReturn:
    raise SideEffectError(f"it changes a {type(container).__name__} from outside. {_ROOM}; build a new one inside it")


# Called `list` and `dict`, because that is what messages shall say.
_FrozenList: Final = type("list", (list,), dict.fromkeys(_LIST_CHANGES, _refuse_change))
_FrozenDict: Final = type("dict", (dict,), dict.fromkeys(_DICT_CHANGES, _refuse_change))


@final
class Shims:
    """The substitutes of one tracing: each outside object has one, made when a function refers to it."""

    def __init__(self) -> None:
        self.codes: Final[set[types.CodeType]] = set()
        """Of every function that was copied, and of those inside it: the user's lines."""
        self._functions: Final[dict[int, types.FunctionType]] = {}
        self._watched: Final[list[tuple[object, dict[str, object]]]] = []
        self._builtins: Final = {
            **vars(builtins),
            **{name: Denied(name, "reads or writes something outside") for name in _DENIED_BUILTINS},
            "min": Extremum("minimum", min),
            "max": Extremum("maximum", max),
            "__import__": self._import,
        }

    def value(self, outside: object) -> object:
        """Return what stands for an object from outside."""
        if isinstance(outside, types.FunctionType) and not _is_numpys(outside):
            return self.function(outside)
        if isinstance(outside, types.MethodType):
            inner = self.value(outside.__func__)
            return types.MethodType(inner, self.value(outside.__self__)) if callable(inner) else outside
        if isinstance(outside, types.ModuleType):
            return Module(self, outside)
        if id(outside) in _MATH:
            return MathFunction(_MATH[id(outside)], outside)
        if isinstance(outside, np.ufunc) or _is_numpys(outside):
            return NumpyFunction(outside)
        if isinstance(outside, types.BuiltinFunctionType):
            return (
                self._builtins.get(outside.__name__)
                if outside.__module__ == "builtins"
                else Denied(outside.__name__, "isn't arithmetic")
            )
        wrapped = getattr(outside, "py_func", None) or getattr(outside, "__wrapped__", None)
        return self.function(wrapped) if isinstance(wrapped, types.FunctionType) else self._data(outside)

    def _data(self, outside: object) -> object:
        if isinstance(outside, np.ndarray):
            view = outside.view()
            view.flags.writeable = False
            return view
        if type(outside) is tuple:
            return tuple(map(self.value, outside))
        if type(outside) is list:
            return _FrozenList(map(self.value, outside))
        if type(outside) is dict:
            return _FrozenDict({key: self.value(item) for key, item in outside.items()})
        if type(outside) is set:
            return frozenset(outside)
        if hasattr(outside, "__dict__") and not isinstance(outside, type):
            self._watched.append((outside, dict(vars(outside))))
        return outside

    def function(self, original: types.FunctionType) -> types.FunctionType:
        """Return a copy of a function that refers to substitutes only.

        Raises
        ------
        SideEffectError: if it assigns to outside variables.
        """
        known = self._functions.get(id(original))
        if known is not None:
            return known
        code = original.__code__
        _check_assignments(code)
        self.codes.update(_codes(code))
        cells = tuple(types.CellType() for _ in original.__closure__ or ())
        copy = types.FunctionType(code, {"__builtins__": self._builtins}, original.__name__, None, cells)
        self._functions[id(original)] = copy  # before its variables are looked at: it may refer to itself
        copy.__globals__.update(
            {name: self.value(original.__globals__[name]) for name in _names(code) if name in original.__globals__}
        )
        for cell, outer in zip(cells, original.__closure__ or (), strict=True):
            if outer != types.CellType():
                cell.cell_contents = self.value(outer.cell_contents)
        if original.__defaults__:
            copy.__defaults__ = tuple(map(self.value, original.__defaults__))
        if original.__kwdefaults__:
            copy.__kwdefaults__ = {name: self.value(default) for name, default in original.__kwdefaults__.items()}
        copy.__dict__.update(original.__dict__)
        self._watched.append((copy, dict(original.__dict__)))
        return copy

    def check_untouched(self) -> None:
        """Refuse functions that changed an attribute of an outside object; undo it.

        Raises
        ------
        SideEffectError
        """
        for outside, before in self._watched:
            now = vars(outside)
            if now.keys() != before.keys() or any(now[name] is not before[name] for name in before):
                changed = [name for name in (*now, *before) if now.get(name) is not before.get(name)]
                now.clear()
                now.update(before)
                raise SideEffectError(
                    f"it changes the attribute {changed[0]!r} of {type(outside).__name__} "
                    f"{getattr(outside, '__name__', '')!r}."
                    f" {_ROOM}; use a local variable"
                )

    def _import(self, name: str, *others: object, **options: object) -> object:
        if name.startswith("numpy._"):  # NumPy itself, called from the user's line
            return importlib.import_module(name)
        if name.split(".")[0] not in ("math", "numpy"):
            raise SideEffectError(f"it imports {name}. {_ROOM}; import math and NumPy only")
        return Module(self, math if name == "math" else np)


@final
class Denied:
    """What a model function must not call."""

    def __init__(self, name: str, reason: str) -> None:
        self._name = name
        self._reason = reason

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise SideEffectError(f"it calls {self._name}, which {self._reason}. {_ROOM}; take the call out")

    def __getattr__(self, name: str) -> NoReturn:
        raise SideEffectError(f"it uses {self._name}.{name}; {self._name} {self._reason}. {_ROOM}; take the call out")


@final
class Module:
    """A module as a model function sees it."""

    def __init__(self, shims: Shims, module: types.ModuleType) -> None:
        object.__setattr__(self, "_shims", shims)
        object.__setattr__(self, "_module", module)
        self._shims: Shims
        self._module: types.ModuleType

    def __getattr__(self, name: str) -> object:
        if self._module is np and name == "random":
            return Denied("np.random", "draws numbers that no one can draw again")
        if self._module is np and name in NUMPY_SUBSTITUTES:
            return NUMPY_SUBSTITUTES[name]
        return self._shims.value(getattr(self._module, name))

    @override
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise SideEffectError(f"it sets {name} of the module {self._module.__name__}. {_ROOM}; use a local variable")


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


def _is_numpys(value: object) -> bool:
    module = getattr(value, "__module__", None)
    return (
        callable(value) and not isinstance(value, type) and isinstance(module, str) and module.split(".")[0] == "numpy"
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: types.CodeType) -> list[str]:
    return list(dict.fromkeys(name for inner in _codes(code) for name in inner.co_names))


def _check_assignments(code: types.CodeType) -> None:
    for inner in _codes(code):
        for instruction in dis.get_instructions(inner):
            is_nonlocal = (
                instruction.opname in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in code.co_freevars
            )
            if is_nonlocal or instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                line = instruction.positions.lineno if instruction.positions else None
                text = linecache.getline(inner.co_filename, line or 0).strip()
                raise SideEffectError(
                    f"line {line} of {code.co_name}, `{text}`, assigns to {instruction.argval!r}, a variable outside. "
                    f"{_ROOM}; use a local variable"
                )
