"""Rosenbrock and W-methods: one body for every tableau.

Stage i is solved in the form
``(M - dt*gamma*J) @ u_i = dt*gamma*f_i + M @ sum_j gamma*c_ij*u_j + dt*gamma*d_i*dt*df/dt``, the book's times
``dt*gamma``: no quotient by dt is left. One Jacobian and one factorisation serve all stages of a step; a step that is
tried again, shorter, takes J anew, as runs beside it have moved on.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.7, eq. (7.25).
"""

from dataclasses import dataclass
from typing import TypedDict, final

from typing_extensions import Unpack, override

from cubie._types import FloatPrecision, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import Recording, buffer
from cubie.integrators.algorithms.absent import keep_end
from cubie.integrators.algorithms.base_algorithm_step import (
    AlgorithmStep,
    DenseCheckFn,
    InterpolateFn,
    PrepareDenseFn,
    ProjectFn,
    StepFn,
    StepFunctions,
)
from cubie.integrators.algorithms.dense_check import DenseParts, make_dense_check
from cubie.integrators.algorithms.hermite import make_hermite
from cubie.integrators.algorithms.rosenbrock_stages import RosenbrockStages, StageParts, make_stage
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.integrators.algorithms.rounded_tableau import nonzero
from cubie.integrators.matrix_free_solvers.consistency import Consistency, ConsistencySettings
from cubie.integrators.matrix_free_solvers.consistency_memory import consistent_functions
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.linear_choice import (
    AS_SUITS,
    AnyLinearSettings,
    LinearChoice,
    configured_linear,
    make_linear_solver,
)
from cubie.integrators.matrix_free_solvers.mass_product import make_weigh
from cubie.odesystems.derivative_functions import TimeDerivativeFunction
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import RateFunction, SystemSettings
from cubie.targets.unroll import static


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RosenbrockSettings:
    """What shapes the device code of a Rosenbrock method."""

    tableau: RosenbrockTableau
    system: ODESystem
    precision: FloatPrecision
    estimates_error: bool = True
    linear_choice: LinearChoice = AS_SUITS

    @property
    def n_states(self) -> int:
        """Number of states."""
        return self.system.n_states

    @property
    def n_errors(self) -> int:
        """How many error vectors a step writes."""
        return int(self.tableau.is_adaptive and self.estimates_error)

    @property
    def linear(self) -> AnyLinearSettings:
        """Settings of the linear solver."""
        return self.linear_choice.settings(self.system, self.precision)

    @property
    def weighs_errors(self) -> bool:
        """The linear solver iterates until its error is a part of the allowed one."""
        return isinstance(self.linear, KrylovSettings)

    @property
    def solves_slopes(self) -> bool:
        """Dense output is Hermite's, and the rates that it takes are not f."""
        return self.tableau.interpolant is None and self.system.mass_matrix is not None

    @property
    def consistency(self) -> ConsistencySettings:
        """Settings of consistent values."""
        return ConsistencySettings(
            system=self.system,
            precision=self.precision,
            has_slopes=self.solves_slopes,
            projects=not self.tableau.is_stiffly_accurate,
            n_errors=self.n_errors,
        )


class RosenbrockChanges(TypedDict, total=False):
    """Settings of a Rosenbrock method that can be changed."""

    tableau: RosenbrockTableau
    estimates_error: bool


