"""``method="auto"``: an explicit method or a stiff one for the whole batch, and another try for unfinished runs.

A few runs are tried first. If the explicit method finishes each within `TRIAL_STEPS` steps, it takes the batch. If not,
the stiff method tries the same runs, and the one that needs less work for the whole span takes the batch, a stiff step
counted as `STIFF_STEP_COST` explicit ones. Runs that the explicit method then gives up, for want of steps or because
they got too small, are integrated again by the stiff one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from cubie.batchsolving.batch_solver_kernel import BatchResult
from cubie.batchsolving.schedule import Schedule
from cubie.batchsolving.sweep import Inputs
from cubie.status import Status

EXPLICIT_METHOD: Final = "tsit5"
STIFF_METHOD: Final = "radau-iia-5"
"""It keeps closest to the tolerances on every problem with trusted answers; `rodas5p` is faster where both do."""
N_TRIALS: Final = 8
"""Runs that are tried, evenly spread over the batch."""
TRIAL_STEPS: Final = 1000
STIFF_STEP_COST: Final = 4
"""Time of a step of `STIFF_METHOD` by that of `EXPLICIT_METHOD`: on a CPU 2.7 to 6.2 for 2 to 20 states."""
UNFINISHED: Final = (Status.max_steps, Status.step_too_small)

NOBODY: Final = np.zeros(0, dtype=np.int64)


Tell: TypeAlias = Callable[[int], None] | None


class Integrate(Protocol):
    """Integrate runs by one of the two methods, with at most so many steps each; `tell` hears of progress."""

    def __call__(self, inputs: Inputs, /, *, stiffly: bool, max_steps: int, tell: Tell = None) -> BatchResult: ...


class Integration(NamedTuple):
    """What became of a batch, by which of the two methods, and for which runs the other one got farther, or not."""

    result: BatchResult
    stiffly: bool
    retried: npt.NDArray[np.int64] = NOBODY
    in_vain: npt.NDArray[np.int64] = NOBODY

    @property
    def n_retries(self) -> int:
        """How many runs were integrated again."""
        return self.retried.size + self.in_vain.size


def integrate_as_suits(
    integrate: Integrate, inputs: Inputs, schedule: Schedule, max_steps: int, tell: Tell
) -> Integration:
    """Integrate by the method that suits the batch, and what an explicit one can't finish, stiffly."""
    stiffly = is_stiff_batch(integrate, inputs, schedule, max_steps)
    result = integrate(inputs, stiffly=stiffly, max_steps=max_steps, tell=tell)
    if stiffly:
        return Integration(result, stiffly)
    return retry(integrate, inputs, schedule, max_steps, result)


def is_stiff_batch(integrate: Integrate, inputs: Inputs, schedule: Schedule, max_steps: int) -> bool:
    """Try some runs; tell whether the stiff method should take the batch."""
    sample = inputs.subset(np.unique(np.linspace(0, inputs.n_runs - 1, N_TRIALS).round().astype(np.int64)))
    most = min(TRIAL_STEPS, max_steps)
    explicit = integrate(sample, stiffly=False, max_steps=most)
    if not np.isin(explicit.counts[0], UNFINISHED).any():
        return False
    stiff = integrate(sample, stiffly=True, max_steps=most)
    return work(explicit, schedule) > STIFF_STEP_COST * work(stiff, schedule)


def work(result: BatchResult, schedule: Schedule) -> float:
    """Return the steps that all runs would need for the whole span, if they went on as they did."""
    done = np.abs(result.t_final - schedule.t0) / abs(schedule.t_end - schedule.t0)
    return float((result.counts[1] / np.maximum(done, np.finfo(np.float64).tiny)).sum())


def retry(integrate: Integrate, inputs: Inputs, schedule: Schedule, max_steps: int, result: BatchResult) -> Integration:
    """Integrate stiffly what was not finished, and keep of each run the attempt that got farther."""
    unfinished = np.flatnonzero(np.isin(result.counts[0], UNFINISHED))
    if unfinished.size == 0:
        return Integration(result, False)
    again = integrate(inputs.subset(unfinished), stiffly=True, max_steps=max_steps)
    farther = schedule.direction * (again.t_final - result.t_final[unfinished]) > 0
    runs = unfinished[farther]
    for mine, theirs in ((result.saved, again.saved), (result.t_final, again.t_final), (result.counts, again.counts)):
        mine[..., runs] = theirs[..., farther]
    launch = result.launch._replace(kernel=result.launch.kernel + again.launch.kernel)
    return Integration(replace(result, launch=launch), False, runs, unfinished[~farther])
