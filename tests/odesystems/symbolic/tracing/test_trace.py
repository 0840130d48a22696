"""Python functions as models: what they compute with symbols is what they compute with numbers."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from math import exp as exponential
from math import sin
from types import SimpleNamespace
from typing import Final, NamedTuple, TypeAlias

import numba
import numpy as np
import numpy.typing as npt
import pytest
from numpy import where

from cubie.odesystems import create_ode_system
from cubie.odesystems.create import RatesFunction
from cubie.odesystems.errors import InvalidValueError
from tests.odesystems.evaluate import observables, rates

Array: TypeAlias = npt.NDArray[np.float64]
COUPLING = np.array([[0.0, 1.0, 0.5], [-1.0, 0.0, 0.25], [2.0, 0.0, -1.0]])
RATES_OF = [1.0, 2.0, 3.0]
SETTINGS = {"gain": 2.0, "parts": [0.5, 0.25]}
MODEL = SimpleNamespace(k=3.0)
PAIR = (2.0, [1.0, 3.0])
Y = [0.7, -0.4, 1.9]
T = 0.3


class Parameters(NamedTuple):
    a: float
    b: float


def hill(x: float, n: int = 2) -> float:
    power: float = x**n
    return power / (1 + power)


def factorial(n: int) -> int:
    return 1 if n < 2 else n * factorial(n - 1)


@functools.lru_cache
def doubled(n: int) -> int:
    return 2 * n


@numba.njit()
def compiled_hill(x: float) -> float:
    return x * x / (1 + x * x)


def by_index(t: float, y: Array, p: Array) -> object:
    return [-p[0] * y[0], y[-1] * p[1] + t, y[0] * y[1]]


def unpacked(t: float, y: Array, p: Array) -> object:
    x, v, w = y
    a, b = p
    return v, -a * x, w * b


def sliced(t: float, y: Array, p: Array) -> object:
    return p[0] * np.concatenate([y[1:], y[:1]]) - p[1] * y[::-1]


def into_zeros(t: float, y: Array, p: Array) -> object:
    dydt = np.zeros(3)
    dydt[0] = p[0] * y[1]
    dydt[1:] = y[:2]
    dydt[2] += p[1]
    dydt *= 2
    return dydt


def into_a_likeness(t: float, y: Array, p: Array) -> object:
    dydt = np.zeros_like(y)
    dydt[0] = p[0]
    dydt[1] = p[1] * np.ones(3)[0] + np.full(2, 3.0)[1]
    empty = np.empty(1)
    empty[0] = y[0]
    dydt[2] = empty[0] + np.array([1.0, 2.0])[1]
    return dydt + 0.5


def matrices(t: float, y: Array, p: Array) -> object:
    return COUPLING @ y * p[0] + np.dot(COUPLING, y) + p[1] * np.outer(y, y)[1] + np.array([y[0], 1.0, 2 * y[1]])


def reductions(t: float, y: Array, p: Array) -> object:
    rows = COUPLING * y
    return [
        np.sum(y) + y.sum() + y.mean() + np.prod(y) * p[0],
        np.max(y) + y.min() + max(y) + min(y[0], y[1], 0.5) + max([p[1], y[2]]) + sum(y),
        np.cumsum(y)[1] + np.linalg.norm(y) + np.sum(rows, axis=1)[0] + np.diff(y)[0] + np.max(rows, axis=0)[1],
    ]


def numpy_functions(t: float, y: Array, p: Array) -> object:
    positive = np.abs(y) + 0.25
    smooth = np.sin(y) + np.exp(-y) + np.log(positive) + np.sqrt(positive) + np.tanh(y) + np.expm1(y) + np.cbrt(y)
    powers = np.power(positive, p[0]) + np.square(y) + np.reciprocal(positive) + np.hypot(y, 1.0) + np.arctan2(y, 2.0)
    steps = np.sign(y) + np.heaviside(y, 0.5) + np.floor(y) + np.mod(y, 0.6) + y // 0.5 + y % 0.7 + np.fmod(y, 0.7)
    bounds = np.maximum(y, 0.1) + np.minimum(y, p[1]) + np.clip(y, -0.2, 0.3)
    choices = np.where(y > 0, y, -2 * y) + np.where((y > 0) & ~(y > 1) | (y < -2), 1.0, 0.0)
    picked = np.select([y > 1, y > 0], [y, 2 * y], 3.0)
    logic = np.logical_and(y > 0, y < 1) + np.logical_or(y > 1, y < 0) * 2 + np.logical_not(y >= 0)
    plain = np.subtract(y, 1) + np.positive(y) + np.true_divide(y, 3) + np.radians(y) + (y == 0.7) + (y != 0.7)
    return smooth + powers + steps + bounds + choices + picked + logic + plain


def math_functions(t: float, y: Array, p: Array) -> object:
    powers = math.pow(y[0], p[0]) + math.sqrt(2.0) + math.e ** y[1]
    rounded = math.fabs(y[1]) + math.floor(y[2]) + abs(y[1])
    angles = math.sin(y[0]) + math.atan2(y[0], y[1]) + math.radians(y[0]) + math.pi
    return [
        powers + rounded + angles,
        sin(y[0]) + exponential(y[1]) + math.log(y[2], 2) + math.fsum([y[0], y[1]]) + math.gamma(3),
        math.hypot(y[0], y[1]) + math.erf(y[0]) + math.copysign(1, -2) + p[1],
    ]


def helpers(t: float, y: Array, p: Array) -> object:
    def local(x: float) -> object:
        return hill(x, 3) * scale

    scale = p[0]
    total = 0.0

    def accumulate(x: float) -> None:
        nonlocal total
        total = total + x

    for x in y:
        accumulate(x * x)
    return [local(y[0]), (lambda x: x + p[1])(y[1]), total + compiled_hill(y[2]) + doubled(3) + factorial(4)]


def outer_data(t: float, y: Array, p: Array) -> object:
    parts = SETTINGS["parts"]
    assert isinstance(parts, list)
    numbers = Parameters(1.0, 2.0)
    return [
        *(rate * x * p[0] for rate, x in zip(RATES_OF[:2], y, strict=False)),
        p[1] * SETTINGS["gain"] * parts[1] + MODEL.k + numbers.b + len(RATES_OF) + COUPLING[2, 0],
    ]


class Table:
    """A user's own container."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def __getitem__(self, index: int) -> float:
        return self.values[index]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def __call__(self, x: float) -> float:
        return math.sin(x) * self.values[0]