@final
class RosenbrockW(AlgorithmStep[RosenbrockSettings]):
    """Steps of one Rosenbrock tableau."""

    def __init__(self, settings: RosenbrockSettings, rate: RateFunction) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)
        self.linear = self.adopt("linear", make_linear_solver(settings.linear, rate.target))
        system = SystemSettings(system=settings.system, precision=settings.precision)
        self.time_derivative = self.adopt("time_derivative", TimeDerivativeFunction(system, target=rate.target))
        self.consistency = self.adopt("consistency", Consistency(settings.consistency, rate))

    def update(self, **changes: Unpack[RosenbrockChanges]) -> None:
        """Replace some settings."""
        self._update(changes)

    def configure_step(self, settings: RosenbrockSettings) -> None:
        """Go by `settings`, the linear solver and the time derivative too."""
        if not configured_linear(self.linear, settings.linear):
            self.linear = self.adopt("linear", make_linear_solver(settings.linear, self.target))
        self.consistency.configure(settings.consistency)
        self.time_derivative.configure(SystemSettings(system=settings.system, precision=settings.precision))
        self.configure(settings)

    @staticmethod
    @override
    def buffers(settings: RosenbrockSettings) -> tuple[BufferEntry, ...]:
        """The solutions of all stages, df/dt, vectors for dense output, slopes, one over the allowed errors."""
        tableau, n = settings.tableau, settings.n_states
        has_extra = tableau.n_dense_stages > tableau.n_stages
        is_kept = tableau.interpolant is not None
        n_vectors = len(tableau.interpolant.h) if tableau.interpolant is not None else 0
        n_drift = 0 if settings.system.is_autonomous else n
        return (
            buffer("stages", tableau.n_dense_stages * n, settings.precision, persistent=is_kept),
            buffer("drift", n_drift, settings.precision, persistent=has_extra and n_drift > 0),
            buffer("dense", n_vectors * n, settings.precision, persistent=is_kept),
            buffer("slopes", 2 * n * settings.solves_slopes, settings.precision, persistent=True),
            buffer("weights", n * settings.weighs_errors, settings.precision, persistent=True),
        )

    @staticmethod
    @override
    def recordings(settings: RosenbrockSettings) -> tuple[Recording, ...]:
        """The last argument of the rate, and the solution, of all stages."""
        n_rows, n, precision = settings.tableau.n_stages, settings.n_states, settings.precision
        names = ("stage_states", "solutions")
        return tuple(Recording(name=name, n_rows=n_rows, size=n, precision=precision) for name in names)

    @override
    def build(self) -> StepFunctions:
        rows = RosenbrockStages(self.settings.tableau, self.settings.precision)
        start, slope, project = consistent_functions(self.consistency, self.child_allocators("consistency"))
        if self.settings.tableau.interpolant is None:
            prepare_dense, interpolate = make_hermite(
                self.target, self.settings.n_states, self.settings.precision, slope, self.allocator("slopes")
            )
        else:
            prepare_dense, interpolate = self._prepare_dense(rows), self._interpolate()
        check_dense = self._check_dense(rows, interpolate)
        return StepFunctions(
            self._step(rows, project), prepare_dense, interpolate, start=start, check_dense=check_dense
        )

    def _check_dense(self, rows: RosenbrockStages, interpolate: InterpolateFn) -> DenseCheckFn:
        settings, solve = self.settings, self.linear.device_function.solve
        linear_shared_of, linear_persistent_of = self.child_allocators("linear")
        allocate_weights = self.allocator("weights")

        @self.target.device
        def filtered(x: Vector, shared: SharedBank, persistent: PersistentBank) -> None:
            allowed = allocate_weights(shared, persistent)
            solve(x, allowed, linear_shared_of(shared, persistent), linear_persistent_of(shared, persistent))

        weigh = make_weigh(self.target, settings.system, settings.precision)
        parts = DenseParts(self.rate.device_function, interpolate, filtered, weigh)
        return make_dense_check(self.target, settings.n_states, settings.precision, float(rows.gamma), parts)

    def _parts(self) -> StageParts:
        settings = self.settings
        weigh = make_weigh(self.target, settings.system, settings.precision)
        solve = self.linear.device_function.solve
        return StageParts(self.rate.device_function, solve, weigh, drifts=not settings.system.is_autonomous)

    def _step(self, rows: RosenbrockStages, projection: ProjectFn | None) -> StepFn:
        settings, tableau = self.settings, self.settings.tableau
        n, n_stages, n_errors, gamma, m = settings.n_states, tableau.n_stages, settings.n_errors, rows.gamma, rows.m
        is_stiffly_accurate = tableau.is_stiffly_accurate and rows.is_evaluated[n_stages - 1]
        ends_on_last_argument, drifts = tableau.evaluates_y_next, not settings.system.is_autonomous
        ends_on_last_argument = ends_on_last_argument and rows.is_evaluated[n_stages - 1]
        errors = tableau.in_precision(settings.precision).error_weights or ()
        (ends_with,), (measures,), last = nonzero((m,)), nonzero((errors,)), (n_stages - 1) * n
        parts = self._parts()
        solve_stage = tuple(make_stage(self.target, rows, s, n, parts) for s in range(n_stages))
        linear_shared_of, linear_persistent_of = self.child_allocators("linear")
        allocate_stages, allocate_drift = self.allocator("stages"), self.allocator("drift")
        factor, rate_of = self.linear.device_function.factor, self.rate.device_function
        time_derivative_of = self.time_derivative.device_function
        record_state, record_solution = self.recorder("stage_states"), self.recorder("solutions")
        fma, splat, select, zero = self.target.fma, self.target.splat, self.target.select, settings.precision(0)
        project, projects = projection or keep_end(self.target), projection is not None
        weighs, one, allocate_weights = settings.weighs_errors, settings.precision(1), self.allocator("weights")

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
            stages, drift = allocate_stages(shared, persistent), allocate_drift(shared, persistent)
            linear_shared = linear_shared_of(shared, persistent)
            linear_persistent = linear_persistent_of(shared, persistent)
            weights = allocate_weights(shared, persistent)
            if weighs:
                for i in range(n):
                    weights[i] = one / error[i]
            answer = factor(t, y, parameters, drivers, dt * gamma, linear_shared, linear_persistent)
            if drifts:
                time_derivative_of(t, y, parameters, drivers, drift)
                for i in range(n):
                    drift[i] = dt * gamma * dt * drift[i]
            for s in static(range(n_stages)):
                failed = solve_stage[s](
                    t, dt, y, rate, parameters, drivers, y_next, rate_next, stages, drift, weights, linear_shared,
                    linear_persistent
                )  # fmt: skip
                answer = select(failed > 0, failed, answer)
                record_state(s, y_next, shared, persistent)
                record_solution(s, stages[s * n : (s + 1) * n], shared, persistent)
            for i in range(n):
                if is_stiffly_accurate:
                    y_next[i] = y_next[i] + stages[last + i]
                elif not ends_on_last_argument:
                    state = y[i]
                    for j in static(range(n_stages)):
                        if ends_with[j]:
                            state = fma(m[j], stages[j * n + i], state)
                    y_next[i] = state
                if n_errors:
                    difference = splat(zero)
                    for j in static(range(n_stages)):
                        if measures[j]:
                            difference = fma(errors[j], stages[j * n + i], difference)
                    error[i] = difference
            answer = project(answer, t + dt, y_next, error, parameters, drivers, shared, persistent)
            if projects or not ends_on_last_argument:
                rate_of(t + dt, y_next, parameters, drivers, rate_next)
            return answer

        return step

    def _prepare_dense(self, rows: RosenbrockStages) -> PrepareDenseFn:
        """Solve the extra stages, then form the vectors that the interpolant is made of."""
        settings, tableau = self.settings, self.settings.tableau
        n, first, n_all = settings.n_states, tableau.n_stages, tableau.n_dense_stages
        h = tableau.in_precision(settings.precision).h
        n_vectors, uses, zero = len(h), nonzero(h), settings.precision(0)
        parts = self._parts()
        solve_stage = tuple(make_stage(self.target, rows, s, n, parts) for s in range(n_all))
        linear_shared_of, linear_persistent_of = self.child_allocators("linear")
        allocate_stages, allocate_drift = self.allocator("stages"), self.allocator("drift")
        allocate_dense, fma, splat = self.allocator("dense"), self.target.fma, self.target.splat
        allocate_weights = self.allocator("weights")

        @self.target.device
        def prepare_dense(
            t: Real,
            dt: Real,
            y: Vector,
            rate: Vector,
            parameters: Vector,
            drivers: Vector,
            y_next: Vector,
            rate_next: Vector,
            out: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> None:
            stages, drift = allocate_stages(shared, persistent), allocate_drift(shared, persistent)
            dense, weights = allocate_dense(shared, persistent), allocate_weights(shared, persistent)
            linear_shared = linear_shared_of(shared, persistent)
            linear_persistent = linear_persistent_of(shared, persistent)
            for s in static(range(first, n_all)):
                solve_stage[s](
                    t, dt, y, rate, parameters, drivers, out, dense[0:n], stages, drift, weights, linear_shared,
                    linear_persistent
                )  # fmt: skip
            for v in static(range(n_vectors)):
                for i in range(n):
                    total = splat(zero)
                    for j in static(range(n_all)):
                        if uses[v][j]:
                            total = fma(h[v][j], stages[j * n + i], total)
                    dense[v * n + i] = total

        return prepare_dense

    def _interpolate(self) -> InterpolateFn:
        """Weigh both ends of the step and the vectors between them, by Horner's rule."""
        n, one = self.settings.n_states, self.settings.precision(1)
        assert self.settings.tableau.interpolant is not None
        top = len(self.settings.tableau.interpolant.h) - 1
        allocate_dense, fma = self.allocator("dense"), self.target.fma

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
            dense, rest = allocate_dense(shared, persistent), one - theta
            for i in range(n):
                bend = dense[top * n + i]
                for v in static(range(top - 1, -1, -1)):
                    bend = fma(theta, bend, dense[v * n + i])
                out[i] = fma(theta, fma(rest, bend, y_next[i] - y[i]), y[i])

        return interpolate
