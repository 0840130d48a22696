"""What can't be traced is refused with the line, and with what to write instead."""

import functools
import itertools
import linecache
import math
import random
import time
from collections.abc import Iterator
from types import FunctionType, SimpleNamespace
from typing import Final

import numpy as np
import pytest

from cubie.odesystems import create_ode_system, errors
from cubie.odesystems.create import RatesFunction

FILE: Final = "<refused model>"


def function_of(body: str, head: str = "def f(t, y, p):") -> RatesFunction:
    """Compile a function from its body, in a file that messages can quote."""
    lines = [head, *(f"    {line}" for line in body.splitlines())]
    linecache.cache[FILE] = (1, None, [f"{line}\n" for line in lines], FILE)
    namespace: dict[str, object] = {
        "np": np,
        "math": math,
        "random": random,
        "time": time,
        "history": [0.0],
        "table": {"k": [1.0]},
        "array": np.array([1.0, 2.0]),
        "model": SimpleNamespace(count=0, nested=[1]),
        "calls": 0,
        "counter": itertools.count(),
        "generator": np.random.default_rng(1),
        "chosen": {1.0},
    }
    exec(compile("\n".join(lines), FILE, "exec"), namespace)
    function = namespace["f"]
    assert isinstance(function, FunctionType)
    return function


