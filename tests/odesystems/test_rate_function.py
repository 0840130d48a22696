"""Systems as device functions of the targets."""

import re
from types import FunctionType
from typing import Final, NamedTuple

import numpy as np
import pytest
from numba import types

from cubie._types import FloatPrecision, GlobalReals, RateFn, Real, Vector
from cubie.odesystems import create_ode_system
from cubie.odesystems.rate_function import ObservablesFunction, RateFunction, SystemFunction, SystemSettings
from cubie.odesystems.symbolic.functions import FUNCTIONS
from cubie.targets.base import Argument, KernelLayout, Target
from cubie.targets.cpu import CpuTarget
from cubie.targets.cuda import CudaTarget
from cubie.targets.cuda_driver import ELEMENTS
from cubie.targets.reference import ReferenceTarget
from tests.odesystems.evaluate import Values, observables, rates
from tests.ptx import compile_ptx

UNARY: Final = [row.name for row in FUNCTIONS.values() if row.takes == ("real",) and row.name != "negative"]
EVERYTHING: Final = create_ode_system(
    [
        "u' = " + " + ".join(f"{name if name != 'absolute' else 'abs'}(u)" for name in UNARY if name != "acosh"),
        "v' = acosh(v) + v**k + atan2(u, v) + hypot(u, v) + min(u, v) + max(u, v, t) + mod(v, u) + heaviside(v, 0.5)",
        "w' = (u if u < v and (v <= w or u == w) else v) + piecewise((w, not u >= v), (2, u != v), 3) + (u > v)",
        "z' = 1 if u > v else 2",
        "c' = 3",
        "r = u*v",
    ],
    states=["u", "v", "w", "z", "c"],
    parameters=["k"],
    observables=["r"],
)
POINT: Final = [0.3, 1.7, 0.9, 0.1, 0.2]


def expected_of(kind: type[SystemFunction[RateFn]], precision: FloatPrecision) -> Values:
    """Return what plain NumPy makes of the same source."""
    evaluate = rates if kind is RateFunction else observables
    return evaluate(EVERYTHING, POINT, [2.0], t=1.5, precision=precision)


def built(kind: type[SystemFunction[RateFn]], target: Target, precision: FloatPrecision) -> object:
    return kind(SystemSettings(system=EVERYTHING, precision=precision), target=target).device_function


KINDS: Final = (RateFunction, ObservablesFunction)


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_target_runs_every_function_of_models(
    kind: type[SystemFunction[RateFn]], precision: FloatPrecision, width: int
) -> None:
    expected = expected_of(kind, precision)
    function = built(kind, ReferenceTarget(width=width), precision)
    assert callable(function)
    t, y, p = (np.multiply.outer(values, np.ones(width)).astype(precision) for values in (1.5, POINT, [2.0]))
    out = np.full((len(expected), width), np.nan, dtype=precision)
    function(t, y, p, np.empty((0, width)), out)
    for run in range(width):
        assert out[:, run] == pytest.approx(expected, rel=float(8 * np.finfo(precision).eps))


class RateArguments(NamedTuple):
    """The arguments of a kernel that evaluates a system once."""

    first_run: int
    n_slots: int
    y: GlobalReals
    parameters: GlobalReals
    drivers: GlobalReals
    out: GlobalReals


def evaluated_on_the_cpu(kind: type[SystemFunction[RateFn]], precision: FloatPrecision, size: int) -> Values:
    """Return what the compiled function stores, in a kernel around it alone."""
    target, t = CpuTarget(), precision(1.5)
    evaluate = kind(SystemSettings(system=EVERYTHING, precision=precision), target=target).device_function
    namespace: dict[str, object] = {"evaluate": evaluate, "t": t}
    exec(
        "def solve_runs(first, stop, a, shared, persistent):\n    evaluate(t, a.y, a.parameters, a.drivers, a.out)",
        namespace,
    )
    solve_runs = namespace["solve_runs"]
    assert isinstance(solve_runs, FunctionType)
    layout = KernelLayout(
        name="evaluate",
        group=RateArguments,
        arguments=tuple(Argument(name, precision, True) for name in RateArguments._fields[2:]),
        n_outputs=1,
        n_shared=0,
        shared_precision=precision,
        n_persistent=0,
        persistent_precision=precision,
    )
    out = np.full(size, np.nan, dtype=precision)
    inputs = [np.array(values, dtype=precision) for values in (POINT, [2.0], [])]
    target.kernel(target.device(solve_runs), layout).launch(inputs, [out], [(0, 1)], None)
    return out.astype(np.float64)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_the_cpu_compiles_every_function_of_models(precision: FloatPrecision) -> None:
    for kind in KINDS:
        expected = expected_of(kind, precision)
        out = evaluated_on_the_cpu(kind, precision, len(expected))
        assert out == pytest.approx(expected, rel=float(32 * np.finfo(precision).eps))


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_compiles_every_function_of_models(kind: type[SystemFunction[RateFn]], precision: FloatPrecision) -> None:
    """In float32 nothing is done in float64, but for the range reduction inside libdevice's sine and cosine."""
    rate = kind(SystemSettings(system=EVERYTHING, precision=precision), target=CudaTarget()).device_function

    def kernel(t: Real, y: Vector, p: Vector, d: Vector, out: Vector) -> None:
        rate(t, y, p, d, out)

    element = ELEMENTS[precision]
    array = types.Array(element, 1, "C")
    ptx = compile_ptx(kernel, types.void(element, array, array, array, array), (9, 0))
    if precision is np.float32:
        assert set(re.findall(r"^\s*([\w.]*f64[\w.]*)\s", ptx, re.MULTILINE)) <= {
            "cvt.rn.f64.s64",
            "mul.f64",
            "cvt.rn.f32.f64",
        }
