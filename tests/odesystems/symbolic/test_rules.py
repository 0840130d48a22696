"""What the rules make of each operation, seen in the emitted text."""

import math

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from cubie.odesystems import create_ode_system, rate_source
from cubie.odesystems.errors import EquationSyntaxError
from cubie.odesystems.symbolic.functions import FUNCTIONS, evaluate
from cubie.odesystems.symbolic.graph import Number, Operation, Symbol
from tests.odesystems.evaluate import rates
from tests.typed_hypothesis import given


def emitted(expression: str, **constants: float) -> str:
    """Return what `out[0]` is given, loads and names left out."""
    used = [name for name in "xy" if name in expression]
    lines = [f"d{name} = {expression if i == 0 else 0}" for i, name in enumerate(used or ["z"])]
    source = rate_source(create_ode_system(lines, states=used or ["z"], constants=constants), np.float64)
    body = source.text.splitlines()[1:]
    names = {"y0": used[0] if used else "z", "y1": "y"} | {name: f"{value:g}" for name, value in source.constants}
    kept = [line.strip() for line in body if not line.strip().startswith(("y0 =", "y1 =", "out[1]"))]
    text = "; ".join(kept).replace("out[0] = ", "")
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    return text


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x + 0 + 0*x", "x"),
        ("0 - x", "-x"),
        ("x*1 + 0", "x"),
        ("-1*x", "-x"),
        ("2*(3*x)", "6 * x"),
        ("x*2*3*y", "(6 * x) * y"),
        ("x/4", "0.25 * x"),
        ("x/-4", "-0.25 * x"),
        ("0/x", "splat(0)"),
        ("-(-x)", "x"),
        ("-x*-y", "x * y"),
        ("-x/y", "-x / y"),
        ("x - -y", "x + y"),
        ("-x + y", "y - x"),
        ("-x - y", "-x - y"),
        ("x*(8/3 - 2/3)", "2 * x"),
        ("x**2", "x * x"),
        ("x**3", "x * (x * x)"),
        ("x**4", "x0 = x * x; x0 * x0"),
        ("x**0", "splat(1)"),
        ("x**1", "x"),
        ("x**-1", "1 / x"),
        ("x**-2", "1 / (x * x)"),
        ("x**0.5", "sqrt(x)"),
        ("x**1.5", "x * sqrt(x)"),
        ("x**-0.5", "1 / sqrt(x)"),
        ("x**33", "pow(x, 33)"),
        ("x**0.3", "pow(x, 0.3)"),
        ("2**x", "pow(2, x)"),
        ("exp(1)**x", "exp(x)"),
        ("abs(-x)", "absolute(x)"),
        ("cos(-2*x)", "cos(2 * x)"),
        ("sin(2)*x", "0.909297 * x"),
        ("min(x, x)", "x"),
        ("x if 1 < 2 else y", "x"),
        ("x if 1 > 2 else y", "y"),
        ("x if not x > y else y", "select(y < x, y, x)"),
        ("x if x > y and True else y", "select(y < x, x, y)"),
        ("x if x > y or True else y", "x"),
        ("x if x > y and not True else y", "y"),
        ("x if x > y or False else y", "select(y < x, x, y)"),
        ("x if x > y and x > y else y", "select(y < x, x, y)"),
        ("x if not not x > y else x", "x"),
        ("(x if x > y else 1) if x > y else 2", "select(y < x, x, splat(2))"),
        ("1 if x > y else (x if x > y else 2)", "select(y < x, splat(1), splat(2))"),
        ("1 if x > y else 2", "select(y < x, splat(1), splat(2))"),
        ("1 if x > y else -2", "select(y < x, splat(1), splat(-2))"),
        ("3", "splat(3)"),
        ("c/d + x", "(splat(1) / 0) + x"),
    ],
)
def test_operations_come_out_simple(expression: str, expected: str) -> None:
    constants = {"c": 1.0, "d": 0.0} if expression.startswith("c/d") else {}
    assert emitted(expression, **constants) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x*y + x", "fma(x, y, x)"),
        ("x - x*y", "fma(-x, y, x)"),
        ("x*y - x", "fma(x, y, -x)"),
        ("-(x*y) - x", "fma(-x, y, -x)"),
        ("-(x - x*y)", "fma(x, y, -x)"),
        ("2*x - 3*y + 1", "fma(-3, y, 2 * x) + 1"),
        ("x*x - y*y", "fma(-y, y, x * x)"),
        ("-(x*y)", "-x * y"),
        ("-(x/y)", "-x / y"),
        ("sin(x*y) + x*y", "x0 = x * y; x0 + sin(x0)"),
        ("(x - y)*(y - x)", "x0 = x - y; -x0 * x0"),
        ("1/(x*y) + x/(x*y)", "x0 = 1 / (x * y); fma(x, x0, x0)"),
    ],
)
def test_products_and_sums_become_multiply_adds(expression: str, expected: str) -> None:
    assert emitted(expression) == expected


