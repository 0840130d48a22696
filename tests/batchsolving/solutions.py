"""Solutions made by hand, whose every number is known."""

import numpy as np

from cubie.batchsolving.solution import Solution
from cubie.status import Status


def three_runs() -> Solution:
    """Return two saved variables at four times; run 1 blew up after t = 1, an event ended run 2 at the same time."""
    t = np.array([0.0, 1.0, 2.0, 3.0])
    y = np.arange(24, dtype=np.float64).reshape(4, 2, 3)
    y[2:, :, 1:] = np.nan
    return Solution(
        system="toy",
        t=t,
        y=y,
        variables=("x", "v"),
        status=np.array([Status.success, Status.non_finite, Status.event], dtype=np.int32),
        t_final=np.array([3.0, 1.25, 1.5]),
        n_steps=np.array([10, 6, 8], dtype=np.int32),
        n_rejected=np.array([1, 4, 0], dtype=np.int32),
        coordinates={"k": np.array([0.5, 1.0, 1.5])},
        method="tsit5",
        device="cpu",
        timings={"solve": 0.25},
    )


def many_runs(n_runs: int, n_times: int, *, swept: bool = True) -> Solution:
    """Return decays at `n_runs` rates, all successful but the last."""
    t = np.linspace(0.0, 1.0, n_times)
    rates = np.linspace(0.0, 5.0, n_runs)
    y = np.exp(-rates * t[:, np.newaxis])[:, np.newaxis, :]
    status = np.zeros(n_runs, dtype=np.int32)
    if n_runs > 1:
        status[-1] = Status.max_steps
        y[1:, :, -1] = np.nan
    return Solution(
        system="decay",
        t=t,
        y=y,
        variables=("x",),
        status=status,
        t_final=np.where(status == 0, 1.0, 0.0),
        n_steps=np.full(n_runs, 20, dtype=np.int32),
        n_rejected=np.zeros(n_runs, dtype=np.int32),
        coordinates={"rate": rates} if swept else {},
        method="tsit5",
        device="cpu",
    )
