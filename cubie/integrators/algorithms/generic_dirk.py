"""Diagonally implicit Runge-Kutta methods: one body for every tableau.

A stage is solved for its increment ``z = gamma*dt*k``, and ``k = z/(gamma*dt)`` is its rate: evaluating f instead would
multiply what the iteration leaves by the stiffness. For the same reason the last stage of a stiffly accurate method
is `rate_next`. An error estimate whose embedded formula is unbounded at infinity passes the filter
``inv(M - gamma*dt*J)``. Stages are numbered as in the tableau; `y_next` holds what a stage starts from, `rate_next` its
increment.

So a mass matrix takes no more of a step than ``M @ z`` in Newton's method: all rates are dy/dt, and an explicit first
stage is the last one of the step before. Only where no stage has led is dy/dt solved for: at the start of a run, and at
the end of a step of a method that isn't stiffly accurate, which is brought back to the constraints there.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.6 and IV.8.
Hosea & Shampine (1996), Appl. Numer. Math. 20, 21-37 (the filter).
"""

from typing import Protocol, TypedDict, final

import numpy as np
from typing_extensions import Unpack, override

from cubie._types import Mask, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import Recording, buffer
from cubie.integrators.algorithms.absent import keep_end
from cubie.integrators.algorithms.base_algorithm_step import (
    DenseCheckFn,
    InterpolateFn,
    ProjectFn,
    ResetStepFn,
    SettleFn,
    SlopeFn,
    StageRateFn,
    StepFn,
    StepFunctions,
)
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.dense_check import DenseParts, FilterFn, make_dense_check
from cubie.integrators.algorithms.dense_series import make_series_interpolant
from cubie.integrators.algorithms.dirk_settings import DirkSettings
from cubie.integrators.algorithms.hermite import cubic_hermite
from cubie.integrators.algorithms.ode_implicitstep import ImplicitStep
from cubie.integrators.algorithms.rounded_tableau import nearest, nonzero
from cubie.integrators.algorithms.settled_error import make_settle
from cubie.integrators.algorithms.stage_prediction import rate_predictions
from cubie.integrators.matrix_free_solvers.consistency import Consistency
from cubie.integrators.matrix_free_solvers.consistency_memory import consistent_functions
from cubie.integrators.matrix_free_solvers.linear_choice import configured_linear, make_linear_solver
from cubie.integrators.matrix_free_solvers.mass_product import WeighFn as MultiplyFn
from cubie.integrators.matrix_free_solvers.mass_product import make_weigh as make_mass_product
from cubie.integrators.matrix_free_solvers.newton_krylov import NewtonKrylov
from cubie.odesystems.rate_function import RateFunction
from cubie.targets.unroll import expression, nothing, static


class DirkChanges(TypedDict, total=False):
    """Settings of a diagonally implicit method that can be changed."""

    tableau: ButcherTableau
    estimates_error: bool