TABLE = Table(2.0, 5.0)


def outer_objects(t: float, y: Array, p: Array, *, scale: float = 2.0) -> object:
    assert isinstance(TABLE, Table)
    return [
        TABLE[1] * y[0] * p[0],
        sum(value * y[1] for value in TABLE) + len(TABLE),
        TABLE(y[2]) * PAIR[1][1] * p[1] * scale,
    ]


def oddities(t: float, y: Array, p: Array) -> object:
    first, rest = np.split(y, [1])
    whole = np.array([1, 0, 2])
    chosen = np.where(np.array([True, False, True]), 1.0, 2.0)
    flags = np.where(y > 0, True, False)
    numbers = np.sqrt(np.zeros(3) + 4.0) * np.sum(p)
    zero_d = np.array(y[0]) + np.conj(y[1]) + np.clip(y[2], None, 1.0)
    return [
        first[0] + rest[1] + y[whole][0] + chosen[1] + flags[0] + numbers[0] + max([1.0, 2.0]) + min(3, 4),
        zero_d,
        np.array(y[2]),
    ]


def constant_branches(t: float, y: Array, p: Array) -> object:
    if RATES_OF[1] > 1:
        y = y * 2
    else:
        y = -y
    result = [x for i, x in enumerate(y) if i != 1]
    while len(result) < 3:
        result.append(p[0] + p[1])
    return result


def imports_inside(t: float, y: Array, p: Array) -> object:
    import math as m

    import numpy

    return [m.sin(y[0]) * p[0], numpy.cos(y[1]) * p[1], where(y[2] > 0, 1.0, 2.0)]


def conditions(t: float, y: Array, p: Array) -> object:
    on = (t > 0.1) & (y[0] > 0)
    return [where(on, p[0], p[1]), on * 3 + (y[1] < 0), np.where(y[2], 1.0, 2.0) + (1.0 - on * 1)]


