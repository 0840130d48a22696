"""Fully implicit Runge-Kutta methods: one body for every tableau.

All stages are solved at once, in the coordinates w of `firk_weights`, in which Newton's systems are one real system for
each real eigenvalue and a complex one for each pair, all with the Jacobian of the start of the step. The iteration
starts from the last step's collocation polynomial; a step that is tried again, from that of the failed attempt.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.8.
"""

from dataclasses import replace
from typing import Protocol, TypedDict, final

import numpy as np
from typing_extensions import Unpack, override

from cubie._types import FloatPrecision, Mask, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import Recording, buffer
from cubie.integrators.algorithms.absent import keep_end
from cubie.integrators.algorithms.base_algorithm_step import (
    DenseCheckFn,
    InterpolateFn,
    ProjectFn,
    ResetStepFn,
    SettleFn,
    StepFn,
    StepFunctions,
)
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.dense_check import DenseParts, FilterFn, make_dense_check
from cubie.integrators.algorithms.firk_equations import Work, make_load, make_predict
from cubie.integrators.algorithms.firk_settings import FirkSettings
from cubie.integrators.algorithms.hermite import make_hermite
from cubie.integrators.algorithms.ode_implicitstep import ImplicitStep
from cubie.integrators.algorithms.rounded_tableau import nonzero
from cubie.integrators.algorithms.settled_error import make_settle
from cubie.integrators.matrix_free_solvers.consistency import Consistency
from cubie.integrators.matrix_free_solvers.consistency_memory import consistent_functions
from cubie.integrators.matrix_free_solvers.constraints import constraints_of, without_constraints
from cubie.integrators.matrix_free_solvers.convergence import make_convergence, make_weigh
from cubie.integrators.matrix_free_solvers.mass_product import WeighFn as MultiplyFn
from cubie.integrators.matrix_free_solvers.mass_product import make_product
from cubie.integrators.matrix_free_solvers.mass_product import make_weigh as make_mass_product
from cubie.integrators.matrix_free_solvers.stage_systems import StageSystems
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import RateFunction
from cubie.targets.unroll import nothing, static


class FirkChanges(TypedDict, total=False):
    """Settings of a fully implicit method that can be changed."""

    tableau: ButcherTableau
    estimates_error: bool
    system: ODESystem
    precision: FloatPrecision


