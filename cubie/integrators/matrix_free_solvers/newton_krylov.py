r"""Newton's method for one implicit stage, ``M @ z = gamma_dt * f(t, base + z)``.

The Jacobian is that of the start of the step, for all stages and iterations. An iteration ends when what is left of its
last correction, estimated from the rate at which corrections shrink, is a small part of the error that the tolerances
allow; so the iteration's error shrinks with them and sets no floor. Corrections that grow are damped. An iteration that
would not arrive in time is given up, and the step fails: the loop tries a smaller one.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.8, eq. 8.10 and 8.11.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypedDict, final

from typing_extensions import Unpack, override

from cubie._types import FloatPrecision, Mask, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, Recording, buffer
from cubie.integrators.algorithms.base_algorithm_step import ResetStepFn
from cubie.integrators.matrix_free_solvers.convergence import (
    MAX_ITERATIONS,
    SHARE,
    IterationSettings,
    WeighFn,
    make_convergence,
    make_weigh,
)
from cubie.integrators.matrix_free_solvers.linear_functions import FactorFn, LinearFactory, SolveFn
from cubie.integrators.matrix_free_solvers.mass_product import make_weigh as make_mass_product
from cubie.odesystems.rate_function import RateFunction
from cubie.targets.unroll import nothing


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NewtonSettings:
    """What shapes the device code of Newton's method; `IterationSettings` tells the last three."""

    n_states: int
    precision: FloatPrecision
    share: float = SHARE
    max_iterations: int = MAX_ITERATIONS
    gives_up: bool = True

    @property
    def iteration(self) -> IterationSettings:
        """Settings of its control."""
        return IterationSettings(
            n_measured=self.n_states,
            precision=self.precision,
            share=self.share,
            max_iterations=self.max_iterations,
            gives_up=self.gives_up,
        )


class NewtonChanges(TypedDict, total=False):
    """Settings of Newton's method that can be changed."""

    n_states: int
    precision: FloatPrecision
    share: float
    max_iterations: int
    gives_up: bool


class SolveStageFn(Protocol):
    """Solve for the increments `z`, a guess on entry; answer `status`, or why a run whose status is 0 has failed.

    `state`, `rhs` and `correction` are scratch; what the first two hold is dead while linear systems are solved.
    """

    def __call__(
        self,
        status: StatusBits,
        t: Real,
        gamma_dt: Real,
        base: Vector,
        z: Vector,
        parameters: Vector,
        drivers: Vector,
        weights: Vector,
        state: Vector,
        rhs: Vector,
        correction: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


class NewtonFunctions(NamedTuple):
    """The device functions of Newton's method, and those of its linear solver."""

    weigh: WeighFn
    factor: FactorFn
    solve_stage: SolveStageFn
    solve_linear: SolveFn
    reset: ResetStepFn


@final
class NewtonKrylov(CUDAFactory[NewtonSettings, NewtonFunctions]):
    """Solves the equations of one stage at a time."""

    def __init__(self, settings: NewtonSettings, rate: RateFunction, linear: LinearFactory) -> None:
        super().__init__(settings, target=rate.target)
        self.rate = self.adopt("rate", rate)
        self.linear = self.adopt("linear", linear)

    def update(self, **changes: Unpack[NewtonChanges]) -> None:
        """Replace some settings."""
        self._update(changes)

    @staticmethod
    @override
    def buffers(settings: NewtonSettings) -> tuple[BufferEntry, ...]:
        """How fast the last iteration converged; a step brings the vectors."""
        return (buffer("speed", 1, settings.precision, persistent=True),)

    @staticmethod
    @override
    def recordings(settings: NewtonSettings) -> tuple[Recording, ...]:
        """The states and corrections of all iterations for the last stage that was solved."""
        return tuple(
            Recording(name=name, n_rows=settings.max_iterations, size=settings.n_states, precision=settings.precision)
            for name in ("states", "corrections")
        )

    @override
    def build(self) -> NewtonFunctions:
        linear, (linear_shared, linear_persistent) = self.linear.device_function, self.child_allocators("linear")
        factor_below, solve_below = linear
        device = self.target.device

        @device
        def factor(
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            gamma_dt: Real,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            below, kept = linear_shared(shared, persistent), linear_persistent(shared, persistent)
            return factor_below(t, y, parameters, drivers, gamma_dt, below, kept)

        @device
        def solve_linear(b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits:
            return solve_below(b, weights, linear_shared(shared, persistent), linear_persistent(shared, persistent))

        return NewtonFunctions(
            make_weigh(self.target, self.settings.iteration, self.settings.n_states),
            factor,
            self._solve_stage(solve_linear),
            solve_linear,
            self._reset(),
        )

    def _reset(self) -> ResetStepFn:
        one, allocate_speed, select = self.settings.precision(1), self.allocator("speed"), self.target.select

        @self.target.device
        def reset(mask: Mask, shared: SharedBank, persistent: PersistentBank) -> None:
            speed = allocate_speed(shared, persistent)
            speed[0] = select(mask, one, speed[0])

        return reset

    def _solve_stage(self, solve_linear: SolveFn) -> SolveStageFn:
        n, zero = self.settings.n_states, self.settings.precision(0)
        rate_of, allocate_speed = self.rate.device_function, self.allocator("speed")
        mass = make_mass_product(self.target, self.rate.settings.system, self.settings.precision)
        multiply = mass or nothing
        begin, resolve, judge, end = make_convergence(self.target, self.settings.iteration)
        record_state, record_correction = self.recorder("states"), self.recorder("corrections")
        fma, select, splat, any_run = self.target.fma, self.target.select, self.target.splat, self.target.any_run

        @self.target.device
        def solve_stage(
            status: StatusBits,
            t: Real,
            gamma_dt: Real,
            base: Vector,
            z: Vector,
            parameters: Vector,
            drivers: Vector,
            weights: Vector,
            state: Vector,
            rhs: Vector,
            correction: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            speed = allocate_speed(shared, persistent)
            at, iteration = begin(status, speed[0]), 0
            while any_run(at.active):
                for i in range(n):
                    state[i] = base[i] + z[i]
                record_state(iteration, state, shared, persistent)
                rate_of(t, state, parameters, drivers, rhs)
                for i in range(n):
                    state[i] = z[i]
                multiply(state)
                for i in range(n):
                    correction[i] = fma(gamma_dt, rhs[i], -state[i])
                answer = solve_linear(correction, weights, shared, persistent)
                record_correction(iteration, correction, shared, persistent)
                iteration += 1
                total, resolved = splat(zero), splat(zero)
                for i in range(n):
                    ratio = correction[i] * weights[i]
                    total = fma(ratio, ratio, total)
                    ratio = resolve(z[i], base[i]) * weights[i]
                    resolved = fma(ratio, ratio, resolved)
                before = at.active
                at = judge(at, total, resolved, answer)
                for i in range(n):
                    z[i] = select(before, fma(at.damping, correction[i], z[i]), z[i])
            speed[0] = end(at)
            return at.status

        return solve_stage
