"""Saves: at the start, within steps by dense output, and at the end."""

from typing import NamedTuple, Protocol

import numpy as np

from cubie._types import Count, Mask, Real, Vector
from cubie.integrators.algorithms.base_algorithm_step import StepFunctions
from cubie.integrators.loops.clock import Clock
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import Attempt, State, Workspace
from cubie.outputhandling.output_functions import StoreRowFn
from cubie.targets.base import Target
from cubie.targets.unroll import nothing


class SaveFn(Protocol):
    """Store the runs of the mask at (t, y) as their save number `row`; NaN where not `valid`."""

    def __call__(
        self,
        t: Real,
        y: Vector,
        row: Count,
        slot: Count,
        valid: Mask,
        mask: Mask,
        w: Workspace,
        arguments: LoopArguments,
    ) -> None: ...


class NextSaveFn(Protocol):
    """Return the time pair of the save after the first `n_saved`; infinity when there is none."""

    def __call__(self, n_saved: Count, arguments: LoopArguments) -> tuple[Real, Real]: ...


class EmitFn(Protocol):
    """Store what is due within a step of the runs of the mask; answer the number of saves and the next one's time."""

    def __call__(
        self, mask: Mask, slot: Count, state: State, tried: Attempt, w: Workspace, arguments: LoopArguments
    ) -> tuple[Count, Real, Real]: ...


class CheckFn(Protocol):
    """Where something is due within a step of `dt`, raise its error to that of dense output, if that is larger."""

    def __call__(self, state: State, dt: Real, is_last: Mask, w: Workspace, arguments: LoopArguments) -> None: ...


class Saves(NamedTuple):
    """The device functions of saves."""

    save: SaveFn
    next_save: NextSaveFn
    check: CheckFn
    emit: EmitFn


def make_saves(
    target: Target, settings: LoopSettings, clock: Clock, method: StepFunctions, store_row: StoreRowFn
) -> Saves:
    """Build the device functions of saves."""
    save, next_save = _make_save(target, store_row), _make_next_save(target, settings)
    check = _make_check(target, settings, clock, method)
    return Saves(save, next_save, check, _make_emit(target, settings, clock, method, save, next_save))


def _make_save(target: Target, store_row: StoreRowFn) -> SaveFn:
    @target.device
    def save(
        t: Real,
        y: Vector,
        row: Count,
        slot: Count,
        valid: Mask,
        mask: Mask,
        w: Workspace,
        arguments: LoopArguments,
    ) -> None:
        store_row(
            t,
            y,
            w.parameters,
            w.drivers,
            row,
            slot,
            arguments.n_slots,
            valid,
            mask,
            arguments.saved,
            w.output_shared,
            w.output_persistent,
        )

    return save


def _make_next_save(target: Target, settings: LoopSettings) -> NextSaveFn:
    first, far = np.int32(0), settings.precision(np.inf)
    select, splat, load_at = target.select, target.splat, target.load_at

    @target.device
    def next_save(n_saved: Count, arguments: LoopArguments) -> tuple[Real, Real]:
        is_left = n_saved < arguments.n_saves
        place = select(is_left, n_saved, splat(first))
        due, due_rest = load_at(arguments.saves, 2 * place), load_at(arguments.saves, 2 * place + 1)
        return select(is_left, due, arguments.direction * far), due_rest

    return next_save


def _make_check(target: Target, settings: LoopSettings, clock: Clock, method: StepFunctions) -> CheckFn:
    between, now, prepare_dense, check_dense = clock.between, clock.now, method.prepare_dense, method.check_dense
    any_run, absolute = target.any_run, target.absolute
    if check_dense is None or not settings.checks_dense:
        return nothing

    @target.device
    def check(state: State, dt: Real, is_last: Mask, w: Workspace, arguments: LoopArguments) -> None:
        t, t_rest = now(state, arguments)
        ahead = arguments.direction * between(t, t_rest, state.due, state.due_rest)
        is_due = (state.status < 0) & ((ahead <= absolute(dt)) | (is_last & (state.n_saved < arguments.n_saves)))
        if any_run(is_due):
            prepare_dense(
                t, dt, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, w.dense_state, w.step_shared,
                w.step_persistent
            )  # fmt: skip
            check_dense(
                is_due, t, dt, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, w.error, w.dense_state,
                w.dense_slope, w.defect, w.step_shared, w.step_persistent
            )  # fmt: skip

    return check


def _make_emit(
    target: Target, settings: LoopSettings, clock: Clock, method: StepFunctions, save: SaveFn, next_save: NextSaveFn
) -> EmitFn:
    n, one, between, now = settings.n_states, settings.precision(1), clock.between, clock.now
    prepare_dense, interpolate, is_prepared = method.prepare_dense, method.interpolate, settings.checks_dense
    select, splat, any_run, increment = target.select, target.splat, target.any_run, target.increment
    minimum, absolute = target.minimum, target.absolute

    @target.device
    def emit(
        mask: Mask, slot: Count, state: State, tried: Attempt, w: Workspace, arguments: LoopArguments
    ) -> tuple[Count, Real, Real]:
        t, t_rest = now(state, arguments)
        dt, taken = tried.dt, absolute(tried.dt)
        n_saved, due, due_rest = state.n_saved, state.due, state.due_rest
        ahead = arguments.direction * between(t, t_rest, due, due_rest)
        left = arguments.direction * between(t, t_rest, splat(arguments.t_end), splat(arguments.t_end_rest))
        is_due = mask & ((ahead <= taken) | (tried.is_last & (n_saved < arguments.n_saves)))
        if not is_prepared and any_run(is_due):
            prepare_dense(
                t, dt, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, w.dense_state, w.step_shared,
                w.step_persistent
            )  # fmt: skip
        while any_run(is_due):
            theta = select(tried.is_last & (ahead >= left), splat(one), minimum(ahead / taken, one))
            interpolate(theta, dt, w.y, w.rate, w.y_next, w.rate_next, w.dense_state, w.step_shared, w.step_persistent)
            for i in range(n):
                w.dense_state[i] = select(theta < one, w.dense_state[i], w.y_next[i])
            save(due, w.dense_state, n_saved, slot, is_due, is_due, w, arguments)
            n_saved = increment(n_saved, is_due)
            next_due, next_due_rest = next_save(n_saved, arguments)
            due, due_rest = select(is_due, next_due, due), select(is_due, next_due_rest, due_rest)
            ahead = arguments.direction * between(t, t_rest, due, due_rest)
            is_due = is_due & ((ahead <= taken) | (tried.is_last & (n_saved < arguments.n_saves)))
        return n_saved, due, due_rest

    return emit
