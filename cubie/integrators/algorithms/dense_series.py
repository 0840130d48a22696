"""Dense output as a sum over stages, weighted by Chebyshev series in theta.

Monomials of high degree would cost a float32 all its digits; Clenshaw's recurrence does not.

References
----------
Clenshaw (1955), Math. Tables Aids Comput. 9(51), 118-120.
"""

from cubie._types import AllocateFn, FloatPrecision, PersistentBank, Real, SharedBank, Vector
from cubie.integrators.algorithms.base_algorithm_step import InterpolateFn, StageRateFn
from cubie.integrators.algorithms.rounded_tableau import RoundedRow, nonzero
from cubie.targets.base import Target
from cubie.targets.unroll import static


def make_series_interpolant(
    target: Target,
    n_states: int,
    precision: FloatPrecision,
    weights: tuple[RoundedRow, ...],
    stage_rate: StageRateFn,
    allocate_stage_rates: AllocateFn,
) -> InterpolateFn:
    """Build ``y + dt*theta*sum_j w_j(theta)*rate_j``; row j of `weights` has the coefficients of w_j."""
    n, n_stages, top, is_used = n_states, len(weights), len(weights[0]) - 1, tuple(any(row) for row in nonzero(weights))
    zero, one, two, fma, splat = precision(0), precision(1), precision(2), target.fma, target.splat

    @target.device
    def interpolate(
        theta: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        y_next: Vector,
        rate_next: Vector,
        out: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None:
        stage_rates = allocate_stage_rates(shared, persistent)
        x = fma(two, theta, -one)
        doubled = x + x
        for i in range(n):
            out[i] = y[i]
        for j in static(range(n_stages)):
            if is_used[j]:
                before, last = splat(zero), splat(weights[j][top])
                for d in static(range(top - 1, 0, -1)):
                    before, last = last, fma(doubled, last, weights[j][d] - before)
                scaled = dt * theta * fma(x, last, weights[j][0] - before)
                for i in range(n):
                    out[i] = fma(scaled, stage_rate(j, i, rate, stage_rates, rate_next), out[i])

    return interpolate