POSITIONAL = [
    *(by_index, unpacked, sliced, into_zeros, into_a_likeness, matrices, reductions, numpy_functions, math_functions),
    *(helpers, outer_data, outer_objects, oddities, constant_branches, imports_inside, conditions),
]


@pytest.mark.parametrize("function", POSITIONAL, ids=[function.__name__ for function in POSITIONAL])
def test_a_function_means_with_symbols_what_it_means_with_numbers(
    function: Callable[[float, Array, Array], object],
) -> None:
    p = [1.25, 0.75]
    system = create_ode_system(function, states=Y, parameters={"a": 1.0, "b": 2.0})
    expected = function(T, np.array(Y), np.array(p))
    assert rates(system, Y, p, t=T) == pytest.approx(np.asarray(expected, dtype=float), rel=1e-13)
    assert system.name == function.__name__
    assert system.states == ("y0", "y1", "y2")
    assert system.state_defaults == tuple(Y)
    assert create_ode_system(system.to_text(), states=Y, parameters={"a": 1.0, "b": 2.0}).digest == system.digest


LORENZ = {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}
EXPECTED = [10.0 * (2.0 - 1.0), 1.0 * (28.0 - 3.0) - 2.0, 1.0 * 2.0 - 8 / 3 * 3.0]


def right(y: Array, *numbers: float) -> object:
    sigma, rho, beta = numbers
    return [sigma * (y[1] - y[0]), y[0] * (rho - y[2]) - y[1], y[0] * y[1] - beta * y[2]]


def right_by_name(y: Array, sigma: float, rho: float, beta: float) -> object:
    return right(y, sigma, rho, beta)


SIGNATURES: Final[list[RatesFunction]] = [
    lambda t, y, p: right(y, p["sigma"], p["rho"], p["beta"]),
    lambda t, y, p: right(y, p.sigma, p.rho, p.beta),
    lambda t, y, p: right(y, p[0], p[1], p[-1]),
    lambda t, y, p: right(y, *p),
    lambda t, y, p: right(y, *p[:2], p[2]),
    lambda t, y, p: right_by_name(y, **p),
    lambda t, y, p: right(y, *p.values()) if len(p) == 3 and "rho" in p and list(p.keys()) else [],
    lambda t, y, p: right(y, *(np.asarray(p) * 1.0)),
    lambda t, y, p: right(y, *(p * 1.0)),
    lambda t, y, a, b, c: right(y, a, b, c),
    lambda t, y, *args: right(y, *args),
    lambda t, y, beta, sigma, rho: right(y, sigma, rho, beta),
    lambda t, y, **p: right_by_name(y, **p),
    lambda t, y, rho, *, sigma, beta: right(y, sigma, rho, beta),
    lambda t, y, rho, unknown=1.0, **others: right(y, others["sigma"], rho, others["beta"] * unknown),
]


@pytest.mark.parametrize("function", SIGNATURES, ids=range(len(SIGNATURES)))
def test_parameters_come_as_the_signature_wants_them(function: RatesFunction) -> None:
    system = create_ode_system(function, states=["x", "y", "z"], parameters=LORENZ)
    assert rates(system, [1.0, 2.0, 3.0], list(LORENZ.values())) == pytest.approx(EXPECTED, rel=1e-15)


def test_defaults_that_are_not_declared_stay_constants() -> None:
    def decay(t: float, y: Array, rate: float = 3.0) -> Array:
        return -rate * y

    assert list(rates(create_ode_system(decay, states=[1.0]), [2.0])) == [-6.0]
    assert list(rates(create_ode_system(decay, states=[1.0], parameters={"rate": 1.0}), [2.0], [0.5])) == [-1.0]


def test_one_parameter_may_stand_for_itself() -> None:
    def decay(t: float, y: Array, k: float) -> object:
        return -k * y[0] + 2 * k - k**2

    system = create_ode_system(decay, states=[1.0], parameters={"rate": 1.0})
    assert list(rates(system, [2.0], [0.5])) == [-1.0 + 1.0 - 0.25]


