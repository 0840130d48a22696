"""GMRES with restarts, preconditioned from the right, by modified Gram-Schmidt and Givens' rotations.

A direction that vanishes, as at the solution, gets no weight.

References
----------
Saad & Schultz (1986), SIAM J. Sci. Stat. Comput. 7(3), 856-869; Saad (2003), Iterative Methods for Sparse Linear
Systems, Sec. 6.5.3 and 9.3.2.
"""

from typing import Protocol

from cubie._types import FloatPrecision, Mask, PersistentBank, SharedBank, Vector
from cubie.integrators.matrix_free_solvers.krylov_memory import IterateFn, KrylovMemory
from cubie.integrators.matrix_free_solvers.krylov_methods import KrylovParts
from cubie.targets.base import Target


class CycleFn(Protocol):
    """Build a basis from the residual, or find what the runs of the mask add to `b` by it."""

    def __call__(self, b: Vector, active: Mask, k: KrylovMemory) -> None: ...


def basis_size(n: int, krylov_dim: int) -> int:
    """Return the numbers of all directions, one more than the dimension, and of the right side."""
    return (krylov_dim + 2) * n


def coefficients_size(krylov_dim: int) -> int:
    """Return the numbers of the triangular matrix, both parts of the rotations, the right side and the weights."""
    return krylov_dim * krylov_dim + 4 * krylov_dim + 1


def make_gmres(
    target: Target, parts: KrylovParts, n: int, precision: FloatPrecision, *, krylov_dim: int, max_restarts: int
) -> IterateFn:
    """Build it, with a basis of `krylov_dim` vectors."""
    orthogonalise = _make_orthogonalise(target, parts, n, precision, krylov_dim)
    combine = _make_combine(target, parts, n, precision, krylov_dim)
    operate, _, _, _, arrived, record_residual, record_iterate = parts
    splat, any_run, negate, zero = target.splat, target.any_run, target.negate, precision(0)
    last, end = (krylov_dim + 1) * n, (krylov_dim + 2) * n

    @target.device
    def iterate(b: Vector, weights: Vector, k: KrylovMemory, shared: SharedBank, persistent: PersistentBank) -> Mask:
        right = k.basis[last:end]
        for i in range(n):
            right[i] = b[i]
            k.residual[i] = b[i]
            b[i] = splat(zero)
        active = negate(arrived(k.residual, weights))
        record_residual(0, k.residual, shared, persistent)
        for iteration in range(max_restarts):
            if any_run(active):
                orthogonalise(b, active, k)
                combine(b, active, k)
                operate(b, k.image, k)
                for i in range(n):
                    k.residual[i] = right[i] - k.image[i]
                record_residual(iteration + 1, k.residual, shared, persistent)
                record_iterate(iteration, b, shared, persistent)
                active = active & negate(arrived(k.residual, weights))
        return negate(active)

    return iterate


def _make_orthogonalise(target: Target, parts: KrylovParts, n: int, precision: FloatPrecision, dim: int) -> CycleFn:
    operate, precondition, dot, ratio, _, _, _ = parts
    fma, splat, sqrt, one = target.fma, target.splat, target.sqrt, precision(1)
    cosines, sines, loads = dim * dim, dim * dim + dim, dim * dim + 2 * dim

    @target.device
    def orthogonalise(b: Vector, active: Mask, k: KrylovMemory) -> None:
        h, size = k.coefficients, sqrt(dot(k.residual, k.residual))
        shrink = ratio(splat(one), size)
        for i in range(n):
            k.basis[i] = shrink * k.residual[i]
        h[loads] = size
        for j in range(dim):
            precondition(k.basis[j * n : (j + 1) * n], k.direction, k)
            operate(k.direction, k.image, k)
            for other in range(j + 1):
                along = dot(k.image, k.basis[other * n : (other + 1) * n])
                h[other * dim + j] = along
                for i in range(n):
                    k.image[i] = fma(-along, k.basis[other * n + i], k.image[i])
            size = sqrt(dot(k.image, k.image))
            shrink = ratio(splat(one), size)
            for i in range(n):
                k.basis[(j + 1) * n + i] = shrink * k.image[i]
            for other in range(j):
                upper, lower = h[other * dim + j], h[(other + 1) * dim + j]
                h[other * dim + j] = fma(h[cosines + other], upper, h[sines + other] * lower)
                h[(other + 1) * dim + j] = fma(h[cosines + other], lower, -h[sines + other] * upper)
            diagonal = h[j * dim + j]
            length = sqrt(fma(diagonal, diagonal, size * size))
            h[j * dim + j] = length
            h[cosines + j] = ratio(diagonal, length)
            h[sines + j] = ratio(size, length)
            h[loads + j + 1] = -h[sines + j] * h[loads + j]
            h[loads + j] = h[cosines + j] * h[loads + j]

    return orthogonalise


def _make_combine(target: Target, parts: KrylovParts, n: int, precision: FloatPrecision, dim: int) -> CycleFn:
    precondition, ratio = parts.precondition, parts.ratio
    fma, splat, select, zero = target.fma, target.splat, target.select, precision(0)
    loads, weights = dim * dim + 2 * dim, dim * dim + 3 * dim + 1

    @target.device
    def combine(b: Vector, active: Mask, k: KrylovMemory) -> None:
        h = k.coefficients
        for i in range(n):
            k.residual[i] = splat(zero)
        for j in range(dim - 1, -1, -1):
            load = h[loads + j]
            for later in range(j + 1, dim):
                load = fma(-h[j * dim + later], h[weights + later], load)
            weight = ratio(load, h[j * dim + j])
            h[weights + j] = weight
            for i in range(n):
                k.residual[i] = fma(weight, k.basis[j * n + i], k.residual[i])
        precondition(k.residual, k.direction, k)
        for i in range(n):
            b[i] = select(active, b[i] + k.direction[i], b[i])

    return combine
