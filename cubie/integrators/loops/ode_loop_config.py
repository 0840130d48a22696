"""What shapes the loop's device code, and the arguments that don't."""

from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np

from cubie._types import FloatPrecision, GlobalCounts, GlobalReals, Real
from cubie.targets.base import Argument

RUNNING: Final = -1
"""The status of a run that has not ended."""


class LoopArguments(NamedTuple):
    """The arguments of a kernel, as device code sees them.

    Input i of run r is ``values[offsets[i] + strides[i]*r]``, states first, then parameters. `times` holds pairs (a
    time rounded to the build's precision, and what rounding left): start, end, then the saves. `tolerances` holds rtol
    of every state, then atol. `saved` has shape (n_saves, n_saved, n_slots), `final_time` (1 or 2, n_slots), `counts`
    (3, n_slots): status, attempted steps, rejected steps.
    """

    first_run: int
    n_slots: int
    values: GlobalReals
    offsets: GlobalCounts
    strides: GlobalCounts
    times: GlobalReals
    tolerances: GlobalReals
    rtol: Real
    atol: Real
    n_saves: int
    n_initial: int
    max_steps: int
    direction: Real
    first_step: Real
    first_step_rest: Real
    max_step: Real
    saved: GlobalReals
    final_time: GlobalReals
    counts: GlobalCounts


N_OUTPUTS: Final = 3


def loop_arguments(precision: FloatPrecision) -> tuple[Argument, ...]:
    """List the arguments of a kernel after `first_run` and `n_slots`."""
    arrays = {
        "values": precision,
        "offsets": np.int64,
        "strides": np.int64,
        "times": precision,
        "tolerances": precision,
    }
    counts = {"n_saves": np.int64, "n_initial": np.int64, "max_steps": np.int64}
    outputs = {"saved": precision, "final_time": precision, "counts": np.int32}
    return tuple(
        Argument(name, {**arrays, **counts, **outputs}.get(name, precision), name in arrays or name in outputs)
        for name in LoopArguments._fields[2:]
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """What shapes a loop's device code.

    Parameters
    ----------
    adaptive : the step follows the error; else every step is `first_step`.
    dense : something is saved strictly between the start and the end.
    scalar_tolerances : one rtol and one atol serve all states.
    n_errors : how many error vectors a step writes.
    error_order : the p of an error that shrinks as ``dt**(p + 1)``.
    """

    n_states: int
    n_parameters: int
    n_drivers: int = 0
    precision: FloatPrecision
    adaptive: bool
    dense: bool
    scalar_tolerances: bool
    n_errors: int
    error_order: int

    @property
    def compensated(self) -> bool:
        """Times are pairs, so that float32 neither drifts nor hangs."""
        return self.precision is np.float32
