"""From a Python function to the checked form: call it with symbols, twice, and read what it returns."""

import inspect
import linecache
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from cubie._types import nearest
from cubie.odesystems.declarations import Declarations
from cubie.odesystems.errors import (
    MissingEquationError,
    ModelError,
    SideEffectError,
    TracingError,
    UnknownSymbolError,
    UnusedNameError,
)
from cubie.odesystems.symbolic.checked import CheckedForm
from cubie.odesystems.symbolic.graph import NodeId, Symbol, SymbolKind, reachable
from cubie.odesystems.symbolic.tracing.shims import Shims
from cubie.odesystems.symbolic.tracing.values import Record, Trace, Traced, as_array

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@final
@dataclass(frozen=True, slots=True)
class Call:
    """What a function is called with."""

    arguments: Sequence[object]
    named: Mapping[str, object]


def trace(function: object, declared: Declarations) -> CheckedForm:
    """Run `function(t, y, ...)` with symbols and return the model that it computes.

    Raises
    ------
    TracingError: it says on which line what can't be traced, and what to write instead.
    """
    plain = _plain_function(function)
    if not declared.states:
        raise TracingError(
            f"the states of the Python function {plain.__name__!r} must be declared, got none. "
            "Give states={'x': 1.0} or initial values states=[1.0, 0.0]."
        )
    first, second = _traced(function, plain, declared), _traced(function, plain, declared)
    if first != second:
        raise SideEffectError(
            f"function {plain.__name__!r} computes something else each time it is called. "
            "Take out random numbers, clocks and counters; it must depend on its arguments and on constants alone."
        )
    _check_used(plain.__name__, first, declared)
    return first


def _plain_function(function: object) -> types.FunctionType:
    """Return the Python function inside a method or a compiled function."""
    inner = getattr(function, "py_func", function)
    inner = getattr(inner, "__func__", inner)
    if not isinstance(inner, types.FunctionType):
        raise TracingError(
            f"equations must be text or a Python function f(t, y, p), got {type(function).__name__}. Wrap it in a "
            "`def`."
        )
    if inspect.isgeneratorfunction(inner) or inspect.iscoroutinefunction(inner):
        raise TracingError(
            f"function {inner.__name__!r} must return the rates, got a generator or coroutine. Write `return [...]`."
        )
    return inner


def _traced(function: object, plain: types.FunctionType, declared: Declarations) -> CheckedForm:
    run = Trace([value for _, value in declared.constants])
    shims = Shims()
    try:
        copy = shims.value(function)
        assert callable(copy)
        call = _call(plain, declared, run, is_method=isinstance(function, types.MethodType))
        result = copy(*call.arguments, **call.named)
        if run.refusal is not None:
            raise run.refusal
        shims.check_untouched()
        rates, auxiliaries = _returned(result, declared, run)
    except Exception as error:
        cause = None if isinstance(error, ModelError) else error
        raise _located(run.refusal or error, plain.__name__, shims) from cause
    return CheckedForm.of(run.g.nodes, rates, auxiliaries, sorted(run.decided))


def _located(error: Exception, name: str, shims: Shims) -> ModelError:
    """Return the error to raise: what went wrong, in which line of the user's."""
    where = f"function {name!r}{_place(error, shims)}: "
    if isinstance(error, ModelError):
        return type(error)(f"{where}{error}{'' if str(error).endswith(('.', '?')) else '.'}")
    return TracingError(
        f"{where}{type(error).__name__}: {error}. "
        "It is run once with symbols in place of numbers: use arithmetic, indexing, NumPy's and math's functions."
    )


def _place(error: Exception, shims: Shims) -> str:
    """Return the last of the user's lines that an error came through."""
    lines = [
        (frame.f_code.co_filename, number)
        for frame, number in _frames(error.__traceback__)
        if frame.f_code in shims.codes
    ]
    if not lines:
        return ""
    text = linecache.getline(*lines[-1]).strip()
    return f", line {lines[-1][1]}" + (f", `{text}`" if text else "")


def _frames(traceback: types.TracebackType | None) -> list[tuple[types.FrameType, int]]:
    found: list[tuple[types.FrameType, int]] = []
    while traceback is not None:
        found.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


def _call(plain: types.FunctionType, declared: Declarations, run: Trace, *, is_method: bool) -> Call:
    """Make the arguments: time, states, and the parameters as the function's signature wants them."""
    parameters = list(inspect.signature(plain).parameters.values())[is_method:]
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    has_rest = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    if len(positional) < 2:
        raise TracingError(
            f"it must take t and y, got {len(positional)} arguments. Write def {plain.__name__}(t, y, p)"
        )
    if positional[1].name == "t" and positional[0].name != "t":
        raise TracingError(
            "it must take time first, got t as the second argument. Write f(t, y, ...), as for solve_ivp"
        )
    states = _symbols(run, "state", [name for name, _ in declared.states or ()])
    y = as_array(list(states.values()))
    y.names = tuple(states)
    y.flags.writeable = False
    time = Traced(run, run.g.symbol("time", 0))
    given = _Given(
        _symbols(run, "parameter", [name for name, _ in declared.parameters]),
        _symbols(run, "constant", [name for name, _ in declared.constants]),
    )
    arguments = given.positional(positional[2:], has_rest)
    keywords = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    return Call([time, y, *arguments], given.named(keywords, positional, takes_all))


