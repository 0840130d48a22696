"""Iterative solvers of a step's linear systems, for models too large to eliminate: they need ``J @ v`` alone.

``factor`` keeps where J is taken; nothing is stored of J but the diagonal of ``I - gamma_dt*J``.
"""

from typing import Protocol, assert_never, final

import numpy as np
from typing_extensions import override

from cubie._types import PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, buffer
from cubie.integrators.matrix_free_solvers.gmres import basis_size, coefficients_size, make_gmres
from cubie.integrators.matrix_free_solvers.krylov_memory import IterateFn, KrylovMemory, OperatorFn
from cubie.integrators.matrix_free_solvers.krylov_methods import make_bicgstab, make_minimal_residual, make_parts
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.linear_functions import LinearFunctions
from cubie.integrators.matrix_free_solvers.preconditioners import make_precondition
from cubie.odesystems.derivative_functions import JacobianDiagonal, JacobianVectorProduct
from cubie.odesystems.rate_function import SystemSettings
from cubie.status import Status
from cubie.targets.base import Target


class OpenFn(Protocol):
    """Take the working arrays out of the pools."""

    def __call__(self, shared: SharedBank, persistent: PersistentBank) -> KrylovMemory: ...


@final
class KrylovSolver(CUDAFactory[KrylovSettings, LinearFunctions]):
    """Solves ``(I - gamma_dt*J) @ x = b`` without a matrix."""

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

    @staticmethod
    @override
    def buffers(settings: KrylovSettings) -> tuple[BufferEntry, ...]:
        """What describes the matrix, from `factor` to the last `solve`, and the vectors of one solve."""
        n, precision, dim = settings.system.n_states, settings.precision, settings.krylov_dim
        kept = {"point": n + 2, "parameters": settings.system.n_parameters, "inverse": n}
        vectors = {"residual": n, "direction": n, "image": n, "rest": n * (settings.preconditioner == "neumann")}
        is_gmres = settings.kind == "gmres"
        vectors["basis"] = basis_size(n, dim) if is_gmres else 3 * n * (settings.kind == "bicgstab")
        vectors["coefficients"] = coefficients_size(dim) * is_gmres
        return (
            *(buffer(name, size, precision, persistent=True) for name, size in kept.items()),
            *(buffer(name, size, precision) for name, size in vectors.items()),
        )

    @override
    def build(self) -> LinearFunctions:
        settings, precision, target = self.settings, self.settings.precision, self.target
        n, n_parameters, diagonal_of = (
            settings.system.n_states,
            settings.system.n_parameters,
            self.diagonal.device_function,
        )
        one, least = precision(1), precision(settings.least_pivot)
        is_scaled, ok, failed = settings.preconditioner != "none", np.int32(0), np.int32(Status.linear_failed)
        fma, select, splat, absolute = target.fma, target.select, target.splat, target.absolute
        open_memory, iterate = self._open(), self._iterate()

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
            for i in range(n):
                k.point[i] = y[i]
            k.point[n] = t
            k.point[n + 1] = gamma_dt
            for i in range(n_parameters):
                k.parameters[i] = parameters[i]
            if is_scaled:
                diagonal_of(t, y, parameters, drivers, k.inverse)
            for i in range(n):
                if is_scaled:
                    pivot = fma(-gamma_dt, k.inverse[i], one)
                    k.inverse[i] = one / select(absolute(pivot) < least, splat(one), pivot)
                else:
                    k.inverse[i] = splat(one)
            return splat(ok)

        @target.apart
        def solve(b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits:
            return select(iterate(b, weights, open_memory(shared, persistent)), splat(ok), splat(failed))

        return LinearFunctions(factor, solve)

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

    def _operate(self) -> OperatorFn:
        n, product_of, fma = self.settings.system.n_states, self.product.device_function, self.target.fma

        @self.target.device
        def operate(vector: Vector, out: Vector, k: KrylovMemory) -> None:
            product_of(k.point[n], k.point, k.parameters, k.parameters, vector, out)
            for i in range(n):
                out[i] = fma(-k.point[n + 1], out[i], vector[i])

        return operate

    def _iterate(self) -> IterateFn:
        settings, target, operate = self.settings, self.target, self._operate()
        n, precision, budget = settings.system.n_states, settings.precision, settings.max_iterations
        precondition = make_precondition(target, settings.preconditioner, operate, n, precision)
        parts = make_parts(target, operate, precondition, n, precision, settings.share)
        match settings.kind:
            case "minimal-residual":
                return make_minimal_residual(target, parts, n, precision, budget)
            case "bicgstab":
                return make_bicgstab(target, parts, n, precision, budget)
            case "gmres":
                dim = settings.krylov_dim
                return make_gmres(target, parts, n, precision, krylov_dim=dim, max_restarts=max(budget // dim, 1))
            case never:
                assert_never(never)
