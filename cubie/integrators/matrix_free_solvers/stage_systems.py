"""The linear systems of a fully implicit method whose stages are decoupled: real ones, and complex ones for pairs."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, final

import numpy as np
from typing_extensions import override

from cubie._types import (
    AllocatePersistentFn,
    AllocateSharedFn,
    FloatPrecision,
    PersistentBank,
    Real,
    SharedBank,
    StatusBits,
    Vector,
)
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory
from cubie.integrators.algorithms.rounded_tableau import RoundedRow
from cubie.integrators.matrix_free_solvers.linear_choice import (
    AS_SUITS,
    AnyLinearSettings,
    LinearChoice,
    configured_linear,
    make_linear_solver,
    make_pair_solver,
)
from cubie.integrators.matrix_free_solvers.linear_functions import SolveFn
from cubie.odesystems.ode_system import ODESystem
from cubie.targets.base import Target
from cubie.targets.unroll import static


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StageSystemsSettings:
    """What shapes the device code of a step's linear systems.

    Parameters
    ----------
    scales : of the real systems ``M - scale*dt*J``; the first one is the filter's as well.
    pair_scales : real and imaginary parts of the complex ones' scales.
    n_real : how many of the real systems are stages': all of them, or none beside the filter's.
    """

    system: ODESystem
    precision: FloatPrecision
    scales: RoundedRow
    pair_scales: tuple[RoundedRow, ...]
    n_real: int
    linear_choice: LinearChoice = AS_SUITS

    @property
    def linear(self) -> AnyLinearSettings:
        """Settings of each solver."""
        return self.linear_choice.settings(self.system, self.precision)

    @property
    def shape(self) -> tuple[int, int]:
        """How many real and complex solvers it takes."""
        return len(self.scales), len(self.pair_scales)


class PrepareFn(Protocol):
    """Take the Jacobian at (t, y) and make ready to solve; answer 0, or why that can't be done."""

    def __call__(
        self,
        t: Real,
        dt: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


class StageSystemsFunctions(NamedTuple):
    """The device functions of a step's systems. `solve` takes all loads, one after the other; `filter` is the first
    system alone.
    """

    prepare: PrepareFn
    solve: SolveFn
    filter: SolveFn


@final
class StageSystems(CUDAFactory[StageSystemsSettings, StageSystemsFunctions]):
    """Solves all systems of a step, each by a solver of its own."""

    def __init__(self, settings: StageSystemsSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)
        (n_real, n_pairs), linear = settings.shape, settings.linear
        self.reals = [self.adopt(f"real_{i}", make_linear_solver(linear, target)) for i in range(n_real)]
        self.pairs = [self.adopt(f"pair_{i}", make_pair_solver(linear, target)) for i in range(n_pairs)]

    def configure_systems(self, settings: StageSystemsSettings) -> None:
        """Go by `settings`, which must have the same shape, the solvers too."""
        assert settings.shape == (len(self.reals), len(self.pairs))
        self.configure(settings)
        linear = settings.linear
        for i, real in enumerate(self.reals):
            if not configured_linear(real, linear):
                self.reals[i] = self.adopt(f"real_{i}", make_linear_solver(linear, self.target))
        for i, pair in enumerate(self.pairs):
            if not configured_linear(pair, linear):
                self.pairs[i] = self.adopt(f"pair_{i}", make_pair_solver(linear, self.target))

    @staticmethod
    @override
    def buffers(settings: StageSystemsSettings) -> tuple[BufferEntry, ...]:
        """None: all memory is the solvers'."""
        return ()

    @override
    def build(self) -> StageSystemsFunctions:
        return StageSystemsFunctions(self._prepare(), self._solve(), self._filter())

    def _banks(self, kind: str, count: int) -> tuple[tuple[AllocateSharedFn, ...], tuple[AllocatePersistentFn, ...]]:
        banks = [self.child_allocators(f"{kind}_{i}") for i in range(count)]
        return tuple(shared for shared, _ in banks), tuple(persistent for _, persistent in banks)

    def _prepare(self) -> PrepareFn:
        scales, pair_scales, (n_real, n_pairs) = self.settings.scales, self.settings.pair_scales, self.settings.shape
        factor = tuple(real.device_function.factor for real in self.reals)
        factor_pair = tuple(pair.device_function.factor for pair in self.pairs)
        real_shared, real_persistent = self._banks("real", n_real)
        pair_shared, pair_persistent = self._banks("pair", n_pairs)
        select, splat, ok = self.target.select, self.target.splat, np.int32(0)

        @self.target.device
        def prepare(
            t: Real,
            dt: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            status = splat(ok)
            for i in static(range(n_real)):
                below, kept = real_shared[i](shared, persistent), real_persistent[i](shared, persistent)
                answer = factor[i](t, y, parameters, drivers, scales[i] * dt, below, kept)
                status = select(status > 0, status, answer)
            for i in static(range(n_pairs)):
                below, kept = pair_shared[i](shared, persistent), pair_persistent[i](shared, persistent)
                re_dt, im_dt = pair_scales[i][0] * dt, pair_scales[i][1] * dt
                answer = factor_pair[i](t, y, parameters, drivers, re_dt, im_dt, below, kept)
                status = select(status > 0, status, answer)
            return status

        return prepare

    def _solve(self) -> SolveFn:
        n, n_real, n_pairs = self.settings.system.n_states, self.settings.n_real, len(self.pairs)
        solve_real = tuple(real.device_function.solve for real in self.reals)
        solve_pair = tuple(pair.device_function.solve for pair in self.pairs)
        real_shared, real_persistent = self._banks("real", len(self.reals))
        pair_shared, pair_persistent = self._banks("pair", n_pairs)
        select, splat, ok = self.target.select, self.target.splat, np.int32(0)

        @self.target.device
        def solve(b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits:
            status = splat(ok)
            for i in static(range(n_real)):
                answer = solve_real[i](
                    b[i * n : (i + 1) * n],
                    weights,
                    real_shared[i](shared, persistent),
                    real_persistent[i](shared, persistent),
                )
                status = select(status > 0, status, answer)
            for i in static(range(n_pairs)):
                answer = solve_pair[i](
                    b[(n_real + 2 * i) * n : (n_real + 2 * i + 2) * n],
                    weights,
                    pair_shared[i](shared, persistent),
                    pair_persistent[i](shared, persistent),
                )
                status = select(status > 0, status, answer)
            return status

        return solve

    def _filter(self) -> SolveFn:
        if not self.reals:
            return self._solve()
        solve_first, (first_shared, first_persistent) = (
            self.reals[0].device_function.solve,
            self.child_allocators("real_0"),
        )

        @self.target.device
        def filter_error(b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits:
            return solve_first(b, weights, first_shared(shared, persistent), first_persistent(shared, persistent))

        return filter_error
