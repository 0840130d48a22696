"""Iterative solvers of a step's linear systems, for models too large to eliminate: they need ``J @ v`` alone.

``factor`` keeps where J is taken; nothing is stored of J but the diagonal of ``M - gamma_dt*J``. A complex system is
solved as a real one of twice the size, by the same iterations.
"""

from typing import Protocol, assert_never, final

import numpy as np
from typing_extensions import override

from cubie._types import PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, FunctionT_co, Recording, buffer
from cubie.integrators.matrix_free_solvers.gmres import basis_size, coefficients_size, make_gmres
from cubie.integrators.matrix_free_solvers.krylov_matrix import KrylovMatrix, plain_matrix, plain_pair
from cubie.integrators.matrix_free_solvers.krylov_memory import IterateFn, KrylovMemory
from cubie.integrators.matrix_free_solvers.krylov_methods import (
    KrylovParts,
    make_bicgstab,
    make_measures,
    make_minimal_residual,
)
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.linear_functions import LinearFunctions, PairFunctions, SolveFn
from cubie.integrators.matrix_free_solvers.preconditioners import make_precondition
from cubie.integrators.matrix_free_solvers.weighed_matrix import weighed_matrix, weighed_pair
from cubie.odesystems.derivative_functions import JacobianDiagonal, JacobianVectorProduct
from cubie.odesystems.rate_function import SystemSettings
from cubie.status import Status
from cubie.targets.base import Target


class OpenFn(Protocol):
    """Take the working arrays out of the pools."""

    def __call__(self, shared: SharedBank, persistent: PersistentBank) -> KrylovMemory: ...


class PlaceFn(Protocol):
    """Keep where J is taken, and its diagonal."""

    def __call__(self, t: Real, y: Vector, parameters: Vector, drivers: Vector, k: KrylovMemory) -> None: ...


