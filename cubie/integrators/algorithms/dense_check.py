r"""How far off dense output is inside a step, for methods whose steps can be much longer than their interpolants bear.

The interpolant u misses the differential equation by the defect ``f(t, u) - M @ u'``. Where the problem is not stiff
its error is about ``theta*dt`` times that; along stiff directions it is the defect by ``-J``. The filter
``inv(M - gamma*dt*J) @ (gamma*dt*defect)`` is of the size of both. It is taken at one theta, where neither the error
nor the defect of a cubic interpolant vanishes.

References
----------
Enright (1986), ACM Trans. Math. Softw. 12(3), 275-307 (the defect); Shampine & Baca (1984), BIT 24, 462-479 (the
filter).
"""

from typing import Final, NamedTuple, Protocol

from cubie._types import FloatPrecision, Mask, PersistentBank, RateFn, Real, SharedBank, Vector
from cubie.integrators.algorithms.base_algorithm_step import DenseCheckFn, InterpolateFn
from cubie.integrators.matrix_free_solvers.mass_product import WeighFn
from cubie.targets.base import Target
from cubie.targets.unroll import nothing, static

THETA: Final = 0.3
REACH: Final = 0.125
"""Half the width of the stencil by which a polynomial's slope is taken, exactly up to degree 4."""
STENCIL: Final = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


class FilterFn(Protocol):
    """Overwrite `x` by ``inv(M - gamma*dt*J) @ x``, of the step just made; the pools are the step's."""

    def __call__(self, x: Vector, shared: SharedBank, persistent: PersistentBank) -> None: ...


class DenseParts(NamedTuple):
    """What the check of one method is made of; `weigh` is None where M is the identity."""

    rate_of: RateFn
    interpolate: InterpolateFn
    filter: FilterFn
    weigh: WeighFn | None


def make_dense_check(
    target: Target, n_states: int, precision: FloatPrecision, gamma: float, parts: DenseParts
) -> DenseCheckFn:
    """Build the check of a method whose filter has `gamma` on its diagonal."""
    n, theta, scale = n_states, precision(THETA), precision(gamma)
    points = tuple(precision(THETA + REACH * k) for k, _ in STENCIL)
    weights, n_points = tuple(precision(-weight / REACH) for _, weight in STENCIL), len(STENCIL)
    rate_of, interpolate, filtered, weighed = parts
    weigh = weighed or nothing
    fma, select, splat, absolute, zero = target.fma, target.select, target.splat, target.absolute, precision(0)

    @target.device
    def check_dense(
        mask: Mask,
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        y_next: Vector,
        rate_next: Vector,
        error: Vector,
        state: Vector,
        slope: Vector,
        defect: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None:
        for i in range(n):
            slope[i] = splat(zero)
        for p in static(range(n_points)):
            interpolate(splat(points[p]), dt, y, rate, y_next, rate_next, state, shared, persistent)
            for i in range(n):
                slope[i] = fma(weights[p], state[i], slope[i])
        weigh(slope)
        interpolate(splat(theta), dt, y, rate, y_next, rate_next, state, shared, persistent)
        rate_of(fma(theta, dt, t), state, parameters, drivers, defect)
        for i in range(n):
            defect[i] = scale * fma(dt, defect[i], slope[i])
        filtered(defect, shared, persistent)
        for i in range(n):
            is_larger = mask & (absolute(defect[i]) > absolute(error[i]))
            error[i] = select(is_larger, defect[i], error[i])

    return check_dense