REFUSED: Final = [
    # branching on values
    (
        "if y[0] > 0:\n    return [p.k, 1]\nreturn [1, p.k]",
        errors.BranchOnValueError,
        "line 2, `if y\\[0\\] > 0:`.*np.where",
    ),
    ("x = 1\nwhile y[0] < 3:\n    y = 2*y\nreturn y", errors.BranchOnValueError, "line 3, `while y"),
    ("return [p.k if y[0] < 1 else 0, 1]", errors.BranchOnValueError, "line 2"),
    ("return [y[0] and y[1], p.k]", errors.BranchOnValueError, "line 2"),
    ("return [1, 0 < y[0] < p.k]", errors.BranchOnValueError, "line 2"),
    ("return [not y[0], p.k]", errors.BranchOnValueError, "line 2"),
    ("return sorted([y[0], p.k])", errors.BranchOnValueError, "sorting"),
    ("assert p.k > 0\nreturn y", errors.BranchOnValueError, "line 2, `assert p.k > 0`"),
    ("for i in range(p.k): y = y*2\nreturn y", errors.BranchOnValueError, "as an index or a count"),
    ("return [y[p.k], 1]", errors.BranchOnValueError, "as an index or a count"),
    ("return [float(y[0]), p.k]", errors.BranchOnValueError, "Remove float"),
    ("return [int(y[0]), p.k]", errors.BranchOnValueError, "np.floor"),
    ("return [max(y, key=abs), p.k]", errors.BranchOnValueError, "np.where"),
    ("array = np.array([1, 2])\narray[0] = y[0]\nreturn array", errors.BranchOnValueError, "np.zeros"),
    (
        "def g(x):\n    return 1 if x > 0 else 2\nreturn [g(y[0]), p.k]",
        errors.BranchOnValueError,
        "line 3, `return 1 if x > 0",
    ),
    # input and output
    ("print(y)\nreturn p.k*y", errors.SideEffectError, "line 2, `print\\(y\\)`: it calls print"),
    ("open('pwned', 'w')\nreturn p.k*y", errors.SideEffectError, "it calls open"),
    ("input()\nreturn p.k*y", errors.SideEffectError, "it calls input"),
    ("exec('x = 1')\nreturn p.k*y", errors.SideEffectError, "it calls exec"),
    ("import os\nreturn p.k*y", errors.SideEffectError, "it imports os"),
    ("from time import time\nreturn p.k*y", errors.SideEffectError, "it imports time"),
    # state
    (
        "global calls\ncalls += 1\nreturn p.k*y",
        errors.SideEffectError,
        "line 3 of f, `calls \\+= 1`, assigns to 'calls'",
    ),
    ("global calls\ndel calls\nreturn p.k*y", errors.SideEffectError, "assigns to 'calls'"),
    ("history.append(t)\nreturn p.k*y", errors.SideEffectError, "line 2, `history.append\\(t\\)`: it changes a list"),
    ("history[0] = t\nreturn p.k*y", errors.SideEffectError, "it changes a list"),
    ("table['x'] = t\nreturn p.k*y", errors.SideEffectError, "it changes a dict"),
    ("table['k'].append(t)\nreturn p.k*y", errors.SideEffectError, "it changes a list"),
    ("chosen.add(t)\nreturn p.k*y", errors.TracingError, "no attribute 'add'"),
    (
        "array[0] = 3\nreturn p.k*y",
        errors.TracingError,
        "line 2, `array\\[0\\] = 3`: ValueError: assignment destination is read-only",
    ),
    ("y[0] = 3\nreturn p.k*y", errors.TracingError, "read-only"),
    (
        "model.count = 1\nreturn p.k*y",
        errors.SideEffectError,
        "line 2, `model.count = 1`: it sets the attribute 'count' of a SimpleNamespace",
    ),
    ("f.calls = 1\nreturn p.k*y", errors.SideEffectError, "changes the attribute 'calls' of function 'f'"),
    ("math.pi = 3\nreturn p.k*y", errors.SideEffectError, "it sets pi of the module math"),
    ("return p.k*next(counter)*y", errors.SideEffectError, "computes something else each time"),
    # random numbers, clocks
    ("return [p.k*np.random.rand(), 1]", errors.SideEffectError, "np.random draws numbers"),
    ("return [p.k*random.random(), 1]", errors.SideEffectError, "calls random, which isn't arithmetic"),
    ("return [p.k*generator.normal(), 1]", errors.SideEffectError, "computes something else each time"),
    ("return [p.k*time.time(), 1]", errors.SideEffectError, "calls time, which isn't arithmetic"),
    # what a model can't hold
    ("return [p.k*math.gamma(y[0]), 1]", errors.TracingError, "a model can't call gamma with 1 values"),
    ("return np.interp(y, [0, 1], [1, 2])*p.k", errors.TracingError, "line 2, .*TypeError"),
    ("return np.linalg.solve(np.outer(y, y), y)*p.k", errors.TracingError, "line 2"),
    ("return [p.k*np.inf, 1]", errors.TracingError, "finite numbers, got inf"),
    ("return [p.k*1j, 1]", errors.TracingError, "finite numbers, got 1j"),
    ("return [p.k, 'x']", errors.TracingError, "finite numbers, got 'x'"),
    ("d = np.empty(2)\nd[0] = p.k\nreturn d", errors.TracingError, "finite numbers, got None"),
    ("return np.where(y > 0)", errors.TracingError, "three arguments"),
    ("return np.logaddexp(y, p.k)", errors.TracingError, "a model can't call logaddexp"),
    ("return np.minimum.accumulate(y)*p.k", errors.TracingError, "minimum.accumulate"),
    ("x = np.ones(2, dtype=int)*0\nnp.add(y, p.k, out=array)\nreturn y", errors.TracingError, "array of plain numbers"),
    ("return [y[5], p.k]", errors.TracingError, "line 2, .*IndexError: index 5 is out of bounds"),
    ("return [y[0][1], p.k]", errors.TracingError, "not subscriptable"),
    ("return [undefined, p.k]", errors.TracingError, "NameError"),
    ("return {y[0]: p.k}", errors.TracingError, "unhashable"),
    # names
    ("return [p.q, 1]", errors.UnknownSymbolError, "line 2, .*no parameter 'q'"),
    ("return [p['kk'], 1]", errors.UnknownSymbolError, "Did you mean 'k'"),
    ("return [y['z'], p.k]", errors.UnknownSymbolError, "no state 'z'"),
    # what is returned
    ("return p.k", errors.TracingError, "got a single value"),
    ("return None", errors.TracingError, "got NoneType"),
    ("return [p.k]*3", errors.TracingError, "it must return 2 rates \\(y0, y1\\), got 3"),
    ("return np.outer(y, y)*p.k", errors.TracingError, "one-dimensional array, got shape \\(2, 2\\)"),
    ("return (x for x in y)", errors.TracingError, "got generator"),
    ("yield p.k", errors.TracingError, "got a generator or coroutine"),
    ("return {'y0': p.k}", errors.MissingEquationError, "it must return 'y1' too"),
    ("return {'y0': p.k, 'y1': 1, 'r': 2}", errors.UnknownSymbolError, "returns 'r', which is neither"),
    ("return y", errors.UnusedNameError, "the parameter 'k' is not used by function 'f'"),
]


