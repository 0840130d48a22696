"""Time as a pair of numbers: float32 that neither drifts nor sticks."""

from fractions import Fraction

import numpy as np
import pytest

from cubie._types import FloatPrecision
from cubie.integrators.loops.clock import Clock, make_clock
from cubie.integrators.loops.ode_loop_config import LoopArguments
from cubie.targets.reference import ReferenceTarget
from tests.reference_rows import counts, floats, loop_arguments, reals


def arguments(t0: float, first_step: float, direction: float, precision: FloatPrecision) -> LoopArguments:
    """Return as much of a kernel's arguments as a clock reads."""
    start = float(precision(t0))
    return loop_arguments(times=(start, t0 - start), direction=direction, first_step=first_step, precision=precision)


def clock(precision: FloatPrecision, *, compensated: bool) -> Clock:
    return make_clock(ReferenceTarget(width=1), precision, compensated=compensated)


def test_many_small_float32_steps_add_up_far_from_zero() -> None:
    advance = clock(np.float32, compensated=True).advance
    step = np.float32(0.01)
    t, rest = reals(1e6, precision=np.float32), reals(0.0, precision=np.float32)
    for _ in range(20_000):
        t, rest = advance(t, rest, reals(float(step), precision=np.float32))
    (high,), (low,) = floats(t), floats(rest)
    assert high + low == pytest.approx(1e6 + 20_000 * float(step), abs=1e-5)
    assert abs(low) <= 0.5 * np.spacing(np.float32(1e6))


def test_without_compensation_the_second_number_is_left_alone() -> None:
    advance = clock(np.float64, compensated=False).advance
    t, rest = advance(reals(1.0), reals(0.0), reals(0.25))
    assert (floats(t), floats(rest)) == ([1.25], [0.0])


def test_the_time_between_two_pairs_is_not_lost_where_their_first_numbers_are_equal() -> None:
    between = clock(np.float32, compensated=True).between
    pair = [reals(value, precision=np.float32) for value in (1e6, 0.01, 1e6, 0.02)]
    assert floats(between(*pair)) == pytest.approx([0.01], rel=1e-6)


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize(("t0", "step"), [(1e6, 0.01), (0.1, 1e-3), (-1e3, 0.3), (0.0, 1 / 3), (1e6, 1e-5)])
def test_times_of_equal_steps_are_counted_not_summed(t0: float, step: float, direction: float) -> None:
    for precision, compensated in ((np.float32, True), (np.float64, False)):
        made = arguments(t0, step, direction, precision)
        after = clock(precision, compensated=compensated).after_steps
        for n in (1, 7, 1000, 99_999):
            high, low = after(counts(n), made)
            exact = float(Fraction(t0) + n * Fraction(step) * int(direction))
            scale = max(abs(t0), n * step)
            bound = 4 * 2.0**-46 * scale if compensated else 2 * 2.0**-52 * scale
            assert floats(high)[0] + floats(low)[0] == pytest.approx(exact, abs=bound)
