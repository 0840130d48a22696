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
from cubie.targets.base import SolveRunFn

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
    """Take the working arrays out of the run's pools."""

    def __call__(self, shared: SharedBank, persistent: PersistentBank) -> Workspace: ...


class BeginFn(Protocol):
    """Load a run, evaluate its first rate, make a save at the start; answer the first step and the number of saves
    made.
    """

    def __call__(
        self, run: Count, slot: Count, exists: Mask, w: Workspace, arguments: LoopArguments
    ) -> tuple[Real, Count]: ...


class AttemptFn(Protocol):
    """Try the step after the `n_steps` attempted so far, at most `length` long."""

    def __call__(
        self, t: Real, t_rest: Real, length: Real, n_steps: Count, w: Workspace, arguments: LoopArguments
    ) -> Attempt: ...


class EmitFn(Protocol):
    """Store what is due within a step of the runs of the mask; answer the number of saves made so far."""

    def __call__(
        self,
        t: Real,
        t_rest: Real,
        attempt: Attempt,
        mask: Mask,
        n_saved: Count,
        slot: Count,
        w: Workspace,
        arguments: LoopArguments,
    ) -> Count: ...


class AcceptFn(Protocol):
    """Move the runs of the mask to the end of the step."""

    def __call__(self, mask: Mask, w: Workspace) -> None: ...


class FinishFn(Protocol):
    """Store the end of a run that got there, and NaN for the saves that a failed one never reached."""

    def __call__(
        self, t: Real, status: Count, n_saved: Count, slot: Count, exists: Mask, w: Workspace, arguments: LoopArguments
    ) -> None: ...


