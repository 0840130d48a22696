"""Copies of functions, in a world where `math`, NumPy and the builtins know symbols and the outside is read-only."""

import builtins
import dis
import importlib
import linecache
import math
import types
from collections.abc import Iterator
from typing import Final, NoReturn, final

import numpy as np
from typing_extensions import override

from cubie.odesystems.errors import SideEffectError
from cubie.odesystems.symbolic.tracing.substitutes import NUMPY_SUBSTITUTES, Extremum, MathFunction, NumpyFunction

_MATH: Final = {id(value): name for name, value in vars(math).items() if callable(value)}
_NUMPY: Final = {id(getattr(np, name)): substitute for name, substitute in NUMPY_SUBSTITUTES.items()}
_ROOM: Final = "It must depend on its arguments and on constants alone"
_DENIED_BUILTINS: Final = (
    *("print", "open", "input", "exec", "eval", "compile", "breakpoint", "help", "exit", "quit"),
    *("globals", "locals", "vars", "setattr", "delattr"),
)
_LIST_CHANGES: Final = (
    *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"),
    *("__setitem__", "__delitem__", "__iadd__", "__imul__"),
)
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
        self._attributes: Final[list[tuple[types.FunctionType, dict[str, object]]]] = []
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
        if id(outside) in _NUMPY:
            return _NUMPY[id(outside)]
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
        return Instance(self, outside) if hasattr(outside, "__dict__") and not isinstance(outside, type) else outside

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
        self._attributes.append((copy, dict(original.__dict__)))
        return copy

    def check_untouched(self) -> None:
        """Refuse functions that changed an attribute of a function.

        Raises
        ------
        SideEffectError
        """
        for function, before in self._attributes:
            if function.__dict__ != before:
                changed = [name for name in function.__dict__ if function.__dict__[name] is not before.get(name)]
                raise SideEffectError(
                    f"it changes the attribute {changed[0]!r} of function {function.__name__!r}. "
                    f"{_ROOM}; use a local variable"
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
        return self._shims.value(getattr(self._module, name))

    @override
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise SideEffectError(f"it sets {name} of the module {self._module.__name__}. {_ROOM}; use a local variable")


@final
class Instance:
    """An object of a user's class: its methods are copied functions, its attributes can't be set."""

    __slots__ = ("_cubie_instance", "_cubie_shims")

    def __init__(self, shims: Shims, instance: object) -> None:
        object.__setattr__(self, "_cubie_shims", shims)
        object.__setattr__(self, "_cubie_instance", instance)
        self._cubie_shims: Shims
        self._cubie_instance: object

    @property  # type: ignore[misc]  # what isinstance() and super() go by
    @override
    def __class__(self) -> type:
        return type(self._cubie_instance)

    def __getattr__(self, name: str) -> object:
        return self._cubie_shims.value(getattr(self._cubie_instance, name))

    @override
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise SideEffectError(
            f"it sets the attribute {name!r} of a {type(self._cubie_instance).__name__}. {_ROOM}; use a local variable"
        )

    def __getitem__(self, key: object) -> object:
        return self._special("__getitem__", key)

    def __len__(self) -> object:
        return self._special("__len__")

    def __iter__(self) -> object:
        return self._special("__iter__")

    def __call__(self, *arguments: object) -> object:
        return self._special("__call__", *arguments)

    def _special(self, name: str, *arguments: object) -> object:
        """Call what Python looks for in the class."""
        method = self._cubie_shims.value(getattr(self._cubie_instance, name))
        assert callable(method)
        return method(*arguments)


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
