"""Cubic Hermite dense output, for every method that has no interpolant of its own.

References
----------
Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.6, eq. (6.7).
"""

from typing import NamedTuple

from cubie._types import AllocateFn, FloatPrecision, PersistentBank, Real, SharedBank, Vector
from cubie.integrators.algorithms.base_algorithm_step import InterpolateFn, PrepareDenseFn, SlopeFn
from cubie.targets.base import Target
from cubie.targets.unroll import nothing


class DenseFunctions(NamedTuple):
    """The device functions of one kind of dense output."""

    prepare_dense: PrepareDenseFn
    interpolate: InterpolateFn


def cubic_hermite(target: Target, n_states: int, precision: FloatPrecision) -> DenseFunctions:
    """Build third-order dense output from the states and rates at both ends of a step."""
    n, fma, one, two = n_states, target.fma, precision(1), precision(2)

    @target.device
    def interpolate(
        theta: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        y_next: Vector,
        rate_next: Vector,
        out: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None:
        rest = theta - one
        bend = theta * rest
        slope = one - two * theta
        for i in range(n):
            rise = y_next[i] - y[i]
            ends = fma(rest, rate[i], theta * rate_next[i])
            out[i] = fma(bend, fma(slope, rise, dt * ends), fma(theta, rise, y[i]))

    return DenseFunctions(nothing, interpolate)


def cubic_hermite_of_slopes(
    target: Target, n_states: int, precision: FloatPrecision, slope_at: SlopeFn, allocate_slopes: AllocateFn
) -> DenseFunctions:
    """Build it for methods whose rates aren't dy/dt, which is solved for at both ends when something is due.

    The buffer keeps both slopes, shape (2*n_states,).
    """
    n, between = n_states, cubic_hermite(target, n_states, precision).interpolate

    @target.device
    def prepare_dense(
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        y_next: Vector,
        rate_next: Vector,
        out: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None:
        slopes = allocate_slopes(shared, persistent)
        for i in range(n):
            slopes[i], slopes[n + i] = rate[i], rate_next[i]
        slope_at(t, y, parameters, drivers, slopes[0:n], shared, persistent)
        slope_at(t + dt, y_next, parameters, drivers, slopes[n : 2 * n], shared, persistent)

    @target.device
    def interpolate(
        theta: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        y_next: Vector,
        rate_next: Vector,
        out: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None:
        slopes = allocate_slopes(shared, persistent)
        between(theta, dt, y, slopes[0:n], y_next, slopes[n : 2 * n], out, shared, persistent)

    return DenseFunctions(prepare_dense, interpolate)


def make_hermite(
    target: Target, n_states: int, precision: FloatPrecision, slope_at: SlopeFn | None, allocate_slopes: AllocateFn
) -> DenseFunctions:
    """Build the one or the other: from rates as they are, where nothing solves for dy/dt."""
    if slope_at is None:
        return cubic_hermite(target, n_states, precision)
    return cubic_hermite_of_slopes(target, n_states, precision, slope_at, allocate_slopes)