@final
class IVPLoop(CUDAFactory[LoopSettings, SolveRunFn]):
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
        """Both ends of a step and what belongs to a run; dense output has its own only where something is due between.
        """
        n = settings.n_states
        sizes = {"y": n, "rate": n, "y_next": n, "rate_next": n, "error": settings.n_errors * n}
        sizes |= {"dense_state": n * settings.dense, "parameters": settings.n_parameters, "drivers": settings.n_drivers}
        return tuple(buffer(name, size, settings.precision) for name, size in sizes.items())

    @override
    def build(self) -> SolveRunFn:
        clock = make_clock(self.target, self.settings.precision, compensated=self.settings.compensated)
        norms = make_norms(self.target, self.settings)
        open_workspace, begin, attempt = self._open(), self._begin(clock, norms), self._attempt(clock, norms)
        emit, accept, finish = self._emit(clock), self._accept(), self._finish()
        dense, compensated, start = self.settings.dense, self.settings.compensated, np.int32(0)
        running, success, max_steps = np.int32(RUNNING), np.int32(Status.success), np.int32(Status.max_steps)
        non_finite, zero = np.int32(Status.non_finite), self.settings.precision(0)
        reset, finite = self.controller.device_function.reset, norms.finite
        select, splat, any_run, negate = self.target.select, self.target.splat, self.target.any_run, self.target.negate
        increment, store_at = self.target.increment, self.target.store_at

        @self.target.device
        def solve_run(
            run: Count, exists: Mask, arguments: LoopArguments, shared: SharedBank, persistent: PersistentBank
        ) -> None:
            w = open_workspace(shared, persistent)
            slot = run - arguments.first_run
            length, n_saved = begin(run, slot, exists, w, arguments)
            reset(exists, w.control_shared, w.control_persistent)
            t, t_rest = splat(arguments.times[0]), splat(arguments.times[1])
            n_steps, n_rejected = splat(start), splat(start)
            good_start = finite(w.y) + finite(w.rate) <= zero
            status = select(exists, select(good_start, splat(running), splat(non_finite)), splat(success))
            active = status < 0
            while any_run(active):
                tried = attempt(t, t_rest, length, n_steps, w, arguments)
                accepted = tried.accepted & active
                if dense:
                    n_saved = emit(t, t_rest, tried, accepted, n_saved, slot, w, arguments)
                accept(accepted, w)
                t, t_rest = select(accepted, tried.t_next, t), select(accepted, tried.t_next_rest, t_rest)
                length = select(active, tried.next_length, length)
                n_rejected = increment(n_rejected, active & negate(tried.accepted))
                n_steps = increment(n_steps, active)
                on_budget = select(n_steps < arguments.max_steps, splat(running), splat(max_steps))
                going_on = select(tried.failure > 0, tried.failure, on_budget)
                status = select(active, select(accepted & tried.is_last, splat(success), going_on), status)
                active = status < 0
            finish(t, status, n_saved, slot, exists, w, arguments)
            store_at(arguments.final_time, slot, t, exists)
            if compensated:
                store_at(arguments.final_time, arguments.n_slots + slot, t_rest, exists)
            store_at(arguments.counts, slot, status, exists)
            store_at(arguments.counts, arguments.n_slots + slot, n_steps, exists)
            store_at(arguments.counts, 2 * arguments.n_slots + slot, n_rejected, exists)

        return solve_run

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

    def _begin(self, clock: Clock, norms: Norms) -> BeginFn:
        target, settings = self.target, self.settings
        n, n_parameters, adaptive = settings.n_states, settings.n_parameters, settings.adaptive
        zero, none, one = settings.precision(0), np.int32(0), np.int32(1)
        rate_of, store_row = self.rate.device_function, self.output.device_function
        first_step, between = make_first_step(target, settings, rate_of, norms.scale), clock.between
        splat, load_at, any_run, minimum = target.splat, target.load_at, target.any_run, target.minimum

        @target.device
        def begin(run: Count, slot: Count, exists: Mask, w: Workspace, arguments: LoopArguments) -> tuple[Real, Count]:
            for i in range(n):
                w.y[i] = load_at(arguments.values, arguments.offsets[i] + arguments.strides[i] * run)
            for i in range(n_parameters):
                w.parameters[i] = load_at(arguments.values, arguments.offsets[n + i] + arguments.strides[n + i] * run)
            t = splat(arguments.times[0])
            rate_of(t, w.y, w.parameters, w.drivers, w.rate)
            n_saved = splat(none)
            if arguments.n_initial > 0:
                store_row(
                    t, w.y, w.parameters, w.drivers, n_saved, slot, arguments.n_slots, exists, exists, arguments.saved, w.output_shared, w.output_persistent
                )  # fmt: skip
                n_saved = splat(one)
            length = splat(arguments.first_step)
            if adaptive:
                if any_run(length <= zero):
                    whole = arguments.direction * between(
                        t, splat(arguments.times[1]), splat(arguments.times[2]), splat(arguments.times[3])
                    )
                    length = first_step(
                        t, whole, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, arguments
                    )
                length = minimum(length, arguments.max_step)
            return length, n_saved

        return begin

    def _attempt(self, clock: Clock, norms: Norms) -> AttemptFn:
        target, settings = self.target, self.settings
        eps = np.finfo(settings.precision).eps
        zero, one, huge, stretch, none = (
            settings.precision(0),
            settings.precision(1),
            settings.precision(1e30),
            settings.precision(STRETCH),
            np.int32(0),
        )
        guard, tiny = settings.precision(2 * eps), settings.precision(8 * np.finfo(settings.precision).tiny)
        ulps = settings.precision(4 * (eps * eps if settings.compensated else eps))
        adaptive = settings.adaptive
        step, gain = self.step.device_function.step, self.controller.device_function.gain
        error_squared_of, finite = norms.error_squared, norms.finite
        advance, between, after_steps = clock
        too_small, non_finite = np.int32(Status.step_too_small), np.int32(Status.non_finite)
        select, splat, fma, absolute = target.select, target.splat, target.fma, target.absolute
        minimum, maximum = target.minimum, target.maximum

        @target.device
        def attempt(
            t: Real, t_rest: Real, length: Real, n_steps: Count, w: Workspace, arguments: LoopArguments
        ) -> Attempt:
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

    def _emit(self, clock: Clock) -> EmitFn:
        target, one, none = self.target, self.settings.precision(1), np.int32(0)
        n, between, store_row = self.settings.n_states, clock.between, self.output.device_function
        _, prepare_dense, interpolate = self.step.device_function
        select, splat, load_at, any_run = target.select, target.splat, target.load_at, target.any_run
        increment, minimum, absolute = target.increment, target.minimum, target.absolute

        @target.device
        def next_save(
            t: Real, t_rest: Real, attempt: Attempt, n_saved: Count, arguments: LoopArguments
        ) -> tuple[Real, Real, Mask]:
            place = select(n_saved < arguments.n_saves, n_saved, splat(none))
            due_at, due_rest = load_at(arguments.times, 4 + 2 * place), load_at(arguments.times, 5 + 2 * place)
            ahead = arguments.direction * between(t, t_rest, due_at, due_rest)
            left = arguments.direction * between(t, t_rest, splat(arguments.times[2]), splat(arguments.times[3]))
            length = absolute(attempt.dt)
            is_due = (n_saved < arguments.n_saves) & (attempt.is_last | (ahead <= length))
            return due_at, select(attempt.is_last & (ahead >= left), length, ahead), is_due

        @target.device
        def emit(
            t: Real,
            t_rest: Real,
            attempt: Attempt,
            mask: Mask,
            n_saved: Count,
            slot: Count,
            w: Workspace,
            arguments: LoopArguments,
        ) -> Count:
            dt = attempt.dt
            due_at, ahead, is_due = next_save(t, t_rest, attempt, n_saved, arguments)
            due = mask & is_due
            if any_run(due):
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
            while any_run(due):
                theta = minimum(ahead / absolute(dt), one)
                interpolate(
                    theta, dt, w.y, w.rate, w.y_next, w.rate_next, w.dense_state, w.step_shared, w.step_persistent
                )
                for i in range(n):
                    w.dense_state[i] = select(theta < one, w.dense_state[i], w.y_next[i])
                store_row(
                    due_at, w.dense_state, w.parameters, w.drivers, n_saved, slot, arguments.n_slots, due, due,
                    arguments.saved, w.output_shared, w.output_persistent
                )  # fmt: skip
                n_saved = increment(n_saved, due)
                due_at, ahead, is_due = next_save(t, t_rest, attempt, n_saved, arguments)
                due = due & is_due
            return n_saved

        return emit

    def _accept(self) -> AcceptFn:
        n, select = self.settings.n_states, self.target.select

        @self.target.device
        def accept(mask: Mask, w: Workspace) -> None:
            for i in range(n):
                w.y[i] = select(mask, w.y_next[i], w.y[i])
                w.rate[i] = select(mask, w.rate_next[i], w.rate[i])

        return accept

    def _finish(self) -> FinishFn:
        store_row, any_run, increment = self.output.device_function, self.target.any_run, self.target.increment

        @self.target.device
        def finish(
            t: Real, status: Count, n_saved: Count, slot: Count, exists: Mask, w: Workspace, arguments: LoopArguments
        ) -> None:
            pending = exists & (n_saved < arguments.n_saves)
            while any_run(pending):
                store_row(
                    t, w.y, w.parameters, w.drivers, n_saved, slot, arguments.n_slots, status <= 0, pending, arguments.saved, w.output_shared, w.output_persistent
                )  # fmt: skip
                n_saved = increment(n_saved, pending)
                pending = exists & (n_saved < arguments.n_saves)

        return finish
