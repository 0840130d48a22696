"""The compiled CPU target against NumPy, one run at a time and in lanes."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import Unpack

from cubie import ODESystem, Solution, create_ode_system
from cubie._types import FLOAT_PRECISIONS, FloatPrecision, RateFn
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS, Target
from cubie.targets.cpu import CpuTarget, register_bytes
from cubie.targets.llvm import alike
from cubie.targets.reference import FUNCTIONS, ReferenceTarget
from tests.batches import SolveOptions, solve_on

SPELT: Final = {"absolute": "abs", "minimum": "min", "maximum": "max"}
POINTS: Final = np.array(
    [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 0.999, 3.0, -7.3, 1e-30, -1e-30, 20.0, 88.0, -88.0, 1e6, -1e6, 1e30, 2.5, -2.5]
)
SECOND: Final = 1.75


def every_function() -> ODESystem:
    """Return a system whose observables are every function of the language at x."""
    unary = [f"u_{name} = {SPELT.get(name, name)}(x)" for name in UNARY_FUNCTIONS]
    binary = [f"b_{name} = {SPELT.get(name, name)}(x, q)" for name in BINARY_FUNCTIONS]
    names = [line.partition(" ")[0] for line in (*unary, *binary)]
    return create_ode_system(
        ["dx = 0*x", *unary, *binary], states=["x"], parameters={"q": SECOND}, observables=names, name="functions"
    )


@pytest.mark.parametrize(("precision", "width"), [("float64", 4), ("float32", 1)])
def test_every_function_of_a_model_is_numpys_to_rounding(precision: PrecisionName, width: int) -> None:
    system = every_function()
    solution = solve_on(
        CpuTarget(width=width),
        system,
        (0.0, 1.0),
        y0={"x": POINTS},
        method="explicit-euler",
        first_step=1.0,
        precision=precision,
        save=system.observables,
        t_eval=[0.0],
    )
    x, q = POINTS.astype(precision), FLOAT_PRECISIONS[precision](SECOND)
    with np.errstate(all="ignore"):
        for name in UNARY_FUNCTIONS:
            assert_near(solution[f"u_{name}"][0], FUNCTIONS[name](x), name)
        for name in BINARY_FUNCTIONS:
            assert_near(solution[f"b_{name}"][0], FUNCTIONS[name](x, q), name)


def assert_near(ours: npt.NDArray[np.float32 | np.float64], numpys: object, name: str) -> None:
    """Require agreement to 4 units in the last place; infinities and NaNs exactly."""
    eps = float(np.finfo(ours.dtype).eps)
    np.testing.assert_allclose(
        ours.astype(np.float64), np.asarray(numpys, np.float64), rtol=4 * eps, atol=0, err_msg=name
    )


BRITTLE: Final = create_ode_system(
    ["dx = y + b*x*x", "dy = -w*w*x + 0.1*sin(3*t)", "energy = x*x + y*y"],
    states={"x": 1.0, "y": 0.0},
    parameters={"w": 1.0, "b": 0.0},
    observables=["energy"],
)
W: Final = np.array([1.0, 2.0, 0.5, 3.0, 1.5, 7.0, 0.1])
B: Final = np.array([0.0, 0.1, 5.0, 0.0, 0.0, 60.0, 0.2])


RTOL: Final = 1e-5


def brittle(target: Target, **options: Unpack[SolveOptions]) -> Solution:
    """Solve a batch of which two runs blow up."""
    chosen: SolveOptions = {
        "t_eval": np.linspace(0, 3, 7),
        "save": ["x", "energy", "y"],
        "rtol": RTOL,
        "parameters": {"w": W, "b": B},
        **options,
    }
    return solve_on(target, BRITTLE, (0.0, 3.0), **chosen)


@pytest.mark.parametrize(("precision", "width"), [("float64", 1), ("float64", 4), ("float32", 16)])
def test_adaptive_runs_agree_with_the_reference_well_within_their_tolerance(
    precision: PrecisionName, width: int
) -> None:
    """Rounding differs (the reference does not fuse float64) and can move steps, so that errors of steps differ."""
    ours, reference = (brittle(target, precision=precision) for target in (CpuTarget(width=width), ReferenceTarget()))
    np.testing.assert_array_equal(ours.success, reference.success)
    np.testing.assert_array_equal(np.isnan(ours.y), np.isnan(reference.y))
    good = reference.success
    bound = 1e-3 * RTOL if precision == "float64" else 1e-5
    np.testing.assert_allclose(ours.y[..., good], reference.y[..., good], rtol=bound, atol=bound)
    assert np.all(np.abs(ours.n_steps - reference.n_steps) <= np.maximum(1, reference.n_steps // 50))


@pytest.mark.parametrize(("precision", "width"), [("float64", 4), ("float32", 1)])
def test_fixed_steps_agree_with_the_reference_to_rounding(precision: PrecisionName, width: int) -> None:
    """The bound: a thousand units of rounding after three hundred steps."""
    ours, reference = (
        brittle(target, precision=precision, method="rk4", first_step=0.01)
        for target in (CpuTarget(width=width), ReferenceTarget())
    )
    np.testing.assert_array_equal(ours.n_steps, reference.n_steps)
    np.testing.assert_array_equal(ours.status, reference.status)
    bound = 1000 * float(np.finfo(precision).eps)
    calm = B < 1
    np.testing.assert_allclose(ours.y[..., calm], reference.y[..., calm], rtol=bound, atol=bound)


def test_a_float64_among_float32_operands_is_an_error_at_build_time() -> None:
    from numba import types

    with pytest.raises(TypeError, match="fma needs operands of one type, got float32, float64, float32"):
        alike("fma", types.float32, types.float64, types.float32)


def test_a_model_that_leaves_its_precision_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A literal in device code is a float64: the mistake is found when the kernel is built, not by slow arithmetic."""
    compile_source = CpuTarget.from_source

    def careless(
        target: CpuTarget, name: str, text: str, constants: tuple[tuple[str, float], ...], precision: FloatPrecision
    ) -> RateFn:
        return compile_source(
            target, name, text.replace("out[0] = ", "out[0] = fma(y[0], y[0], 0.5) + "), constants, precision
        )

    monkeypatch.setattr(CpuTarget, "from_source", careless)
    with pytest.raises(TypeError, match="fma needs operands of one type, got float32, float32, float64"):
        brittle(CpuTarget(), precision="float32")


def test_registers_are_as_wide_as_a_cpu_has_them() -> None:
    assert register_bytes() in (16, 32, 64)


def test_a_width_is_one_run_or_lanes() -> None:
    assert CpuTarget().width == 1
    assert math.log2(CpuTarget(width=16).width) == 4
