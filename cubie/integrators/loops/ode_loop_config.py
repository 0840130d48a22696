"""What shapes the loop's device code, and the arguments that don't."""

from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np

from cubie._types import FloatPrecision, GlobalCounts, GlobalReals, Precision, Real
from cubie.targets.base import Argument

RUNNING: Final = -1
"""The status of a run that has not ended."""


class LoopArguments(NamedTuple):
    """The arguments of a kernel, as device code sees them.

    Input i of run r is ``values[offsets[i] + strides[i]*r]``, states first, then parameters. Times are pairs: rounded
    to the build's precision, and what rounding left; `saves` holds those of the saves, one after the other.
    `tolerances` holds rtol of every state, then atol. `saved` has shape (n_saves, n_saved, n_slots), `final_time`
    (1 or 2, n_slots), `counts` (3, n_slots): status, attempted steps, rejected steps.
    """

    first_run: int
    n_slots: int
    values: GlobalReals
    offsets: GlobalCounts
    strides: GlobalCounts
    saves: GlobalReals
    tolerances: GlobalReals
    rtol: Real
    atol: Real
    t0: Real
    t0_rest: Real
    t_end: Real
    t_end_rest: Real
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
    kinds: dict[str, tuple[Precision | type[np.int64], bool]] = {
        "values": (precision, True),
        "offsets": (np.int64, True),
        "strides": (np.int64, True),
        "saves": (precision, True),
        "tolerances": (precision, True),
        "rtol": (precision, False),
        "atol": (precision, False),
        "t0": (precision, False),
        "t0_rest": (precision, False),
        "t_end": (precision, False),
        "t_end_rest": (precision, False),
        "n_saves": (np.int32, False),
        "n_initial": (np.int32, False),
        "max_steps": (np.int32, False),
        "direction": (precision, False),
        "first_step": (precision, False),
        "first_step_rest": (precision, False),
        "max_step": (precision, False),
        "saved": (precision, True),
        "final_time": (precision, True),
        "counts": (np.int32, True),
    }
    return tuple(Argument(name, element, is_array) for name, (element, is_array) in kinds.items())


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
    weighs_errors : the method wants to know what error the tolerances allow.
    checks_dense : a step in which something is due must bear dense output, too.
    shared_vectors : buffers that stand in shared memory, unless a user places them elsewhere.
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
    weighs_errors: bool = False
    checks_dense: bool = False
    shared_vectors: tuple[str, ...] = ()

    @property
    def error_size(self) -> int:
        """Elements of the error vectors, which carry the allowed error to a method that wants it."""
        return max(self.n_errors, int(self.weighs_errors)) * self.n_states

    @property
    def strides(self) -> bool:
        """Nothing happens between the start and the end but steps of one length, which need no look at each."""
        return not (self.adaptive or self.dense or self.weighs_errors)

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number."""
        return 2.0**-23 if self.precision is np.float32 else 2.0**-52

    @property
    def tiny(self) -> float:
        """The smallest normal number."""
        return 2.0**-126 if self.precision is np.float32 else 2.0**-1022

    @property
    def compensated(self) -> bool:
        """Times are pairs, so that float32 neither drifts nor hangs."""
        return self.precision is np.float32
