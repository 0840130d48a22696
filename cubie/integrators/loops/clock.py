"""Time, per run: a number in float64, a pair of numbers in float32, whose sum neither drifts nor sticks.

References
----------
Knuth (1997), The Art of Computer Programming 2, Sec. 4.2.2, Theorem B (the sum of two numbers and its rounding error).
"""

from typing import NamedTuple, Protocol

from cubie._types import Count, FloatPrecision, Real
from cubie.integrators.loops.ode_loop_config import LoopArguments
from cubie.targets.base import Target


class AdvanceFn(Protocol):
    """The time pair after a step of `dt`."""

    def __call__(self, t: Real, t_rest: Real, dt: Real) -> tuple[Real, Real]: ...


class BetweenFn(Protocol):
    """The time from one pair to another."""

    def __call__(self, t: Real, t_rest: Real, until: Real, until_rest: Real) -> Real: ...


class AfterStepsFn(Protocol):
    """The time pair after so many equal steps."""

    def __call__(self, steps: Count, arguments: LoopArguments) -> tuple[Real, Real]: ...


class Clock(NamedTuple):
    """The device functions of time."""

    advance: AdvanceFn
    between: BetweenFn
    after_steps: AfterStepsFn


def make_clock(target: Target, precision: FloatPrecision, *, compensated: bool) -> Clock:
    """Build the device functions of time; not `compensated`, the second of each pair stays zero."""
    fma, to_real = target.fma, target.to_real(precision)

    @target.device
    def advance(t: Real, t_rest: Real, dt: Real) -> tuple[Real, Real]:
        rough = t + dt
        if compensated:
            moved = rough - t
            rest = ((t - (rough - moved)) + (dt - moved)) + t_rest
            total = rough + rest
            return total, rest - (total - rough)
        return rough, t_rest

    @target.device
    def between(t: Real, t_rest: Real, until: Real, until_rest: Real) -> Real:
        if compensated:
            return (until - t) + (until_rest - t_rest)
        return until - t

    @target.device
    def after_steps(steps: Count, arguments: LoopArguments) -> tuple[Real, Real]:
        n, dt = to_real(steps), arguments.first_step * arguments.direction
        if compensated:
            walked = n * dt
            rest = fma(n, arguments.first_step_rest * arguments.direction, fma(n, dt, -walked))
            t, t_rest = advance(arguments.times[0], arguments.times[1] + rest, walked)
            return t, t_rest
        return fma(n, dt, arguments.times[0]), arguments.times[1]

    return Clock(advance, between, after_steps)
