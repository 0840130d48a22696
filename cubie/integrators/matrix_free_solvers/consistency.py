"""What systems with a mass matrix need beside steps of ``M @ dy/dt = f``: consistent states, and all rates.

Initial values are corrected until the constraints hold, by Newton's method with whole steps; M @ y stays as given. So
are the ends of steps whose method isn't stiffly accurate, and their errors are made those of states that keep to the
constraints; such methods have their full order then. The rates dy/dt are those of the equations, and for states that
these leave out, of the differentiated constraints. `constraints` has the linear system of all three.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. VI.1, eq. (1.7) and (1.12).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Protocol, final

import numpy as np
from typing_extensions import override

from cubie._types import (
    FloatPrecision,
    Mask,
    PersistentBank,
    RateFn,
    Real,
    SharedBank,
    StatusBits,
    Vector,
)
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, buffer
from cubie.integrators.algorithms.base_algorithm_step import ProjectFn, SlopeFn, StartFn
from cubie.integrators.matrix_free_solvers.constraints import Constraints, constraint_elimination, constraints_of
from cubie.integrators.matrix_free_solvers.elimination import Elimination
from cubie.integrators.matrix_free_solvers.generated_elimination import (
    GeneratedFactorFn,
    GeneratedSolveFn,
    real_elimination,
)
from cubie.integrators.matrix_free_solvers.linear_solver import LOSS
from cubie.integrators.matrix_free_solvers.mass_product import (
    WeighFn,
    make_product,
    make_weigh,
)
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import RateFunction
from cubie.odesystems.sources import jacobian_source, time_derivative_source
from cubie.odesystems.symbolic.emit import DeviceSource
from cubie.status import Status
from cubie.targets.unroll import nothing, static

MAX_ITERATIONS: Final = 25


@final
@dataclass(frozen=True, kw_only=True)
class ConsistencySettings:
    """What shapes the device code of consistent values.

    Parameters
    ----------
    has_slopes : rates are asked for.
    projects : steps end off the constraints.
    n_errors : how many error vectors such a step writes.
    """

    system: ODESystem
    precision: FloatPrecision
    has_slopes: bool = False
    projects: bool = False
    n_errors: int = 0

    @cached_property
    def constraints(self) -> Constraints:
        """The equations that hold without a rate."""
        return constraints_of(self.system)

    @property
    def is_needed(self) -> bool:
        """There is something to correct or to solve for."""
        return self.has_slopes or bool(self.constraints)

    @property
    def drifts(self) -> bool:
        """A rate depends on how constraints move in time."""
        return self.has_slopes and bool(self.constraints) and not self.system.is_autonomous

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number."""
        return 2.0**-23 if self.precision is np.float32 else 2.0**-52

    @cached_property
    def elimination(self) -> Elimination:
        """The generated elimination."""
        return constraint_elimination(self.system, loss=LOSS * self.system.n_states * self.eps)


class CorrectFn(Protocol):
    """Do what `StartFn` does with arrays that are given."""

    def __call__(
        self,
        mask: Mask,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        jacobian: Vector,
        factors: Vector,
        correction: Vector,
    ) -> StatusBits: ...


class ConsistencyFunctions(NamedTuple):
    """The device functions of consistent values, where there is something to do."""

    start: StartFn | None
    slope: SlopeFn | None
    project: ProjectFn | None


NOTHING: Final = ConsistencyFunctions(None, None, None)


class Parts(NamedTuple):
    """What both functions are made of: `combine` turns f, or df/dt, into what constraints say, in their rows."""

    jacobian_of: RateFn
    combine: WeighFn
    eliminate_in: GeneratedFactorFn
    substitute: GeneratedSolveFn
    is_constraint: tuple[bool, ...]


