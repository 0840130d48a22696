"""Direct solvers of a step's linear systems: straight-line elimination, generated for the system's sparse Jacobian."""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from cubie._types import FloatPrecision, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, FunctionT_co, buffer
from cubie.integrators.matrix_free_solvers.elimination import Elimination, eliminate
from cubie.integrators.matrix_free_solvers.generated_elimination import complex_elimination, real_elimination
from cubie.integrators.matrix_free_solvers.linear_functions import LinearFunctions, PairFunctions
from cubie.integrators.matrix_free_solvers.pivoting import choose_pivots
from cubie.odesystems.derivative_functions import JacobianFunction
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import SystemSettings
from cubie.status import Status
from cubie.targets.base import Target

LOSS: Final = 4.0
"""A pivot of fewer units in the last place of its terms than this, times the number of states, counts as nothing.

Newton's iteration and error estimates tell what a rough one does to a step. In a closed system, whose J is singular,
the last pivot is what M leaves of large terms: with 64 here, Radau's method in float32 took 77,000 steps for a run of
Robertson's problem at 1e-3, or gave up; now it takes 7,500, for the same error.
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSettings:
    """What shapes the device code of a direct solver."""

    system: ODESystem
    precision: FloatPrecision

    @property
    def n_states(self) -> int:
        """The order of the systems."""
        return self.system.n_states

    def elimination(self, *, is_complex: bool) -> Elimination:
        """Generate the elimination."""
        system, (order, exchanges) = self.system, choose_pivots(self.system)
        return eliminate(
            system.jacobian,
            system.mass,
            system.n_states,
            order,
            loss=LOSS * system.n_states * (2.0**-23 if self.precision is np.float32 else 2.0**-52),
            is_complex=is_complex,
            exchanges=exchanges,
        )


class DirectSolver(CUDAFactory[LinearSettings, FunctionT_co]):
    """What real and complex systems have in common: the Jacobian, and factors that live from step to step."""

    def __init__(self, settings: LinearSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)
        system = SystemSettings(system=settings.system, precision=settings.precision)
        self.jacobian = self.adopt("jacobian_of", JacobianFunction(system, target=target))

    def configure_system(self, settings: LinearSettings) -> None:
        """Go by `settings`, the Jacobian too."""
        self.jacobian.configure(SystemSettings(system=settings.system, precision=settings.precision))
        self.configure(settings)


def _buffers(settings: LinearSettings, *, is_complex: bool) -> tuple[BufferEntry, ...]:
    """The factors, from `factor` to the last `solve`, and the Jacobian's values, of no use once they are made."""
    n_factors = settings.elimination(is_complex=is_complex).n_kept
    return (
        buffer("jacobian", settings.system.jacobian.n_slots, settings.precision),
        buffer("factors", n_factors, settings.precision, persistent=True),
    )


@final
class LinearSolver(DirectSolver[LinearFunctions]):
    """Solves ``(M - gamma_dt*J) @ x = b``."""

    @staticmethod
    @override
    def buffers(settings: LinearSettings) -> tuple[BufferEntry, ...]:
        """The Jacobian's values and the factors."""
        return _buffers(settings, is_complex=False)

    @override
    def build(self) -> LinearFunctions:
        settings, precision = self.settings, self.settings.precision
        eliminate_in, substitute = real_elimination(self.target, settings.elimination(is_complex=False), precision)
        target, ok, singular = self.target, np.int32(0), np.int32(Status.singular)
        allocate_jacobian, allocate_factors = self.allocator("jacobian"), self.allocator("factors")
        jacobian_of, select, splat = self.jacobian.device_function, target.select, target.splat

        @target.device
        def factor(
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            gamma_dt: Real,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            jacobian, factors = allocate_jacobian(shared, persistent), allocate_factors(shared, persistent)
            jacobian_of(t, y, parameters, drivers, jacobian)
            return select(eliminate_in(jacobian, gamma_dt, factors), splat(ok), splat(singular))

        @target.device
        def solve(b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits:
            substitute(allocate_factors(shared, persistent), b)
            return splat(ok)

        return LinearFunctions(factor, solve)


@final
class PairSolver(DirectSolver[PairFunctions]):
    """Solves ``(M - (re_dt + i*im_dt)*J) @ x = b`` in complex numbers, for two conjugate systems at once."""

    @staticmethod
    @override
    def buffers(settings: LinearSettings) -> tuple[BufferEntry, ...]:
        """The Jacobian's values and the factors, two numbers each."""
        return _buffers(settings, is_complex=True)

    @override
    def build(self) -> PairFunctions:
        settings, precision = self.settings, self.settings.precision
        n, end = settings.n_states, 2 * settings.n_states
        eliminate_in, substitute = complex_elimination(self.target, settings.elimination(is_complex=True), precision)
        target, ok, singular = self.target, np.int32(0), np.int32(Status.singular)
        allocate_jacobian, allocate_factors = self.allocator("jacobian"), self.allocator("factors")
        jacobian_of, select, splat = self.jacobian.device_function, target.select, target.splat

        @target.device
        def factor(
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            re_dt: Real,
            im_dt: Real,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            jacobian, factors = allocate_jacobian(shared, persistent), allocate_factors(shared, persistent)
            jacobian_of(t, y, parameters, drivers, jacobian)
            return select(eliminate_in(jacobian, re_dt, im_dt, factors), splat(ok), splat(singular))

        @target.device
        def solve(b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits:
            substitute(allocate_factors(shared, persistent), b[0:n], b[n:end])
            return splat(ok)

        return PairFunctions(factor, solve)
