"""The equations of a fully implicit method's stages: where the iteration for w starts, and what is missing.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.8, eq. 8.5 and 8.9.
"""

from typing import NamedTuple, Protocol

from cubie._types import FloatPrecision, RateFn, Real, Scalar, Vector
from cubie.integrators.algorithms.firk_weights import FirkWeights
from cubie.integrators.algorithms.rounded_tableau import nonzero
from cubie.integrators.matrix_free_solvers.mass_product import WeighFn as MultiplyFn
from cubie.integrators.matrix_free_solvers.stage_systems import StageSystemsSettings
from cubie.targets.base import Target
from cubie.targets.unroll import expression, nothing, static


class Work(NamedTuple):
    """The working arrays of a step: `w` stage by stage, and as many corrections, which begin as the stages' rates."""

    w: Vector
    corrections: Vector
    column: Vector
    prediction: Vector
    history: Vector


class PredictFn(Protocol):
    """Turn the w of the last attempt into a guess of this one's."""

    def __call__(self, t: Real, dt: Real, work: Work) -> None: ...


class LoadFn(Protocol):
    """Write what is missing in the stages' equations to the corrections; `state` is scratch."""

    def __call__(
        self, t: Real, dt: Real, y: Vector, parameters: Vector, drivers: Vector, state: Vector, work: Work
    ) -> None: ...


def make_predict(target: Target, weights: FirkWeights, n_states: int, precision: FloatPrecision) -> PredictFn:
    """Build the guess: the last attempt's collocation polynomial, continued or, if that was no success, replayed."""
    n, s, zero, half, one = n_states, len(weights.c), precision(0), precision(0.5), precision(1)
    c, polynomials, inverse = weights.c, weights.polynomials, weights.stages_inverse
    fma, select, splat, absolute = target.fma, target.select, target.splat, target.absolute

    @target.device
    def predict(t: Real, dt: Real, work: Work) -> None:
        history, ratio = work.history, dt / work.history[2]
        begin = select(absolute(t - history[1]) > half * absolute(history[2]), splat(one), splat(zero))
        for m in static(range(s)):
            start = polynomials[m][s - 1] * begin
            for d in static(range(s - 2, -1, -1)):
                start = fma(start, begin, polynomials[m][d] * begin)
            for i in static(range(s)):
                theta = fma(c[i], ratio, begin)
                value = polynomials[m][s - 1] * theta
                for d in static(range(s - 2, -1, -1)):
                    value = fma(value, theta, polynomials[m][d] * theta)
                work.prediction[i * s + m] = value - start
        for k in range(n):
            for i in static(range(s)):
                increment = work.prediction[i * s] * work.w[k]
                for m in static(range(1, s)):
                    increment = fma(work.prediction[i * s + m], work.w[m * n + k], increment)
                work.column[i] = increment
            for m in static(range(s)):
                guess = inverse[m][0] * work.column[0]
                for i in static(range(1, s)):
                    guess = fma(inverse[m][i], work.column[i], guess)
                work.w[m * n + k] = guess
        history[1], history[2] = t, dt

    return predict


def make_load(
    target: Target, weights: FirkWeights, systems: StageSystemsSettings, rate_of: RateFn, mass: MultiplyFn | None
) -> LoadFn:
    """Build the stages' equations in w, multiplied by dt times the inverse of the block matrix."""
    n, s, n_real = systems.system.n_states, len(weights.c), systems.n_real
    c, stages, inverse, uses = weights.c, weights.stages, weights.stages_inverse, nonzero(weights.stages)
    scales, pair_scales, n_pairs, fma = systems.scales, systems.pair_scales, len(systems.pair_scales), target.fma
    multiply, has_mass, zero = mass or nothing, mass is not None, systems.precision(0)

    @expression
    def held(w: Vector, i: int) -> Real | Scalar:
        return zero if has_mass else -w[i]

    @target.device
    def load(t: Real, dt: Real, y: Vector, parameters: Vector, drivers: Vector, state: Vector, work: Work) -> None:
        w, missing, column = work.w, work.corrections, work.column
        for i in static(range(s)):
            for k in range(n):
                argument = y[k]
                for m in static(range(s)):
                    if uses[i][m]:
                        argument = fma(stages[i][m], w[m * n + k], argument)
                state[k] = argument
            rate_of(fma(c[i], dt, t), state, parameters, drivers, missing[i * n : (i + 1) * n])
        for k in range(n):
            for m in static(range(s)):
                total = inverse[m][0] * missing[k]
                for i in static(range(1, s)):
                    total = fma(inverse[m][i], missing[i * n + k], total)
                column[m] = dt * total
            for m in static(range(n_real)):
                missing[m * n + k] = fma(scales[m], column[m], held(w, m * n + k))
            for p in static(range(n_pairs)):
                re, im = column[n_real + 2 * p], column[n_real + 2 * p + 1]
                real = fma(-pair_scales[p][1], im, held(w, (n_real + 2 * p) * n + k))
                imaginary = fma(pair_scales[p][1], re, held(w, (n_real + 2 * p + 1) * n + k))
                missing[(n_real + 2 * p) * n + k] = fma(pair_scales[p][0], re, real)
                missing[(n_real + 2 * p + 1) * n + k] = fma(pair_scales[p][0], im, imaginary)
        if has_mass:
            for m in static(range(s)):
                for k in range(n):
                    state[k] = w[m * n + k]
                multiply(state)
                for k in range(n):
                    missing[m * n + k] = missing[m * n + k] - state[k]

    return load
