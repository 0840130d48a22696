"""Krylov's methods, preconditioned from the right: BiCGSTAB, GMRES with restarts, and minimal residuals.

All runs iterate until the last one has arrived; one that has arrived, or broken down, stays where it is. A quotient by
nothing is nothing, which starts the recurrence anew.

References
----------
van der Vorst (1992), SIAM J. Sci. Stat. Comput. 13(2), 631-644; Saad & Schultz (1986), SIAM J. Sci. Stat. Comput. 7(3),
856-869; Saad (2003), Iterative Methods for Sparse Linear Systems, Sec. 5.3.2, 6.5 and 7.4.2.
"""

from typing import NamedTuple, Protocol

from cubie._types import FloatPrecision, Mask, PersistentBank, Real, SharedBank, Vector
from cubie.cuda_factory import RecordFn
from cubie.integrators.matrix_free_solvers.krylov_memory import IterateFn, KrylovMemory, OperatorFn
from cubie.integrators.matrix_free_solvers.preconditioners import PreconditionFn
from cubie.targets.base import Target
from cubie.targets.unroll import static


class DotFn(Protocol):
    """The inner product of two vectors."""

    def __call__(self, a: Vector, b: Vector) -> Real: ...


class RatioFn(Protocol):
    """The quotient of two numbers; zero where the divisor is."""

    def __call__(self, a: Real, b: Real) -> Real: ...


class ArrivedFn(Protocol):
    """Whether a residual is a small part of the allowed error.

    The error that it leaves in a solution is smaller where the model is stable, and not by much for its slow parts.
    """

    def __call__(self, residual: Vector, weights: Vector) -> Mask: ...


class KrylovParts(NamedTuple):
    """What all methods are made of."""

    operate: OperatorFn
    precondition: PreconditionFn
    dot: DotFn
    ratio: RatioFn
    arrived: ArrivedFn
    record_residual: RecordFn
    record_iterate: RecordFn


def make_measures(
    target: Target, n_states: int, n_parts: int, precision: FloatPrecision, share: float
) -> tuple[DotFn, RatioFn, ArrivedFn]:
    """Build inner products, and the test of arrival: the error left is at most `share` of the allowed one.

    Parameters
    ----------
    n_parts : 2 for vectors of complex numbers, else 1.
    """
    n = n_states * n_parts
    zero, allowed = precision(0), precision(share * share * n)
    fma, splat, select = target.fma, target.splat, target.select

    @target.device
    def dot(a: Vector, b: Vector) -> Real:
        total = splat(zero)
        for i in range(n):
            total = fma(a[i], b[i], total)
        return total

    @target.device
    def ratio(a: Real, b: Real) -> Real:
        is_nothing = (b <= zero) & (b >= zero)
        return select(is_nothing, splat(zero), a / select(is_nothing, splat(precision(1)), b))

    @target.device
    def arrived(residual: Vector, weights: Vector) -> Mask:
        total = splat(zero)
        for first in static(range(0, n, n_states)):
            for i in range(n_states):
                off = weights[i] * residual[first + i]
                total = fma(off, off, total)
        return total <= allowed

    return dot, ratio, arrived


def make_minimal_residual(
    target: Target, parts: KrylovParts, n: int, precision: FloatPrecision, max_iterations: int
) -> IterateFn:
    """Build steps along the preconditioned residual, each as long as leaves the least."""
    operate, precondition, dot, ratio, arrived, record_residual, record_iterate = parts
    fma, splat, select, any_run, negate, zero = (
        target.fma,
        target.splat,
        target.select,
        target.any_run,
        target.negate,
        precision(0),
    )

    @target.device
    def iterate(b: Vector, weights: Vector, k: KrylovMemory, shared: SharedBank, persistent: PersistentBank) -> Mask:
        for i in range(n):
            k.residual[i] = b[i]
            b[i] = splat(zero)
        active = negate(arrived(k.residual, weights))
        record_residual(0, k.residual, shared, persistent)
        for iteration in range(max_iterations):
            if any_run(active):
                precondition(k.residual, k.direction, k)
                operate(k.direction, k.image, k)
                length = ratio(dot(k.image, k.residual), dot(k.image, k.image))
                for i in range(n):
                    b[i] = select(active, fma(length, k.direction[i], b[i]), b[i])
                    k.residual[i] = fma(-length, k.image[i], k.residual[i])
                record_residual(iteration + 1, k.residual, shared, persistent)
                record_iterate(iteration, b, shared, persistent)
                active = active & negate(arrived(k.residual, weights))
        return negate(active)

    return iterate


def make_bicgstab(
    target: Target, parts: KrylovParts, n: int, precision: FloatPrecision, max_iterations: int
) -> IterateFn:
    """Build BiCGSTAB; the basis holds the shadow residual and the search direction."""
    operate, precondition, dot, ratio, arrived, record_residual, record_iterate = parts
    fma, splat, select, any_run, negate = target.fma, target.splat, target.select, target.any_run, target.negate
    zero, one, end = precision(0), precision(1), 2 * n

    @target.device
    def iterate(b: Vector, weights: Vector, k: KrylovMemory, shared: SharedBank, persistent: PersistentBank) -> Mask:
        shadow, search, image = k.basis[0:n], k.basis[n:end], k.basis[end : end + n]
        for i in range(n):
            k.residual[i] = b[i]
            shadow[i] = b[i]
            search[i] = splat(zero)
            image[i] = splat(zero)
            b[i] = splat(zero)
        active = negate(arrived(k.residual, weights))
        rho, alpha, omega = splat(one), splat(one), splat(one)
        record_residual(0, k.residual, shared, persistent)
        for iteration in range(max_iterations):
            if any_run(active):
                rho_next = dot(shadow, k.residual)
                beta = ratio(rho_next, rho) * ratio(alpha, omega)
                rho = rho_next
                for i in range(n):
                    search[i] = fma(beta, fma(-omega, image[i], search[i]), k.residual[i])
                precondition(search, k.direction, k)
                operate(k.direction, image, k)
                alpha = ratio(rho, dot(shadow, image))
                for i in range(n):
                    b[i] = select(active, fma(alpha, k.direction[i], b[i]), b[i])
                    k.residual[i] = fma(-alpha, image[i], k.residual[i])
                precondition(k.residual, k.direction, k)
                operate(k.direction, k.image, k)
                omega = ratio(dot(k.image, k.residual), dot(k.image, k.image))
                for i in range(n):
                    b[i] = select(active, fma(omega, k.direction[i], b[i]), b[i])
                    k.residual[i] = fma(-omega, k.image[i], k.residual[i])
                record_residual(iteration + 1, k.residual, shared, persistent)
                record_iterate(iteration, b, shared, persistent)
                active = active & negate(arrived(k.residual, weights))
        return negate(active)

    return iterate
