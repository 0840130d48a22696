"""Tolerances of all kinds, spread over the states."""

import math
import warnings

import numpy as np
import pytest

from cubie._types import FloatPrecision
from cubie.batchsolving.system_interface import UnknownNameError
from cubie.batchsolving.tolerances import CubieWarning, ToleranceLike, Tolerances, make_tolerances

STATES = ("x", "y", "z")


def tolerances(
    rtol: ToleranceLike = 1e-6, atol: ToleranceLike = 1e-9, precision: FloatPrecision = np.float64
) -> Tolerances:
    return make_tolerances(rtol, atol, STATES, precision)


def test_one_number_holds_for_all_states() -> None:
    made = tolerances(1e-3, 1e-5)
    assert made.rtol.tolist() == [1e-3] * 3
    assert made.atol.tolist() == [1e-5] * 3
    assert made.scalar


@pytest.mark.parametrize("rtol", [[1e-3, 1e-4, 1e-5], np.array([1e-3, 1e-4, 1e-5]), {"z": 1e-5, "x": 1e-3, "y": 1e-4}])
def test_each_state_may_have_its_own(rtol: ToleranceLike) -> None:
    made = tolerances(rtol)
    assert made.rtol.tolist() == [1e-3, 1e-4, 1e-5]
    assert not made.scalar


def test_states_that_a_mapping_leaves_out_take_the_default() -> None:
    made = tolerances({"y": 1e-2}, {"z": 1e-2})
    assert made.rtol.tolist() == [1e-6, 1e-2, 1e-6]
    assert made.atol.tolist() == [1e-9, 1e-9, 1e-2]


def test_tolerances_come_in_the_precision_of_the_solve() -> None:
    made = tolerances(precision=np.float32)
    assert made.rtol.dtype == made.atol.dtype == np.float32


def test_float32_with_rtol_below_4_eps_warns_and_uses_4_eps() -> None:
    with pytest.warns(CubieWarning, match=r"rtol must be at least 4 units of rounding, got 1e-09.*float64"):
        made = tolerances(1e-9, precision=np.float32)
    assert made.rtol.tolist() == [4 * np.finfo(np.float32).eps] * 3


def test_float64_with_rtol_below_4_eps_warns_too() -> None:
    with pytest.warns(CubieWarning, match="8.88e-16 is used"):
        made = tolerances([0.0, 1e-3, 1e-3])
    assert made.rtol.tolist() == [4 * np.finfo(np.float64).eps, 1e-3, 1e-3]


def test_the_warning_points_at_the_users_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tolerances(1e-17)
    assert caught[0].filename == __file__


def test_an_atol_that_float32_would_round_to_zero_is_raised_with_a_warning() -> None:
    with pytest.warns(CubieWarning, match="atol must be a normal number of float32"):
        made = tolerances(atol=[1e-60, 0.0, 1e-3], precision=np.float32)
    tiny = np.finfo(np.float32).tiny
    assert made.atol.tolist() == [tiny, tiny, np.float32(1e-3)]


@pytest.mark.parametrize("bad", [-1e-3, [1e-3, -1.0, 1e-3]])
def test_negative_tolerances_are_refused(bad: ToleranceLike) -> None:
    with pytest.raises(ValueError, match="rtol must not be negative"):
        tolerances(bad)
    with pytest.raises(ValueError, match="atol must not be negative"):
        tolerances(atol=bad)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_tolerances_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"rtol.* must be finite"):
        tolerances(bad)
    with pytest.raises(ValueError, match=r"atol\[0\] must fit in float32"):
        tolerances(atol=1e300, precision=np.float32)


def test_a_state_with_no_tolerance_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="rtol and atol must not both be 0, got 0 and 0 for 'y'"):
        tolerances([1e-3, 0, 1e-3], 0.0)


def test_wrong_shapes_names_and_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rtol must be one number or have shape \(3,\), got \(2,\)"):
        tolerances([1e-3, 1e-3])
    with pytest.raises(ValueError, match=r"atol\['x'\] must be one number, got shape \(2,\)"):
        tolerances(atol={"x": np.ones(2)})
    with pytest.raises(UnknownNameError, match="unknown state in rtol: 'w'"):
        tolerances({"w": 1e-3})
    with pytest.raises(TypeError, match="rtol must be a real number"):
        tolerances("1e-3")  # type: ignore[arg-type]  # what a user without a type checker might write
