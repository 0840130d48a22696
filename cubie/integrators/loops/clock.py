"""Time, per run: a number in float64, a pair of numbers in float32, whose sum neither drifts nor sticks.

References
----------
Kahan (1965), Commun. ACM 8(1), 40 (sums of steps that carry what rounding left).
Knuth (1997), The Art of Computer Programming 2, Sec. 4.2.2, Theorem B (the sum of two numbers and its rounding error).
"""

from typing import NamedTuple, Protocol

from cubie._types import Real
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import State
from cubie.targets.base import Target


class AdvanceFn(Protocol):
    """The time pair after a step of `dt`, to the rounding of `dt` itself; a step of zero leaves it as it is."""

    def __call__(self, t: Real, t_rest: Real, dt: Real) -> tuple[Real, Real]: ...


class BetweenFn(Protocol):
    """The time from one pair to another."""

    def __call__(self, t: Real, t_rest: Real, until: Real, until_rest: Real) -> Real: ...


class NowFn(Protocol):
    """The time pair of a run: where its steps of adapted length have led, or so many equal steps from the start."""

    def __call__(self, state: State, arguments: LoopArguments) -> tuple[Real, Real]: ...


class Clock(NamedTuple):
    """The device functions of time."""

    advance: AdvanceFn
    between: BetweenFn
    now: NowFn


def make_clock(target: Target, settings: LoopSettings) -> Clock:
    """Build the device functions of time; where it is not compensated, the second of each pair stays zero."""
    fma, to_real = target.fma, target.to_real(settings.precision)
    compensated, adaptive = settings.compensated, settings.adaptive

    @target.device
    def advance(t: Real, t_rest: Real, dt: Real) -> tuple[Real, Real]:
        if compensated:
            step = dt + t_rest
            total = t + step
            return total, step - (total - t)
        return t + dt, t_rest

    @target.device
    def total_of(a: Real, b: Real, rest: Real) -> tuple[Real, Real]:
        rough = a + b
        moved = rough - a
        both = ((a - (rough - moved)) + (b - moved)) + rest
        total = rough + both
        return total, both - (total - rough)

    @target.device
    def between(t: Real, t_rest: Real, until: Real, until_rest: Real) -> Real:
        if compensated:
            return (until - t) + (until_rest - t_rest)
        return until - t

    @target.device
    def now(state: State, arguments: LoopArguments) -> tuple[Real, Real]:
        if adaptive:
            return state.t, state.t_rest
        n, dt = to_real(state.n_accepted), arguments.first_step * arguments.direction
        if compensated:
            walked = n * dt
            rest = fma(n, arguments.first_step_rest * arguments.direction, fma(n, dt, -walked))
            return total_of(state.t, walked, state.t_rest + rest)
        return fma(n, dt, state.t), state.t_rest

    return Clock(advance, between, now)
