"""The loop over steps of one run (or of a group of runs side by side): attempt, emit, accept, until all have ended.

No per-run value steers a branch. Steps and saves are counted in integers; saved times are met by dense output, never by
shrinking a step; a loop ends at `max_steps` at the latest, and every way to end has a status.
"""

from typing import Final, Protocol, final

import numpy as np
from typing_extensions import override

from cubie._types import Count, Mask, PersistentBank, SharedBank
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, buffer
from cubie.integrators.algorithms.absent import start_anywhere
from cubie.integrators.algorithms.base_algorithm_step import ResetStepFn, SlopeFn, StartFn, StepFactory
from cubie.integrators.loops.attempt import AttemptFn, JudgeFn, make_attempt, make_judge
from cubie.integrators.loops.clock import Clock, make_clock
from cubie.integrators.loops.first_step import make_first_step
from cubie.integrators.loops.norms import Norms, make_norms
from cubie.integrators.loops.ode_loop_config import RUNNING, LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import Attempt, State, Workspace
from cubie.integrators.loops.saves import EmitFn, SaveFn, Saves, make_saves
from cubie.integrators.loops.stride import StrideFn, make_stride
from cubie.integrators.step_control.controller import StepController
from cubie.odesystems.rate_function import RateFunction
from cubie.outputhandling.output_functions import OutputFunctions
from cubie.status import Status
from cubie.targets.base import SolveRunsFn
from cubie.targets.unroll import nothing

PATIENCE: Final = 1
"""In steps of all runs side by side, what it costs to let new runs in: for so long, together, ended runs of adapted
steps keep their places. Runs of fixed steps end together.
"""


class OpenFn(Protocol):
    """Take the working arrays out of the pools."""

    def __call__(self, shared: SharedBank, persistent: PersistentBank) -> Workspace: ...


class BlankFn(Protocol):
    """Return the state of nobody."""

    def __call__(self) -> State: ...


class EnterFn(Protocol):
    """Start the fresh runs: load them, evaluate their first rate, make a save at the start."""

    def __call__(self, fresh: Mask, run: Count, state: State, w: Workspace, arguments: LoopArguments) -> State: ...


class AcceptFn(Protocol):
    """Move the runs of the mask to the end of the step."""

    def __call__(self, mask: Mask, w: Workspace) -> None: ...


