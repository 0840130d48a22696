"""What Krylov's methods know of ``I - scale*dt*J``: its product with a vector, and its diagonal; real and complex.

A complex vector is one of twice as many real numbers, all real parts before the imaginary ones, and so is the system:
``Re(A*x) = x - re*J*x + im*J*z`` and ``Im(A*x) = z - re*J*z - im*J*x`` for ``x + i*z`` and the scale ``re + i*im``.
"""

from typing import NamedTuple, Protocol

from cubie._types import FloatPrecision, Vector
from cubie.integrators.matrix_free_solvers.krylov_memory import KrylovMemory, OperatorFn
from cubie.odesystems.derivative_functions import JvpFn
from cubie.targets.base import Target
from cubie.targets.unroll import nothing


class InvertFn(Protocol):
    """Turn the diagonal of J in `k.inverse` into one over that of the matrix; what is nearly nothing counts as 1."""

    def __call__(self, k: KrylovMemory) -> None: ...


class ScaleLoadFn(Protocol):
    """Do to a right side what has been done to the rows of the matrix."""

    def __call__(self, b: Vector, k: KrylovMemory) -> None: ...


class KrylovMatrix(NamedTuple):
    """The device functions of one matrix; `scale_load` does nothing where its rows are left as they are."""

    invert: InvertFn
    operate: OperatorFn
    divide: OperatorFn
    scale_load: ScaleLoadFn = nothing


def plain_matrix(target: Target, n: int, precision: FloatPrecision, least: float, product_of: JvpFn) -> KrylovMatrix:
    """Build the functions of a real matrix."""
    return KrylovMatrix(
        make_invert(target, n, precision, least), make_operate(target, n, product_of), make_divide(target, n)
    )


def plain_pair(target: Target, n: int, precision: FloatPrecision, least: float, product_of: JvpFn) -> KrylovMatrix:
    """Build the functions of a complex matrix."""
    return KrylovMatrix(
        make_pair_invert(target, n, precision, least),
        make_pair_operate(target, n, product_of),
        make_pair_divide(target, n),
    )


def make_operate(target: Target, n: int, product_of: JvpFn) -> OperatorFn:
    """Build the real product."""
    fma = target.fma

    @target.device
    def operate(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        product_of(k.point[n], k.point, k.parameters, k.parameters, vector, out)
        for i in range(n):
            out[i] = fma(-k.point[n + 1], out[i], vector[i])

    return operate


def make_pair_operate(target: Target, n: int, product_of: JvpFn) -> OperatorFn:
    """Build the complex product."""
    fma, end = target.fma, 2 * n

    @target.device
    def operate(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        product_of(k.point[n], k.point, k.parameters, k.parameters, vector[0:n], out[0:n])
        product_of(k.point[n], k.point, k.parameters, k.parameters, vector[n:end], out[n:end])
        re_dt, im_dt = k.point[n + 1], k.point[n + 2]
        for i in range(n):
            real, imaginary = out[i], out[n + i]
            out[i] = fma(im_dt, imaginary, fma(-re_dt, real, vector[i]))
            out[n + i] = fma(-im_dt, real, fma(-re_dt, imaginary, vector[n + i]))

    return operate


def make_divide(target: Target, n: int) -> OperatorFn:
    """Build the division by the diagonal, which may be in place."""

    @target.device
    def divide(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        for i in range(n):
            out[i] = k.inverse[i] * vector[i]

    return divide


def make_pair_divide(target: Target, n: int) -> OperatorFn:
    """Build the division by the complex diagonal, which may be in place."""
    fma = target.fma

    @target.device
    def divide(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        for i in range(n):
            re, im, real, imaginary = k.inverse[i], k.inverse[n + i], vector[i], vector[n + i]
            out[i] = fma(re, real, -im * imaginary)
            out[n + i] = fma(re, imaginary, im * real)

    return divide


def make_invert(target: Target, n: int, precision: FloatPrecision, least: float) -> InvertFn:
    """Build the inverse of the real diagonal."""
    one, smallest = precision(1), precision(least)
    fma, select, splat, absolute = target.fma, target.select, target.splat, target.absolute

    @target.device
    def invert(k: KrylovMemory) -> None:
        for i in range(n):
            pivot = fma(-k.point[n + 1], k.inverse[i], one)
            k.inverse[i] = one / select(absolute(pivot) < smallest, splat(one), pivot)

    return invert


def make_pair_invert(target: Target, n: int, precision: FloatPrecision, least: float) -> InvertFn:
    """Build the inverse of the complex diagonal."""
    one, zero, smallest = precision(1), precision(0), precision(least * least)
    fma, select, splat = target.fma, target.select, target.splat

    @target.device
    def invert(k: KrylovMemory) -> None:
        for i in range(n):
            re, im = fma(-k.point[n + 1], k.inverse[i], one), -k.point[n + 2] * k.inverse[i]
            square = fma(re, re, im * im)
            is_nothing = square < smallest
            per_square = one / select(is_nothing, splat(one), square)
            k.inverse[i] = select(is_nothing, splat(one), re * per_square)
            k.inverse[n + i] = select(is_nothing, splat(zero), -im * per_square)

    return invert