def _symbols(run: Trace, kind: SymbolKind, names: Sequence[str]) -> dict[str, Traced]:
    return {name: Traced(run, run.g.symbol(kind, index)) for index, name in enumerate(names)}


@final
class _Given:
    """Parameters and constants, handed out to a signature: by name, as one record, or by position as in SciPy."""

    def __init__(self, parameters: dict[str, Traced], constants: dict[str, Traced]) -> None:
        self._parameters = parameters
        self._known = parameters | constants
        self._constants = constants

    def positional(self, wanted: Sequence[inspect.Parameter], has_rest: bool) -> list[object]:
        """Return the values of the positional arguments after t and y."""
        names = [parameter.name for parameter in wanted]
        required = [parameter.name for parameter in wanted if parameter.default is inspect.Parameter.empty]
        if any(name in self._known for name in names):
            return self._by_name(wanted)
        values = list(self._parameters.values())
        if has_rest:
            return list(values)
        if len(names) == 1 and (required or self._known):
            return [Record(self._parameters, self._constants)]
        if not required:
            return []
        if len(names) != len(values):
            raise TracingError(
                f"it takes {len(names)} parameters ({', '.join(names)}), but {len(values)} are declared"
                f" ({', '.join(self._parameters) or 'none'}). Declare parameters={{{names[0]!r}: 1.0, ...}} by these "
                "names"
            )
        return list(values)

    def _by_name(self, wanted: Sequence[inspect.Parameter]) -> list[object]:
        values: list[object] = []
        for parameter in wanted:
            if parameter.name in self._known:
                values.append(self._known[parameter.name])
            elif parameter.default is not inspect.Parameter.empty:
                values.append(parameter.default)
            else:
                raise _undeclared(parameter.name, self._known)
        return values

    def named(
        self, keywords: Sequence[inspect.Parameter], positional: Sequence[inspect.Parameter], takes_all: bool
    ) -> dict[str, object]:
        """Return the values of the keyword-only arguments, and of `**p` all that is left."""
        for parameter in keywords:
            if parameter.name not in self._known and parameter.default is inspect.Parameter.empty:
                raise _undeclared(parameter.name, self._known)
        taken = {parameter.name for parameter in positional}
        wanted = {parameter.name for parameter in keywords}
        return {
            name: value for name, value in self._known.items() if name in wanted or (takes_all and name not in taken)
        }


def _undeclared(name: str, known: Mapping[str, Traced]) -> UnknownSymbolError:
    return UnknownSymbolError(
        f"its argument {name!r} isn't declared.{nearest(name, known)} Declare it in parameters or constants"
    )


def _returned(result: object, declared: Declarations, run: Trace) -> tuple[list[NodeId], list[tuple[str, NodeId]]]:
    """Return the nodes of the rates and of the observables that a function returned."""
    states = [name for name, _ in declared.states or ()]
    if isinstance(result, dict):
        return _returned_by_name(result, states, declared.observables, run)
    if declared.observables:
        raise TracingError(
            f"observables must be returned by name, got {type(result).__name__}. "
            f"Return {{{states[0]!r}: rate, ..., {declared.observables[0]!r}: value}}"
        )
    values = _sequence(result, len(states))
    if len(values) != len(states):
        raise TracingError(
            f"it must return {len(states)} rates ({', '.join(states)}), got {len(values)}. Return one for each state"
        )
    return [run.real(value) for value in values], []


def _sequence(result: object, n_states: int) -> list[object]:
    if n_states == 1 and (
        isinstance(result, (Traced, int, float)) or (isinstance(result, np.ndarray) and not result.ndim)
    ):
        return [result]
    if isinstance(result, np.ndarray) and result.ndim != 1:
        raise TracingError(f"it must return a one-dimensional array, got shape {result.shape}. Add .ravel()")
    if not isinstance(result, (list, tuple, np.ndarray)):
        got = "a single value" if isinstance(result, Traced) else type(result).__name__
        raise TracingError(f"it must return a list, tuple, array or dict of rates, got {got}. Write `return [...]`")
    return list(result)


def _returned_by_name(
    result: Mapping[object, object], states: Sequence[str], observables: Sequence[str], run: Trace
) -> tuple[list[NodeId], list[tuple[str, NodeId]]]:
    values = {
        name[1:]
        if isinstance(name, str) and name not in states and name[1:] in states and name[0] == "d"
        else name: value
        for name, value in result.items()
    }
    for name in values:
        if name not in states and name not in observables:
            hint = nearest(str(name), [*states, *observables]) or " List it in observables."
            raise UnknownSymbolError(f"it returns {name!r}, which is neither a state nor an observable.{hint}")
    for name in (*states, *observables):
        if name not in values:
            raise MissingEquationError(f"it must return {name!r} too, got {list(values)}. Add {name!r}: value")
    return [run.real(values[name]) for name in states], [(name, run.real(values[name])) for name in observables]


def _check_used(function: str, form: CheckedForm, declared: Declarations) -> None:
    roots = (*form.rates, *(node for _, node in form.auxiliaries))
    nodes = (form.nodes[position] for position in reachable(form.nodes, roots))
    used = {(node.kind, node.index) for node in nodes if isinstance(node, Symbol)}
    used |= {("constant", index) for index in form.decided}
    for kind, pairs in (("parameter", declared.parameters), ("constant", declared.constants)):
        for index, (name, _) in enumerate(pairs):
            if (kind, index) not in used:
                raise UnusedNameError(f"the {kind} {name!r} is not used by function {function!r}. Use it or remove it.")
