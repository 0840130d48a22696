"""Blocks of equal steps with one look at the end of each, where nothing is saved between the start and the end.

What is not finite stays so, hence the end of a block speaks for all of it. A block that went wrong is taken back, and
from there the loop takes careful steps, which end at the last good state. Runs side by side that go on take their
blocks together, until the first of them nears its end.

Whether the first block is taken depends on no run: so a GPU finds the multiples of dt, formed before it, to be the same
for all threads, and keeps them in registers of all (double precision is bound by the reading of registers).
"""

from typing import Final, Protocol

import numpy as np

from cubie._types import Count, Mask, RateFn
from cubie.integrators.algorithms.base_algorithm_step import StepFn
from cubie.integrators.loops.attempt import make_inside
from cubie.integrators.loops.clock import Clock
from cubie.integrators.loops.norms import Norms
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.integrators.loops.run_state import State, Workspace
from cubie.targets.base import Target
from cubie.targets.unroll import static

BLOCK: Final = 32
"""Steps between two looks: long enough that these cost next to nothing, short enough that few are taken in vain."""
UNROLLED: Final = 4
MOST_STATES: Final = 8
"""Steps of so small systems are written out several times, which spares counting and jumping."""


class StrideFn(Protocol):
    """Take blocks of steps for as long as all stays finite and more steps are left than a block has."""

    def __call__(self, active: Mask, state: State, w: Workspace, arguments: LoopArguments) -> State: ...


def _make_rest(target: Target) -> StrideFn:
    @target.device
    def rest(active: Mask, state: State, w: Workspace, arguments: LoopArguments) -> State:
        return state

    return rest


def make_stride(
    target: Target, settings: LoopSettings, clock: Clock, norms: Norms, step: StepFn, rate_of: RateFn
) -> StrideFn:
    """Build the blocks of steps of fixed length; where there are none, a function that leaves a run where it is."""
    if not settings.strides:
        return _make_rest(target)
    n, zero, none = settings.n_states, settings.precision(0), np.int32(0)
    n_block, n_unrolled = BLOCK, UNROLLED if n <= MOST_STATES else 1
    finite, now, inside = norms.finite, clock.now, make_inside(target, settings)
    any_run, select, splat = target.any_run, target.select, target.splat
    increment, negate = target.increment, target.negate

    @target.device
    def counted(state: State, n_steps: Count) -> State:
        t, t_rest, dt = state.t, state.t_rest, state.dt
        return State(t, t_rest, dt, n_steps, n_steps, state.n_saved, state.due, state.due_rest, state.status)

    @target.device
    def stride(active: Mask, state: State, w: Workspace, arguments: LoopArguments) -> State:
        dt, going = splat(arguments.first_step * arguments.direction), active
        walked, walking = select(active, state.n_steps, splat(none)), True
        while walking and not any_run(walked >= arguments.max_steps - n_block):
            start, failure = state.n_steps, splat(none)
            for i in range(n):
                w.y_kept[i] = w.y[i]
            for _ in range(n_block // n_unrolled):
                for _ in static(range(n_unrolled)):
                    t, _rest = now(state, arguments)
                    failure = failure | step(
                        inside(t, dt, state.t, arguments), dt, w.y, w.rate, w.parameters, w.drivers, w.y_next,
                        w.rate_next, w.error, w.step_shared, w.step_persistent
                    )  # fmt: skip
                    for i in range(n):
                        w.y[i] = w.y_next[i]
                        w.rate[i] = w.rate_next[i]
                    state = counted(state, increment(state.n_steps, going))
            going = going & (finite(w.y) <= zero) & (failure <= 0)
            for i in range(n):
                w.y[i] = select(going, w.y[i], w.y_kept[i])
            state = counted(state, select(going, state.n_steps, start))
            walked, walking = select(going, state.n_steps, walked), any_run(going)
        if any_run(active & negate(going)):
            t, _rest = now(state, arguments)
            rate_of(t, w.y, w.parameters, w.drivers, w.rate_next)
            for i in range(n):
                w.rate[i] = select(going, w.rate[i], w.rate_next[i])
        return state

    return stride
