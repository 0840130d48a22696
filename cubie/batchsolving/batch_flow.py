"""What the host does while a device integrates a batch: writes inputs ahead of it, and looks at results behind it."""

from typing import Final, final

import numpy as np
import numpy.typing as npt

from cubie.batchsolving.sweep import Inputs
from cubie.memory.passes import PART_AHEAD, WorkAhead, holds_everywhere
from cubie.status import Status

LEAST_PART: Final = 1 << 12
RUNS_CHECKED: Final = 1 << 15
"""Runs whose inputs are looked at at a time, which takes a few hundredths of a millisecond."""


@final
class BatchFlow:
    """The host's part of one launch, see `cubie.targets.flow.Flow`.

    Inputs of a large batch are not checked before they are sent: runs whose inputs aren't finite fail, and it is among
    the inputs of runs that failed that they are looked for.
    """

    late: Final = 1
    """The last times: only those of runs that failed are looked at."""

    def __init__(self, inputs: Inputs) -> None:
        self.n_rows: Final = inputs.n_rows
        self.there: Final = inputs.there
        self.all_succeeded = True
        self.status: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        """Shape (n_runs,): to be set before results are there."""
        self._inputs: Final = inputs
        self._n_checked = 0 if inputs.pending else inputs.n_runs
        part = max(LEAST_PART, PART_AHEAD // max(len(inputs.pending), 1))
        self._ahead: Final = WorkAhead(inputs.write, inputs.n_runs, part) if inputs.pending else None

    def reach(self, stop: int, /) -> None:
        """Wait until the inputs of all runs before `stop` are written."""
        if self._ahead is not None:
            self._ahead.reach(stop)

    def landed(self, start: int, stop: int, /) -> bool:
        """Look for runs that failed; tell whether there are some."""
        status = self.status[start:stop]

        def succeeded(first: int, last: int) -> bool:
            return int(np.maximum.reduce(status[first:last])) <= Status.success

        if holds_everywhere(succeeded, stop - start):
            return False
        self.all_succeeded = False
        self._inputs.check(start, stop)
        return True

    def check(self) -> bool:
        """Look at some more inputs; tell whether that was all."""
        start, n_runs = self._n_checked, self._inputs.n_runs
        if start < n_runs:
            self._n_checked = min(start + RUNS_CHECKED, n_runs)
            self.reach(self._n_checked)
            self._inputs.check(start, self._n_checked)
        return self._n_checked == n_runs