def test_a_product_that_two_rates_need_is_computed_once() -> None:
    source = rate_source(create_ode_system("dx = x - x*y; dy = -(y - x*y)", states=["x", "y"]), np.float64)
    assert source.text.count("*") == 1


def test_a_value_that_divides_twice_is_inverted_once() -> None:
    source = rate_source(create_ode_system("r = x*x + y*y; dx = x/r; dy = (y - 1)/r", states=["x", "y"]), np.float64)
    assert source.text.count("/") == 1


def test_heaviside_and_the_like_are_spelt_with_what_targets_have() -> None:
    names = {row.name for row in FUNCTIONS.values() if row.spelling is None}
    assert names == {"true", "false", "trunc", "modulo", "floor_divide", "heaviside"}
    text = rate_source(
        create_ode_system("dx = trunc(x) + x % 3 + x // 3 + heaviside(x)", states=["x"]), np.float64
    ).text
    assert not [name for name in names if name in text]


LEAVES = st.sampled_from(["x", "y", "k", "t", "2", "0.5", "-3", "1"])


def extended(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(part, part)
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/"]), pair).map(lambda o: f"({o[1][0]} {o[0]} {o[1][1]})"),
        part.map(lambda a: f"-({a})"),
        st.tuples(part, st.sampled_from(["2", "3", "-1", "0.5", "1.5", "-2"])).map(lambda o: f"({o[0]})**{o[1]}"),
        st.tuples(st.sampled_from(["sqrt", "exp", "sin", "cos", "abs", "tanh", "cbrt"]), part).map(
            lambda o: f"{o[0]}({o[1]})"
        ),
        st.tuples(pair, pair).map(lambda o: f"({o[0][0]} if {o[1][0]} < {o[1][1]} else {o[0][1]})"),
        pair.map(lambda o: f"max({o[0]}, min({o[1]}, 2))"),
    )


EXPRESSIONS = st.lists(st.recursive(LEAVES, extended, max_leaves=12), min_size=2, max_size=2)


@given(EXPRESSIONS, examples=150)
def test_the_passes_keep_the_value_of_any_expression(expressions: list[str]) -> None:
    lines = [f"dx = {expressions[0]} + 0*(x + y + k)", f"dy = {expressions[1]}"]
    try:
        system = create_ode_system(lines, states=["x", "y"], parameters=["k"])
    except EquationSyntaxError:  # literals without a finite value, such as sqrt(-3)
        return
    inputs = {"state": (1.25, -0.75), "parameter": (0.625,), "time": (1.5,), "constant": ()}
    values: list[float] = []
    for node in system.expressions.nodes:
        match node:
            case Number(value):
                values.append(value)
            case Symbol(kind, index):
                values.append(inputs[kind][index])
            case Operation(function, arguments):
                result = evaluate(function, tuple(values[argument] for argument in arguments))
                # ill-conditioned or overflowing expressions tell nothing of the passes
                assume(result is not None and (result == 0.0 or 1e-4 < abs(result) < 1e4))
                values.append(result if result is not None else math.nan)
    expected = [values[rate] for rate in system.expressions.rates]
    assert rates(system, [1.25, -0.75], [0.625], t=1.5) == pytest.approx(expected, rel=1e-9, abs=1e-9)
