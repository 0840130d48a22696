"""What the text language means."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from cubie.odesystems import ODESystem, create_ode_system, rate_source
from cubie.odesystems.errors import DuplicateNameError, UnknownSymbolError
from tests.odesystems.evaluate import observables, rates

LORENZ = ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z"]
LORENZ_RATES = [10.0 * (2.0 - 1.0), 1.0 * (21.0 - 3.0) - 2.0, 1.0 * 2.0 - 8.0 / 3.0 * 3.0]


def lorenz() -> ODESystem:
    return create_ode_system(
        LORENZ,
        states={"x": 1.0, "y": 0.0, "z": 0.0},
        parameters={"rho": 21.0},
        constants={"sigma": 10.0, "beta": 8 / 3},
        name="lorenz",
    )


def value(expression: str, x: float = 0.0, p: float = 0.0, t: float = 0.0) -> float:
    """Return an expression in x, p and t."""
    system = create_ode_system(
        f"dx = ({expression}) + 0*(x + p)", states={"x": 1.0}, parameters={"p": 1.0}, name="expression"
    )
    return float(rates(system, [x], [p], t=t)[0])


def test_the_design_example_reads_and_evaluates() -> None:
    system = lorenz()
    assert rates(system, [1.0, 2.0, 3.0], [21.0]) == pytest.approx(LORENZ_RATES, rel=1e-15)
    assert (system.n_states, system.n_parameters, system.n_observables) == (3, 1, 0)
    assert system.states == ("x", "y", "z")
    assert system.state_defaults == (1.0, 0.0, 0.0)
    assert system.constants == (("sigma", 10.0), ("beta", 8 / 3))


@pytest.mark.parametrize(
    "text",
    [
        "dx = sigma*(y - x); dy = x*(rho - z) - y; dz = x*y - beta*z",
        "x' = sigma*(y - x)\ny' = x*(rho - z) - y\nz' = x*y - beta*z",
        "x′ = sigma*(y - x)\ny′ = x*(rho - z) - y\nz′ = x*y - beta*z",
        "dx/dt = sigma*(y - x)\ndy/dt = x*(rho - z) - y\ndz/dt = x*y - beta*z",
        "d(x)/dt = sigma*(y - x)\r\n  d(y)/dt=x*(rho-z)-y\r\nd(z) / dt = x*y - beta*z",
        "# Lorenz (1963)\n\ndx = sigma*(y - x)  # convection\ndy = x*(rho\n   - z) - y\ndz = x*y - (\n beta*z\n)\n",
        "dz = x*y - loss\nloss = beta*z\ndy = x*depth - y\ndepth = rho - z\ndx = sigma*slope\nslope = y - x",
    ],
)
def test_all_ways_of_writing_equations_mean_the_same(text: str) -> None:
    constants = {"sigma": 10.0, "beta": 8 / 3}
    system = create_ode_system(text, states=["x", "y", "z"], parameters=["rho"], constants=constants)
    assert rates(system, [1.0, 2.0, 3.0], [21.0]) == pytest.approx(LORENZ_RATES, rel=1e-15)
    assert system.digest == lorenz().digest


def test_order_is_as_declared_not_as_written() -> None:
    system = create_ode_system("db = -b\nda = 2*a", states={"a": 1.0, "b": 2.0})
    assert system.states == ("a", "b")
    assert list(rates(system, [3.0, 5.0])) == [6.0, -5.0]


def test_states_are_inferred_in_the_order_of_their_rates() -> None:
    system = create_ode_system("v' = -k*x\ndx/dt = v\ndw = dose - w\ndose = 2*k", parameters={"k": 1.0})
    assert system.states == ("v", "x", "w")
    assert all(math.isnan(default) for default in system.state_defaults)


def test_a_left_side_that_is_used_is_an_auxiliary_where_states_are_inferred() -> None:
    system = create_ode_system("dA = dose - A\ndose = 3*t")
    assert system.states == ("A",)
    observed = create_ode_system("dA = -A\ndose = 3*t", observables=["dose"])
    assert observed.states == ("A",)


def test_a_left_side_is_a_rate_exactly_when_the_rest_is_a_state() -> None:
    system = create_ode_system("dx = dose\ndose = 3*t", states={"x": 1.0})
    assert list(rates(system, [0.0], t=2.0)) == [6.0]
    other = create_ode_system("dose = -ose", states={"ose": 1.0})
    assert list(rates(other, [2.0])) == [-2.0]


def test_states_called_x_and_dx_need_the_unambiguous_forms() -> None:
    with pytest.raises(
        DuplicateNameError, match=r"'dx = 1' could be for the state 'dx' or for the rate of 'x'. Write x'"
    ):
        create_ode_system("dx = 1\nddx = -x", states=["x", "dx"])
    system = create_ode_system("x' = dx\ndx' = -x", states=["x", "dx"])
    assert list(rates(system, [2.0, 3.0])) == [3.0, -2.0]
    assert create_ode_system(system.to_text(), states=["x", "dx"]) == create_ode_system(
        "x' = dx\nddx = -x", states=["x", "dx"]
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 + 3*4 - 6/4", 12.5),
        ("-2**2", -4.0),
        ("2^3^2", 512.0),
        ("x^2 + x**0.5", 16.0 + 2.0),
        ("x**-1 + x**1.5 + x**(-0.5)", 0.25 + 8.0 + 0.5),
        ("x**2.5 - x**3", 32.0 - 64.0),
        ("x**p", 16.0),
        ("+x - -x", 8.0),
        ("7 % 4 + (-7) % 4 + mod(7.5, 2)", 3.0 + 1.0 + 1.5),
        ("x // 3", 1.0),
        ("fmod(-x, 3) + fmod(x, -3)", 0.0),
        ("1e3*.5 + 2.", 502.0),
        ("sin(t) + cos(t)*tan(x)", math.sin(3) + math.cos(3) * math.tan(4)),
        ("exp(p) + ln(x) + log(x) + log(8, 2)", math.exp(2) + 2 * math.log(4) + 3),
        ("log10(x) + log2(x) + log1p(x) + expm1(p) + exp2(p)", math.log10(4) + 2 + math.log(5) + math.expm1(2) + 4),
        ("asin(0.5) + arccos(0.5) + atan(x) + atan2(x, p)", math.pi / 2 + math.atan(4) + math.atan2(4, 2)),
        ("sinh(p) + cosh(p) + tanh(p)", math.sinh(2) + math.cosh(2) + math.tanh(2)),
        ("asinh(p) + acosh(p) + atanh(0.5)", math.asinh(2) + math.acosh(2) + math.atanh(0.5)),
        ("sec(x) + csc(x) + cot(x)", 1 / math.cos(4) + 1 / math.sin(4) + 1 / math.tan(4)),
        ("sqrt(x) + cbrt(-8*p/2) + hypot(3, x)", 2.0 - 2.0 + 5.0),
        ("abs(-x) + fabs(p) + sign(-x) + sgn(x)", 6.0),
        ("floor(2.5*p) + ceil(x/3) + trunc(-x/3) + ceiling(0.5*x/4)", 5.0 + 2.0 - 1.0 + 1.0),
        ("min(x, p) + max(x, p, 7) + clip(x, 0, 3)", 2.0 + 7.0 + 3.0),
        ("erf(p/4)", math.erf(0.5)),
        ("heaviside(x) + heaviside(-x) + heaviside(x - 4) + heaviside(x - 4, 1)", 1.0 + 0.0 + 0.5 + 1.0),
        ("pi + π", 2 * math.pi),
        ("pow(x, 2) + power(p, 3)", 24.0),
        ("1 if x > 3 else 2", 1.0),
        ("1 if x > 5 else 2 if p > 1 else 3", 2.0),
        ("1 if 1 < x <= 4 != p else 2", 1.0),
        ("1 if x == 4 and not p >= 3 or t < 0 else 2", 1.0),
        ("1 if (x < 4) | (p > 1) & ~(t > 5) else 2", 1.0),
        ("piecewise((1, x < 4), (2, x < 5), 3)", 2.0),
        ("piecewise((1, x < 4), (3, True))", 3.0),
        ("where(x > 1, p, t)", 2.0),
        ("(x > 1)*p + (x > 9)", 2.0),
        ("5 if True else x", 5.0),
        ("sign(-3) + sign(0)*heaviside(2) + heaviside(-1) + heaviside(0) + cbrt(27) + 7.5 % 2", -1.0 + 0.5 + 3.0 + 1.5),
        ("min(max(x, 0), 1)", 1.0),
    ],
)
def test_expressions_mean_what_they_say(expression: str, expected: float) -> None:
    assert value(expression, x=4.0, p=2.0, t=3.0) == pytest.approx(expected, rel=4e-15)


@pytest.mark.parametrize("condition", ["x < p", "x <= p", "x > p", "x >= p", "x == p", "x != p", "not x < p"])
@pytest.mark.parametrize("x", [1.0, 2.0, 3.0])
def test_comparisons_agree_with_python(condition: str, x: float) -> None:
    expected = {"<": x < 2, "<=": x <= 2, ">": x > 2, ">=": x >= 2, "==": x == 2, "!=": x != 2}
    holds = not x < 2 if condition.startswith("not") else expected[condition.split()[1]]
    assert value(f"1 if {condition} else 0", x=x, p=2.0) == float(holds)


NAMES = [
    *(
        "beta",
        "gamma",
        "h",
        "n",
        "order",
        "dt",
        "lambda",
        "in",
        "class",
        "def",
        "None",
        "import",
        "is",
        "async",
        "print",
    ),
    *("rate", "y", "out", "drivers", "parameters", "c0", "x0", "y0", "p0", "_0", "__class__", "fma", "select", "splat"),
    *(
        "sin",
        "exp",
        "min",
        "pi",
        "e",
        "E",
        "I",
        "S",
        "N",
        "λ",
        "θ_1",
        "ẋ",
        "x̂",
        "质量",
        "φ",
        "ℏ",
        "naïve",
        "переменная",
    ),
    *("True", "piecewise", "d", "dd", "numba", "range", "self", "nan", "inf", "float64", "T", "if_", "els"),
]


@pytest.mark.parametrize("name", NAMES)
def test_any_identifier_is_a_safe_name(name: str) -> None:
    """PITFALL 18: symbols named beta, gamma, h, n or order overwrote constants of the solver."""
    system = create_ode_system(
        f"q' = {name}*q + k\nk = sin(exp({name}))", states={"q": 1.0}, parameters={name: 2.0}, observables=["k"]
    )
    assert system.parameters == (name,)
    assert float(rates(system, [3.0], [0.5])[0]) == pytest.approx(1.5 + math.sin(math.exp(0.5)), rel=1e-15)
    state = create_ode_system(f"{name}' = -2*{name}", states={name: 1.0})
    assert list(rates(state, [4.0])) == [-8.0]
    auxiliary = create_ode_system(f"q' = {name}\n{name} = 3*q", states=["q"], observables=[name])
    assert list(observables(auxiliary, [4.0])) == [12.0]


def test_names_are_compared_as_python_compares_them() -> None:
    system = create_ode_system("dx = -\u00b5*x", states=["x"], parameters={"\u03bc": 2.0})
    assert list(rates(system, [1.0], [3.0])) == [-3.0]
    assert system.parameters == ("\u03bc",)


def test_own_names_come_before_pi() -> None:
    system = create_ode_system("dx = pi*x", states=["x"], constants={"pi": 3.0})
    assert list(rates(system, [1.0])) == [3.0]


def test_e_is_not_quietly_eulers_number() -> None:
    with pytest.raises(UnknownSymbolError, match=r"write exp\(1\) for Euler's number"):
        create_ode_system("dx = e*x", states=["x"])


def test_observables_are_auxiliaries_by_name() -> None:
    system = create_ode_system(
        "r = sqrt(x^2 + y^2)\nfast = r > 2\ndx = -y/r\ndy = x/r if fast else 0",
        states=["x", "y"],
        observables=["fast", "r"],
    )
    assert list(observables(system, [3.0, 4.0])) == [1.0, 5.0]
    assert list(rates(system, [3.0, 4.0])) == pytest.approx([-0.8, 0.6], rel=1e-15)


def test_a_list_of_names_leaves_values_to_the_solve() -> None:
    system = create_ode_system("dx = -k*x", states=["x"], parameters=["k"])
    assert math.isnan(system.state_defaults[0])
    assert math.isnan(system.parameter_defaults[0])


def test_raw_numbers_of_numpy_are_values() -> None:
    system = create_ode_system("dx = -k*x", states={"x": np.float32(1.5)}, parameters={"k": np.int64(2)})
    assert (system.state_defaults, system.parameter_defaults) == ((1.5,), (2.0,))


def count_to(n: int) -> int:
    total = 0
    for i in range(n):
        total += i
    return total


def fastest(work: Callable[[], object]) -> float:
    """Return the shortest of some times, in seconds."""
    times: list[float] = []
    for _ in range(10):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_lorenz_is_read_and_emitted_in_the_time_of_a_loop_to_100_000() -> None:
    """That is about 3 ms; it takes 0.5 ms. Loops measure the machine, and coverage with it."""
    assert fastest(lambda: rate_source(lorenz(), np.float32)) < 10 * fastest(lambda: count_to(10_000))


def test_140_states_are_read_and_emitted_in_the_time_of_a_loop_to_20_million() -> None:
    """That is about 0.5 s; it takes 0.1 s."""
    n = 140
    lines = [
        f"dx{i} = k{i}*x{(i + 1) % n}*x{(i + 7) % n}/(1 + x{i}**2) - sin(k{i}*t)*x{i} + exp(-x{(i + 3) % n}) + "
        f"sqrt(x{i}**2 + 1)"
        for i in range(n)
    ]
    start = time.perf_counter()
    system = create_ode_system(
        lines, states={f"x{i}": 1.0 for i in range(n)}, parameters={f"k{i}": 1.0 for i in range(n)}
    )
    rate_source(system, np.float64)
    assert time.perf_counter() - start < 200 * fastest(lambda: count_to(100_000))
