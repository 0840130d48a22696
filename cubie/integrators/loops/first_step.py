"""The first step of an adaptive run, from the sizes of the state, its rate and its curvature.

References
----------
Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.4, "Starting Step Size". Where the book has a millionth of a
unit of time we have a millionth of the interval, so that the answer does not depend on the unit.
"""

from typing import Protocol

from cubie._types import RateFn, Real, Vector
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
        arguments: LoopArguments,
    ) -> Real: ...


def make_first_step(target: Target, settings: LoopSettings, rate_of: RateFn, scale: ScaleFn) -> FirstStepFn:
    """Build the estimate of the first step."""
    n, precision = settings.n_states, settings.precision
    mean, exponent = precision(1 / n), precision(1 / (settings.error_order + 1))
    zero, negligible, millionth = precision(0), precision(1e-5), precision(1e-6)
    hundredth, thousandth, hundred, flat = precision(0.01), precision(1e-3), precision(100), precision(1e-15)
    fma, splat, select, absolute = target.fma, target.splat, target.select, target.absolute
    minimum, maximum, sqrt, log2, exp2 = target.minimum, target.maximum, target.sqrt, target.log2, target.exp2

    @target.device
    def norm(vector: Vector, y: Vector, arguments: LoopArguments) -> Real:
        total = splat(zero)
        for i in range(n):
            ratio = vector[i] / scale(i, absolute(y[i]), arguments)
            total = fma(ratio, ratio, total)
        return sqrt(total * mean)

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
        arguments: LoopArguments,
    ) -> Real:
        size, speed = norm(y, y, arguments), norm(rate, y, arguments)
        guess = select((size < negligible) | (speed < negligible), millionth * length, hundredth * (size / speed))
        guess = minimum(guess, length)
        dt = guess * arguments.direction
        for i in range(n):
            trial[i] = fma(dt, rate[i], y[i])
        rate_of(t + dt, trial, parameters, drivers, trial_rate)
        for i in range(n):
            trial[i] = trial_rate[i] - rate[i]
        bend = maximum(speed, norm(trial, y, arguments) / guess)
        bent = exp2(exponent * log2(hundredth / bend))
        bounded = minimum(hundred * guess, select(bend <= flat, maximum(millionth * length, thousandth * guess), bent))
        return select(bounded > zero, minimum(bounded, length), guess)

    return first_step
