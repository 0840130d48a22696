"""The loop over steps of one run (or of a group of runs side by side): attempt, emit, accept, until all have ended.

No per-run value steers a branch. Steps and saves are counted in integers; saved times are met by dense output, never by
shrinking a step; a loop ends at `max_steps` at the latest, and every way to end has a status.
"""

from typing import NamedTuple, Protocol, final

import numpy as np
from typing_extensions import override

from cubie._types import Count, Mask, PersistentBank, Real, SharedBank, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, buffer
from cubie.integrators.algorithms.base_algorithm_step import StepFactory
from cubie.integrators.loops.clock import Clock, make_clock
from cubie.integrators.loops.first_step import make_first_step
from cubie.integrators.loops.norms import Norms, make_norms
from cubie.integrators.loops.ode_loop_config import RUNNING, LoopArguments, LoopSettings
from cubie.integrators.step_control.controller import StepController
from cubie.odesystems.rate_function import RateFunction
from cubie.outputhandling.output_functions import OutputFunctions
from cubie.status import Status
from cubie.targets.base import SolveRunsFn

STRETCH = 1.01
"""A step that would leave less than a hundredth of itself to the end is stretched to it (as in Hairer's codes)."""


class Workspace(NamedTuple):
    """The working arrays of a run, and its children's parts of the pools."""

    y: Vector
    rate: Vector
    y_next: Vector
    rate_next: Vector
    error: Vector
    dense_state: Vector
    parameters: Vector
    drivers: Vector
    step_shared: SharedBank
    step_persistent: PersistentBank
    control_shared: SharedBank
    control_persistent: PersistentBank
    output_shared: SharedBank
    output_persistent: PersistentBank


class State(NamedTuple):
    """Where every run stands. `status` is `RUNNING` until it has ended; (`due`, `due_rest`) is its next save."""

    t: Real
    t_rest: Real
    length: Real
    n_steps: Count
    n_rejected: Count
    n_saved: Count
    due: Real
    due_rest: Real
    status: Count


class Attempt(NamedTuple):
    """What a step came to, per run; `failure` is 0 or the status that ends the run."""

    dt: Real
    is_last: Mask
    accepted: Mask
    t_next: Real
    t_next_rest: Real
    next_length: Real
    failure: Count


class OpenFn(Protocol):
    """Take the working arrays out of the pools."""

    def __call__(self, shared: SharedBank, persistent: PersistentBank) -> Workspace: ...


class NextSaveFn(Protocol):
    """Return the time pair of the save after the first `n_saved`; infinity when there is none."""

    def __call__(self, n_saved: Count, arguments: LoopArguments) -> tuple[Real, Real]: ...


class EnterFn(Protocol):
    """Start the fresh runs: load them, evaluate their first rate, make a save at the start."""

    def __call__(self, fresh: Mask, run: Count, state: State, w: Workspace, arguments: LoopArguments) -> State: ...


class AttemptFn(Protocol):
    """Try one step, and change nothing but scratch and the controller's history."""

    def __call__(self, state: State, w: Workspace, arguments: LoopArguments) -> Attempt: ...


class EmitFn(Protocol):
    """Store what is due within a step of the runs of the mask; answer the number of saves and the next one's time."""

    def __call__(
        self, mask: Mask, slot: Count, state: State, tried: Attempt, w: Workspace, arguments: LoopArguments
    ) -> tuple[Count, Real, Real]: ...


class AcceptFn(Protocol):
    """Move the runs of the mask to the end of the step."""

    def __call__(self, mask: Mask, w: Workspace) -> None: ...


class AdvanceStateFn(Protocol):
    """Attempt a step of every run that has not ended, emit what is due, and accept it or not."""

    def __call__(self, slot: Count, state: State, w: Workspace, arguments: LoopArguments) -> State: ...


class LeaveFn(Protocol):
    """Store the end of the runs of the mask, NaN for saves that a failed one never reached, and counts."""

    def __call__(self, mask: Mask, slot: Count, state: State, w: Workspace, arguments: LoopArguments) -> None: ...


