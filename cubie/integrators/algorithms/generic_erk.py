"""Explicit Runge-Kutta methods: one body for every tableau.

The loop owns ``rate = f(t, y)``, the first stage; a step leaves ``rate_next = f(t + dt, y_next)``, which is the last
stage of a method that is first same as last, and an evaluation more of one that is not. Stages are numbered as in
`Interpolant`.

References
----------
Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.1, II.4 and II.6.
"""

from dataclasses import dataclass
from typing import Final, TypedDict, final

import numpy as np
from typing_extensions import Unpack, override

from cubie._types import FloatPrecision, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import Recording, buffer
from cubie.integrators.algorithms.base_algorithm_step import (
    InterpolateFn,
    PrepareDenseFn,
    StageRateFn,
    StepFn,
    StepFunctions,
)
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.dense_series import make_series_interpolant
from cubie.integrators.algorithms.early_sums import Rows, make_early_step, turn_of
from cubie.integrators.algorithms.hermite import cubic_hermite
from cubie.integrators.algorithms.ode_explicitstep import ExplicitStep
from cubie.integrators.algorithms.rounded_tableau import nonzero
from cubie.targets.unroll import expression, static

MOST_IN_REGISTERS: Final = 32
"""Where a vector takes more of them, the vectors of a step take more than the registers of a GPU's thread."""
MOST_BESIDE_STATE: Final = 44
"""Where a vector takes more of them, what a GPU's thread does not hold in registers no longer fits its first cache."""
MOST_BESIDE_RATE: Final = 54
"""Where a vector takes more of them, one in shared memory is not enough: measured at 48, where it is, and at 64."""
MOST_SHARED_BYTES: Final = 1528
"""A run's part of the shared memory that a warp can have on every GPU, 48 kB."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ErkSettings:
    """What shapes the device code of an explicit method."""

    tableau: ButcherTableau
    n_states: int
    precision: FloatPrecision
    estimates_error: bool = True

    def __post_init__(self) -> None:
        self.tableau.require_explicit()

    @property
    def end(self) -> int:
        """The number of the stage that is `rate_next`."""
        return self.tableau.n_stages - self.tableau.first_same_as_last

    @property
    def n_early_sums(self) -> int:
        """How many sums of late stages stand beside each other where they are formed early."""
        n_rows = self.tableau.n_stages + (self.end == self.tableau.n_stages)
        return max(0, n_rows - 1 - turn_of(n_rows, self.n_errors)) * (self.n_registers > MOST_IN_REGISTERS)

    @property
    def n_registers(self) -> int:
        """How many 32-bit registers one vector takes."""
        return self.n_states * (2 if self.precision is np.float64 else 1)

    @property
    def shared_vectors(self) -> tuple[str, ...]:
        """Which of the loop's vectors stand in a GPU's shared memory, by the clock: of those that live as long as a
        step, or nearly so, as few as keep the others in registers, if there is room.
        """
        most = MOST_SHARED_BYTES // (4 * self.n_registers)
        if self.n_registers <= MOST_BESIDE_STATE or most < 2:
            return ()
        if self.n_registers <= MOST_BESIDE_RATE:
            return ("rate",)
        return ("y", "rate") if self.precision is np.float64 or not self.n_errors else ("y", "error")

    @property
    def n_errors(self) -> int:
        """How many error vectors a step writes."""
        weights = (self.tableau.error_weights, self.tableau.second_error_weights)
        return sum(row is not None for row in weights) * self.estimates_error


class ErkChanges(TypedDict, total=False):
    """Settings of an explicit method that can be changed."""

    tableau: ButcherTableau
    n_states: int
    precision: FloatPrecision
    estimates_error: bool


@final
class ExplicitRungeKutta(ExplicitStep[ErkSettings]):
    """Steps of one explicit Runge-Kutta tableau."""

    def update(self, **changes: Unpack[ErkChanges]) -> None:
        """Replace some settings."""
        self._update(changes)

    @staticmethod
    @override
    def buffers(settings: ErkSettings) -> tuple[BufferEntry, ...]:
        """The rates of all stages that stand neither in the loop's `rate` nor in its `rate_next`, and early sums."""
        tableau, n = settings.tableau, settings.n_states
        n_kept_by_loop = 1 + (settings.end < tableau.n_dense_stages)
        n_stage_rates = tableau.n_dense_stages - n_kept_by_loop
        return (
            buffer("stage_rates", n_stage_rates * n, settings.precision, persistent=tableau.interpolates_stages),
            buffer("stage_sums", settings.n_early_sums * n, settings.precision),
        )

    @staticmethod
    @override
    def recordings(settings: ErkSettings) -> tuple[Recording, ...]:
        """States and rates of all stages but the first, which are the loop's `y` and `rate`."""
        n, n_rows, precision = settings.n_states, settings.tableau.n_stages - 1, settings.precision
        names = ("stage_states", "stage_rates")
        return tuple(Recording(name=name, n_rows=n_rows, size=n, precision=precision) for name in names)

    @override
    def build(self) -> StepFunctions:
        stage_rate = self._stage_rate()
        sums_early = self.target.sums_early and self.settings.n_early_sums > 0 and not self.recorded
        step = self._early_step(stage_rate) if sums_early else self._step(stage_rate)
        if self.settings.tableau.interpolant is None:
            hermite = cubic_hermite(self.target, self.settings.n_states, self.settings.precision)
            return StepFunctions(step, hermite.prepare_dense, hermite.interpolate)
        return StepFunctions(step, self._prepare_dense(stage_rate), self._interpolate(stage_rate))

    @property
    def _nested(self) -> bool:
        """Sums of stages are formed before they are multiplied by dt, which in small systems is less work than to
        multiply every coefficient by it; where all steps are equal, that is done once and for all.
        """
        tableau, n_states = self.settings.tableau, self.settings.n_states
        n_products = sum(entry != 0 for row in (*tableau.a, tableau.b) for entry in row)
        return self.settings.estimates_error and n_states * tableau.n_stages <= n_products

    def _stage_rate(self) -> StageRateFn:
        n, end = self.settings.n_states, self.settings.end

        @expression
        def stage_rate(stage: int, i: int, rate: Vector, stage_rates: Vector, rate_next: Vector) -> Real:
            return (
                rate[i]
                if stage == 0
                else rate_next[i]
                if stage == end
                else stage_rates[(stage - 1 - (stage > end)) * n + i]
            )

        return stage_rate

    def _early_step(self, stage_rate: StageRateFn) -> StepFn:
        settings, rounded = self.settings, self.settings.tableau.in_precision(self.settings.precision)
        error_rows = tuple(row for row in (rounded.error_weights, rounded.second_error_weights) if row is not None)
        rows = Rows(
            n=settings.n_states,
            n_stages=settings.tableau.n_stages,
            end=settings.end,
            precision=settings.precision,
            weights=(*rounded.a, *(rounded.b,) * (settings.end == settings.tableau.n_stages)),
            error_weights=error_rows[: settings.n_errors],
            c=rounded.c,
        )
        allocate_stage_rates, allocate_sums = self.allocator("stage_rates"), self.allocator("stage_sums")
        return make_early_step(
            self.target, rows, stage_rate, self.rate.device_function, allocate_stage_rates, allocate_sums
        )

    def _step(self, stage_rate: StageRateFn) -> StepFn:
        n, n_stages, end = self.settings.n_states, self.settings.tableau.n_stages, self.settings.end
        rounded = self.settings.tableau.in_precision(self.settings.precision)
        a, b, c = rounded.a, rounded.b, rounded.c
        error_rows = tuple(row for row in (rounded.error_weights, rounded.second_error_weights) if row is not None)
        uses, (ends_with,), measures = nonzero(a), nonzero((b,)), nonzero(error_rows)
        n_errors, n_error_stages = self.settings.n_errors, min(n_stages, end + 1)
        nested = self._nested
        zero, ok = self.settings.precision(0), np.int32(0)
        rate_of, allocate_stage_rates = self.rate.device_function, self.allocator("stage_rates")
        record_state, record_rate = self.recorder("stage_states"), self.recorder("stage_rates")
        fma, splat = self.target.fma, self.target.splat

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
            stage_rates = allocate_stage_rates(shared, persistent)
            for s in static(range(1, n_stages)):
                for i in range(n):
                    slope = splat(zero) if nested else y[i]
                    for j in static(range(s)):
                        if uses[s][j]:
                            weight = a[s][j] if nested else dt * a[s][j]
                            slope = fma(weight, stage_rate(j, i, rate, stage_rates, rate_next), slope)
                    y_next[i] = fma(dt, slope, y[i]) if nested else slope
                record_state(s - 1, y_next, shared, persistent)
                if s == end:
                    rate_of(t + dt, y_next, parameters, drivers, rate_next)
                    record_rate(s - 1, rate_next, shared, persistent)
                else:
                    rate_of(fma(c[s], dt, t), y_next, parameters, drivers, stage_rates[(s - 1) * n : s * n])
                    record_rate(s - 1, stage_rates[(s - 1) * n : s * n], shared, persistent)
            if end == n_stages:
                for i in range(n):
                    slope = splat(zero) if nested else y[i]
                    for j in static(range(n_stages)):
                        if ends_with[j]:
                            weight = b[j] if nested else dt * b[j]
                            slope = fma(weight, stage_rate(j, i, rate, stage_rates, rate_next), slope)
                    y_next[i] = fma(dt, slope, y[i]) if nested else slope
                rate_of(t + dt, y_next, parameters, drivers, rate_next)
            for e in static(range(n_errors)):
                for i in range(n):
                    difference = splat(zero)
                    for j in static(range(n_error_stages)):
                        if measures[e][j]:
                            difference = fma(
                                error_rows[e][j], stage_rate(j, i, rate, stage_rates, rate_next), difference
                            )
                    error[e * n + i] = dt * difference
            return splat(ok)

        return step

    def _prepare_dense(self, stage_rate: StageRateFn) -> PrepareDenseFn:
        n, end = self.settings.n_states, self.settings.end
        dense = self.settings.tableau.in_precision(self.settings.precision).interpolant
        assert dense is not None
        a, c, n_extra, uses = dense.a, dense.c, len(dense.a), nonzero(dense.a)
        rate_of, allocate_stage_rates, fma = self.rate.device_function, self.allocator("stage_rates"), self.target.fma

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
            stage_rates = allocate_stage_rates(shared, persistent)
            for x in static(range(n_extra)):
                for i in range(n):
                    stage_state = y[i]
                    for j in static(range(end + 1 + x)):
                        if uses[x][j]:
                            stage_state = fma(dt * a[x][j], stage_rate(j, i, rate, stage_rates, rate_next), stage_state)
                    out[i] = stage_state
                rate_of(fma(c[x], dt, t), out, parameters, drivers, stage_rates[(end - 1 + x) * n : (end + x) * n])

        return prepare_dense

    def _interpolate(self, stage_rate: StageRateFn) -> InterpolateFn:
        n, precision = self.settings.n_states, self.settings.precision
        dense = self.settings.tableau.in_precision(precision).interpolant
        assert dense is not None
        return make_series_interpolant(
            self.target, n, precision, dense.chebyshev, stage_rate, self.allocator("stage_rates")
        )
