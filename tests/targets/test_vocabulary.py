"""All that models may say, on CPU lanes: each word that docs/models.md lists, by explicit and implicit methods."""

import itertools
import math
import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from cubie import create_ode_system
from cubie._types import FLOAT_PRECISIONS, FloatPrecision
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.targets.base import Target
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import solve_on
from tests.targets.function_kernels import in_precision, kernel_of

DOCS: Final = Path(__file__).parents[2] / "docs" / "models.md"
GROUPS: Final = (
    ("x + k", "x - k", "x*k", "x/k", "x**k", "x^2", "x**-1", "x**2.5", "x**-0.5", "2**x"),
    ("x % k", "x // k", "-x % 0.3", "-x // 0.3", "mod(x, k)", "mod(-x, k)", "fmod(-x, k)", "5 // x", "5 % x"),
    ("2 if x > k else 3", "where(x > 1, x, k)", "piecewise((1, x == 2), (k, x < 1), 3)", "k if t == 0 else x"),
    ("x < k", "x <= k", "x > k", "x >= k", "x == k", "x != k", "x == 0.5", "2 != x", "t == 0", "t != x", "k == 1"),
    ("0 < x <= 1", "0 < x < k != t", "x == x == k", "x > 1 and k > 1", "x > 1 or k == 1", "not x == k"),
    ("(x > 1) & (k > 1)", "(x > 1) | (k != 1)", "~(x > k)", "(x > 1) == (k > 1)", "(x > 1) != (k > 1)", "x*(k == 1)"),
    ("1 if True else x", "x > 1 if k > 1 else x < 1", "pi*x", "(x > 1) + (k > 1)", "-x if x == k else -2*x"),
    ("sqrt(x)", "cbrt(x)", "exp(x)", "exp2(x)", "expm1(x)", "log(x)", "log1p(x)", "log2(x)", "log10(x)", "ln(x)"),
    ("log(x, 3)", "log(2, 1 + x)", "sin(x)", "cos(x)", "tan(x)", "sec(x)", "csc(x)", "cot(x)", "asin(x/4)"),
    ("acos(x/4)", "atan(x)", "atan2(x, k)", "sinh(x)", "cosh(x)", "tanh(x)", "asinh(x)", "acosh(1 + x)", "erf(x)"),
    ("atanh(x/4)", "abs(x - 1)", "sign(x - 1)", "sign(-x)", "floor(3*x)", "ceil(3*x)", "trunc(-3*x)"),
    ("hypot(x, k)", "pow(x, k)", "pow(k, x)", "min(x, k)", "max(x, k)", "min(x, k, 1, t, 2*x)"),
    ("max(x, k, 1, t, x/2)", "clip(x, 0.7, k)", "heaviside(x - 1)", "heaviside(x - k, 1)", "heaviside(k - x, x)"),
)
X: Final = np.array([0.5, 1.0, 1.25, 2.0, 1.5, 1.0, 0.75])
K: Final = np.array([1.0, 1.0, 2.0, 2.0, 1.5, 1.25, 1.0])
NAMES: Final = [f"group_{i}" for i in range(len(GROUPS))]
SYSTEM: Final = create_ode_system(
    [f"dx = 0.001*({' + '.join(NAMES)}) - x"]
    + [f"{name} = ({') + ('.join(group)})" for name, group in zip(NAMES, GROUPS, strict=True)],
    states=["x"],
    parameters=["k"],
    observables=NAMES,
)
"""Every expression is part of a number that is saved, and of the rate, and so of its derivatives."""
COMPARISONS: Final = {
    **{"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal},
    **{"==": np.equal, "!=": np.not_equal},
}
NUMBERS: Final = [-math.inf, -1.0, -0.0, 0.0, 0.5, 1.0, math.inf, math.nan]


def test_every_function_of_the_documentation_is_tried() -> None:
    listed = re.search(r"\nFunctions: `([^`]*)`", DOCS.read_text())
    assert listed is not None
    tried = {name for text in itertools.chain(*GROUPS) for name in re.findall(r"([a-z]\w*)\(", text)}
    assert set(listed[1].split()) == tried - {"where", "piecewise"}


@pytest.mark.parametrize(
    ("method", "precision", "target"),
    [
        ("tsit5", "float64", CpuTarget(width=1)),
        ("tsit5", "float32", ReferenceTarget(width=7)),
        ("rodas5p", "float64", ReferenceTarget(width=7)),
        ("rodas5p", "float32", ReferenceTarget(width=7)),
    ],
)
def test_lanes_say_what_others_say(method: str, precision: PrecisionName, target: Target) -> None:
    lanes, others = (
        solve_on(
            it,
            SYSTEM,
            (0.0, 0.01),
            y0={"x": X},
            parameters={"k": K},
            method=method,
            precision=precision,
            first_step=0.01,
            rtol=1e-3,
            save=["x", *NAMES],
        )
        for it in (CpuTarget(width=4), target)
    )
    bound = 20 * float(np.finfo(FLOAT_PRECISIONS[precision]).eps)
    assert bool(np.all(lanes.success))
    np.testing.assert_allclose(lanes["x"], others["x"], rtol=bound)
    for name, group in zip(NAMES, GROUPS, strict=True):
        np.testing.assert_allclose(lanes[name][0], others[name][0], rtol=bound, atol=bound, err_msg=str(group))


@pytest.mark.parametrize("precision", FLOAT_PRECISIONS.values(), ids=FLOAT_PRECISIONS.keys())
@pytest.mark.parametrize("width", [1, 4])
def test_comparisons_of_numbers_and_of_masks_are_ieees(precision: FloatPrecision, width: int) -> None:
    x, y = (in_precision(f(np.array(NUMBERS), len(NUMBERS)), precision) for f in (np.repeat, np.tile))
    half = np.full_like(x, 0.5)
    expected = {
        text.format(symbol): compare(a, b)
        for symbol, compare in COMPARISONS.items()
        for text, a, b in (("x {} y", x, y), ("x {} half", x, half), ("half {} x", half, x))
    }
    expected["(x < y) == (y < x)"] = (x < y) == (y < x)
    expected["(x < y) != (y < x)"] = (x < y) != (y < x)
    results = np.empty((len(expected), x.size), precision)
    numbers = {name: precision(value) for name, value in (("half", 0.5), ("zero", 0.0), ("one", 1.0))}
    statement = "value = select(({f}), splat(one), splat(zero))"
    kernel = kernel_of([*expected], precision, CpuTarget(width=width), numbers, statement)
    kernel.launch([x, y], [results], [(0, x.size)], None)
    for (text, truths), found in zip(expected.items(), results, strict=True):
        np.testing.assert_array_equal(found, truths, err_msg=text)


DIVISIONS: Final = [
    *[(1e10, 0.1), (6.0, 0.1), (1e10, -0.1), (1e17, 3.0), (1.0, -1 / 3), (-7.0, 2.5), (7.0, -2.5), (-7.0, -2.5)],
    *[(1.0, math.inf), (1.0, -math.inf), (-1.0, math.inf), (0.0, 3.0), (6.0, 3.0), (6.0, -3.0), (-0.3, 1e300)],
    *[(5e-324, 2.0), (-5e-324, 2.0), (3.5, 5e-324), (2.0**53 + 2, 3.0), (-24.5, 24.0), (0.0, -0.5), (-1e200, 1e-200)],
]
FINITE: Final = 1.5e308
"""Stands for infinity, which no input may be."""


@pytest.mark.parametrize(
    "target", [CpuTarget(width=4), CpuTarget(width=1), ReferenceTarget(width=3)], ids=["lanes", "one run", "reference"]
)
def test_remainders_and_floor_quotients_are_pythons(target: Target) -> None:
    x, k = (np.array(column) for column in zip(*DIVISIONS, strict=True))
    system = create_ode_system(
        """
        dx = 0*x; d = k*10 if abs(k) > 1e306 else k
        rest = x % d; quotient = x // d; tenth = x // 0.1; by_zero = x // (k - k); rest_by_zero = x % (k - k)
        """,
        states=["x"],
        parameters=["k"],
        observables=["rest", "quotient", "tenth", "by_zero", "rest_by_zero"],
    )
    given = {"k": np.clip(k, -FINITE, FINITE)}
    found = solve_on(
        target, system, (0.0, 1.0), y0={"x": x}, parameters=given, save=[*system.observables], t_eval=[0.0]
    )
    np.testing.assert_array_equal(found["rest"][0], [a % b for a, b in DIVISIONS])
    np.testing.assert_array_equal(found["quotient"][0], [a // b for a, b in DIVISIONS])
    np.testing.assert_allclose(found["tenth"][0], [a // 0.1 for a, _ in DIVISIONS], rtol=2.0**-52)
    np.testing.assert_array_equal(found["by_zero"][0], [math.copysign(math.inf, a) if a else math.nan for a in x])
    assert bool(np.all(np.isnan(found["rest_by_zero"])))
