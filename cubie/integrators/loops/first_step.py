"""The first step of an adaptive run, from the sizes of the state, its rate and its curvature.

References
----------
Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.4, "Starting Step Size". Where the book has a millionth of a
unit of time we have a millionth of the interval, so that the answer does not depend on the unit.
"""

import math
from typing import Protocol

from cubie._types import PersistentBank, RateFn, Real, SharedBank, Vector
from cubie.integrators.algorithms.base_algorithm_step import SlopeFn
from cubie.integrators.loops.norms import ScaleFn
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.targets.base import Target


class FirstStepFn(Protocol):
    """Answer the length of the first step; `trial` and `trial_rate` are scratch."""

    def __call__(
        self,
        t: Real,
        length: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        trial: Vector,
        trial_rate: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
        arguments: LoopArguments,
    ) -> Real: ...


def make_first_step(
    target: Target, settings: LoopSettings, rate_of: RateFn, slope: SlopeFn, scale: ScaleFn
) -> FirstStepFn:
    """Build the estimate of the first step, in base-2 logarithms of squared norms."""
    n, precision = settings.n_states, settings.precision
    mean, exponent = precision(1 / n), precision(1 / (settings.error_order + 1))
    zero, half, two, negligible = precision(0), precision(0.5), precision(2), precision(2 * math.log2(1e-5))
    log_hundredth, flat = precision(math.log2(0.01)), precision(2 * math.log2(1e-15))
    millionth, thousandth, hundred = precision(1e-6), precision(1e-3), precision(100)
    fma, splat, select, absolute = target.fma, target.splat, target.select, target.absolute
    minimum, maximum = target.minimum, target.maximum
    log2, exp2, reciprocal = target.rough_log2, target.rough_exp2, target.rough_reciprocal

    @target.device
    def log_norm(vector: Vector, y: Vector, arguments: LoopArguments) -> Real:
        total = splat(zero)
        for i in range(n):
            ratio = vector[i] * reciprocal(scale(i, absolute(y[i]), arguments))
            total = fma(ratio, ratio, total)
        return log2(total * mean)

    @target.device
    def first_step(
        t: Real,
        length: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        trial: Vector,
        trial_rate: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
        arguments: LoopArguments,
    ) -> Real:
        size, speed = log_norm(y, y, arguments), log_norm(rate, y, arguments)
        moved = exp2(fma(half, size - speed, log_hundredth))
        guess = minimum(select((size < negligible) | (speed < negligible), millionth * length, moved), length)
        dt = guess * arguments.direction
        for i in range(n):
            trial[i] = fma(dt, rate[i], y[i])
        rate_of(t + dt, trial, parameters, drivers, trial_rate)
        slope(t + dt, trial, parameters, drivers, trial_rate, shared, persistent)
        for i in range(n):
            trial[i] = trial_rate[i] - rate[i]
        bend = maximum(speed, fma(-two, log2(guess), log_norm(trial, y, arguments)))
        bent = exp2(exponent * fma(-half, bend, log_hundredth))
        bounded = minimum(hundred * guess, select(bend <= flat, maximum(millionth * length, thousandth * guess), bent))
        return select(bounded > zero, minimum(bounded, length), guess)

    return first_step
