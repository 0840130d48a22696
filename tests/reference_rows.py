"""Storage and numbers for calling device functions of the reference target by hand."""

from collections.abc import Sequence
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from cubie._types import Count, FloatPrecision, Mask, Real
from cubie.integrators.loops.ode_loop_config import LoopArguments
from cubie.targets.reference import ReferenceBank


@final
class Rows(ReferenceBank):
    """A bank of any pool: row i holds the i-th number of every run."""

    shared_pool: Literal[True] = True
    persistent_pool: Literal[True] = True

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Shape (n, width)."""
        return np.array(self.rows, np.float64)


def rows(values: Sequence[Sequence[float]], precision: FloatPrecision = np.float64) -> Rows:
    """Return a bank that holds `values`, shape (n, width)."""
    return Rows(np.array(values, precision))


def scratch(n: int, width: int, precision: FloatPrecision = np.float64) -> Rows:
    """Return a bank of `n` rows in which nobody has written."""
    return Rows(np.full((n, width), np.nan, precision))


def reals(*values: float, precision: FloatPrecision = np.float64) -> Real:
    """Return one number for each run."""
    made: Real = ReferenceBank(np.array([values], precision))[0]
    return made


def counts(*values: int) -> Count:
    """Return one 32-bit integer for each run."""
    made: Count = ReferenceBank(np.array([values], np.int32))[0]
    return made


def mask(*values: bool) -> Mask:
    """Return one truth value for each run."""
    made: Mask = ReferenceBank(np.array([values], np.bool_))[0]
    return made


def floats(value: object) -> list[float]:
    """Return a number per run as a list."""
    return [float(number) for number in np.asarray(value, np.float64).ravel()]


def loop_arguments(
    *,
    t0: float = 0.0,
    rtol: Sequence[float] = (1e-3,),
    atol: Sequence[float] = (1e-6,),
    direction: float = 1.0,
    first_step: float = 0.0,
    precision: FloatPrecision = np.float64,
) -> LoopArguments:
    """Return a kernel's arguments with the values given, and nothing in the others; the span is one long."""
    unused = rows([[0.0]], precision)
    length, start = float(precision(first_step)), float(precision(t0))
    return LoopArguments(
        first_run=0,
        n_slots=1,
        values=unused,
        offsets=unused,
        strides=unused,
        saves=unused,
        tolerances=rows([[number] for number in (*rtol, *atol)], precision),
        rtol=reals(rtol[0], precision=precision),
        atol=reals(atol[0], precision=precision),
        t0=reals(start, precision=precision),
        t0_rest=reals(t0 - start, precision=precision),
        t_end=reals(start + 1.0, precision=precision),
        t_end_rest=reals(t0 - start, precision=precision),
        n_saves=0,
        n_initial=0,
        max_steps=1,
        direction=reals(direction, precision=precision),
        first_step=reals(length, precision=precision),
        first_step_rest=reals(first_step - length, precision=precision),
        max_step=reals(np.inf, precision=precision),
        saved=unused,
        final_time=unused,
        counts=unused,
    )