class FinishFn(Protocol):
    """Write the state and the rate at the end, and the error in place of the weights; answer the filter's status."""

    def __call__(
        self,
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        y_next: Vector,
        rate_next: Vector,
        error: Vector,
        work: Work,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


@final
class FullyImplicitRungeKutta(ImplicitStep[FirkSettings]):
    """Steps of one fully implicit Runge-Kutta tableau."""

    def __init__(self, settings: FirkSettings, rate: RateFunction) -> None:
        super().__init__(settings, rate)
        self.systems = self.adopt("systems", StageSystems(settings.systems, target=rate.target))
        self.consistency = self.adopt("consistency", Consistency(settings.consistency, rate))

    def update(self, **changes: Unpack[FirkChanges]) -> None:
        """Replace some settings."""
        self.configure_step(replace(self.settings, **changes))

    def configure_step(self, settings: FirkSettings) -> None:
        """Go by `settings`, the linear systems too, which may be other ones."""
        systems = settings.systems
        self.configure(settings)
        self.consistency.configure(settings.consistency)
        if systems.shape == self.systems.settings.shape:
            self.systems.configure_systems(systems)
        else:
            self.systems = self.adopt("systems", StageSystems(systems, target=self.target))

    @staticmethod
    @override
    def buffers(settings: FirkSettings) -> tuple[BufferEntry, ...]:
        """What stays for dense output and for the next guess: w, the last step, slopes; then scratch."""
        n, s, precision = settings.n_states, settings.tableau.n_stages, settings.precision
        return (
            buffer("increments", s * n, precision, persistent=True),
            buffer("history", 3, precision, persistent=True),
            buffer("slopes", 2 * n * settings.solves_slopes, precision, persistent=True),
            buffer("corrections", s * n, precision),
            buffer("column", s, precision),
            buffer("prediction", s * s, precision),
            buffer("weights", n * settings.keeps_weights, precision, persistent=True),
        )

    @staticmethod
    @override
    def recordings(settings: FirkSettings) -> tuple[Recording, ...]:
        """For each iteration, what it begins with, what is missing in the equations then, and the corrections."""
        n_rows, size = settings.iteration.max_iterations, settings.tableau.n_stages * settings.n_states
        return tuple(
            Recording(name=name, n_rows=n_rows, size=size, precision=settings.precision)
            for name in ("increments", "missing", "corrections")
        )

    @override
    def build(self) -> StepFunctions:
        start, slope, project = consistent_functions(self.consistency, self.child_allocators("consistency"))
        dense = make_hermite(
            self.target, self.settings.n_states, self.settings.precision, slope, self.allocator("slopes")
        )
        interpolate = dense.interpolate if self.settings.tableau.interpolant is None else self._interpolate()
        filtered = self._filter()
        check_dense = self._check_dense(interpolate, filtered) if self.settings.n_errors > 0 else None
        step, settle = self._step(project or keep_end(self.target)), self._settle(filtered)
        return StepFunctions(step, dense.prepare_dense, interpolate, self._reset(), check_dense, start, None, settle)

    def _mass(self) -> MultiplyFn | None:
        return make_mass_product(self.target, self.settings.system, self.settings.precision)

    def _drop_constraints(self) -> MultiplyFn:
        """Build what takes them out of an error's load: how far a step's start is off them is no error of its end.

        What Newton's iteration left of them doesn't shrink with dt: it would let no step pass.
        """
        system = self.settings.system
        if not constraints_of(system):
            return nothing
        return make_product(self.target, without_constraints(system), system.n_states, self.settings.precision)

    def _filter(self) -> FilterFn:
        filter_error = self.systems.device_function.filter
        (below, kept), allocate_weights = self.child_allocators("systems"), self.allocator("weights")

        @self.target.device
        def filtered(x: Vector, shared: SharedBank, persistent: PersistentBank) -> None:
            weights = allocate_weights(shared, persistent)
            filter_error(x, weights, below(shared, persistent), kept(shared, persistent))

        return filtered

    def _check_dense(self, interpolate: InterpolateFn, filtered: FilterFn) -> DenseCheckFn:
        settings = self.settings
        parts = DenseParts(self.rate.device_function, interpolate, filtered, self._mass())
        gamma = float(settings.systems.scales[0])
        return make_dense_check(self.target, settings.n_states, settings.precision, gamma, parts)

    def _settle(self, filtered: FilterFn) -> SettleFn | None:
        if not self.settings.settles:
            return None
        return make_settle(self.target, self.settings.n_states, self.allocator("corrections"), filtered, self._mass())

    def _reset(self) -> ResetStepFn:
        size, precision = self.settings.tableau.n_stages * self.settings.n_states, self.settings.precision
        zero, one = precision(0), precision(1)
        allocate_w, allocate_history = self.allocator("increments"), self.allocator("history")
        select = self.target.select

        @self.target.device
        def reset(mask: Mask, shared: SharedBank, persistent: PersistentBank) -> None:
            w, history = allocate_w(shared, persistent), allocate_history(shared, persistent)
            for i in range(size):
                w[i] = select(mask, zero, w[i])
            history[0] = select(mask, one, history[0])
            history[1] = select(mask, zero, history[1])
            history[2] = select(mask, one, history[2])

        return reset

    def _finish(self, project: ProjectFn) -> FinishFn:
        settings, weights, precision = self.settings, self.settings.weights, self.settings.precision
        n, s, n_errors = settings.n_states, settings.tableau.n_stages, settings.n_errors
        ends_with, (end, end_rate, error_of) = (
            nonzero((weights.end,))[0],
            (weights.end, weights.end_rate, weights.error),
        )
        is_stiffly_accurate, one, ok = settings.tableau.is_stiffly_accurate, precision(1), np.int32(0)
        rate_weight = precision(float(settings.estimate.rate_weight))
        filter_error, (below, kept) = self.systems.device_function.filter, self.child_allocators("systems")
        rate_of, fma, splat = self.rate.device_function, self.target.fma, self.target.splat
        multiply = self._mass() or nothing
        drop_constraints = self._drop_constraints()
        evaluates = not is_stiffly_accurate or settings.system.mass_matrix is not None

        @self.target.device
        def finish(
            t: Real,
            dt: Real,
            y: Vector,
            rate: Vector,
            parameters: Vector,
            drivers: Vector,
            y_next: Vector,
            rate_next: Vector,
            error: Vector,
            work: Work,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            w, load, per_dt, status = work.w, work.corrections, one / dt, splat(ok)
            for k in range(n):
                state, slope = y[k], end_rate[0] * w[k]
                for m in static(range(s)):
                    if ends_with[m]:
                        state = fma(end[m], w[m * n + k], state)
                    if m > 0:
                        slope = fma(end_rate[m], w[m * n + k], slope)
                y_next[k] = state
                rate_next[k] = per_dt * slope
            if n_errors > 0:
                for k in range(n):
                    difference = error_of[0] * w[k]
                    for m in static(range(1, s)):
                        difference = fma(error_of[m], w[m * n + k], difference)
                    load[k] = difference
                multiply(load[0:n])
                for k in range(n):
                    load[k] = fma(dt * rate_weight, rate[k], load[k])
                drop_constraints(load[0:n])
                status = filter_error(load[0:n], error, below(shared, persistent), kept(shared, persistent))
                for k in range(n):
                    error[k] = load[k]
            if evaluates:
                status = project(status, t + dt, y_next, error, parameters, drivers, shared, persistent)
                rate_of(t + dt, y_next, parameters, drivers, rate_next)
            return status

        return finish

    def _step(self, project: ProjectFn) -> StepFn:
        size, zero = self.settings.tableau.n_stages * self.settings.n_states, self.settings.precision(0)
        n, weigh = self.settings.n_states, make_weigh(self.target, self.settings.iteration, self.settings.n_states)
        begin, resolve, judge, end = make_convergence(self.target, self.settings.iteration)
        (prepare, solve, _), (below, kept) = self.systems.device_function, self.child_allocators("systems")
        settings, finish = self.settings, self._finish(project)
        allocate_weights, n_kept = self.allocator("weights"), n * settings.keeps_weights
        predict = make_predict(self.target, settings.weights, n, settings.precision)
        load = make_load(self.target, settings.weights, settings.systems, self.rate.device_function, self._mass())
        allocate_w, allocate_history = self.allocator("increments"), self.allocator("history")
        allocate_corrections, allocate_column = self.allocator("corrections"), self.allocator("column")
        allocate_prediction, record_w = self.allocator("prediction"), self.recorder("increments")
        record_missing, record_correction = self.recorder("missing"), self.recorder("corrections")
        fma, select, splat, any_run = self.target.fma, self.target.select, self.target.splat, self.target.any_run

        @self.target.device
        def step(
            t: Real,
            dt: Real,
            y: Vector,
            rate: Vector,
            parameters: Vector,
            drivers: Vector,
            y_next: Vector,
            rate_next: Vector,
            error: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            work = Work(
                allocate_w(shared, persistent),
                allocate_corrections(shared, persistent),
                allocate_column(shared, persistent),
                allocate_prediction(shared, persistent),
                allocate_history(shared, persistent),
            )
            weigh(y, error)
            weights = allocate_weights(shared, persistent)
            for i in range(n_kept):
                weights[i] = error[i]
            predict(t, dt, work)
            status = prepare(t, dt, y, parameters, drivers, below(shared, persistent), kept(shared, persistent))
            at, iteration = begin(status, work.history[0]), 0
            while any_run(at.active):
                load(t, dt, y, parameters, drivers, y_next, work)
                record_w(iteration, work.w, shared, persistent)
                record_missing(iteration, work.corrections, shared, persistent)
                answer = solve(work.corrections, error, below(shared, persistent), kept(shared, persistent))
                record_correction(iteration, work.corrections, shared, persistent)
                iteration += 1
                total, resolved, active = splat(zero), splat(zero), at.active
                for m in range(0, size, n):
                    for k in range(n):
                        ratio = work.corrections[m + k] * error[k]
                        total = fma(ratio, ratio, total)
                        ratio = resolve(work.w[m + k], y[k]) * error[k]
                        resolved = fma(ratio, ratio, resolved)
                at = judge(at, total, resolved, answer)
                for i in range(size):
                    work.w[i] = select(active, fma(at.damping, work.corrections[i], work.w[i]), work.w[i])
            work.history[0] = end(at)
            answer = finish(t, dt, y, rate, parameters, drivers, y_next, rate_next, error, work, shared, persistent)
            status = select(at.status > 0, at.status, answer)
            for i in range(size):
                work.w[i] = select(status > 0, zero, work.w[i])
            return status

        return step

    def _interpolate(self) -> InterpolateFn:
        """Sum w by weights that are Chebyshev series in theta (Clenshaw's recurrence)."""
        n, s, weights, precision = (
            self.settings.n_states,
            self.settings.tableau.n_stages,
            self.settings.weights.dense,
            self.settings.precision,
        )
        top, zero, one, two = len(weights[0]) - 1, precision(0), precision(1), precision(2)
        allocate_w, fma, splat = self.allocator("increments"), self.target.fma, self.target.splat

        @self.target.device
        def interpolate(
            theta: Real,
            dt: Real,
            y: Vector,
            rate: Vector,
            y_next: Vector,
            rate_next: Vector,
            out: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> None:
            w = allocate_w(shared, persistent)
            x = fma(two, theta, -one)
            doubled = x + x
            for k in range(n):
                out[k] = y[k]
            for m in static(range(s)):
                before, last = splat(zero), splat(weights[m][top])
                for d in static(range(top - 1, 0, -1)):
                    before, last = last, fma(doubled, last, weights[m][d] - before)
                weight = theta * fma(x, last, weights[m][0] - before)
                for k in range(n):
                    out[k] = fma(weight, w[m * n + k], out[k])

        return interpolate
