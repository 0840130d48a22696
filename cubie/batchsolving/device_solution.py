"""The results of a batch that stay on the GPU (``on_device=True``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.sweep import coordinates_here
from cubie.status import Status
from cubie.targets.device_array import DeviceArray


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DeviceSolution:
    """The results of all runs, in the GPU's memory: arrays that CuPy, PyTorch, JAX or Numba take without a copy.

    They are the user's own, never touched by a later solve. Whether runs failed is not looked at: `status` says it.
    """

    system: str
    t: npt.NDArray[np.float64]
    """Shape (n_times,), on the host: saved times."""
    y: DeviceArray
    """Shape (n_times, n_variables, n_runs)."""
    variables: tuple[str, ...]
    """Names along the second axis of `y`."""
    t_end: float
    """The end of the span, which the runs that succeeded have reached."""
    counts: DeviceArray
    """Shape (3, n_runs): status, steps tried, and those rejected."""
    last_times: DeviceArray
    """Shape (n_parts, n_runs): of runs that failed, the last time that they reached, in parts to be summed."""
    coordinates: Mapping[str, FloatArray | DeviceArray]
    """What was swept, shape (n_runs,) each: on the host, or on the GPU if it was given there."""
    method: str
    device: str
    timings: Mapping[str, float]

    @property
    def status(self) -> DeviceArray:
        """Shape (n_runs,): codes of `Status`."""
        return self.counts[0]

    def to_host(self) -> Solution:
        """Copy everything to NumPy arrays."""
        counts, parts = self.counts.copy_to_host(), self.last_times.copy_to_host()
        t_final = np.full(counts.shape[1], self.t_end, dtype=np.float64)
        failed = counts[0] > Status.success
        t_final[failed] = parts[:, failed].sum(axis=0, dtype=np.float64)
        return Solution(
            system=self.system,
            t=self.t,
            y=self.y.copy_to_host(),
            variables=self.variables,
            status=counts[0],
            t_final=t_final,
            n_steps=counts[1],
            n_rejected=counts[2],
            coordinates=coordinates_here(self.coordinates),
            method=self.method,
            device=self.device,
            timings=self.timings,
        )
