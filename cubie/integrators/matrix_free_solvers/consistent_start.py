"""Consistent initial values: the states that no rate determines, from the equations ``0 = f`` of a singular system.

The other states keep the values that were given. Newton's method takes its steps whole, from the values given as a
guess, until the next one would not show.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. VI.1, eq. (1.7).
"""

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from cubie._types import (
    AllocatePersistentFn,
    AllocateSharedFn,
    FloatPrecision,
    Mask,
    PersistentBank,
    Real,
    SharedBank,
    StatusBits,
    Vector,
)
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, buffer
from cubie.integrators.algorithms.base_algorithm_step import StartFn
from cubie.integrators.matrix_free_solvers.constraints import Constraints, constraint_elimination
from cubie.integrators.matrix_free_solvers.elimination import Elimination
from cubie.integrators.matrix_free_solvers.generated_elimination import real_elimination
from cubie.integrators.matrix_free_solvers.linear_solver import LOSS
from cubie.odesystems.derivative_functions import JacobianFunction
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import RateFunction, SystemSettings
from cubie.status import Status
from cubie.targets.unroll import static

MAX_ITERATIONS: Final = 25


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StartSettings:
    """What shapes the device code of consistent initial values."""

    system: ODESystem
    precision: FloatPrecision

    @property
    def is_needed(self) -> bool:
        """Some state follows from the others."""
        return len(Constraints.of(self.system).rows) > 0

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number."""
        return 2.0**-23 if self.precision is np.float32 else 2.0**-52

    def elimination(self) -> Elimination:
        """Generate the elimination of the constraints' Jacobian."""
        return constraint_elimination(self.system, loss=LOSS * self.system.n_states * self.eps)


@final
class ConsistentStart(CUDAFactory[StartSettings, StartFn]):
    """Corrects initial values until the equations without a rate hold."""

    def __init__(self, settings: StartSettings, rate: RateFunction) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)
        system = SystemSettings(system=settings.system, precision=settings.precision)
        self.jacobian = self.adopt("jacobian_of", JacobianFunction(system, target=rate.target))

    def configure_system(self, settings: StartSettings) -> None:
        """Go by `settings`, the Jacobian too."""
        self.jacobian.configure(SystemSettings(system=settings.system, precision=settings.precision))
        self.configure(settings)

    @staticmethod
    @override
    def buffers(settings: StartSettings) -> tuple[BufferEntry, ...]:
        """The Jacobian, its factors, and a step of Newton's method."""
        sizes = {"jacobian": 0, "factors": 0, "correction": 0}
        if settings.is_needed:
            sizes["jacobian"] = settings.system.jacobian.n_slots
            sizes["factors"] = settings.elimination().n_kept
            sizes["correction"] = settings.system.n_states
        return tuple(buffer(name, size, settings.precision) for name, size in sizes.items())

    @override
    def build(self) -> StartFn:
        settings, precision, target = self.settings, self.settings.precision, self.target
        if not settings.is_needed:
            return self._nothing()
        n, rows = settings.system.n_states, Constraints.of(settings.system).rows
        is_constraint = tuple(i in rows for i in range(n))
        eliminate_in, substitute = real_elimination(target, settings.elimination(), precision)
        jacobian_of, rate_of = self.jacobian.device_function, self.rate.device_function
        allocate_jacobian, allocate_factors = self.allocator("jacobian"), self.allocator("factors")
        allocate_correction = self.allocator("correction")
        zero, one, huge = precision(0), precision(1), precision(1e30)
        small = precision(math.sqrt(settings.eps) / 100)
        ok, failed = np.int32(0), np.int32(Status.newton_failed)
        select, splat, any_run, negate, absolute = (
            target.select,
            target.splat,
            target.any_run,
            target.negate,
            target.absolute,
        )

        @target.device
        def start(
            mask: Mask,
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            jacobian, factors = allocate_jacobian(shared, persistent), allocate_factors(shared, persistent)
            correction, active = allocate_correction(shared, persistent), mask
            for _ in range(MAX_ITERATIONS):
                if any_run(active):
                    jacobian_of(t, y, parameters, drivers, jacobian)
                    eliminate_in(jacobian, splat(one), factors)
                    rate_of(t, y, parameters, drivers, correction)
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
            return select(active, splat(failed), splat(ok))

        return start

    def _nothing(self) -> StartFn:
        ok, splat = np.int32(0), self.target.splat

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
            return splat(ok)

        return start


def consistent_start(factory: ConsistentStart, banks: tuple[AllocateSharedFn, AllocatePersistentFn]) -> StartFn | None:
    """Build what hands the start its memory out of its step's; None where no initial value needs it."""
    if not factory.settings.is_needed:
        return None
    correct, (start_shared, start_persistent) = factory.device_function, banks

    @factory.target.device
    def start(
        mask: Mask,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits:
        below, kept = start_shared(shared, persistent), start_persistent(shared, persistent)
        return correct(mask, t, y, parameters, drivers, below, kept)

    return start
