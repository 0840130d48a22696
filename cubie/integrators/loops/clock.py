"""Time, per run: a number in float64, a pair of numbers in float32, whose sum neither drifts nor sticks.

References
----------
Knuth (1997), The Art of Computer Programming 2, Sec. 4.2.2, Theorem B (the sum of two numbers and its rounding error).
"""

from typing import NamedTuple, Protocol

from cubie._types import Real
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import State
from cubie.targets.base import Target


class AdvanceFn(Protocol):
    """The time pair after a step of `dt`."""

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
    def now(state: State, arguments: LoopArguments) -> tuple[Real, Real]:
        if adaptive:
            return state.t, state.t_rest
        n, dt = to_real(state.n_steps - state.n_rejected), arguments.first_step * arguments.direction
        if compensated:
            walked = n * dt
            rest = fma(n, arguments.first_step_rest * arguments.direction, fma(n, dt, -walked))
            return advance(state.t, state.t_rest + rest, walked)
        return fma(n, dt, state.t), state.t_rest

    return Clock(advance, between, now)
