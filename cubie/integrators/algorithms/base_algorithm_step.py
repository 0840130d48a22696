"""What every integration method offers to the loop: one step, and the state between its ends."""

from typing import NamedTuple, Protocol

from cubie._types import Mask, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.cuda_factory import CUDAFactory, SettingsT
from cubie.targets.base import Target


class StepFn(Protocol):
    """Attempt one step of `dt` from (t, y), where `rate` = f(t, y).

    It writes `y_next`, `rate_next` = f(t + dt, y_next) and the `error` vectors (each of length n_states, one after the
    other), and answers 0 or the status that makes the step a failure. `y` and `rate` stay as they are, so that a
    rejected step can be tried again.

    A method that weighs errors itself, as iterations do, finds in ``error[:n_states]`` what the tolerances allow.
    """

    def __call__(
        self,
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        y_next: Vector,
        rate_next: Vector,
        error: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


class PrepareDenseFn(Protocol):
    """Compute what `InterpolateFn` needs beyond the step's own stages; called once for a step in which something is
    due.
    """

    def __call__(
        self,
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        y_next: Vector,
        rate_next: Vector,
        out: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None: ...


class InterpolateFn(Protocol):
    """Write the state at ``t + theta*dt``, theta in [0, 1], of the step just made to `out`."""

    def __call__(
        self,
        theta: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        y_next: Vector,
        rate_next: Vector,
        out: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None: ...


class StageRateFn(Protocol):
    """Component `i` of the rate of stage `stage`, wherever it stands; `stage` is known at build time."""

    def __call__(self, stage: int, i: int, rate: Vector, stage_rates: Vector, rate_next: Vector) -> Real: ...


class ResetStepFn(Protocol):
    """Forget the last step of the runs of the mask, which start anew."""

    def __call__(self, mask: Mask, shared: SharedBank, persistent: PersistentBank) -> None: ...


class StartFn(Protocol):
    """Correct the initial values of the runs of the mask so that a step can begin; answer 0, or why it can't."""

    def __call__(
        self,
        mask: Mask,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


class SlopeFn(Protocol):
    """Overwrite `rate`, which is f(t, y), by dy/dt, of which f is the product with M."""

    def __call__(
        self,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        rate: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None: ...


class ProjectFn(Protocol):
    """Bring the state at the end of a step back to the constraints, and its error to what such states can be off.

    It answers `status`, or why a run whose status is 0 failed.
    """

    def __call__(
        self,
        status: StatusBits,
        t: Real,
        y: Vector,
        error: Vector,
        parameters: Vector,
        drivers: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


class DenseCheckFn(Protocol):
    """Raise `error` of the runs of the mask to what dense output is off inside the step just made, where that is more.

    `prepare_dense` has been called; `state`, `slope` and `defect` are scratch.
    """

    def __call__(
        self,
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
    ) -> None: ...


class SettleFn(Protocol):
    """Take out of `error`, for the runs of the mask, what the step just made has damped and its estimate hasn't."""

    def __call__(self, mask: Mask, error: Vector, shared: SharedBank, persistent: PersistentBank) -> None: ...


class StepFunctions(NamedTuple):
    """The device functions of one method.

    Parameters
    ----------
    reset : for those that remember something from step to step.
    check_dense : for those whose steps can be too long for their dense output.
    start : for systems some of whose states follow from the others.
    slope : for methods that step from dy/dt, where that isn't f: their `rate` and `rate_next` are dy/dt.
    settle : for those whose estimate of a stiff component doesn't shrink with the step.
    """

    step: StepFn
    prepare_dense: PrepareDenseFn
    interpolate: InterpolateFn
    reset: ResetStepFn | None = None
    check_dense: DenseCheckFn | None = None
    start: StartFn | None = None
    slope: SlopeFn | None = None
    settle: SettleFn | None = None


class StepFactory(Protocol):
    """What the loop knows of a method's factory."""

    @property
    def target(self) -> Target: ...
    @property
    def device_function(self) -> StepFunctions: ...
    @property
    def shape(self) -> str: ...


class AlgorithmStep(CUDAFactory[SettingsT, StepFunctions]):
    """A factory of the device functions of one integration method."""