@final
class IVPLoop(CUDAFactory[LoopSettings, SolveRunsFn]):
    """Integrates one run from start to end."""

    def __init__(
        self,
        settings: LoopSettings,
        rate: RateFunction,
        step: StepFactory,
        controller: StepController,
        output: OutputFunctions,
    ) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)
        self.step = self.adopt("step", step)
        self.controller = self.adopt("controller", controller)
        self.output = self.adopt("output", output)

    @staticmethod
    @override
    def buffers(settings: LoopSettings) -> tuple[BufferEntry, ...]:
        """Both ends of a step and what belongs to a run; a state for dense output only where that is needed."""
        n = settings.n_states
        sizes = {"y": n, "rate": n, "y_next": n, "rate_next": n, "error": settings.n_errors * n}
        sizes |= {"dense_state": n * settings.dense, "parameters": settings.n_parameters, "drivers": settings.n_drivers}
        return tuple(buffer(name, size, settings.precision) for name, size in sizes.items())

    @override
    def build(self) -> SolveRunsFn:
        clock = make_clock(self.target, self.settings.precision, compensated=self.settings.compensated)
        norms, next_save = make_norms(self.target, self.settings), self._next_save()
        attempt, emit = self._attempt(clock, norms), self._emit(clock, next_save)
        enter, advance, leave = self._enter(clock, norms, next_save), self._advance(attempt, emit), self._leave()
        open_workspace, refills, width = self._open(), self.target.refills, self.target.width
        zero, start, success = self.settings.precision(0), np.int32(0), np.int32(Status.success)
        target = self.target
        select, splat, any_run, negate = target.select, target.splat, target.any_run, target.negate
        side_by_side, rank, count = target.side_by_side, target.rank, target.count

        @target.device
        def solve_runs(
            first: int, stop: int, arguments: LoopArguments, shared: SharedBank, persistent: PersistentBank
        ) -> None:
            w = open_workspace(shared, persistent)
            run, waiting = side_by_side(first), first + width
            fresh = run < stop
            none, nothing = splat(zero), splat(start)
            state = State(none, none, none, nothing, nothing, nothing, none, none, splat(success))
            if not refills:
                state = enter(fresh, select(fresh, run, first), state, w, arguments)
            occupied = fresh
            while any_run(occupied):
                if refills and any_run(fresh):
                    state = enter(fresh, select(fresh, run, first), state, w, arguments)
                    fresh = fresh & negate(fresh)
                state = advance(run - arguments.first_run, state, w, arguments)
                ended = occupied & (state.status >= 0)
                occupied = occupied & negate(ended)
                if any_run(ended):
                    leave(ended, run - arguments.first_run, state, w, arguments)
                    if refills:
                        run = select(ended, waiting + rank(ended), run)
                        waiting = waiting + count(ended)
                        fresh = ended & (run < stop)
                        occupied = occupied | fresh

        return solve_runs

    def _open(self) -> OpenFn:
        names = ("y", "rate", "y_next", "rate_next", "error", "dense_state", "parameters", "drivers")
        y, rate, y_next, rate_next, error, dense_state, parameters, drivers = (self.allocator(name) for name in names)
        step_shared, step_persistent = self.child_allocators("step")
        control_shared, control_persistent = self.child_allocators("controller")
        output_shared, output_persistent = self.child_allocators("output")

        @self.target.device
        def open_workspace(shared: SharedBank, persistent: PersistentBank) -> Workspace:
            return Workspace(
                y(shared, persistent),
                rate(shared, persistent),
                y_next(shared, persistent),
                rate_next(shared, persistent),
                error(shared, persistent),
                dense_state(shared, persistent),
                parameters(shared, persistent),
                drivers(shared, persistent),
                step_shared(shared, persistent),
                step_persistent(shared, persistent),
                control_shared(shared, persistent),
                control_persistent(shared, persistent),
                output_shared(shared, persistent),
                output_persistent(shared, persistent),
            )

        return open_workspace

    def _next_save(self) -> NextSaveFn:
        target, first, far = self.target, np.int32(0), self.settings.precision(np.inf)
        select, splat, load_at = target.select, target.splat, target.load_at

        @target.device
        def next_save(n_saved: Count, arguments: LoopArguments) -> tuple[Real, Real]:
            is_left = n_saved < arguments.n_saves
            place = select(is_left, n_saved, splat(first))
            due, due_rest = load_at(arguments.times, 4 + 2 * place), load_at(arguments.times, 5 + 2 * place)
            return select(is_left, due, arguments.direction * far), due_rest

        return next_save

    def _enter(self, clock: Clock, norms: Norms, next_save: NextSaveFn) -> EnterFn:
        target, settings = self.target, self.settings
        n, n_parameters, adaptive, dense = settings.n_states, settings.n_parameters, settings.adaptive, settings.dense
        zero, none, one = settings.precision(0), np.int32(0), np.int32(1)
        running, non_finite = np.int32(RUNNING), np.int32(Status.non_finite)
        rate_of, store_row = self.rate.device_function, self.output.device_function
        reset, finite, between = self.controller.device_function.reset, norms.finite, clock.between
        first_step = make_first_step(target, settings, rate_of, norms.scale)
        splat, select, load_at = target.splat, target.select, target.load_at
        any_run, minimum = target.any_run, target.minimum

        @target.device
        def enter(fresh: Mask, run: Count, state: State, w: Workspace, arguments: LoopArguments) -> State:
            for i in range(n):
                loaded = load_at(arguments.values, arguments.offsets[i] + arguments.strides[i] * run)
                w.y[i] = select(fresh, loaded, w.y[i])
            for i in range(n_parameters):
                loaded = load_at(arguments.values, arguments.offsets[n + i] + arguments.strides[n + i] * run)
                w.parameters[i] = select(fresh, loaded, w.parameters[i])
            t, t_rest = splat(arguments.times[0]), splat(arguments.times[1])
            rate_of(t, w.y, w.parameters, w.drivers, w.rate_next)
            for i in range(n):
                w.rate[i] = select(fresh, w.rate_next[i], w.rate[i])
            reset(fresh, w.control_shared, w.control_persistent)
            n_saved = splat(none)
            if arguments.n_initial > 0:
                store_row(
                    t,
                    w.y,
                    w.parameters,
                    w.drivers,
                    n_saved,
                    run - arguments.first_run,
                    arguments.n_slots,
                    fresh,
                    fresh,
                    arguments.saved,
                    w.output_shared,
                    w.output_persistent,
                )
                n_saved = splat(one)
            length = splat(arguments.first_step)
            if adaptive:
                if any_run(length <= zero):
                    end, end_rest = splat(arguments.times[2]), splat(arguments.times[3])
                    whole = arguments.direction * between(t, t_rest, end, end_rest)
                    length = first_step(
                        t, whole, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, arguments
                    )
                length = minimum(length, arguments.max_step)
            due, due_rest = state.due, state.due_rest
            if dense:
                due, due_rest = next_save(n_saved, arguments)
            status = select(finite(w.y) + finite(w.rate) <= zero, splat(running), splat(non_finite))
            return State(
                select(fresh, t, state.t),
                select(fresh, t_rest, state.t_rest),
                select(fresh, length, state.length),
                select(fresh, splat(none), state.n_steps),
                select(fresh, splat(none), state.n_rejected),
                select(fresh, n_saved, state.n_saved),
                select(fresh, due, state.due),
                select(fresh, due_rest, state.due_rest),
                select(fresh, status, state.status),
            )

        return enter

    def _advance(self, attempt: AttemptFn, emit: EmitFn) -> AdvanceStateFn:
        target, dense = self.target, self.settings.dense
        running, success, max_steps = np.int32(RUNNING), np.int32(Status.success), np.int32(Status.max_steps)
        select, splat, negate, increment, accept = (
            target.select,
            target.splat,
            target.negate,
            target.increment,
            self._accept(),
        )

        @target.device
        def advance(slot: Count, state: State, w: Workspace, arguments: LoopArguments) -> State:
            active = state.status < 0
            tried = attempt(state, w, arguments)
            accepted = tried.accepted & active
            n_saved, due, due_rest = state.n_saved, state.due, state.due_rest
            if dense:
                n_saved, due, due_rest = emit(accepted, slot, state, tried, w, arguments)
            accept(accepted, w)
            n_steps = increment(state.n_steps, active)
            on_budget = select(n_steps < arguments.max_steps, splat(running), splat(max_steps))
            going_on = select(tried.failure > 0, tried.failure, on_budget)
            return State(
                select(accepted, tried.t_next, state.t),
                select(accepted, tried.t_next_rest, state.t_rest),
                select(active, tried.next_length, state.length),
                n_steps,
                increment(state.n_rejected, active & negate(tried.accepted)),
                n_saved,
                due,
                due_rest,
                select(active, select(accepted & tried.is_last, splat(success), going_on), state.status),
            )

        return advance

    def _attempt(self, clock: Clock, norms: Norms) -> AttemptFn:
        target, settings = self.target, self.settings
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
        step, gain = self.step.device_function.step, self.controller.device_function.gain
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

    def _emit(self, clock: Clock, next_save: NextSaveFn) -> EmitFn:
        target, one = self.target, self.settings.precision(1)
        n, between, store_row = self.settings.n_states, clock.between, self.output.device_function
        _, prepare_dense, interpolate = self.step.device_function
        select, splat, any_run, increment = target.select, target.splat, target.any_run, target.increment
        minimum, absolute = target.minimum, target.absolute

        @target.device
        def emit(
            mask: Mask, slot: Count, state: State, tried: Attempt, w: Workspace, arguments: LoopArguments
        ) -> tuple[Count, Real, Real]:
            t, dt, taken = state.t, tried.dt, absolute(tried.dt)
            n_saved, due, due_rest = state.n_saved, state.due, state.due_rest
            ahead = arguments.direction * between(t, state.t_rest, due, due_rest)
            end, end_rest = splat(arguments.times[2]), splat(arguments.times[3])
            left = arguments.direction * between(t, state.t_rest, end, end_rest)
            is_due = mask & ((ahead <= taken) | (tried.is_last & (n_saved < arguments.n_saves)))
            if any_run(is_due):
                prepare_dense(
                    t,
                    dt,
                    w.y,
                    w.rate,
                    w.parameters,
                    w.drivers,
                    w.rate_next,
                    w.dense_state,
                    w.step_shared,
                    w.step_persistent,
                )
            while any_run(is_due):
                theta = select(tried.is_last & (ahead >= left), splat(one), minimum(ahead / taken, one))
                interpolate(
                    theta, dt, w.y, w.rate, w.y_next, w.rate_next, w.dense_state, w.step_shared, w.step_persistent
                )
                for i in range(n):
                    w.dense_state[i] = select(theta < one, w.dense_state[i], w.y_next[i])
                store_row(
                    due,
                    w.dense_state,
                    w.parameters,
                    w.drivers,
                    n_saved,
                    slot,
                    arguments.n_slots,
                    is_due,
                    is_due,
                    arguments.saved,
                    w.output_shared,
                    w.output_persistent,
                )
                n_saved = increment(n_saved, is_due)
                next_due, next_due_rest = next_save(n_saved, arguments)
                due, due_rest = select(is_due, next_due, due), select(is_due, next_due_rest, due_rest)
                ahead = arguments.direction * between(t, state.t_rest, due, due_rest)
                is_due = is_due & ((ahead <= taken) | (tried.is_last & (n_saved < arguments.n_saves)))
            return n_saved, due, due_rest

        return emit

    def _accept(self) -> AcceptFn:
        n, select = self.settings.n_states, self.target.select

        @self.target.device
        def accept(mask: Mask, w: Workspace) -> None:
            for i in range(n):
                w.y[i] = select(mask, w.y_next[i], w.y[i])
                w.rate[i] = select(mask, w.rate_next[i], w.rate[i])

        return accept

    def _leave(self) -> LeaveFn:
        store_row, any_run, increment = self.output.device_function, self.target.any_run, self.target.increment
        store_at, compensated = self.target.store_at, self.settings.compensated

        @self.target.device
        def leave(mask: Mask, slot: Count, state: State, w: Workspace, arguments: LoopArguments) -> None:
            n_saved, n_slots = state.n_saved, arguments.n_slots
            pending = mask & (n_saved < arguments.n_saves)
            while any_run(pending):
                store_row(
                    state.t,
                    w.y,
                    w.parameters,
                    w.drivers,
                    n_saved,
                    slot,
                    n_slots,
                    state.status <= 0,
                    pending,
                    arguments.saved,
                    w.output_shared,
                    w.output_persistent,
                )
                n_saved = increment(n_saved, pending)
                pending = mask & (n_saved < arguments.n_saves)
            store_at(arguments.final_time, slot, state.t, mask)
            if compensated:
                store_at(arguments.final_time, n_slots + slot, state.t_rest, mask)
            store_at(arguments.counts, slot, state.status, mask)
            store_at(arguments.counts, n_slots + slot, state.n_steps, mask)
            store_at(arguments.counts, 2 * n_slots + slot, state.n_rejected, mask)

        return leave