class EstimateFn(Protocol):
    """Write the error in the place of the weights; answer the filter's status."""

    def __call__(
        self,
        dt: Real,
        rate: Vector,
        stage_rates: Vector,
        rate_next: Vector,
        load: Vector,
        error: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


@final
class DiagonallyImplicitRungeKutta(ImplicitStep[DirkSettings]):
    """Steps of one diagonally implicit Runge-Kutta tableau."""

    def __init__(self, settings: DirkSettings, rate: RateFunction) -> None:
        super().__init__(settings, rate)
        self.linear = make_linear_solver(settings.linear, rate.target)
        self.newton = self.adopt("newton", NewtonKrylov(settings.newton, rate, self.linear))
        self.consistency = self.adopt("consistency", Consistency(settings.consistency, rate))

    def update(self, **changes: Unpack[DirkChanges]) -> None:
        """Replace some settings."""
        self._update(changes)

    def configure_step(self, settings: DirkSettings) -> None:
        """Go by `settings`, Newton's method and its linear solver too."""
        if not configured_linear(self.linear, settings.linear):
            self.linear = make_linear_solver(settings.linear, self.target)
            self.newton.linear = self.newton.adopt("linear", self.linear)
        self.newton.configure(settings.newton)
        self.consistency.configure(settings.consistency)
        self.configure(settings)

    @staticmethod
    @override
    def buffers(settings: DirkSettings) -> tuple[BufferEntry, ...]:
        """The rates of stages that stand in no array of the loop, and what an iteration works on.

        The caches, of a stage's state and of its right-hand side, are filled after the linear solver's scratch has
        served (as the Jacobian), and are empty again whenever it is called; so they lie in it, where that is shared
        memory and has room.
        """
        n, precision = settings.n_states, settings.precision
        last = settings.tableau.n_stages - settings.tableau.is_stiffly_accurate
        return (
            buffer(
                "stage_rates",
                (last - settings.first) * n,
                precision,
                persistent=settings.tableau.interpolates_stages,
            ),
            buffer("correction", n, precision),
            buffer("increment_cache", n, precision, aliases="newton_shared"),
            buffer("rhs_cache", n, precision, aliases="newton_shared"),
            buffer("weights", n * settings.keeps_weights, precision, persistent=True),
        )

    @staticmethod
    @override
    def recordings(settings: DirkSettings) -> tuple[Recording, ...]:
        """The increment of every stage, zero where it is `rate`."""
        n_stages = settings.tableau.n_stages
        return (Recording(name="increments", n_rows=n_stages, size=settings.n_states, precision=settings.precision),)

    @override
    def build(self) -> StepFunctions:
        dense = cubic_hermite(self.target, self.settings.n_states, self.settings.precision)
        interpolate = dense.interpolate if self.settings.tableau.interpolant is None else self._interpolate()
        filtered = self._filter()
        check_dense = self._check_dense(interpolate, filtered) if self.settings.n_errors > 0 else None
        start, slope, project = consistent_functions(self.consistency, self.child_allocators("consistency"))
        step, settle = self._step(slope or nothing, project or keep_end(self.target)), self._settle(filtered)
        return StepFunctions(step, dense.prepare_dense, interpolate, self._reset(), check_dense, start, slope, settle)

    def _mass(self) -> MultiplyFn | None:
        return make_mass_product(self.target, self.settings.system, self.settings.precision)

    def _filter(self) -> FilterFn:
        solve_linear = self.newton.device_function.solve_linear
        (below, kept), allocate_weights = self.child_allocators("newton"), self.allocator("weights")

        @self.target.device
        def filtered(x: Vector, shared: SharedBank, persistent: PersistentBank) -> None:
            weights = allocate_weights(shared, persistent)
            solve_linear(x, weights, below(shared, persistent), kept(shared, persistent))

        return filtered

    def _check_dense(self, interpolate: InterpolateFn, filtered: FilterFn) -> DenseCheckFn:
        settings = self.settings
        parts = DenseParts(self.rate.device_function, interpolate, filtered, self._mass())
        gamma = float(settings.tableau.a[-1][-1])
        return make_dense_check(self.target, settings.n_states, settings.precision, gamma, parts)

    def _settle(self, filtered: FilterFn) -> SettleFn | None:
        if not self.settings.settles:
            return None
        return make_settle(self.target, self.settings.n_states, self.allocator("correction"), filtered, self._mass())

    def _reset(self) -> ResetStepFn:
        forget, (newton_shared, newton_persistent) = self.newton.device_function.reset, self.child_allocators("newton")

        @self.target.device
        def reset(mask: Mask, shared: SharedBank, persistent: PersistentBank) -> None:
            forget(mask, newton_shared(shared, persistent), newton_persistent(shared, persistent))

        return reset

    def _stage_rate(self) -> StageRateFn:
        n, first, end = self.settings.n_states, self.settings.first, self.settings.end

        @expression
        def stage_rate(stage: int, i: int, rate: Vector, stage_rates: Vector, rate_next: Vector) -> Real:
            return rate[i] if stage < first else rate_next[i] if stage == end else stage_rates[(stage - first) * n + i]

        return stage_rate

    def _estimate(self) -> EstimateFn:
        settings, precision = self.settings, self.settings.precision
        n, first, n_stages, filters = settings.n_states, settings.first, settings.tableau.n_stages, settings.filters
        weights = settings.tableau.in_precision(precision).error_weights or (precision(0),) * n_stages
        (measures,), ok = nonzero((weights,)), np.int32(0)
        (newton_shared, newton_persistent), solve_linear = (
            self.child_allocators("newton"),
            self.newton.device_function.solve_linear,
        )
        stage_rate, fma, splat = self._stage_rate(), self.target.fma, self.target.splat
        multiply = self._mass() or nothing

        @self.target.device
        def estimate(
            dt: Real,
            rate: Vector,
            stage_rates: Vector,
            rate_next: Vector,
            load: Vector,
            error: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            status = splat(ok)
            for i in range(n):
                total = weights[first] * stage_rate(first, i, rate, stage_rates, rate_next)
                for j in static(range(n_stages)):
                    if measures[j] and j != first:
                        total = fma(weights[j], stage_rate(j, i, rate, stage_rates, rate_next), total)
                load[i] = dt * total
            if filters:
                multiply(load)
                status = solve_linear(
                    load, error, newton_shared(shared, persistent), newton_persistent(shared, persistent)
                )
            for i in range(n):
                error[i] = load[i]
            return status

        return estimate

    def _step(self, slope: SlopeFn, project: ProjectFn) -> StepFn:
        settings, precision = self.settings, self.settings.precision
        n, first, n_stages, end = settings.n_states, settings.first, settings.tableau.n_stages, settings.end
        rounded = settings.tableau.in_precision(precision)
        a, b, c = rounded.a, rounded.b, rounded.c
        guesses = tuple(nearest(row, precision) for row in rate_predictions(settings.tableau))
        refactors = tuple(s == first or float(a[s][s]) != float(a[s - 1][s - 1]) for s in range(n_stages))
        uses, guesses_by, (ends_with,) = nonzero(a), nonzero(guesses), nonzero((b,))
        n_errors, ok, one = settings.n_errors, np.int32(0), precision(1)
        weigh, factor, solve_stage, _, _ = self.newton.device_function
        newton_shared, newton_persistent = self.child_allocators("newton")
        allocate_stage_rates, allocate_correction = self.allocator("stage_rates"), self.allocator("correction")
        allocate_state, allocate_rhs = self.allocator("increment_cache"), self.allocator("rhs_cache")
        stage_rate, rate_of, estimate = self._stage_rate(), self.rate.device_function, self._estimate()
        fma, splat, select = self.target.fma, self.target.splat, self.target.select
        record_increment, allocate_weights = self.recorder("increments"), self.allocator("weights")
        n_kept = n * settings.keeps_weights

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
            stage_rates, correction = allocate_stage_rates(shared, persistent), allocate_correction(shared, persistent)
            state, rhs = allocate_state(shared, persistent), allocate_rhs(shared, persistent)
            weights = allocate_weights(shared, persistent)
            below, kept, status = newton_shared(shared, persistent), newton_persistent(shared, persistent), splat(ok)
            weigh(y, error)
            for i in range(n_kept):
                weights[i] = error[i]
            for s in static(range(first, n_stages)):
                gamma_dt = dt * a[s][s]
                per_gamma_dt = one / gamma_dt
                if refactors[s]:
                    answer = factor(t, y, parameters, drivers, gamma_dt, below, kept)
                    status = select(status > 0, status, answer)
                for i in range(n):
                    base, guess = y[i], guesses[s][0] * rate[i]
                    for j in static(range(s)):
                        if uses[s][j]:
                            base = fma(dt * a[s][j], stage_rate(j, i, rate, stage_rates, rate_next), base)
                        if guesses_by[s][j + 1]:
                            guess = fma(guesses[s][j + 1], stage_rate(j, i, rate, stage_rates, rate_next), guess)
                    y_next[i], rate_next[i] = base, gamma_dt * guess
                status = solve_stage(
                    status, fma(c[s], dt, t), gamma_dt, y_next, rate_next, parameters, drivers, error, state, rhs,
                    correction, below, kept,
                )  # fmt: skip
                record_increment(s, rate_next, shared, persistent)
                for i in range(n):
                    if s == end:
                        y_next[i], rate_next[i] = y_next[i] + rate_next[i], per_gamma_dt * rate_next[i]
                    else:
                        stage_rates[(s - first) * n + i] = per_gamma_dt * rate_next[i]
            if end == n_stages:
                for i in range(n):
                    change = y[i]
                    for j in static(range(n_stages)):
                        if ends_with[j]:
                            change = fma(dt * b[j], stage_rate(j, i, rate, stage_rates, rate_next), change)
                    y_next[i] = change
            if n_errors > 0:
                answer = estimate(dt, rate, stage_rates, rate_next, correction, error, shared, persistent)
                status = select(status > 0, status, answer)
            if end == n_stages:
                status = project(status, t + dt, y_next, error, parameters, drivers, shared, persistent)
                rate_of(t + dt, y_next, parameters, drivers, rate_next)
                slope(t + dt, y_next, parameters, drivers, rate_next, shared, persistent)
            return status

        return step

    def _interpolate(self) -> InterpolateFn:
        n, precision = self.settings.n_states, self.settings.precision
        dense = self.settings.tableau.in_precision(precision).interpolant
        assert dense is not None
        return make_series_interpolant(
            self.target, n, precision, dense.chebyshev, self._stage_rate(), self.allocator("stage_rates")
        )
