"""What the parts of the loop hand to each other, per run."""

from typing import NamedTuple

from cubie._types import Count, Mask, PersistentBank, Real, SharedBank, StatusBits, Vector


class Workspace(NamedTuple):
    """The working arrays of a run, and its children's parts of the pools."""

    y: Vector
    rate: Vector
    y_next: Vector
    rate_next: Vector
    error: Vector
    dense_state: Vector
    dense_slope: Vector
    defect: Vector
    y_kept: Vector
    parameters: Vector
    drivers: Vector
    step_shared: SharedBank
    step_persistent: PersistentBank
    control_shared: SharedBank
    control_persistent: PersistentBank
    output_shared: SharedBank
    output_persistent: PersistentBank


class State(NamedTuple):
    """Where every run stands, and the step `dt` that it will try. `status` is `RUNNING` until it has ended; (`due`,
    `due_rest`) is its next save.

    Steps of fixed length are counted, and (`t`, `t_rest`) stays at the start: `Clock.now` tells the time.
    """

    t: Real
    t_rest: Real
    dt: Real
    n_steps: Count
    n_accepted: Count
    n_saved: Count
    due: Real
    due_rest: Real
    status: Count


class Attempt(NamedTuple):
    """What a step came to, per run. Why it has `failed`, nobody need know before its run has ended: `answer` is the
    method's status, and `error_squared` NaN or huge if something is not finite.
    """

    dt: Real
    is_last: Mask
    accepted: Mask
    next_dt: Real
    failed: Mask
    answer: StatusBits
    error_squared: Real
