"""The size of an error relative to the tolerances, in the root mean square norm, squared.

References
----------
Hairer, Norsett & Wanner (1993), Solving ODEs I, eq. II.4.11; Sec. II.10 for the two-fold estimate.
"""

from typing import NamedTuple, Protocol

from cubie._types import Real, Vector
from cubie.integrators.algorithms.butcher_tableau import SECOND_ERROR_SHARE
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.targets.base import Target


class ScaleFn(Protocol):
    """The error that the tolerances allow state `i` of the given magnitude."""

    def __call__(self, i: int, magnitude: Real, arguments: LoopArguments) -> Real: ...


class ErrorNormFn(Protocol):
    """The square of the norm of a step's error; 1 is just acceptable, NaN says that something is not finite."""

    def __call__(self, y: Vector, y_next: Vector, error: Vector, arguments: LoopArguments) -> Real: ...


class FiniteFn(Protocol):
    """Zero for the runs all of whose numbers are finite, NaN for the others."""

    def __call__(self, vector: Vector) -> Real: ...


class AllowFn(Protocol):
    """Write to `out` the error that the tolerances allow each state of `y`; nothing if the method doesn't ask."""

    def __call__(self, y: Vector, out: Vector, arguments: LoopArguments) -> None: ...


class Norms(NamedTuple):
    """The device functions that measure vectors."""

    scale: ScaleFn
    allow: AllowFn
    error_squared: ErrorNormFn
    finite: FiniteFn


def make_norms(target: Target, settings: LoopSettings) -> Norms:
    """Build the norms of one loop."""
    n, precision, scalar = settings.n_states, settings.precision, settings.scalar_tolerances
    is_twofold, n_allowed = settings.n_errors == 2, n * settings.weighs_errors
    zero, mean, share = precision(0), precision(1 / n), precision(SECOND_ERROR_SHARE)
    reciprocal = target.rough_reciprocal
    fma, splat, select, absolute = target.fma, target.splat, target.select, target.absolute
    larger_magnitude = target.larger_magnitude(precision)

    @target.device
    def scale(i: int, magnitude: Real, arguments: LoopArguments) -> Real:
        if scalar:
            return fma(arguments.rtol, magnitude, arguments.atol)
        return fma(arguments.tolerances[i], magnitude, arguments.tolerances[n + i])

    @target.device
    def allow(y: Vector, out: Vector, arguments: LoopArguments) -> None:
        for i in range(n_allowed):
            out[i] = scale(i, absolute(y[i]), arguments)

    @target.device
    def sum_of_squares(first: int, y: Vector, y_next: Vector, error: Vector, arguments: LoopArguments) -> Real:
        total = splat(zero)
        for i in range(n):
            allowed = scale(i, larger_magnitude(y[i], y_next[i]), arguments)
            ratio = error[first + i] * reciprocal(allowed)
            total = fma(ratio, ratio, total)
        return total

    @target.device
    def error_squared(y: Vector, y_next: Vector, error: Vector, arguments: LoopArguments) -> Real:
        total = sum_of_squares(0, y, y_next, error, arguments)
        if is_twofold:
            both = fma(share, sum_of_squares(n, y, y_next, error, arguments), total)
            total = select(total <= zero, total, total * total / both)
        return total * mean

    @target.device
    def finite(vector: Vector) -> Real:
        total = splat(zero)
        for i in range(n):
            total = fma(vector[i], zero, total)
        return total

    return Norms(scale, allow, error_squared, finite)