@pytest.mark.parametrize(
    ("body", "error", "message"), REFUSED, ids=[body.splitlines()[-1][:40] for body, _, _ in REFUSED]
)
def test_what_cannot_be_traced_is_refused_with_its_line(
    body: str, error: type[errors.ModelError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        create_ode_system(function_of(body), states=[1.0, 2.0], parameters={"k": 1.0})
    assert type(caught.value) is error
    assert "'f'" in str(caught.value)


SIGNATURES: Final = [
    ("def f(y, t, k):", "it must take time first"),
    ("def f(t):", "it must take t and y, got 1 arguments"),
    ("def f(t, y, a, b, c):", "it takes 3 parameters \\(a, b, c\\), but 1 are declared \\(k\\)"),
    ("def f(t, y, k, other):", "its argument 'other' isn't declared"),
    ("def f(t, y, *, other):", "its argument 'other' isn't declared"),
]


@pytest.mark.parametrize(("head", "message"), SIGNATURES)
def test_signatures_that_cannot_be_called_are_refused(head: str, message: str) -> None:
    with pytest.raises(errors.ModelError, match=message):
        create_ode_system(function_of("return y", head), states=[1.0, 2.0], parameters={"k": 1.0})


def test_misspelt_arguments_are_not_bound_by_position() -> None:
    with pytest.raises(errors.UnknownSymbolError, match=r"its argument 'bta' isn't declared. Did you mean 'beta'\?"):
        create_ode_system(
            lambda t, y, alpha, bta: alpha * y * bta, states=[1.0], parameters={"alpha": 1.0, "beta": 1.0}
        )


def test_other_callables_are_refused() -> None:
    class Rates:
        def __call__(self, t: float, y: list[float]) -> list[float]:
            return y

    others: list[object] = [Rates(), functools.partial(max, 1), math.sin, dict]
    for function in others:
        with pytest.raises(errors.TracingError, match=r"Wrap it in a `def`"):
            create_ode_system(function, states=[1.0])  # type: ignore[arg-type]  # the mistake under test


def test_a_function_needs_declared_states() -> None:
    with pytest.raises(errors.TracingError, match=r"states of the Python function .* must be declared"):
        create_ode_system(lambda t, y: y)


def test_observables_of_a_function_are_returned_by_name() -> None:
    with pytest.raises(errors.TracingError, match="observables must be returned by name"):
        create_ode_system(lambda t, y: -y, states=["x"], observables=["r"])


def test_an_unused_constant_of_a_function_is_an_error() -> None:
    with pytest.raises(errors.UnusedNameError, match="the constant 'g' is not used"):
        create_ode_system(lambda t, y: -y, states=["x"], constants={"g": 1.0})


def test_a_fractional_constant_is_no_count() -> None:
    with pytest.raises(errors.TracingError, match=r"must be a whole number, got 2.5"):
        create_ode_system(lambda t, y, n: [sum(y[0] for _ in range(n))], states=["x"], constants={"n": 2.5})


def test_closures_are_not_written_to() -> None:
    count = 0

    def counting(t: float, y: list[float]) -> list[float]:
        nonlocal count
        count += 1
        return y

    with pytest.raises(errors.SideEffectError, match="`count \\+= 1`, assigns to 'count', a variable outside"):
        create_ode_system(counting, states=["x"])
    assert count == 0


def test_a_swallowed_refusal_is_still_no_model() -> None:
    def swallowing(t: float, y: list[float]) -> list[float]:
        try:
            return [1.0] if y[0] > 0 else [2.0]
        except TypeError:
            return [3.0]

    with pytest.raises(errors.BranchOnValueError):
        create_ode_system(swallowing, states=["x"])


def test_generators_from_outside_are_used_up_at_most_by_tracing() -> None:
    numbers: Iterator[float] = iter([1.0, 2.0, 3.0])
    with pytest.raises(errors.SideEffectError, match="computes something else each time"):
        create_ode_system(lambda t, y: [next(numbers) * y[0]], states=["x"])
