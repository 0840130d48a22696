"""Solutions as labelled arrays and tables."""

from typing import TYPE_CHECKING, Final

import numpy as np

from cubie.batchsolving.arrays import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from cubie.batchsolving.solution import Solution

PER_RUN: Final = ("status", "t_final", "n_steps", "n_rejected")


def to_xarray(solution: "Solution") -> "xr.DataArray":
    """Return an array over (time, variable, run), without a copy of the values.

    What was swept, and each run's status, last time and steps, are coordinates along the runs. An input whose name is
    taken by one of these gets an underscore.
    """
    import xarray as xr

    taken = {"time", "variable", "run", *PER_RUN}
    labels = {
        "time": ("time", solution.t),
        "variable": ("variable", np.array(solution.variables)),
        "run": ("run", np.arange(solution.n_runs)),
        "status": ("run", solution.status),
        "t_final": ("run", solution.t_final),
        "n_steps": ("run", solution.n_steps),
        "n_rejected": ("run", solution.n_rejected),
    }
    swept = {_free_name(name, taken): ("run", values) for name, values in solution.coordinates.items()}
    return xr.DataArray(
        solution.y,
        dims=("time", "variable", "run"),
        coords={**labels, **swept},
        name=solution.system,
        attrs={"method": solution.method, "device": solution.device},
    )


def to_dataframe(solution: "Solution") -> "pd.DataFrame":
    """Return a table indexed by (run, time); names already taken get an underscore."""
    import pandas as pd

    n_times, n_variables, n_runs = solution.y.shape
    by_run = solution.y.transpose(2, 0, 1).reshape(n_runs * n_times, n_variables)
    taken = {"run", "time"}
    columns: dict[str, FloatArray] = {}
    for name, swept in solution.coordinates.items():
        columns[_free_name(name, taken)] = np.repeat(swept, n_times)
    for index, name in enumerate(solution.variables):
        columns[_free_name(name, taken)] = by_run[:, index]
    rows = pd.MultiIndex.from_product([np.arange(n_runs), solution.t], names=["run", "time"])
    return pd.DataFrame(columns, index=rows)


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