class KrylovFactory(CUDAFactory[KrylovSettings, FunctionT_co]):
    """What real and complex systems have in common: products with J, its diagonal, and the iterations."""

    def __init__(self, settings: KrylovSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)
        system = SystemSettings(system=settings.system, precision=settings.precision)
        self.product = self.adopt("product", JacobianVectorProduct(system, target=target))
        self.diagonal = self.adopt("diagonal", JacobianDiagonal(system, target=target))

    def configure_system(self, settings: KrylovSettings) -> None:
        """Go by `settings`, the derivatives too."""
        system = SystemSettings(system=settings.system, precision=settings.precision)
        self.product.configure(system)
        self.diagonal.configure(system)
        self.configure(settings)

    def _open(self) -> OpenFn:
        names = KrylovMemory._fields
        point, parameters, inverse, residual, direction, image, rest, basis, coefficients = (
            self.allocator(name) for name in names
        )

        @self.target.inlined
        def open_memory(shared: SharedBank, persistent: PersistentBank) -> KrylovMemory:
            return KrylovMemory(
                point(shared, persistent),
                parameters(shared, persistent),
                inverse(shared, persistent),
                residual(shared, persistent),
                direction(shared, persistent),
                image(shared, persistent),
                rest(shared, persistent),
                basis(shared, persistent),
                coefficients(shared, persistent),
            )

        return open_memory

    def _place(self) -> PlaceFn:
        n, n_parameters = self.settings.system.n_states, self.settings.system.n_parameters
        takes_diagonal, diagonal_of = self.settings.takes_diagonal, self.diagonal.device_function
        splat, zero = self.target.splat, self.settings.precision(0)

        @self.target.device
        def place(t: Real, y: Vector, parameters: Vector, drivers: Vector, k: KrylovMemory) -> None:
            for i in range(n):
                k.point[i] = y[i]
            k.point[n] = t
            for i in range(n_parameters):
                k.parameters[i] = parameters[i]
            if takes_diagonal:
                diagonal_of(t, y, parameters, drivers, k.inverse[0:n])
            else:
                for i in range(n):
                    k.inverse[i] = splat(zero)

        return place

    def _solve(self, n_parts: int, matrix: KrylovMatrix) -> SolveFn:
        target, ok, failed = self.target, np.int32(0), np.int32(Status.linear_failed)
        open_memory, iterate = self._open(), self._iterate(n_parts, matrix)
        scale_load = matrix.scale_load
        select, splat = target.select, target.splat

        @target.apart
        def solve(b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits:
            k = open_memory(shared, persistent)
            scale_load(b, k)
            found = iterate(b, weights, k, shared, persistent)
            return select(found, splat(ok), splat(failed))

        return solve

    def _iterate(self, n_parts: int, matrix: KrylovMatrix) -> IterateFn:
        settings, target, (_, operate, divide, _) = self.settings, self.target, matrix
        n, precision, budget = n_parts * settings.system.n_states, settings.precision, settings.n_iterations
        precondition = make_precondition(target, settings.preconditioner, operate, divide, n)
        dot, ratio, arrived = make_measures(target, settings.system.n_states, n_parts, precision, settings.share)
        recorders = self.recorder("residuals"), self.recorder("iterates")
        parts = KrylovParts(operate, precondition, dot, ratio, arrived, *recorders)
        match settings.kind:
            case "minimal-residual":
                return make_minimal_residual(target, parts, n, precision, budget)
            case "bicgstab":
                return make_bicgstab(target, parts, n, precision, budget)
            case "gmres":
                dim = settings.krylov_dim(n_parts)
                return make_gmres(target, parts, n, precision, krylov_dim=dim, max_restarts=budget)
            case never:
                assert_never(never)


def _buffers(settings: KrylovSettings, n_parts: int) -> tuple[BufferEntry, ...]:
    """What describes the matrix, from `factor` to the last `solve`, and the vectors of one solve."""
    n_states, precision, dim = settings.system.n_states, settings.precision, settings.krylov_dim(n_parts)
    n, is_gmres = n_parts * n_states, settings.kind == "gmres"
    kept = {"point": n_states + 1 + n_parts, "parameters": settings.system.n_parameters, "inverse": n}
    vectors = {"residual": n, "direction": n, "image": n, "rest": n * (settings.preconditioner == "neumann")}
    vectors["basis"] = basis_size(n, dim) if is_gmres else 3 * n * (settings.kind == "bicgstab")
    vectors["coefficients"] = coefficients_size(dim) * is_gmres
    return (
        *(buffer(name, size, precision, persistent=True) for name, size in kept.items()),
        *(buffer(name, size, precision) for name, size in vectors.items()),
    )


def _recordings(settings: KrylovSettings, n_parts: int) -> tuple[Recording, ...]:
    """Of the last solve, the residual before each iteration and after the last, and what each has found."""
    size, n_rows = n_parts * settings.system.n_states, settings.n_iterations
    return (
        Recording(name="residuals", n_rows=n_rows + 1, size=size, precision=settings.precision),
        Recording(name="iterates", n_rows=n_rows, size=size, precision=settings.precision),
    )


@final
class KrylovSolver(KrylovFactory[LinearFunctions]):
    """Solves ``(M - gamma_dt*J) @ x = b`` without a matrix."""

    @staticmethod
    @override
    def buffers(settings: KrylovSettings) -> tuple[BufferEntry, ...]:
        """The matrix' description and vectors."""
        return _buffers(settings, 1)

    @staticmethod
    @override
    def recordings(settings: KrylovSettings) -> tuple[Recording, ...]:
        """Residuals and iterates."""
        return _recordings(settings, 1)

    @override
    def build(self) -> LinearFunctions:
        target, n = self.target, self.settings.system.n_states
        place, open_memory, splat, ok = self._place(), self._open(), target.splat, np.int32(0)
        matrix = self._matrix()
        invert = matrix.invert

        @target.apart
        def factor(
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            gamma_dt: Real,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> StatusBits:
            k = open_memory(shared, persistent)
            place(t, y, parameters, drivers, k)
            k.point[n + 1] = gamma_dt
            invert(k)
            return splat(ok)

        return LinearFunctions(factor, self._solve(1, matrix))

    def _matrix(self) -> KrylovMatrix:
        settings, n, product_of = self.settings, self.settings.system.n_states, self.product.device_function
        if settings.rows is None:
            return plain_matrix(self.target, n, settings.precision, settings.least_pivot, product_of)
        return weighed_matrix(self.target, settings, settings.rows, product_of)


@final
class KrylovPairSolver(KrylovFactory[PairFunctions]):
    """Solves ``(M - (re_dt + i*im_dt)*J) @ x = b`` without a matrix, for two conjugate systems at once."""

    @staticmethod
    @override
    def buffers(settings: KrylovSettings) -> tuple[BufferEntry, ...]:
        """The matrix' description and vectors, two numbers for each state."""
        return _buffers(settings, 2)

    @staticmethod
    @override
    def recordings(settings: KrylovSettings) -> tuple[Recording, ...]:
        """Residuals and iterates."""
        return _recordings(settings, 2)

    @override
    def build(self) -> PairFunctions:
        target, n = self.target, self.settings.system.n_states
        place, open_memory, splat, ok = self._place(), self._open(), target.splat, np.int32(0)
        matrix = self._matrix()
        invert = matrix.invert

        @target.apart
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
            k = open_memory(shared, persistent)
            place(t, y, parameters, drivers, k)
            k.point[n + 1], k.point[n + 2] = re_dt, im_dt
            invert(k)
            return splat(ok)

        return PairFunctions(factor, self._solve(2, matrix))

    def _matrix(self) -> KrylovMatrix:
        settings, n, product_of = self.settings, self.settings.system.n_states, self.product.device_function
        if settings.rows is None:
            return plain_pair(self.target, n, settings.precision, settings.least_pivot, product_of)
        return weighed_pair(self.target, settings, settings.rows, product_of)