@final
class Consistency(CUDAFactory[ConsistencySettings, ConsistencyFunctions]):
    """Corrects initial values until the equations without a rate hold, and solves for all rates."""

    def __init__(self, settings: ConsistencySettings, rate: RateFunction) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)

    @staticmethod
    @override
    def buffers(settings: ConsistencySettings) -> tuple[BufferEntry, ...]:
        """The Jacobian, the factors of S, a step of Newton's method or the right side, how constraints drift."""
        sizes = {"jacobian": 0, "factors": 0, "correction": 0, "drift": 0}
        if settings.constraints:
            sizes["jacobian"] = settings.system.jacobian.n_slots
            sizes["correction"] = settings.system.n_states
        if settings.is_needed:
            sizes["factors"] = settings.elimination.n_kept
        sizes["drift"] = settings.system.n_states * settings.drifts
        return tuple(buffer(name, size, settings.precision) for name, size in sizes.items())

    @override
    def build(self) -> ConsistencyFunctions:
        settings = self.settings
        if not settings.is_needed:
            return NOTHING
        parts = self._parts()
        slope = self._slope(parts) if settings.has_slopes else None
        if not settings.constraints:
            return ConsistencyFunctions(None, slope, None)
        correct = self._correct(parts)
        project = self._project(parts, correct) if settings.projects else None
        return ConsistencyFunctions(self._start(correct), slope, project)

    def _parts(self) -> Parts:
        settings, precision, n = self.settings, self.settings.precision, self.settings.system.n_states
        combined = tuple((i, k, factor) for i in range(n) for k, factor in settings.constraints.get(i, ((i, 1.0),)))
        is_combined = any(i != k for i, k, _ in combined)
        combine = make_product(self.target, combined, n, precision) if is_combined else nothing
        jacobian_of = self._generated(jacobian_source(settings.system, precision))
        is_constraint = tuple(i in settings.constraints for i in range(n))
        return Parts(
            jacobian_of, combine, *real_elimination(self.target, settings.elimination, precision), is_constraint
        )

    def _generated(self, source: DeviceSource) -> RateFn:
        function: RateFn = self.target.from_source(source.name, source.text, source.constants, self.settings.precision)
        return function

    def _correct(self, parts: Parts) -> CorrectFn:
        settings, precision, target = self.settings, self.settings.precision, self.target
        n, rate_of = settings.system.n_states, self.rate.device_function
        jacobian_of, combine, eliminate_in, substitute, is_constraint = parts
        zero, one, huge = precision(0), precision(1), precision(1e30)
        small = precision(math.sqrt(settings.eps) / 100)
        ok, failed, singular = np.int32(0), np.int32(Status.newton_failed), np.int32(Status.singular)
        select, splat, any_run, negate, absolute = (
            target.select,
            target.splat,
            target.any_run,
            target.negate,
            target.absolute,
        )

        @target.device
        def correct(
            mask: Mask,
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            jacobian: Vector,
            factors: Vector,
            correction: Vector,
        ) -> StatusBits:
            active, is_singular = mask, mask & negate(mask)
            for iteration in range(MAX_ITERATIONS):
                if any_run(active):
                    jacobian_of(t, y, parameters, drivers, jacobian)
                    is_sound = eliminate_in(jacobian, splat(one), factors)
                    if iteration == 0:
                        is_singular = mask & negate(is_sound)
                    rate_of(t, y, parameters, drivers, correction)
                    combine(correction)
                    for i in static(range(n)):
                        if not is_constraint[i]:
                            correction[i] = splat(zero)
                    substitute(factors, correction)
                    moved, size = splat(zero), splat(zero)
                    for i in range(n):
                        moved = moved + absolute(correction[i])
                        y[i] = select(active, y[i] + correction[i], y[i])
                        size = size + absolute(y[i])
                    active = active & negate((moved <= small * size) & (moved < huge))
            return select(is_singular, splat(singular), select(active, splat(failed), splat(ok)))

        return correct

    def _start(self, correct: CorrectFn) -> StartFn:
        jacobian, factors, correction = map(self.allocator, ("jacobian", "factors", "correction"))

        @self.target.device
        def start(
            mask: Mask,
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            return correct(
                mask, t, y, parameters, drivers, jacobian(shared, persistent), factors(shared, persistent),
                correction(shared, persistent)
            )  # fmt: skip

        return start

    def _project(self, parts: Parts, correct: CorrectFn) -> ProjectFn:
        settings, target, n = self.settings, self.target, self.settings.system.n_states
        multiply = make_weigh(target, settings.system, settings.precision) or nothing
        (jacobian_of, _, eliminate_in, substitute, is_constraint), n_errors = parts, settings.n_errors
        allocate_jacobian, allocate_factors = self.allocator("jacobian"), self.allocator("factors")
        allocate_correction, zero, one = self.allocator("correction"), settings.precision(0), settings.precision(1)
        select, splat = target.select, target.splat

        @target.device
        def project(
            status: StatusBits,
            t: Real,
            y: Vector,
            error: Vector,
            parameters: Vector,
            drivers: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            jacobian, factors = allocate_jacobian(shared, persistent), allocate_factors(shared, persistent)
            correction = allocate_correction(shared, persistent)
            answer = correct(status <= 0, t, y, parameters, drivers, jacobian, factors, correction)
            if n_errors > 0:
                jacobian_of(t, y, parameters, drivers, jacobian)  # the last iteration may have been a neighbour's
                eliminate_in(jacobian, splat(one), factors)
                multiply(error)
                for i in static(range(n)):
                    if is_constraint[i]:
                        error[i] = splat(zero)
                substitute(factors, error)
            return select(status > 0, status, answer)

        return project

    def _slope(self, parts: Parts) -> SlopeFn:
        settings, target, precision = self.settings, self.target, self.settings.precision
        n = settings.system.n_states
        jacobian_of, combine, eliminate_in, substitute, is_constraint = parts
        time_derivative_of = self._generated(time_derivative_source(settings.system, precision))
        has_constraints, drifts = any(is_constraint), settings.drifts
        allocate_jacobian, allocate_factors = self.allocator("jacobian"), self.allocator("factors")
        allocate_drift, splat, zero, one = self.allocator("drift"), target.splat, precision(0), precision(1)

        @target.device
        def slope(
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            rate: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> None:
            jacobian, factors = allocate_jacobian(shared, persistent), allocate_factors(shared, persistent)
            drift = allocate_drift(shared, persistent)
            if has_constraints:
                jacobian_of(t, y, parameters, drivers, jacobian)
            if drifts:
                time_derivative_of(t, y, parameters, drivers, drift)
                combine(drift)
            for i in static(range(n)):
                if is_constraint[i]:
                    rate[i] = drift[i] if drifts else splat(zero)
            eliminate_in(jacobian, splat(one), factors)
            substitute(factors, rate)

        return slope
