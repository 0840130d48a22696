"""When an iteration has arrived, and when it never will.

Everything is measured in the allowed error (weights make it 1) and in base-2 logarithms: sizes of corrections cost one
rough logarithm an iteration, and no root.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.8, eq. 8.10 and 8.11.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, final

import numpy as np

from cubie._types import FloatPrecision, Mask, Real, StatusBits, Vector
from cubie.status import Status
from cubie.targets.base import Target

SHARE: Final = 0.1
"""With it, Kvaerno's 5(4) method evaluates f 12 to 20 % less often at 1e-6 than with a fiftieth, on HIRES, Robertson's
and van der Pol's problems, for the same steps and errors."""
SHARE_OF_ALL_STAGES: Final = 0.04
"""An iteration for all stages at once may leave less: what it leaves adds up in Radau's error estimate. With a tenth,
steps are shorter by a tenth at loose tolerances."""
LEAST_SPEED: Final = 0.03
"""What is left after an iteration, as a part of its correction, is taken to be at least this of an earlier stage's."""
PART: Final = 2.0**-7
"""To so small a part increments are resolved even where they are smaller than the tolerances allow. Otherwise chance
gives states that decay below them a sign, from which some problems run away: in Robertson's, with rates drawn from four
decades, Radau's method then lost a fifth of the runs at 1e-3, and 6 % at 1e-6; now none, in fewer steps."""
MAX_ITERATIONS: Final = 10
MAX_ITERATIONS_OF_FIXED_STEPS: Final = 50
ROUNDINGS: Final = 8
"""No correction need be smaller than so many times the rounding of its state."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IterationSettings:
    """What shapes the control of an iteration.

    Parameters
    ----------
    n_measured : how many numbers a correction has.
    share : the part of the allowed error that the iteration may leave.
    max_iterations : after so many it has failed.
    gives_up : it fails as soon as that can be foreseen, for a smaller step to be tried.
    """

    n_measured: int
    precision: FloatPrecision
    share: float = SHARE
    max_iterations: int = MAX_ITERATIONS
    gives_up: bool = True

    @property
    def rounding(self) -> float:
        """The part of a state that no correction need fall below."""
        return ROUNDINGS * (2.0**-23 if self.precision is np.float32 else 2.0**-52)

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(
                f"share must be above 0 and at most 1, got {self.share}. Give a part of the allowed error."
            )
        if self.max_iterations < 2:
            raise ValueError(
                f"max_iterations must be at least 2, got {self.max_iterations}. Two show how fast they converge."
            )


class Iteration(NamedTuple):
    """Where every run's iteration stands. `left` counts down; `speed` is what remains of a correction after it."""

    active: Mask
    status: StatusBits
    log_size: Real
    speed: Real
    damping: Real
    left: Real


class BeginFn(Protocol):
    """Begin the iteration of the runs whose status is 0, at the speed of the last one."""

    def __call__(self, status: StatusBits, speed: Real) -> Iteration: ...


class ResolveFn(Protocol):
    """Return how large a correction of an increment may be, whatever the tolerances allow, of a state so large."""

    def __call__(self, increment: Real, state: Real) -> Real: ...


class JudgeFn(Protocol):
    """Judge a correction by its squared size, that of what need not be resolved, and the linear solver's answer."""

    def __call__(self, at: Iteration, squared: Real, resolved: Real, answer: StatusBits) -> Iteration: ...


class EndFn(Protocol):
    """Return the speed that the next iteration begins with."""

    def __call__(self, at: Iteration) -> Real: ...


class Convergence(NamedTuple):
    """The device functions that steer an iteration."""

    begin: BeginFn
    resolve: ResolveFn
    judge: JudgeFn
    end: EndFn


class WeighFn(Protocol):
    """Turn the errors that the tolerances allow into weights: one over what an iteration may leave of each state."""

    def __call__(self, y: Vector, allowed: Vector) -> None: ...


def make_weigh(target: Target, settings: IterationSettings, n_states: int) -> WeighFn:
    """Build the weights of corrections."""
    n, share, least = n_states, settings.precision(settings.share), settings.precision(settings.rounding)
    absolute, maximum, reciprocal = target.absolute, target.maximum, target.rough_reciprocal

    @target.device
    def weigh(y: Vector, allowed: Vector) -> None:
        for i in range(n):
            allowed[i] = reciprocal(maximum(share * allowed[i], least * absolute(y[i])))

    return weigh


def make_convergence(target: Target, settings: IterationSettings) -> Convergence:
    """Build the control of an iteration whose corrections shrink linearly."""
    precision = settings.precision
    zero, one, half, mean = precision(0), precision(1), precision(0.5), precision(1 / settings.n_measured)
    last, unknown, floor = precision(settings.max_iterations - 1), precision(1e4), precision(-64)
    largest, huge = precision(1e37), precision(1e37 if precision is np.float32 else 1e300)
    tiny, least, smallest = precision(1e-6), precision(LEAST_SPEED), precision(1e-37)
    part, rounding = precision(PART), precision(settings.rounding)
    failed, non_finite = np.int32(Status.newton_failed), np.int32(Status.non_finite)
    gives_up = settings.gives_up
    fma, select, splat, negate = target.fma, target.select, target.splat, target.negate
    minimum, maximum, absolute = target.minimum, target.maximum, target.absolute
    log2, exp2, reciprocal = target.rough_log2, target.rough_exp2, target.rough_reciprocal

    @target.device
    def begin(status: StatusBits, speed: Real) -> Iteration:
        return Iteration(status <= 0, status, splat(unknown), speed, splat(one), splat(last))

    @target.device
    def resolve(increment: Real, state: Real) -> Real:
        return maximum(part * absolute(increment), rounding * absolute(state))

    @target.device
    def judge(at: Iteration, squared: Real, resolved: Real, answer: StatusBits) -> Iteration:
        squared = squared * mean
        log_goal = half * log2(minimum(maximum(resolved * mean, smallest), one))
        log_size = maximum(half * log2(minimum(squared, largest)), floor)
        log_theta = log_size - at.log_size
        theta = exp2(minimum(log_theta, one))
        measured = theta * reciprocal(maximum(one - theta, tiny))
        goes_on = at.log_size < unknown
        speed = select(goes_on, measured, at.speed)
        is_finite = squared < huge
        healthy = is_finite & (answer <= 0)
        arrived = at.active & healthy & (speed * exp2(log_size - log_goal) <= one)
        going_on = at.active & healthy & negate(arrived) & (at.left > zero)
        if gives_up:
            in_time = (log_theta >= zero) | (fma(at.left, log_theta, log_size) <= log_goal)
            going_on = going_on & in_time & (log_theta < one)
        lost = at.active & negate(arrived) & negate(going_on)
        diverged = is_finite | (goes_on & (squared >= huge))  # else the model gave what isn't finite
        return Iteration(
            going_on,
            select(lost, select(diverged, select(answer > 0, answer, splat(failed)), splat(non_finite)), at.status),
            log_size,
            select(at.active, speed, at.speed),
            select(log_theta < zero, at.damping, half * at.damping),
            at.left - one,
        )

    @target.device
    def end(at: Iteration) -> Real:
        return select(at.status <= 0, maximum(at.speed, least), one)

    return Convergence(begin, resolve, judge, end)
