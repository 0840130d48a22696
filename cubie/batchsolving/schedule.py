"""When a batch starts, ends and saves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

import numpy as np
import numpy.typing as npt

from cubie._types import FLOAT_PRECISIONS, FloatPrecision
from cubie.batchsolving.arrays import FloatArray, SupportsArray, float_array, in_precision
from cubie.memory.mem_manager import check_fits

WORKING_COPIES: Final = 6
"""Arrays of the length of the saved times that exist at once while they are made and checked."""
FEW_TIMES: Final = 256
"""Schedules of no more saves are kept."""
SNAP_IN_ULPS: Final = 4
"""A time this close to an end of the span is that end: sums and products of steps round. Units are those of the larger
end, but of the time itself where it follows the start.
"""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Schedule:
    """The span of a solve and its saved times, all in the model's unit of time."""

    t0: float
    t_end: float
    save_times: npt.NDArray[np.float64]
    """Shape (n_saves,), strictly monotonic from t0 towards t_end."""
    direction: int
    """+1 forwards in time, -1 backwards."""
    n_initial: int
    """1 if the first saved time is t0, else 0."""
    dense: bool
    """Whether a saved time lies strictly inside the span."""
    ends: tuple[float, ...]
    """t0 and t_end, each rounded to the solve's precision, and what that leaves out."""
    saves: FloatArray
    """Shape (2 * n_saves,): the same of the saved times."""


def make_schedule(
    t_span: Sequence[float | SupportsArray] | SupportsArray,
    t_eval: Sequence[float | SupportsArray] | SupportsArray | None,
    save_every: float | None,
    precision: FloatPrecision,
) -> Schedule:
    """Check the times of a solve; the ends of the span are saved when neither `t_eval` nor `save_every` is given.

    `t_eval` runs strictly from t0 towards t_end, backwards too. `save_every` saves t0, t0 + save_every and so on, up to
    t_end; t_end itself if it is one of these times, to rounding.

    Raises
    ------
    TypeError: if times are not real numbers.
    ValueError: if the span has no length, times do not run from t0 towards t_end inside it, or `precision` can't tell
        two of them apart.
    """
    if t_eval is not None and save_every is not None:
        raise ValueError("t_eval and save_every must not both be given. Leave one of them out.")
    t0, t_end = _span(t_span)
    name = precision.__name__
    if t_eval is None and save_every is None:
        return _ends_or_few(t0, t_end, (t0, t_end), name)
    if t_eval is not None:
        few = _few_times(t_eval)
        if few is not None:
            return _ends_or_few(t0, t_end, few, name)
        return _schedule(t0, t_end, _listed_times(t_eval, t0, t_end, 1 if t_end > t0 else -1), precision)
    step = float(float_array(save_every, "save_every"))
    make = _few_regular if abs(t_end - t0) <= FEW_TIMES * step else _regular
    return make(t0, t_end, step, name)


def _few_times(t_eval: Sequence[float | SupportsArray] | SupportsArray) -> tuple[float, ...] | None:
    """Return times as a key of what is kept, if they are few, and double precision."""
    if isinstance(t_eval, np.ndarray):
        is_few = t_eval.ndim == 1 and t_eval.dtype == np.float64 and t_eval.size <= FEW_TIMES
        return tuple(t_eval.tolist()) if is_few else None
    if not isinstance(t_eval, list | tuple) or len(t_eval) > FEW_TIMES:
        return None
    few = tuple(time for time in t_eval if isinstance(time, float))
    return few if len(few) == len(t_eval) else None


def _regular(t0: float, t_end: float, step: float, precision: str) -> Schedule:
    times = _regular_times(step, t0, t_end, 1 if t_end > t0 else -1)
    return _schedule(t0, t_end, times, FLOAT_PRECISIONS[precision])


_few_regular: Final = lru_cache(maxsize=16)(_regular)


@lru_cache(maxsize=16)
def _ends_or_few(t0: float, t_end: float, t_eval: tuple[float, ...], precision: str) -> Schedule:
    """Return the schedule of the ends, or of a few times, once for all solves that have it: small solves are many."""
    times = _listed_times(t_eval, t0, t_end, 1 if t_end > t0 else -1)
    return _schedule(t0, t_end, times, FLOAT_PRECISIONS[precision])


def _schedule(t0: float, t_end: float, save_times: npt.NDArray[np.float64], precision: FloatPrecision) -> Schedule:
    n_initial = int(save_times[0] == t0)
    _check_distinct(np.array([t0, *save_times[n_initial:]]), t_end, precision)
    n_ends = n_initial + int(save_times[-1] == t_end)
    pairs = _pairs(np.array([t0, t_end, *save_times]), precision).ravel()
    return Schedule(
        t0=t0,
        t_end=t_end,
        save_times=save_times,
        direction=1 if t_end > t0 else -1,
        n_initial=n_initial,
        dense=save_times.size > n_ends,
        ends=tuple(pairs[:4].tolist()),
        saves=pairs[4:],
    )


