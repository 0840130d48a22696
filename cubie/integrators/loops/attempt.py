"""One step tried: how long it may be, whether its error is small enough, how long the next one should be."""

from typing import Final, Protocol

import numpy as np

from cubie.integrators.algorithms.base_algorithm_step import StepFn
from cubie.integrators.loops.clock import Clock
from cubie.integrators.loops.norms import Norms
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import Attempt, State, Workspace
from cubie.integrators.step_control.controller import GainFn
from cubie.status import Status
from cubie.targets.base import Target

STRETCH: Final = 1.01
"""A step that would leave less than a hundredth of itself to the end is stretched to it (as in Hairer's codes)."""


class AttemptFn(Protocol):
    """Try one step, and change nothing but scratch and the controller's history."""

    def __call__(self, state: State, w: Workspace, arguments: LoopArguments) -> Attempt: ...


def make_attempt(
    target: Target, settings: LoopSettings, clock: Clock, norms: Norms, step: StepFn, gain: GainFn
) -> AttemptFn:
    """Build the attempt of one step, of adapted or of fixed length."""
    eps = settings.eps
    zero, one, huge, stretch, none = (
        settings.precision(0),
        settings.precision(1),
        settings.precision(1e30),
        settings.precision(STRETCH),
        np.int32(0),
    )
    guard, tiny = settings.precision(2 * eps), settings.precision(8 * settings.tiny)
    ulps = settings.precision(4 * (eps * eps if settings.compensated else eps))
    adaptive = settings.adaptive
    error_squared_of, finite = norms.error_squared, norms.finite
    advance, between, after_steps = clock
    too_small, non_finite = np.int32(Status.step_too_small), np.int32(Status.non_finite)
    select, splat, fma, absolute = target.select, target.splat, target.fma, target.absolute
    minimum, maximum = target.minimum, target.maximum

    @target.device
    def attempt(state: State, w: Workspace, arguments: LoopArguments) -> Attempt:
        t, t_rest, length, n_steps = state.t, state.t_rest, state.length, state.n_steps
        direction, end, end_rest = arguments.direction, splat(arguments.times[2]), splat(arguments.times[3])
        if adaptive:
            left = direction * between(t, t_rest, end, end_rest)
            is_last = length * stretch >= left
            taken = select(is_last, left, length)
            dt = taken * direction
            t_next, t_next_rest = advance(t, t_rest, dt)
            begun = t
        else:
            taken = length
            dt = taken * direction
            is_last = n_steps + 1 >= arguments.max_steps
            t_next, t_next_rest = after_steps(n_steps + 1, arguments)
            begun = splat(arguments.times[0])
        overshoot = direction * ((t + dt) - end) > zero
        t_step = select(overshoot, fma(-guard * direction, maximum(absolute(begun), absolute(end)), t), t)
        answer = step(
            t_step, dt, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, w.error, w.step_shared,
            w.step_persistent
        )  # fmt: skip
        if adaptive:
            error_squared = select(answer > 0, splat(huge), error_squared_of(w.y, w.y_next, w.error, arguments))
            accepted = error_squared <= one
            next_length = minimum(
                taken * gain(error_squared, accepted, w.control_shared, w.control_persistent), arguments.max_step
            )
            cause = select(answer > 0, answer, select(error_squared < huge, splat(too_small), splat(non_finite)))
            failure = select(next_length < fma(ulps, absolute(t), tiny), cause, splat(none))
        else:
            next_length = length
            accepted = (finite(w.y_next) <= zero) & (answer <= 0)
            failure = select(accepted, splat(none), select(answer > 0, answer, splat(non_finite)))
        return Attempt(
            dt, is_last, accepted, select(is_last, end, t_next), select(is_last, end_rest, t_next_rest),
            next_length, failure
        )  # fmt: skip

    return attempt
