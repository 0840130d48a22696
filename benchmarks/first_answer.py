"""How long a user waits: importing cubie, and the first Lorenz solve, each in a fresh process, in turn.

Importing NumPy, which cubie needs, is the yardstick of the machine's mood. "Cold" is with an empty cache folder,
"again" a second process with what the first left there. The goals are 0.2 s for the import and 4 s for the cold solve.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from benchmarks.harness import FOLDER, Json, Table, Timing, common, finish, machine, parser, timing

IMPORT_NUMPY: Final = "import numpy"
IMPORT_CUBIE: Final = "import cubie"
SOLVE: Final = """
import numpy, cubie
lorenz = cubie.create_ode_system(
    ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z"],
    states={"x": 1.0, "y": 0.0, "z": 0.0}, parameters={"rho": 21.0}, constants={"sigma": 10.0, "beta": 8/3},
)
rho, t_eval = numpy.linspace(0, 21, 1000), numpy.linspace(0, 10, 11)
cubie.solve_ivp(lorenz, (0.0, 10.0), parameters={"rho": rho}, t_eval=t_eval, device="DEVICE").raise_for_status()
"""
CACHE_FOLDERS: Final = ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME")
"""What decides where a user's cache is, on one system or another."""


def main() -> None:
    options, where = common(parser(__doc__).parse_args()), machine()
    solve = SOLVE.replace("DEVICE", options.device)
    taken: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as cache:
            for name, code in (
                ("import numpy", IMPORT_NUMPY),
                ("import cubie", IMPORT_CUBIE),
                ("first solve, cold", solve),
                ("first solve, again", solve),
            ):
                taken.setdefault(name, []).append(seconds_of(code, cache))
    timings = {name: timing(each) for name, each in taken.items()}
    notes = (
        f"Seconds inside the process, its start left out; medians of {options.repeats}; the solve is of 1,000 runs, "
        f"on {options.device}."
    )
    finish("first_answer", table(timings), notes, figures_of(timings), where, save=options.save)


def seconds_of(code: str, cache: str) -> float:
    """Run code in a fresh interpreter with an empty home; return the seconds it took, without those of the start."""
    timed = f"import time\nbegin = time.perf_counter()\n{code}\nprint(time.perf_counter() - begin)"
    environment = {**os.environ, **dict.fromkeys(CACHE_FOLDERS, cache)}
    command = [sys.executable, "-c", timed]
    done = subprocess.run(command, cwd=FOLDER.parent, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def table(timings: Mapping[str, Timing]) -> Table:
    """Return a line for each thing."""
    yardstick = timings["import numpy"].median
    rows = tuple(
        (name, f"{each.median:.3f}", f"{each.fastest:.3f}", f"{each.slowest:.3f}", f"{each.median / yardstick:.1f}")
        for name, each in timings.items()
    )
    return Table(headers=("what", "median s", "fastest", "slowest", "by import numpy"), rows=rows)


def figures_of(timings: Mapping[str, Timing]) -> Json:
    """Return all timings."""
    figures: dict[str, Json] = {name: asdict(each) for name, each in timings.items()}
    return figures


if __name__ == "__main__":
    main()