def test_one_parameter_may_be_returned() -> None:
    assert list(rates(create_ode_system(lambda t, y, k: [k], states=["x"], parameters=["rate"]), [2.0], [0.5])) == [0.5]


def test_parameters_may_be_called_like_methods() -> None:
    names = ["keys", "values", "items", "get", "T", "shape", "operand"]
    system = create_ode_system(
        lambda t, y, p: [p.keys + 2 * p.values + 3 * p.items + 4 * p.get + 5 * p.T + 6 * p.shape + 7 * p["operand"]],
        states=[1.0],
        parameters=dict.fromkeys(names, 1.0),
    )
    assert list(rates(system, [0.0], [1, 2, 3, 4, 5, 6, 7])) == [140.0]


def test_states_can_be_had_by_name() -> None:
    system = create_ode_system(lambda t, y: [y["v"], -y["x"]], states={"x": 1.0, "v": 0.0})
    assert list(rates(system, [2.0, 3.0])) == [3.0, -2.0]


def test_rates_and_observables_can_be_returned_by_name() -> None:
    def pendulum(t: float, y: Array, p: Mapping[str, float]) -> dict[str, float]:
        force = -p["g"] * np.sin(y[0])
        return {"dv": force, "x": y[1], "force": force}

    system = create_ode_system(pendulum, states={"x": 1.0, "v": 0.0}, parameters={"g": 9.81}, observables=["force"])
    assert list(rates(system, [0.5, 2.0], [10.0])) == pytest.approx([2.0, -10 * math.sin(0.5)])
    assert list(observables(system, [0.5, 2.0], [10.0])) == pytest.approx([-10 * math.sin(0.5)])
    assert "force = " in system.to_text()


def test_constants_may_decide_branches_and_lengths_and_are_then_fixed() -> None:
    def chain(t: float, y: Array, k: float, n: int, g: float) -> list[float]:
        total = 0.0
        for i in range(n):
            total = total + y[0] ** (i + 1)
        return [k * total * g if n > 1 else y[0]]

    system = create_ode_system(chain, states=[1.0], parameters={"k": 1.0}, constants={"n": 3, "g": 2.0})
    assert list(rates(system, [2.0], [1.0])) == [28.0]
    assert list(rates(system.with_constants(g=1.0, n=3), [2.0], [1.0])) == [14.0]
    with pytest.raises(
        InvalidValueError, match=r"constant 'n' must stay 3.0: it decided what the Python function computes"
    ):
        system.with_constants(n=4)


def test_methods_and_compiled_functions_are_functions() -> None:
    class Oscillator:
        def __init__(self, k: float) -> None:
            self.k = k

        def rates(self, t: float, y: Array) -> list[float]:
            return [y[1], -self.k * self.stretch(y[0])]

        def stretch(self, x: float) -> float:
            return math.sin(x)

    oscillator = Oscillator(4.0)
    system = create_ode_system(oscillator.rates, states=[1.0, 0.0])
    assert list(rates(system, [0.5, 2.0])) == pytest.approx(oscillator.rates(0.0, np.array([0.5, 2.0])))

    @numba.njit()
    def compiled(t: float, y: Array) -> list[float]:
        return [-math.sin(y[0])]

    assert list(rates(create_ode_system(compiled, states=[1.0]), [0.5])) == pytest.approx([-math.sin(0.5)])


def test_one_state_may_return_one_number() -> None:
    for function in (lambda t, y: -y[0], lambda t, y: -y, lambda t, y: 2.0, lambda t, y: np.sum(y)):
        assert create_ode_system(function, states=[1.0]).n_states == 1


def test_an_array_of_numbers_is_as_good_as_a_list() -> None:
    system = create_ode_system(lambda t, y: -y, states=np.array([1.0, 2.0]))
    assert system.state_defaults == (1.0, 2.0)


def test_tracing_leaves_the_function_and_its_data_as_they_were() -> None:
    before = (dict(SETTINGS), list(RATES_OF), COUPLING.flags.writeable, outer_data.__globals__["math"])
    create_ode_system(outer_data, states=Y, parameters={"a": 1.0, "b": 2.0})
    assert (dict(SETTINGS), list(RATES_OF), COUPLING.flags.writeable, outer_data.__globals__["math"]) == before
