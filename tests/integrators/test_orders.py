"""Every explicit method shows its order through the compiled CPU target, and the reference target agrees."""

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie._types import FloatPrecision
from cubie.batchsolving.arrays import FloatArray
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS
from cubie.targets.reference import ReferenceTarget
from tests.integrators.fixed_steps import exact, on_cpu, on_reference, slopes

ROWS: Final = tuple(ERK_TABLEAUS.values())
RESOLVED: Final = 4e-13
"""Errors below are partly rounding: the slope would be off by more than 0.01."""

THREE_EIGHTHS: Final = ButcherTableau(
    name="three-eighths",
    order=4,
    a=((), (Fraction(1, 3),), (Fraction(-1, 3), 1), (1, -1, 1)),
    b=(0.125, 0.375, 0.375, 0.125),
    c=(0, Fraction(1, 3), Fraction(2, 3), 1),
    source="Kutta (1901), Z. Math. Phys. 46, 435-453",
)
"""A method of the user's own: no row of the registry."""

MEASURED: Final = {
    "explicit-euler": (0.92, 0.86, 0.95, 0.98, 0.99, 1.0),
    "heun-21": (2.25, 2.18, 2.11, 2.06, 2.03, 2.02),
    "bogacki-shampine-32": (2.78, 2.92, 2.97, 2.99, 2.99, 3.0),
    "classical-rk4": (4.27, 4.18, 4.1, 4.02, 3.99, 4.0),
    "dormand-prince-54": (6.05, 5.14, 4.84, 4.93),
    "tsit5": (6.19, 5.95, 5.84),
    "vern6": (7.78, 6.53),
    "vern7": (8.65, 8.11),
    "dormand-prince-853": (8.0, 8.25),
}
"""Slopes between 4, 8, 16, ... steps, measured in 40-digit arithmetic by another code; the first ones, which double
precision resolves. Orders read high where a method's leading error is small."""
TOLERANCE: Final = 0.15
SHORT_OF_NOMINAL: Final = 0.3

Z1: Final = (1.0, -2.0, 0.3, 2.5, 0.0, -0.7, 1.7)
"""More runs than stand side by side in a group of five, and no multiple of it."""
T_EVAL: Final = (0.0, 0.3, 1.0, 1.9, 2.0)


def named(row: ButcherTableau) -> str:
    return row.name


def errors_at_end(row: ButcherTableau, n_steps: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The largest error at t = 2 after each number of equal steps."""
    ends = [on_cpu(row, 2 / n, (1.0, 2.0))[-1, :, 0] for n in n_steps]
    return np.array([np.abs(end - exact(2.0)).max() for end in ends])


@pytest.mark.parametrize("name", MEASURED)
def test_slopes_are_those_measured_elsewhere_at_the_same_steps(name: str) -> None:
    """PITFALL 17: tests of orders so loose that a method almost one order too low passed."""
    expected = MEASURED[name]
    n_steps = tuple(4 << halving for halving in range(len(expected) + 1))
    assert slopes(errors_at_end(ERK_TABLEAUS[name], n_steps), n_steps) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in MEASURED], ids=named)
def test_slope_is_at_most_a_little_below_nominal(row: ButcherTableau) -> None:
    """PITFALL 17: the same, of the other methods."""
    n_steps = tuple(3 << halving for halving in range(7))
    errors = errors_at_end(row, n_steps)
    assert slopes(errors[errors > RESOLVED], n_steps)[-1] > row.order - SHORT_OF_NOMINAL


def test_a_users_own_tableau_has_its_order() -> None:
    n_steps = (16, 32, 64)
    assert slopes(errors_at_end(THREE_EIGHTHS, n_steps), n_steps) == pytest.approx([4.0, 4.0], abs=TOLERANCE)


@pytest.mark.parametrize("row", (*ROWS, THREE_EIGHTHS), ids=named)
@pytest.mark.parametrize("width", [1, 5])
def test_reference_target_agrees_with_the_cpu_to_rounding(row: ButcherTableau, width: int) -> None:
    reference = on_reference(row, ReferenceTarget(width=width), 0.125, T_EVAL, z1=Z1)
    assert distance(reference, on_cpu(row, 0.125, T_EVAL, z1=Z1)) < rounding(row, np.float64)


@pytest.mark.parametrize("row", ROWS, ids=named)
@pytest.mark.parametrize("width", [1, 5])
def test_single_precision_differs_by_its_rounding_alone(row: ButcherTableau, width: int) -> None:
    single = on_reference(row, ReferenceTarget(width=width), 0.125, T_EVAL, z1=Z1, precision="float32")
    assert single.dtype == np.float32
    assert distance(single, on_cpu(row, 0.125, T_EVAL, z1=Z1)) < rounding(row, np.float32)


def test_single_precision_on_the_cpu_differs_by_its_rounding_alone() -> None:
    row = ERK_TABLEAUS["tsit5"]
    single = on_cpu(row, 0.125, T_EVAL, z1=Z1, precision="float32")
    assert single.dtype == np.float32
    assert distance(single, on_cpu(row, 0.125, T_EVAL, z1=Z1)) < rounding(row, np.float32)


def distance(left: FloatArray, right: FloatArray) -> float:
    return float(np.abs(left.astype(np.float64) - right).max())


def rounding(row: ButcherTableau, precision: FloatPrecision) -> float:
    """How far two orders of the same operations may end up apart: further where large weights cancel (vern6: 354)."""
    return float(np.finfo(precision).eps) * (16 + 12 * sum(abs(float(weight)) for weight in row.b))
