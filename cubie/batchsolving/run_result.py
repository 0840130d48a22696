"""One run of a batch, in the words of SciPy's `solve_ivp`."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.system_interface import canonical, unknown_name
from cubie.status import Status


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunResult:
    """One trajectory, up to the last saved time that its run reached."""

    t: npt.NDArray[np.float64]
    """Shape (n_valid,): saved times."""
    y: FloatArray
    """Shape (n_variables, n_valid), as SciPy's: states and observables at these times, in the model's units."""
    variables: tuple[str, ...]
    status: Status
    t_final: float
    """The last time that the run reached."""
    n_steps: int
    """Steps tried, rejected ones among them."""
    n_rejected: int
    inputs: dict[str, float]
    """The run's own values of what was swept."""

    @property
    def success(self) -> bool:
        """Whether the run ended as it was meant to."""
        return not self.status.is_failure

    @property
    def message(self) -> str:
        """How the run ended, and what to do about it."""
        if self.success:
            return f"The run ended at t = {self.t_final:g}: {self.status.label}."
        remedy = self.status.remedy_after(self.n_steps)
        return f"The run failed at t = {self.t_final:g}: {self.status.label}. {remedy}"

    def __getitem__(self, name: str) -> FloatArray:
        """Return one variable, shape (n_valid,)."""
        name = canonical(name)
        if name not in self.variables:
            raise unknown_name(name, self.variables, "variable")
        values: FloatArray = self.y[self.variables.index(name)]
        return values

    @override
    def __repr__(self) -> str:
        inputs = "".join(f", {name}={value:.6g}" for name, value in self.inputs.items())
        return f"<RunResult: {self.status.label}, {self.t.size} times, {self.n_steps} steps{inputs}>"