def _span(t_span: Sequence[float | SupportsArray] | SupportsArray) -> tuple[float, float]:
    t0, t_end = t_span if isinstance(t_span, tuple) and len(t_span) == 2 else (None, None)
    if not (isinstance(t0, float) and isinstance(t_end, float)):
        ends = float_array(t_span, "t_span")
        if ends.shape != (2,):
            raise ValueError(f"t_span must be two times, (t0, t_end), got shape {ends.shape}. Give start and end.")
        t0, t_end = float(ends[0]), float(ends[1])
    if not math.isfinite(t_end - t0):
        raise ValueError(f"t_span must be finite, got {(t0, t_end)}. Give the time at which to stop.")
    if t0 == t_end:
        raise ValueError(
            f"t_span must have a length, got {(t0, t_end)}. There is nothing to integrate; y0 is the answer."
        )
    return t0, t_end


def _listed_times(t_eval: object, t0: float, t_end: float, direction: int) -> npt.NDArray[np.float64]:
    """Return `t_eval` checked, its ends drawn to those of the span where they are the same to rounding."""
    listed = float_array(t_eval, "t_eval")
    times = listed.astype(np.float64)
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"t_eval must be a 1-D array of at least one time, got shape {times.shape}. List the times.")
    if not bool(np.isfinite(times).all()):
        place = int(np.argmin(np.isfinite(times)))
        raise ValueError(f"t_eval[{place}] must be finite, got {times[place]}. Remove it.")
    starts_inside = direction * (times[0] - t0) > 0  # such a time may be meant, however near
    for place, end, size in ((0, t0, times[0] if starts_inside else t_end), (-1, t_end, t0)):
        slack = SNAP_IN_ULPS * float(np.spacing(listed.dtype.type(max(abs(end), abs(size)))))
        if abs(times[place] - end) <= slack:
            times[place] = end
    order = "increase" if direction == 1 else "decrease, as t_span does"
    unsorted = np.flatnonzero(direction * np.diff(times) <= 0)
    if unsorted.size:
        place = int(unsorted[0])
        advice = "Use numpy.unique(t_eval)." if direction == 1 else "Use numpy.unique(t_eval)[::-1]."
        raise ValueError(
            f"t_eval must strictly {order}, got {times[place]} then {times[place + 1]} at [{place}]. {advice}"
        )
    for place, outside in ((0, direction * (times[0] - t0) < 0), (-1, direction * (times[-1] - t_end) > 0)):
        if outside:
            raise ValueError(
                f"t_eval must lie inside t_span {(t0, t_end)}, got {times[place]}. Widen t_span to save there."
            )
    return times


def _regular_times(step: float, t0: float, t_end: float, direction: int) -> npt.NDArray[np.float64]:
    """Return t0 + k*step, k = 0, 1, ..., counted in integers so that times do not drift."""
    length = abs(t_end - t0)
    if not 0 < step <= length:
        raise ValueError(
            f"save_every must be positive and at most the length of t_span, {length}, got {step}. "
            "Leave it out to save the start and the end."
        )
    n_steps = round(length / step) if length / step < 2**53 else 2**53
    slack = SNAP_IN_ULPS * float(np.spacing(max(abs(t0), abs(t_end), length)))
    ends_on_grid = abs(n_steps * step - length) <= slack
    if not ends_on_grid:
        n_steps = math.floor(length / step)
    check_fits((n_steps + 1, WORKING_COPIES), np.float64, "the times of save_every", remedy="Save less often.")
    times = t0 + direction * step * np.arange(n_steps + 1, dtype=np.float64)
    if ends_on_grid:
        times[-1] = t_end
    return times


def _pairs(times: npt.NDArray[np.float64], precision: FloatPrecision) -> FloatArray:
    """Return shape (n, 2): each time rounded, and the remainder."""
    rounded = in_precision(times, precision)
    with np.errstate(invalid="ignore"):
        return np.stack((rounded, in_precision(times - rounded, precision)), axis=1)


def _check_distinct(times: npt.NDArray[np.float64], t_end: float, precision: FloatPrecision) -> None:
    """Raise if `precision` overflows, or folds two times of the schedule into one, even as pairs."""
    schedule = times if times[-1] == t_end else np.append(times, t_end)
    with np.errstate(invalid="ignore"):
        kept = np.diff(_pairs(schedule, precision).astype(np.float64).sum(axis=1))
    folded = np.flatnonzero(~(np.abs(kept) > 0))
    if folded.size:
        place = int(folded[0])
        raise ValueError(
            f"times must differ in {precision.__name__}, got {schedule[place]} and {schedule[place + 1]}. "
            "Use precision='float64', or measure time in another unit or from another origin."
        )
