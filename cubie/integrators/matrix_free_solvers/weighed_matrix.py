"""What Krylov's methods know of ``M - scale*dt*J`` with a mass matrix M, which may be singular; real and complex.

What is left of an equation is measured by what its own state may be off, so rows are brought to size: those of M are
divided by their largest entry; a constraint, of which M says nothing, by -scale*dt and by its own state's coefficient
in J. Its row is then one of J alone, with 1 on the diagonal, whatever the length of the step.
"""

from cubie._types import Vector
from cubie.integrators.matrix_free_solvers.krylov_matrix import InvertFn, KrylovMatrix, ScaleLoadFn
from cubie.integrators.matrix_free_solvers.krylov_memory import KrylovMemory, OperatorFn
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.mass_rows import MassRows
from cubie.odesystems.derivative_functions import JvpFn
from cubie.targets.base import Target
from cubie.targets.unroll import static


def weighed_matrix(target: Target, settings: KrylovSettings, rows: MassRows, product_of: JvpFn) -> KrylovMatrix:
    """Build the functions of a real matrix."""
    return KrylovMatrix(
        _make_invert(target, settings, rows),
        _make_operate(target, rows, product_of),
        _make_divide(target, rows),
        _make_scale_load(target, rows),
    )


def weighed_pair(target: Target, settings: KrylovSettings, rows: MassRows, product_of: JvpFn) -> KrylovMatrix:
    """Build the functions of a complex matrix."""
    return KrylovMatrix(
        _make_pair_invert(target, settings, rows),
        _make_pair_operate(target, rows, product_of),
        _make_pair_divide(target, rows),
        _make_pair_scale_load(target, rows),
    )


