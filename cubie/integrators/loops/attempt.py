"""One step tried: how long it may be, whether its error is small enough, how long the next one should be."""

from typing import Final, Protocol

import numpy as np

from cubie._types import Mask, Real
from cubie.integrators.algorithms.base_algorithm_step import StepFn, StepFunctions
from cubie.integrators.loops.clock import Clock
from cubie.integrators.loops.norms import Norms
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import Attempt, State, Workspace
from cubie.integrators.loops.saves import CheckFn
from cubie.integrators.step_control.controller import ControlFunctions
from cubie.status import Status
from cubie.targets.base import Target
from cubie.targets.unroll import nothing

STRETCH: Final = 1.01
"""A step that would leave less than a hundredth of itself to the end is stretched to it (as in Hairer's codes)."""
HUGE: Final = 1e30
"""The square of an error of which nothing is finite any more."""


class AttemptFn(Protocol):
    """Try one step, and change nothing but scratch and the controller's history."""

    def __call__(self, state: State, w: Workspace, arguments: LoopArguments) -> Attempt: ...


class JudgeFn(Protocol):
    """Give the runs of the mask, which have just ended, the status that their last attempt gives them."""

    def __call__(self, ended: Mask, state: State, tried: Attempt) -> State: ...


class SettleErrorFn(Protocol):
    """Settle the errors of the runs that try a step again in vain; answer the least that their squares count as."""

    def __call__(self, w: Workspace, arguments: LoopArguments) -> Real: ...


class InsideFn(Protocol):
    """Return `t`, or for a step that rounding would carry over the end, a time by as little earlier."""

    def __call__(self, t: Real, dt: Real, begun: Real, arguments: LoopArguments) -> Real: ...


def make_attempt(
    target: Target,
    settings: LoopSettings,
    clock: Clock,
    norms: Norms,
    method: StepFunctions,
    check: CheckFn,
    control: ControlFunctions,
) -> AttemptFn:
    """Build the attempt of one step, of adapted or of fixed length."""
    inside = make_inside(target, settings)
    if settings.adaptive:
        return _make_adapted(target, settings, clock, norms, method, check, control, inside)
    return _make_fixed(target, settings, clock, norms, method.step, inside)


def make_inside(target: Target, settings: LoopSettings) -> InsideFn:
    """Build the guard of right-hand sides that end with the span."""
    zero, guard = settings.precision(0), settings.precision(2 * settings.eps)
    select, splat, fma = target.select, target.splat, target.fma
    larger_magnitude = target.larger_magnitude(settings.precision)

    @target.device
    def inside(t: Real, dt: Real, begun: Real, arguments: LoopArguments) -> Real:
        end = splat(arguments.t_end)
        overshoot = arguments.direction * ((t + dt) - end) > zero
        return select(overshoot, fma(-guard * arguments.direction, larger_magnitude(begun, end), t), t)

    return inside


def make_judge(target: Target, settings: LoopSettings) -> JudgeFn:
    """Build what tells why a run has ended: where a step failed, a method's own reason goes first."""
    success, max_steps = np.int32(Status.success), np.int32(Status.max_steps)
    too_small, non_finite = np.int32(Status.step_too_small), np.int32(Status.non_finite)
    huge, select, splat = settings.precision(HUGE), target.select, target.splat

    @target.device
    def judge(ended: Mask, state: State, tried: Attempt) -> State:
        cause = select(tried.error_squared < huge, splat(too_small), splat(non_finite))
        cause = select(tried.answer > 0, tried.answer, cause)
        verdict = select(tried.failed, cause, splat(max_steps))
        verdict = select(tried.accepted & tried.is_last, splat(success), verdict)
        status = select(ended & (state.status < 0), verdict, state.status)
        t, t_rest, due, due_rest = state.t, state.t_rest, state.due, state.due_rest
        return State(t, t_rest, state.dt, state.n_steps, state.n_accepted, state.n_saved, due, due_rest, status)

    return judge


