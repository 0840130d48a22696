"""What a solve hands back: arrays with names, and how every run ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, SupportsIndex, final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from cubie._types import whole_number
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.run_result import RunResult
from cubie.batchsolving.system_interface import canonical, unknown_name
from cubie.status import Status

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

RUNS_NAMED: Final = 5
"""How many failed runs an error lists."""


def _no_runs() -> npt.NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


class IntegrationError(ValueError):
    """Some runs of a batch failed; their numbers are in `runs`."""

    def __init__(self, message: str, runs: npt.NDArray[np.int64]) -> None:
        super().__init__(message, runs)
        self.runs = runs

    @override
    def __str__(self) -> str:
        return str(self.args[0])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStats:
    """How much work a batch was."""

    n_runs: int
    n_failed: int
    n_by_status: dict[str, int]
    """Runs by how they ended; only what occurred."""
    n_steps: int
    """Steps tried in all runs together, rejected ones among them."""
    n_rejected: int
    steps_per_run: tuple[int, float, int]
    """Least, mean and most steps of a run."""
    timings: dict[str, float]
    """Seconds by phase."""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Solution:
    """The results of all runs; the arrays are the user's own, never touched by a later solve.

    A failed run raises nothing. Its rows after the failure are NaN, the rows before it stand, and the other runs are
    not affected.
    """

    system: str
    """The model's name."""
    t: npt.NDArray[np.float64]
    """Shape (n_times,): saved times."""
    y: FloatArray
    """Shape (n_times, n_variables, n_runs): states and observables, in the model's units."""
    variables: tuple[str, ...]
    """Names along the second axis of `y`."""
    status: npt.NDArray[np.int32]
    """Shape (n_runs,): codes of `Status`."""
    t_final: npt.NDArray[np.float64]
    """Shape (n_runs,): the last time that each run reached."""
    n_steps: npt.NDArray[np.int32]
    """Shape (n_runs,): steps tried, rejected ones among them."""
    n_rejected: npt.NDArray[np.int32]
    """Shape (n_runs,)."""
    coordinates: Mapping[str, FloatArray]
    """What was swept, shape (n_runs,) each; the initial values of x are named ``"x(t0)"``."""
    method: str
    device: str
    retried: npt.NDArray[np.int64] = field(default_factory=_no_runs)
    """Numbers of the runs that `method` could not finish, and that are `retry_method`'s (see ``method="auto"``)."""
    retried_in_vain: npt.NDArray[np.int64] = field(default_factory=_no_runs)
    """Numbers of the runs that neither could finish, and where `retry_method` got no farther: they are `method`'s."""
    retry_method: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase."""

    def __getitem__(self, name: str) -> FloatArray:
        """Return one variable, shape (n_times, n_runs): a view into `y`."""
        name = canonical(name)
        if name not in self.variables:
            hint = f" {name!r} was swept: see solution.coordinates." if name in self.coordinates else ""
            raise unknown_name(name, self.variables, "variable of the solution", hint)
        values: FloatArray = self.y[:, self.variables.index(name), :]
        return values

    @property
    def n_runs(self) -> int:
        """The number of runs."""
        return int(self.status.size)

    @property
    def success(self) -> npt.NDArray[np.bool_]:
        """Shape (n_runs,): whether each run ended as it was meant to. `all_succeeded` is the one answer for all."""
        return self.status <= Status.event

    @property
    def all_succeeded(self) -> bool:
        """Whether every run ended as it was meant to."""
        return bool(self.success.all())

    @property
    def stats(self) -> BatchStats:
        """How much work the batch was."""
        steps = self.n_steps
        return BatchStats(
            n_runs=self.n_runs,
            n_failed=int(np.count_nonzero(~self.success)),
            n_by_status={status.label: count for status, count in self._counts().items()},
            n_steps=int(steps.sum(dtype=np.int64)),
            n_rejected=int(self.n_rejected.sum(dtype=np.int64)),
            steps_per_run=(int(steps.min()), float(steps.mean()), int(steps.max())),
            timings=dict(self.timings),
        )

    @property
    def message(self) -> str:
        """How the runs ended, with a remedy for each kind of failure."""
        n_good = int(np.count_nonzero(self.success))
        if n_good == self.n_runs:
            return f"All {self.n_runs:,} runs succeeded." if n_good > 1 else "The run succeeded."
        parts = [f"{n_good:,} of {self.n_runs:,} runs succeeded."]
        for status in self._counts():
            ended = self.status == status
            for runs in (ended & (self.n_steps == 0), ended & (self.n_steps > 0)):
                if status.is_failure and runs.any():
                    parts.append(self._failure_text(status, np.flatnonzero(runs)))
        return " ".join(parts)

    def raise_for_status(self) -> None:
        """Raise if any run failed, naming the first of them and what to do.

        Raises
        ------
        IntegrationError: its `runs` holds the numbers of all failed runs.
        """
        failed = np.flatnonzero(~self.success)
        if failed.size == 0:
            return
        shown = [f"run {index}{self._inputs_text(index)}" for index in failed[:RUNS_NAMED].tolist()]
        more = f" and {failed.size - RUNS_NAMED:,} more" if failed.size > RUNS_NAMED else ""
        raise IntegrationError(f"{self.message} Failed: {', '.join(shown)}{more}.", failed)

    def run(self, index: SupportsIndex) -> RunResult:
        """Return one run, up to the last saved time that it reached; negative numbers count from the end.

        Raises
        ------
        IndexError: if there is no such run.
        """
        n, number = self.n_runs, whole_number(index)
        if number is None or not -n <= number < n:
            raise IndexError(f"run must be a whole number from 0 to {n - 1}, got {index!r}. The batch has {n} runs.")
        status, rows = Status(int(self.status[number])), self.y[:, :, number]
        n_valid = self.t.size if status is Status.success else _rows_written(rows)
        return RunResult(
            t=self.t[:n_valid].copy(),
            y=np.ascontiguousarray(rows[:n_valid].T),
            variables=self.variables,
            status=status,
            t_final=float(self.t_final[number]),
            n_steps=int(self.n_steps[number]),
            n_rejected=int(self.n_rejected[number]),
            inputs=self._inputs(number),
        )

    def to_xarray(self) -> "xr.DataArray":
        """Return `y` with labelled axes (time, variable, run), and what was swept as coordinates along the runs."""
        from cubie.batchsolving.labelled import to_xarray

        return to_xarray(self)

    def to_dataframe(self) -> "pd.DataFrame":
        """Return one row per run and saved time, with a column for each swept input and each variable."""
        from cubie.batchsolving.labelled import to_dataframe

        return to_dataframe(self)

    def plot(self, variables: str | Sequence[str] | None = None) -> "Figure":
        """Draw `variables` (all, if None) and return the figure, one panel each.

        Few runs are drawn as lines, many as a median with bands of the middle half and the middle nine tenths of all
        runs. Where only the ends were saved, final values are drawn over what was swept. Needs matplotlib.
        """
        from cubie.batchsolving.plotting import plot

        names = (variables,) if isinstance(variables, str) else tuple(variables or self.variables)
        return plot(self, names)

    @override
    def __repr__(self) -> str:
        stats = self.stats
        least, mean, most = stats.steps_per_run
        ended = ", ".join(f"{count:,} {label}" for label, count in stats.n_by_status.items())
        lines = [
            f"<Solution of {self.system!r}: {self.n_runs:,} runs, {self.t.size:,} times, "
            f"{len(self.variables)} variables ({_abbreviated(self.variables)}), {self.y.dtype}",
            f"  t       {self.t[0]:g} to {self.t[-1]:g}",
            *(f"  swept   {name}: {swept.min():g} to {swept.max():g}" for name, swept in self.coordinates.items()),
            f"  status  {ended}",
            f"  steps   {least:,} to {most:,} a run (mean {mean:,.1f}), {stats.n_rejected:,} rejected in all",
            f"  method  {self.method} on {self.device}{self._retried_text()}",
        ]
        if self.timings:
            lines.append("  time    " + ", ".join(f"{name} {seconds:.3g} s" for name, seconds in self.timings.items()))
        return "\n".join(lines) + ">"

    def _counts(self) -> dict[Status, int]:
        counts = np.bincount(self.status, minlength=len(Status))
        return {status: int(counts[status]) for status in Status if counts[status]}

    def _failure_text(self, status: Status, runs: npt.NDArray[np.int64]) -> str:
        first = int(runs[0])
        where = f"first: run {first} at t = {self.t_final[first]:g}"
        remedy = status.remedy_after(int(self.n_steps[first]))
        return f"{runs.size:,} ended with '{status.label}' ({where}). {remedy}"

    def _retried_text(self) -> str:
        n, in_vain = self.retried.size, self.retried_in_vain.size
        taken = f"; {self.retry_method} for {n:,} runs that it could not finish" if n else ""
        return taken + (f"; {self.retry_method} got no farther in {in_vain:,} runs" if in_vain else "")

    def _inputs(self, index: int) -> dict[str, float]:
        return {name: float(swept[index]) for name, swept in self.coordinates.items()}

    def _inputs_text(self, index: int) -> str:
        inputs = ", ".join(f"{name}={value:g}" for name, value in self._inputs(index).items())
        return f" ({inputs})" if inputs else ""


def _rows_written(rows: FloatArray) -> int:
    """Return how many leading rows, shape (n_times, n_variables), a run wrote before it ended."""
    written = np.flatnonzero(~np.isnan(rows).all(axis=1))
    return int(written[-1]) + 1 if written.size else 0


def _abbreviated(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
