"""Stages of an explicit method without keeping all their rates, for systems larger than a GPU's registers.

The plain body keeps the rate of every stage until the last sum that wants it: one vector at first, seven at the end of
a step of order 5. Here, from the middle on, the sums of the stages to come are kept instead, and every rate is added to
them as soon as it is there. Terms are added in the order of the plain body, so that not a bit differs.
"""

from typing import NamedTuple, Protocol, final

import numpy as np

from cubie._types import AllocateFn, FloatPrecision, PersistentBank, RateFn, Real, SharedBank, StatusBits, Vector
from cubie.integrators.algorithms.base_algorithm_step import StageRateFn, StepFn
from cubie.integrators.algorithms.rounded_tableau import RoundedRow, nonzero
from cubie.targets.base import Target
from cubie.targets.unroll import static


class Vectors(NamedTuple):
    """The vectors of a step; `sums` are those of the stages after the turn, one after the other."""

    y: Vector
    rate: Vector
    stage_rates: Vector
    rate_next: Vector
    y_next: Vector
    sums: Vector
    error: Vector


class PrepareFn(Protocol):
    """Complete the state of one stage in `y_next`, and add to the sums what is known by then."""

    def __call__(self, dt: Real, v: Vectors) -> None: ...


@final
class Rows(NamedTuple):
    """What the sums are made of: a row of `weights` for each stage, and one for the end if it is no stage."""

    n: int
    n_stages: int
    end: int
    precision: FloatPrecision
    weights: tuple[RoundedRow, ...]
    error_weights: tuple[RoundedRow, ...]
    c: RoundedRow

    @property
    def turn(self) -> int:
        """The stage from which on sums are kept."""
        return turn_of(len(self.weights), len(self.error_weights))


def turn_of(n_rows: int, n_errors: int) -> int:
    """Return the first stage at which the sums to be kept are no more than the rates whose place they take."""
    return next(s for s in range(1, n_rows + 1) if s - 1 >= n_rows - 1 - s + n_errors)


def make_early_step(
    target: Target,
    rows: Rows,
    stage_rate: StageRateFn,
    rate_of: RateFn,
    allocate_stage_rates: AllocateFn,
    allocate_sums: AllocateFn,
) -> StepFn:
    """Build the step of a method."""
    n, end, c, n_rows = rows.n, rows.end, rows.c, len(rows.weights)
    builders = [_plain if s < rows.turn else _turning if s == rows.turn else _adding for s in range(n_rows)]
    prepare = tuple(build(target, rows, stage_rate, s) for s, build in enumerate(builders))
    close, ok, splat, fma = _closing(target, rows, stage_rate), np.int32(0), target.splat, target.fma

    @target.device
    def step(
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        y_next: Vector,
        rate_next: Vector,
        error: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits:
        stage_rates, sums = allocate_stage_rates(shared, persistent), allocate_sums(shared, persistent)
        v = Vectors(y, rate, stage_rates, rate_next, y_next, sums, error)
        for s in static(range(1, n_rows)):
            prepare[s](dt, v)
            if s == end:
                rate_of(t + dt, y_next, parameters, drivers, rate_next)
            else:
                rate_of(fma(c[s], dt, t), y_next, parameters, drivers, stage_rates[(s - 1) * n : s * n])
        close(dt, v)
        return splat(ok)

    return step


def _plain(target: Target, rows: Rows, stage_rate: StageRateFn, s: int) -> PrepareFn:
    """Sum the rates of all stages before stage `s`."""
    n, weights, fma = rows.n, rows.weights[s], target.fma
    (uses,) = nonzero((weights,))

    @target.device
    def prepare(dt: Real, v: Vectors) -> None:
        for i in range(n):
            state = v.y[i]
            for j in static(range(s)):
                if uses[j]:
                    state = fma(dt * weights[j], stage_rate(j, i, v.rate, v.stage_rates, v.rate_next), state)
            v.y_next[i] = state

    return prepare


def _turning(target: Target, rows: Rows, stage_rate: StageRateFn, s: int) -> PrepareFn:
    """Sum the rates of all stages before stage `s`, for that and for all later stages, and for the errors."""
    n, weights, error_weights = rows.n, rows.weights, rows.error_weights
    n_rows, n_errors = len(weights), len(error_weights)
    uses, measures = nonzero(weights), nonzero(error_weights)
    zero, fma, splat = rows.precision(0), target.fma, target.splat

    @target.device
    def prepare(dt: Real, v: Vectors) -> None:
        for i in range(n):
            for r in static(range(s, n_rows)):
                state = v.y[i]
                for j in static(range(s)):
                    if uses[r][j]:
                        state = fma(dt * weights[r][j], stage_rate(j, i, v.rate, v.stage_rates, v.rate_next), state)
                if r == s:
                    v.y_next[i] = state
                else:
                    v.sums[(r - s - 1) * n + i] = state
            for e in static(range(n_errors)):
                difference = splat(zero)
                for j in static(range(s)):
                    if measures[e][j]:
                        slope = stage_rate(j, i, v.rate, v.stage_rates, v.rate_next)
                        difference = fma(error_weights[e][j], slope, difference)
                v.error[e * n + i] = difference

    return prepare


def _adding(target: Target, rows: Rows, stage_rate: StageRateFn, s: int) -> PrepareFn:
    """Add the rate of the stage before stage `s` to all sums; that of stage `s` is complete."""
    n, weights, error_weights = rows.n, rows.weights, rows.error_weights
    n_rows, n_errors = len(weights), len(error_weights)
    uses, measures, latest, turn, fma = nonzero(weights), nonzero(error_weights), s - 1, rows.turn, target.fma

    @target.device
    def prepare(dt: Real, v: Vectors) -> None:
        for i in range(n):
            slope = stage_rate(latest, i, v.rate, v.stage_rates, v.rate_next)
            for r in static(range(s, n_rows)):
                state = v.sums[(r - turn - 1) * n + i]
                if uses[r][latest]:
                    state = fma(dt * weights[r][latest], slope, state)
                if r == s:
                    v.y_next[i] = state
                else:
                    v.sums[(r - turn - 1) * n + i] = state
            for e in static(range(n_errors)):
                if measures[e][latest]:
                    v.error[e * n + i] = fma(error_weights[e][latest], slope, v.error[e * n + i])

    return prepare


def _closing(target: Target, rows: Rows, stage_rate: StageRateFn) -> PrepareFn:
    """Complete the errors."""
    n, n_errors, error_weights, fma = rows.n, len(rows.error_weights), rows.error_weights, target.fma
    first, last, measures = len(rows.weights) - 1, min(rows.n_stages, rows.end + 1), nonzero(error_weights)

    @target.device
    def close(dt: Real, v: Vectors) -> None:
        for e in static(range(n_errors)):
            for i in range(n):
                difference = v.error[e * n + i]
                for j in static(range(first, last)):
                    if measures[e][j]:
                        slope = stage_rate(j, i, v.rate, v.stage_rates, v.rate_next)
                        difference = fma(error_weights[e][j], slope, difference)
                v.error[e * n + i] = dt * difference

    return close
