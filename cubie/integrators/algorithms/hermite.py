"""Cubic Hermite dense output, for every method that has no interpolant of its own.

References
----------
Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.6, eq. (6.7).
"""

from typing import NamedTuple

from cubie._types import FloatPrecision, PersistentBank, Real, SharedBank, Vector
from cubie.integrators.algorithms.base_algorithm_step import InterpolateFn, PrepareDenseFn
from cubie.targets.base import Target


class DenseFunctions(NamedTuple):
    """The device functions of one kind of dense output."""

    prepare_dense: PrepareDenseFn
    interpolate: InterpolateFn


def cubic_hermite(target: Target, n_states: int, precision: FloatPrecision) -> DenseFunctions:
    """Build third-order dense output from the states and rates at both ends of a step."""
    n, fma, one, two = n_states, target.fma, precision(1), precision(2)

    @target.device
    def prepare_dense(
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        rate_next: Vector,
        out: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None:
        return

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

    return DenseFunctions(prepare_dense, interpolate)
