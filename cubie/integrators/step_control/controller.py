"""One controller body for every gain law, in base-2 logarithms: one `log2` and one `exp2` a step, whatever the law
remembers.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypedDict, final

from typing_extensions import Unpack, override

from cubie._types import FloatPrecision, Mask, PersistentBank, Real, Scalar, SharedBank
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, buffer
from cubie.integrators.step_control.gain_laws import GainLaw
from cubie.targets.base import Target
from cubie.targets.unroll import static

LEAST_REMEMBERED_ERROR: Final = 1e-4
"""Errors are remembered as at least this, as in Hairer's codes: those of tiny first steps are rounding noise."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """What shapes a controller's device code; `error_order` is the p of an error that shrinks as ``dt**(p + 1)``."""

    law: GainLaw
    error_order: int
    precision: FloatPrecision

    @property
    def n_history(self) -> int:
        """Remembered numbers: the cap on the next gain, then past errors, then past gains, latest first."""
        return 1 + self.law.n_past_errors + self.law.n_past_gains


class ControllerChanges(TypedDict, total=False):
    """Settings of a controller that can be changed."""

    law: GainLaw
    error_order: int
    precision: FloatPrecision


class ResetFn(Protocol):
    """Forget the history of the runs of the mask."""

    def __call__(self, mask: Mask, shared: SharedBank, persistent: PersistentBank) -> None: ...


class GainFn(Protocol):
    """Answer the ratio of the next step to this one, from the square of this step's error norm."""

    def __call__(self, error_squared: Real, accepted: Mask, shared: SharedBank, persistent: PersistentBank) -> Real: ...


class RetriesFn(Protocol):
    """Tell which runs' last attempt was rejected."""

    def __call__(self, shared: SharedBank, persistent: PersistentBank) -> Mask: ...


class ControlFunctions(NamedTuple):
    """The device functions of one controller, and the square of the error that it steers for."""

    reset: ResetFn
    gain: GainFn
    retries: RetriesFn
    aim: Scalar


@final
class StepController(CUDAFactory[ControllerSettings, ControlFunctions]):
    """Chooses the next step from the errors of the last ones."""

    def __init__(self, settings: ControllerSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)

    def update(self, **changes: Unpack[ControllerChanges]) -> None:
        """Replace some settings."""
        self._update(changes)

    @staticmethod
    @override
    def buffers(settings: ControllerSettings) -> tuple[BufferEntry, ...]:
        """What the law remembers of accepted steps."""
        return (buffer("history", settings.n_history, settings.precision, persistent=True),)

    @override
    def build(self) -> ControlFunctions:
        aim = self.settings.law.safety ** (2 * self.settings.error_order + 2)
        return ControlFunctions(self._reset(), self._gain(), self._retries(), self.settings.precision(aim))

    def _reset(self) -> ResetFn:
        n_history, zero = self.settings.n_history, self.settings.precision(0)
        log_max = self.target.rough_precision(self.settings.precision)(math.log2(self.settings.law.max_gain))
        allocate_history, select = self.allocator("history"), self.target.select
        remember = self.target.remember(self.settings.precision)

        @self.target.device
        def reset(mask: Mask, shared: SharedBank, persistent: PersistentBank) -> None:
            history = allocate_history(shared, persistent)
            history[0] = select(mask, remember(log_max), history[0])
            for i in static(range(1, n_history)):
                history[i] = select(mask, zero, history[i])

        return reset

    def _retries(self) -> RetriesFn:
        zero = self.target.rough_precision(self.settings.precision)(0)
        allocate_history, recall = self.allocator("history"), self.target.recall(self.settings.precision)

        @self.target.device
        def retries(shared: SharedBank, persistent: PersistentBank) -> Mask:
            return recall(allocate_history(shared, persistent)[0]) <= zero

        return retries

    def _gain(self) -> GainFn:
        law, precision = self.settings.law, self.target.rough_precision(self.settings.precision)
        power = self.settings.error_order + 1
        beta = tuple(precision(-0.5 * weight / power) for weight in law.beta)
        alpha = tuple(precision(-weight) for weight in law.alpha)
        plain = precision(-0.5 / power)
        n_errors, n_gains, is_bounded = law.n_past_errors, law.n_past_gains, law.is_bounded
        log_safety, log_min, log_max = (precision(math.log2(x)) for x in (law.safety, law.min_gain, law.max_gain))
        set_point = precision(math.log2(law.safety) * sum(law.beta))
        zero, floor, huge = precision(0), precision(-128), precision(1e30)
        remembered_floor = precision(2 * math.log2(LEAST_REMEMBERED_ERROR))
        allocate_history = self.allocator("history")
        remember, recall = self.target.remember(self.settings.precision), self.target.recall(self.settings.precision)
        rough, exact = self.target.to_rough(self.settings.precision), self.target.from_rough(self.settings.precision)
        fma, select = self.target.fma, self.target.select
        log2, exp2 = self.target.rough_log2, self.target.rough_exp2
        minimum, maximum = self.target.minimum, self.target.maximum

        @self.target.device
        def gain(error_squared: Real, accepted: Mask, shared: SharedBank, persistent: PersistentBank) -> Real:
            history = allocate_history(shared, persistent)
            error = rough(error_squared)
            log_error = maximum(log2(error), floor)  # of the squared error, as are those remembered
            steered = fma(beta[0], log_error, set_point)
            for i in static(range(n_errors)):
                steered = fma(beta[i + 1], recall(history[1 + i]), steered)
            for i in static(range(n_gains)):
                steered = fma(alpha[i], recall(history[1 + n_errors + i]), steered)
            elementary = fma(plain, log_error, log_safety)
            if is_bounded:
                steered = minimum(steered, elementary)
            log_gain = select(accepted, minimum(steered, recall(history[0])), minimum(elementary, zero))
            log_gain = select(error < huge, maximum(log_gain, log_min), log_min)
            for i in static(range(n_errors - 1, 0, -1)):
                history[1 + i] = select(accepted, history[i], history[1 + i])
            if n_errors > 0:
                history[1] = select(accepted, remember(maximum(log_error, remembered_floor)), history[1])
            for i in static(range(n_gains - 1, 0, -1)):
                history[1 + n_errors + i] = select(accepted, history[n_errors + i], history[1 + n_errors + i])
            if n_gains > 0:
                history[1 + n_errors] = select(accepted, remember(log_gain), history[1 + n_errors])
            history[0] = remember(select(accepted, log_max, zero))
            return exact(exp2(log_gain))

        return gain