def _make_operate(target: Target, rows: MassRows, product_of: JvpFn) -> OperatorFn:
    is_constraint, scales, _, columns, values = rows
    n, fma = len(scales), target.fma

    @target.device
    def operate(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        product_of(k.point[n], k.point, k.parameters, k.parameters, vector, out)
        for i in static(range(n)):
            if is_constraint[i]:
                out[i] = k.inverse[i] * out[i]
            else:
                total = -(scales[i] * k.point[n + 1]) * out[i]
                for j in static(range(len(columns[i]))):
                    total = fma(values[i][j], vector[columns[i][j]], total)
                out[i] = total

    return operate


def _make_pair_operate(target: Target, rows: MassRows, product_of: JvpFn) -> OperatorFn:
    is_constraint, scales, _, columns, values = rows
    n, end, fma = len(scales), 2 * len(scales), target.fma

    @target.device
    def operate(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        product_of(k.point[n], k.point, k.parameters, k.parameters, vector[0:n], out[0:n])
        product_of(k.point[n], k.point, k.parameters, k.parameters, vector[n:end], out[n:end])
        for i in static(range(n)):
            if is_constraint[i]:
                out[i] = k.inverse[i] * out[i]
                out[n + i] = k.inverse[i] * out[n + i]
            else:
                re_dt, im_dt = scales[i] * k.point[n + 1], scales[i] * k.point[n + 2]
                real, imaginary = fma(im_dt, out[n + i], -re_dt * out[i]), fma(-im_dt, out[i], -re_dt * out[n + i])
                for j in static(range(len(columns[i]))):
                    real = fma(values[i][j], vector[columns[i][j]], real)
                    imaginary = fma(values[i][j], vector[n + columns[i][j]], imaginary)
                out[i], out[n + i] = real, imaginary

    return operate


def _make_divide(target: Target, rows: MassRows) -> OperatorFn:
    n, is_constraint = len(rows.scales), rows.is_constraint

    @target.device
    def divide(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        for i in static(range(n)):
            out[i] = vector[i] if is_constraint[i] else k.inverse[i] * vector[i]

    return divide


def _make_pair_divide(target: Target, rows: MassRows) -> OperatorFn:
    n, is_constraint, fma = len(rows.scales), rows.is_constraint, target.fma

    @target.device
    def divide(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        for i in static(range(n)):
            if is_constraint[i]:
                out[i], out[n + i] = vector[i], vector[n + i]
            else:
                re, im, real, imaginary = k.inverse[i], k.inverse[n + i], vector[i], vector[n + i]
                out[i], out[n + i] = fma(re, real, -im * imaginary), fma(re, imaginary, im * real)

    return divide


def _make_scale_load(target: Target, rows: MassRows) -> ScaleLoadFn:
    n, is_constraint, scales = len(rows.scales), rows.is_constraint, rows.scales

    @target.device
    def scale_load(b: Vector, k: KrylovMemory) -> None:
        for i in static(range(n)):
            b[i] = -k.inverse[i] * b[i] / k.point[n + 1] if is_constraint[i] else scales[i] * b[i]

    return scale_load


def _make_pair_scale_load(target: Target, rows: MassRows) -> ScaleLoadFn:
    n, is_constraint, scales, fma = len(rows.scales), rows.is_constraint, rows.scales, target.fma

    @target.device
    def scale_load(b: Vector, k: KrylovMemory) -> None:
        re_dt, im_dt = k.point[n + 1], k.point[n + 2]
        square = fma(re_dt, re_dt, im_dt * im_dt)
        for i in static(range(n)):
            if is_constraint[i]:
                real, imaginary, factor = b[i], b[n + i], -k.inverse[i] / square
                b[i] = factor * fma(re_dt, real, im_dt * imaginary)
                b[n + i] = factor * fma(re_dt, imaginary, -im_dt * real)
            else:
                b[i], b[n + i] = scales[i] * b[i], scales[i] * b[n + i]

    return scale_load


def _make_invert(target: Target, settings: KrylovSettings, rows: MassRows) -> InvertFn:
    is_constraint, scales, diagonal, _, _ = rows
    n, precision, is_scaled = len(scales), settings.precision, settings.is_scaled
    one, smallest, nothing = precision(1), precision(settings.least_pivot), precision(settings.least_coefficient)
    fma, select, splat, absolute = target.fma, target.select, target.splat, target.absolute

    @target.device
    def invert(k: KrylovMemory) -> None:
        for i in static(range(n)):
            if is_constraint[i]:
                k.inverse[i] = one / select(absolute(k.inverse[i]) < nothing, splat(one), k.inverse[i])
            elif is_scaled:
                pivot = fma(-(scales[i] * k.point[n + 1]), k.inverse[i], diagonal[i])
                k.inverse[i] = one / select(absolute(pivot) < smallest, splat(one), pivot)
            else:
                k.inverse[i] = splat(one)

    return invert


def _make_pair_invert(target: Target, settings: KrylovSettings, rows: MassRows) -> InvertFn:
    is_constraint, scales, diagonal, _, _ = rows
    n, precision, is_scaled = len(scales), settings.precision, settings.is_scaled
    zero, one, smallest = precision(0), precision(1), precision(settings.least_pivot**2)
    nothing = precision(settings.least_coefficient)
    fma, select, splat, absolute = target.fma, target.select, target.splat, target.absolute

    @target.device
    def invert(k: KrylovMemory) -> None:
        for i in static(range(n)):
            if is_constraint[i]:
                k.inverse[i] = one / select(absolute(k.inverse[i]) < nothing, splat(one), k.inverse[i])
            elif is_scaled:
                re_dt, im_dt = scales[i] * k.point[n + 1], scales[i] * k.point[n + 2]
                re, im = fma(-re_dt, k.inverse[i], diagonal[i]), -im_dt * k.inverse[i]
                square = fma(re, re, im * im)
                is_nothing = square < smallest
                per_square = one / select(is_nothing, splat(one), square)
                k.inverse[i] = select(is_nothing, splat(one), re * per_square)
                k.inverse[n + i] = select(is_nothing, splat(zero), -im * per_square)
            else:
                k.inverse[i], k.inverse[n + i] = splat(one), splat(zero)

    return invert