def _make_adapted(
    target: Target,
    settings: LoopSettings,
    clock: Clock,
    norms: Norms,
    method: StepFunctions,
    check: CheckFn,
    control: ControlFunctions,
    inside: InsideFn,
) -> AttemptFn:
    one, huge, stretch = settings.precision(1), settings.precision(HUGE), settings.precision(STRETCH)
    tiny = settings.precision(8 * settings.tiny)
    ulps = settings.precision(4 * (settings.eps * settings.eps if settings.compensated else settings.eps))
    error_squared_of, between, step, gain = norms.error_squared, clock.between, method.step, control.gain
    settle, settles = _make_settle(target, settings, norms, method, control), method.settle is not None
    zero = settings.precision(0)
    allow, select, splat, fma = norms.allow, target.select, target.splat, target.fma
    absolute, negate = target.absolute, target.negate

    @target.device
    def attempt(state: State, w: Workspace, arguments: LoopArguments) -> Attempt:
        t, end, end_rest = state.t, splat(arguments.t_end), splat(arguments.t_end_rest)
        left = between(t, state.t_rest, end, end_rest)
        is_last = absolute(state.dt) * stretch >= absolute(left)
        dt = select(is_last, left, state.dt)
        allow(w.y, w.error, arguments)
        answer = step(
            inside(t, dt, t, arguments), dt, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, w.error,
            w.step_shared, w.step_persistent
        )  # fmt: skip
        least = splat(zero)
        if settles:
            least = settle(w, arguments)
        check(state, dt, is_last, w, arguments)
        error_squared = select(answer > 0, splat(huge), error_squared_of(w.y, w.y_next, w.error, arguments))
        if settles:
            error_squared = select(error_squared < least, least, error_squared)
        accepted = error_squared <= one
        growth = gain(error_squared, accepted, w.control_shared, w.control_persistent)
        next_dt = dt * growth
        next_dt = select(absolute(next_dt) > arguments.max_step, arguments.max_step * arguments.direction, next_dt)
        failed = negate(absolute(next_dt) >= fma(ulps, absolute(t), tiny))
        return Attempt(dt, is_last, accepted, next_dt, failed, answer, error_squared)

    return attempt


def _make_settle(
    target: Target, settings: LoopSettings, norms: Norms, method: StepFunctions, control: ControlFunctions
) -> SettleErrorFn:
    """Build it so that controllers expect no next error as small as a settled one."""
    settle, measure, retries = method.settle or nothing, norms.error_squared, control.retries
    aim, zero, one, any_run = control.aim, settings.precision(0), settings.precision(1), target.any_run
    select, splat = target.select, target.splat

    @target.device
    def settle_error(w: Workspace, arguments: LoopArguments) -> Real:
        again = retries(w.control_shared, w.control_persistent) & (measure(w.y, w.y_next, w.error, arguments) > one)
        if any_run(again):
            settle(again, w.error, w.step_shared, w.step_persistent)
        return select(again, splat(aim), splat(zero))

    return settle_error


def _make_fixed(
    target: Target, settings: LoopSettings, clock: Clock, norms: Norms, step: StepFn, inside: InsideFn
) -> AttemptFn:
    zero, huge = settings.precision(0), settings.precision(HUGE)
    finite, allow, now = norms.finite, norms.allow, clock.now
    splat, increment, negate = target.splat, target.increment, target.negate

    @target.device
    def attempt(state: State, w: Workspace, arguments: LoopArguments) -> Attempt:
        t, _ = now(state, arguments)
        dt = splat(arguments.first_step * arguments.direction)
        allow(w.y, w.error, arguments)
        answer = step(
            inside(t, dt, state.t, arguments), dt, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, w.error,
            w.step_shared, w.step_persistent
        )  # fmt: skip
        accepted = (finite(w.y_next) <= zero) & (answer <= 0)
        is_last = increment(state.n_steps, state.n_steps >= 0) >= arguments.max_steps
        return Attempt(dt, is_last, accepted, state.dt, negate(accepted), answer, splat(huge))

    return attempt
