"""Time as a pair of numbers: float32 that neither drifts nor sticks."""

from fractions import Fraction

import numpy as np
import pytest

from cubie._types import FloatPrecision
from cubie.integrators.loops.clock import Clock, make_clock
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import State
from cubie.targets.reference import ReferenceTarget
from tests.reference_rows import counts, floats, loop_arguments, reals


def clock(precision: FloatPrecision, *, adaptive: bool = True) -> Clock:
    settings = LoopSettings(
        n_states=1,
        n_parameters=0,
        precision=precision,
        adaptive=adaptive,
        dense=False,
        scalar_tolerances=True,
        n_errors=1,
        error_order=4,
    )
    return make_clock(ReferenceTarget(width=1), settings)


def state_after(n_steps: int, n_rejected: int, arguments: LoopArguments) -> State:
    """Return a state that is still at the start of its run, after so many attempts."""
    none, nothing = reals(0.0), counts(0)
    return State(
        t=arguments.t0,
        t_rest=arguments.t0_rest,
        dt=arguments.first_step,
        n_steps=counts(n_steps),
        n_accepted=counts(n_steps - n_rejected),
        n_saved=nothing,
        due=none,
        due_rest=none,
        status=nothing,
    )


def test_many_small_float32_steps_add_up_far_from_zero() -> None:
    advance = clock(np.float32).advance
    step = np.float32(0.01)
    t, rest = reals(1e6, precision=np.float32), reals(0.0, precision=np.float32)
    for _ in range(20_000):
        t, rest = advance(t, rest, reals(float(step), precision=np.float32))
    (high,), (low,) = floats(t), floats(rest)
    assert high + low == pytest.approx(1e6 + 20_000 * float(step), abs=1e-5)
    assert abs(low) <= 0.5 * np.spacing(np.float32(1e6))


def test_without_compensation_the_second_number_is_left_alone() -> None:
    advance = clock(np.float64).advance
    t, rest = advance(reals(1.0), reals(0.0), reals(0.25))
    assert (floats(t), floats(rest)) == ([1.25], [0.0])


def test_the_time_between_two_pairs_is_not_lost_where_their_first_numbers_are_equal() -> None:
    between = clock(np.float32).between
    pair = [reals(value, precision=np.float32) for value in (1e6, 0.01, 1e6, 0.02)]
    assert floats(between(*pair)) == pytest.approx([0.01], rel=1e-6)


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize(("t0", "step"), [(1e6, 0.01), (0.1, 1e-3), (-1e3, 0.3), (0.0, 1 / 3), (1e6, 1e-5)])
def test_times_of_equal_steps_are_counted_not_summed(t0: float, step: float, direction: float) -> None:
    for precision in (np.float32, np.float64):
        made = loop_arguments(t0=t0, direction=direction, first_step=step, precision=precision)
        now = clock(precision, adaptive=False).now
        for n in (1, 7, 1000, 99_999):
            high, low = now(state_after(n + 1, 1, made), made)
            exact = float(Fraction(t0) + n * Fraction(step) * int(direction))
            scale = max(abs(t0), n * step)
            bound = 4 * 2.0**-46 * scale if precision is np.float32 else 2 * 2.0**-52 * scale
            assert floats(high)[0] + floats(low)[0] == pytest.approx(exact, abs=bound)


def test_steps_of_adapted_length_carry_their_time() -> None:
    made = loop_arguments(t0=2.5)
    assert [floats(part) for part in clock(np.float64).now(state_after(7, 1, made), made)] == [[2.5], [0.0]]
