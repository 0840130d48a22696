"""Spans, saved times, and times as pairs of numbers."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from cubie._types import FloatPrecision
from cubie.batchsolving.arrays import SupportsArray
from cubie.batchsolving.schedule import Schedule, make_schedule
from cubie.memory.mem_manager import OutputTooLargeError

Times = Sequence[float] | SupportsArray


def schedule(
    t_span: Times,
    t_eval: Times | None = None,
    save_every: float | None = None,
    precision: FloatPrecision = np.float64,
) -> Schedule:
    return make_schedule(t_span, t_eval, save_every, precision)


def test_start_and_end_are_saved_when_nothing_is_asked() -> None:
    made = schedule((2.0, 5.0))
    assert (made.t0, made.t_end, made.direction, made.n_initial, made.dense) == (2.0, 5.0, 1, 1, False)
    assert made.save_times.tolist() == [2.0, 5.0]


def test_listed_times_need_not_be_even_and_may_leave_out_the_ends() -> None:
    made = schedule((0, 10), [0.5, 0.6, 9.0])
    assert made.save_times.tolist() == [0.5, 0.6, 9.0]
    assert (made.n_initial, made.dense) == (0, True)


@pytest.mark.parametrize(
    ("t_eval", "n_initial", "dense"), [([0.0], 1, False), ([1.0], 0, False), ([0.0, 1.0], 1, False), ([0.5], 0, True)]
)
def test_only_times_inside_the_span_need_dense_output(t_eval: list[float], n_initial: int, dense: bool) -> None:
    made = schedule((0.0, 1.0), t_eval)
    assert (made.n_initial, made.dense) == (n_initial, dense)


def test_a_reversed_span_goes_backwards() -> None:
    made = schedule((1.0, -1.0), [1.0, 0.0, -1.0])
    assert (made.direction, made.n_initial) == (-1, 1)
    assert schedule((1.0, -1.0), save_every=0.5).save_times.tolist() == [1.0, 0.5, 0.0, -0.5, -1.0]


def test_times_in_the_wrong_order_say_how_to_sort_them() -> None:
    with pytest.raises(
        ValueError, match=r"t_eval must strictly increase, got 2\.0 then 1\.0 at \[1\].*unique\(t_eval\)\."
    ):
        schedule((0, 3), [0, 2, 1])
    with pytest.raises(ValueError, match=r"t_eval must strictly increase, got 1\.0 then 1\.0"):
        schedule((0, 3), [1, 1])
    with pytest.raises(ValueError, match=r"must strictly decrease, as t_span does.*\[::-1\]"):
        schedule((3, 0), [0, 1])


def test_times_outside_the_span_are_refused() -> None:
    with pytest.raises(ValueError, match=r"t_eval must lie inside t_span \(0\.0, 1\.0\), got 1\.5"):
        schedule((0, 1), [0.5, 1.5])
    with pytest.raises(ValueError, match=r"got -0\.1"):
        schedule((0, 1), [-0.1, 0.5])
    with pytest.raises(ValueError, match=r"must lie inside t_span \(1\.0, 0\.0\), got 2\.0"):
        schedule((1, 0), [2.0, 0.5])


def test_a_time_that_rounding_put_beyond_the_end_is_the_end() -> None:
    assert schedule((0.0, 0.3), np.arange(4) * 0.1).save_times[-1] == 0.3
    assert schedule((0.0, 0.3), np.arange(4, dtype=np.float32) * np.float32(0.1)).save_times[-1] == 0.3


@pytest.mark.parametrize(("t_end", "first"), [(1e-300, 1e-320), (1.0, 1e-20), (-1.0, -1e-20)])
def test_a_first_time_soon_after_the_start_stays_where_it_is(t_end: float, first: float) -> None:
    assert schedule((0.0, t_end), [first, t_end]).save_times.tolist() == [first, t_end]


def test_a_first_time_that_rounding_moved_is_the_start() -> None:
    assert schedule((0.3, 1.0), [3 * 0.1, 1.0]).save_times[0] == 0.3
    assert schedule((0.0, 1.0), [-1e-17, 1.0]).save_times[0] == 0.0
    assert schedule((-1.0, 0.0), np.arange(-1.0, 0.05, 0.1)).save_times[-1] == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_times_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"t_eval\[1\] must be finite"):
        schedule((0, 1), [0.0, bad])
    with pytest.raises(ValueError, match="t_span must be finite"):
        schedule((0, bad))


def test_spans_and_times_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"t_span must be two times, \(t0, t_end\), got shape \(3,\)"):
        schedule((0, 1, 2))
    with pytest.raises(ValueError, match=r"t_eval must be a 1-D array of at least one time, got shape \(0,\)"):
        schedule((0, 1), [])
    with pytest.raises(ValueError, match=r"got shape \(\)"):
        schedule((0, 1), np.float64(0.5))
    with pytest.raises(TypeError, match="t_span must be a real number"):
        schedule(np.array(["a", "b"]))


def test_a_span_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"t_span must have a length, got \(1\.0, 1\.0\)"):
        schedule((1, 1))


def test_t_eval_and_save_every_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="must not both be given"):
        schedule((0, 1), [0.5], 0.1)


def test_regular_times_are_counted_in_integers_and_do_not_drift() -> None:
    made = schedule((0.0, 1000.0), save_every=0.1)
    assert made.save_times.size == 10_001
    assert made.save_times[-1] == 1000.0
    assert np.array_equal(made.save_times[:-1], 0.1 * np.arange(10_000))


@pytest.mark.parametrize(
    ("end", "step", "last"), [(0.3, 0.1, 0.3), (1.0, 0.3, 0.3 * 3), (1.0, 1 / 3, 1.0), (7.0, 7.0, 7.0)]
)
def test_the_end_is_saved_only_if_it_is_one_of_the_regular_times(end: float, step: float, last: float) -> None:
    assert schedule((0.0, end), save_every=step).save_times[-1] == last


def test_regular_times_stay_inside_a_span_far_from_zero() -> None:
    times = schedule((1e6, 1e6 + 0.7), save_every=0.1).save_times
    assert times.size == 8
    assert times[-1] == 1e6 + 0.7


@pytest.mark.parametrize("step", [0.0, -0.1, math.nan, math.inf, 1.5])
def test_a_step_between_saves_must_fit_the_span(step: float) -> None:
    with pytest.raises(ValueError, match="save_every must be positive and at most the length of t_span"):
        schedule((0, 1), save_every=step)


@pytest.mark.parametrize("step", [1e-13, 1e-300])
def test_more_saves_than_memory_are_refused_before_they_are_listed(step: float) -> None:
    with pytest.raises(OutputTooLargeError, match="the times of save_every must fit in"):
        schedule((0, 1), save_every=step)


def test_times_are_packed_as_pairs_that_keep_float64_times_in_float32() -> None:
    made = schedule((0.1, 1000.3), [0.1, 999.7], precision=np.float32)
    assert made.saves.dtype == np.float32
    assert made.saves.shape == (4,)
    packed = np.array([*made.ends, *made.saves])
    pairs = packed.reshape(-1, 2).astype(np.float64)
    assert np.array_equal(pairs[:, 0], np.array([0.1, 1000.3, 0.1, 999.7], dtype=np.float32))
    np.testing.assert_allclose(pairs.sum(axis=1), [0.1, 1000.3, 0.1, 999.7], rtol=2.0**-48, atol=0)


def test_in_float64_the_second_of_a_pair_is_zero() -> None:
    made = schedule((0.1, 0.7), [0.3])
    assert [*made.ends, *made.saves.tolist()] == [0.1, 0.0, 0.7, 0.0, 0.3, 0.0]


def test_times_that_float32_cannot_tell_apart_are_refused() -> None:
    near = [1.1, 1.1 + 2.0**-52]
    assert schedule((0, 2), near).save_times.size == 2
    with pytest.raises(ValueError, match=r"times must differ in float32, got 1\.1 and 1\.1000000000000003"):
        schedule((0, 2), near, precision=np.float32)
    with pytest.raises(ValueError, match=r"times must differ in float32, got 0\.0 and 1e-60"):
        schedule((0, 1e-60), precision=np.float32)
    with pytest.raises(ValueError, match=r"times must differ in float32.*another unit"):
        schedule((0, 1e300), precision=np.float32)


def test_the_users_times_are_not_changed() -> None:
    times = np.array([0.0, 0.1, 0.30000000000000004])
    schedule((0.0, 0.3), times)
    assert times[-1] == 0.30000000000000004