class AdvanceStateFn(Protocol):
    """Attempt a step of the active runs, emit what is due, and accept it or not; answer which runs go on, too."""

    def __call__(
        self, active: Mask, slot: Count, state: State, w: Workspace, arguments: LoopArguments
    ) -> tuple[State, Mask, Attempt]: ...


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
        sizes = {"y": n, "rate": n, "y_next": n, "rate_next": n, "error": settings.error_size}
        sizes |= {"dense_state": n * settings.dense, "y_kept": n * settings.strides}
        sizes |= {"dense_slope": n * settings.checks_dense, "defect": n * settings.checks_dense}
        sizes |= {"parameters": settings.n_parameters, "drivers": settings.n_drivers}
        shared = settings.shared_vectors
        return tuple(
            buffer(name, size, settings.precision, location="shared" if name in shared else "local")
            for name, size in sizes.items()
        )

    @override
    def build(self) -> SolveRunsFn:
        clock = make_clock(self.target, self.settings)
        norms, method = make_norms(self.target, self.settings), self.step.device_function
        saves = make_saves(self.target, self.settings, clock, method, self.output.device_function)
        control = self.controller.device_function
        attempt = make_attempt(self.target, self.settings, clock, norms, method, saves.check, control)
        forget = method.reset or nothing
        slope = method.slope or nothing
        enter = self._enter(clock, norms, saves, forget, method.start or start_anywhere(self.target), slope)
        leave = self._leave(clock, saves.save)
        advance, judge = self._advance(clock, attempt, saves.emit), make_judge(self.target, self.settings)
        stride = make_stride(self.target, self.settings, clock, norms, method.step, self.rate.device_function)
        build = self._queue if self.target.refills else self._one
        return build(enter, stride, advance, judge, leave)

    def _blank(self) -> BlankFn:
        zero, start, success = self.settings.precision(0), np.int32(0), np.int32(Status.success)
        splat = self.target.splat

        @self.target.device
        def blank() -> State:
            none, nothing = splat(zero), splat(start)
            return State(none, none, none, nothing, nothing, nothing, none, none, splat(success))

        return blank

    def _one(
        self, enter: EnterFn, stride: StrideFn, advance: AdvanceStateFn, judge: JudgeFn, leave: LeaveFn
    ) -> SolveRunsFn:
        """Build the loop of a target that advances one run and is done."""
        open_workspace, blank = self._open(), self._blank()
        select, any_run, side_by_side = self.target.select, self.target.any_run, self.target.side_by_side

        @self.target.device
        def solve_runs(
            first: int, stop: int, arguments: LoopArguments, shared: SharedBank, persistent: PersistentBank
        ) -> None:
            w, run = open_workspace(shared, persistent), side_by_side(first)
            slot, exists = run - arguments.first_run, run < stop
            state = enter(exists, select(exists, run, first), blank(), w, arguments)
            active = exists & (state.status < 0)
            state = stride(active, state, w, arguments)
            if any_run(active):
                while True:
                    state, active, tried = advance(active, slot, state, w, arguments)
                    if not any_run(active):
                        break
                state = judge(exists, state, tried)
            leave(exists, slot, state, w, arguments)

        return solve_runs

    def _queue(
        self, enter: EnterFn, stride: StrideFn, advance: AdvanceStateFn, judge: JudgeFn, leave: LeaveFn
    ) -> SolveRunsFn:
        """Build the loop of a target that advances several runs, each of which makes way for the next when it ends."""
        open_workspace, blank, width = self._open(), self._blank(), self.target.width
        select, any_run, negate = self.target.select, self.target.any_run, self.target.negate
        side_by_side, rank, count = self.target.side_by_side, self.target.rank, self.target.count
        seldom, patience = self.target.seldom, PATIENCE * (width - 1) * self.settings.adaptive

        @self.target.device
        def solve_runs(
            first: int, stop: int, arguments: LoopArguments, shared: SharedBank, persistent: PersistentBank
        ) -> None:
            w, run, waiting, state = open_workspace(shared, persistent), side_by_side(first), first + width, blank()
            fresh = run < stop
            occupied, active, idle = fresh, fresh, 0
            while any_run(occupied):
                if seldom(any_run(fresh)):
                    state = enter(fresh, select(fresh, run, first), state, w, arguments)
                    fresh = fresh & negate(fresh)
                    active = occupied & (state.status < 0)
                    state = stride(active, state, w, arguments)
                slot = run - arguments.first_run
                state, active, tried = advance(active, slot, state, w, arguments)
                ended = occupied & negate(active)
                state = judge(ended, state, tried)
                idle += count(ended)
                if seldom(idle > patience or not any_run(active)):
                    leave(ended, slot, state, w, arguments)
                    run = select(ended, waiting + rank(ended), run)
                    waiting, idle = waiting + count(ended), 0
                    fresh = ended & (run < stop)
                    occupied = active | fresh

        return solve_runs

    def _open(self) -> OpenFn:
        names = ("y", "rate", "y_next", "rate_next", "error", "dense_state", "y_kept", "parameters", "drivers")
        y, rate, y_next, rate_next, error, dense_state, y_kept, parameters, drivers = map(self.allocator, names)
        dense_slope, defect = self.allocator("dense_slope"), self.allocator("defect")
        step_shared, step_persistent = self.child_allocators("step")
        control_shared, control_persistent = self.child_allocators("controller")
        output_shared, output_persistent = self.child_allocators("output")

        @self.target.inlined
        def open_workspace(shared: SharedBank, persistent: PersistentBank) -> Workspace:
            return Workspace(
                y(shared, persistent),
                rate(shared, persistent),
                y_next(shared, persistent),
                rate_next(shared, persistent),
                error(shared, persistent),
                dense_state(shared, persistent),
                dense_slope(shared, persistent),
                defect(shared, persistent),
                y_kept(shared, persistent),
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

    def _enter(
        self, clock: Clock, norms: Norms, saves: Saves, forget: ResetStepFn, start: StartFn, slope: SlopeFn
    ) -> EnterFn:
        target, settings = self.target, self.settings
        n, n_parameters, adaptive, dense = settings.n_states, settings.n_parameters, settings.adaptive, settings.dense
        zero, none, one = settings.precision(0), np.int32(0), np.int32(1)
        running, non_finite = np.int32(RUNNING), np.int32(Status.non_finite)
        rate_of, save, next_save = self.rate.device_function, saves.save, saves.next_save
        reset, finite, between = self.controller.device_function.reset, norms.finite, clock.between
        first_step = make_first_step(target, settings, rate_of, slope, norms.scale)
        splat, select, load_at, fma = target.splat, target.select, target.load_at, target.fma
        any_run, minimum = target.any_run, target.minimum

        @target.device
        def enter(fresh: Mask, run: Count, state: State, w: Workspace, arguments: LoopArguments) -> State:
            doubt = splat(zero)  # not a number if an input is none: the host may leave it to us to look
            for i in range(n):
                loaded = load_at(arguments.values, arguments.offsets[i] + arguments.strides[i] * run)
                doubt = fma(loaded, zero, doubt)
                w.y[i] = select(fresh, loaded, w.y[i])
            for i in range(n_parameters):
                loaded = load_at(arguments.values, arguments.offsets[n + i] + arguments.strides[n + i] * run)
                doubt = fma(loaded, zero, doubt)
                w.parameters[i] = select(fresh, loaded, w.parameters[i])
            t, t_rest = splat(arguments.t0), splat(arguments.t0_rest)
            answer = start(fresh, t, w.y, w.parameters, w.drivers, w.step_shared, w.step_persistent)
            rate_of(t, w.y, w.parameters, w.drivers, w.rate_next)
            slope(t, w.y, w.parameters, w.drivers, w.rate_next, w.step_shared, w.step_persistent)
            for i in range(n):
                w.rate[i] = select(fresh, w.rate_next[i], w.rate[i])
            reset(fresh, w.control_shared, w.control_persistent)
            forget(fresh, w.step_shared, w.step_persistent)
            n_saved = splat(none)
            if arguments.n_initial > 0:
                save(t, w.y, n_saved, run - arguments.first_run, fresh, fresh, w, arguments)
                n_saved = splat(one)
            length = splat(arguments.first_step)
            if adaptive:
                if any_run(length <= zero):
                    end, end_rest = splat(arguments.t_end), splat(arguments.t_end_rest)
                    whole = arguments.direction * between(t, t_rest, end, end_rest)
                    length = first_step(
                        t, whole, w.y, w.rate, w.parameters, w.drivers, w.y_next, w.rate_next, w.step_shared,
                        w.step_persistent, arguments
                    )  # fmt: skip
                length = minimum(length, arguments.max_step) * arguments.direction
            due, due_rest = state.due, state.due_rest
            if dense:
                due, due_rest = next_save(n_saved, arguments)
            status = select(finite(w.y) + finite(w.rate) + doubt <= zero, splat(running), splat(non_finite))
            status = select(answer > 0, answer, status)
            return State(
                select(fresh, t, state.t),
                select(fresh, t_rest, state.t_rest),
                select(fresh, length, state.dt),
                select(fresh, splat(none), state.n_steps),
                select(fresh, splat(none), state.n_accepted),
                select(fresh, n_saved, state.n_saved),
                select(fresh, due, state.due),
                select(fresh, due_rest, state.due_rest),
                select(fresh, status, state.status),
            )

        return enter

    def _advance(self, clock: Clock, attempt: AttemptFn, emit: EmitFn) -> AdvanceStateFn:
        target, dense, adaptive = self.target, self.settings.dense, self.settings.adaptive
        zero = self.settings.precision(0)
        select, splat, negate, increment = target.select, target.splat, target.negate, target.increment
        accept, move = self._accept(), clock.advance

        @target.device
        def advance(
            active: Mask, slot: Count, state: State, w: Workspace, arguments: LoopArguments
        ) -> tuple[State, Mask, Attempt]:
            tried = attempt(state, w, arguments)
            accepted = tried.accepted & active
            n_saved, due, due_rest = state.n_saved, state.due, state.due_rest
            if dense:
                n_saved, due, due_rest = emit(accepted, slot, state, tried, w, arguments)
            accept(accepted, w)
            t, t_rest, n_steps = state.t, state.t_rest, increment(state.n_steps, active)
            arrived = accepted & tried.is_last
            ended = arrived | (active & tried.failed)
            if adaptive:
                t, t_rest = move(t, t_rest, select(accepted, tried.dt, splat(zero)))
                ended = ended | (active & (n_steps >= arguments.max_steps))
            dt, n_accepted = select(active, tried.next_dt, state.dt), increment(state.n_accepted, accepted)
            moved = State(t, t_rest, dt, n_steps, n_accepted, n_saved, due, due_rest, state.status)
            return moved, active & negate(ended), tried

        return advance

    def _accept(self) -> AcceptFn:
        n, adaptive, select = self.settings.n_states, self.settings.adaptive, self.target.select

        @self.target.device
        def accept(mask: Mask, w: Workspace) -> None:
            for i in range(n):
                if adaptive:
                    w.y[i] = select(mask, w.y_next[i], w.y[i])
                    w.rate[i] = select(mask, w.rate_next[i], w.rate[i])
                else:  # a step that is not accepted ends its run, whose state nobody reads any more
                    w.y[i] = w.y_next[i]
                    w.rate[i] = w.rate_next[i]

        return accept

    def _leave(self, clock: Clock, save: SaveFn) -> LeaveFn:
        any_run, increment, select, splat = (
            self.target.any_run,
            self.target.increment,
            self.target.select,
            self.target.splat,
        )
        store_at, compensated, now = self.target.store_at, self.settings.compensated, clock.now

        @self.target.device
        def leave(mask: Mask, slot: Count, state: State, w: Workspace, arguments: LoopArguments) -> None:
            t, t_rest = now(state, arguments)
            succeeded = state.status <= 0
            t = select(succeeded, splat(arguments.t_end), t)
            t_rest = select(succeeded, splat(arguments.t_end_rest), t_rest)
            n_saved, n_slots = state.n_saved, arguments.n_slots
            pending = mask & (n_saved < arguments.n_saves)
            while any_run(pending):
                save(t, w.y, n_saved, slot, succeeded, pending, w, arguments)
                n_saved = increment(n_saved, pending)
                pending = mask & (n_saved < arguments.n_saves)
            store_at(arguments.final_time, slot, t, mask)
            if compensated:
                store_at(arguments.final_time, n_slots + slot, t_rest, mask)
            store_at(arguments.counts, slot, state.status, mask)
            store_at(arguments.counts, n_slots + slot, state.n_steps, mask)
            store_at(arguments.counts, 2 * n_slots + slot, state.n_steps - state.n_accepted, mask)

        return leave
