"""How long a user waits: importing cubie, and the first solve, each in a fresh process from its start to the answer.

Importing NumPy, which cubie needs, is the yardstick of the machine's mood. "Cold" is with an empty cache folder,
"again" a second process with what the first left there. The goals: Lorenz with tsit5 cold in 3 s on a CPU and 4 s on a
GPU, of which 2 s are compilation; again in 0.5 s on a CPU; 32 states cold in 6 s.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from benchmarks.harness import FOLDER, Json, Table, Timing, common, finish, machine, parser, timing

IMPORT_NUMPY: Final = "import numpy; compiling = 0"
IMPORT_CUBIE: Final = "import cubie; compiling = 0"
LORENZ: Final = """
import numpy, cubie
system = cubie.create_ode_system(
    ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z"],
    states={"x": 1.0, "y": 0.0, "z": 0.0}, parameters={"rho": 21.0}, constants={"sigma": 10.0, "beta": 8/3},
)
swept, times = {"rho": numpy.linspace(0, 21, 1000)}, numpy.linspace(0, 10, 11)
"""
LORENZ_96: Final = """
import numpy, cubie
n = 32
system = cubie.create_ode_system(
    [f"dx{i} = (x{(i + 1) % n} - x{(i - 2) % n})*x{(i - 1) % n} - x{i} + F" for i in range(n)],
    states={f"x{i}": 1.0 + 0.01*i for i in range(n)}, parameters={"F": 8.0},
)
swept, times = {"F": numpy.linspace(4, 12, 1000)}, numpy.linspace(0, 2, 11)
"""
SOLVE: Final = """
solution = cubie.solve_ivp(system, (0.0, times[-1]), parameters=swept, t_eval=times, method="tsit5", device="DEVICE")
solution.raise_for_status()
compiling = solution.timings["compile"]
"""


def main() -> None:
    options, where = common(parser(__doc__).parse_args()), machine()
    solve = SOLVE.replace("DEVICE", options.device)
    taken: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as cache:
            for name, code in (
                ("import numpy", IMPORT_NUMPY),
                ("import cubie", IMPORT_CUBIE),
                ("Lorenz, cold", LORENZ + solve),
                ("Lorenz, again", LORENZ + solve),
                ("32 states, cold", LORENZ_96 + solve),
                ("32 states, again", LORENZ_96 + solve),
            ):
                whole, compiling = seconds_of(code, cache)
                taken.setdefault(name, []).append(whole)
                if name.endswith("cold"):
                    taken.setdefault(f"{name}, compilation alone", []).append(compiling)
    timings = {name: timing(each) for name, each in taken.items()}
    notes = (
        f"Seconds from the start of a process to the answer; medians of {options.repeats}; solves of 1,000 runs by "
        f"tsit5, on {options.device}."
    )
    name = "first_answer" if options.device == "cpu" else "gpu_first_answer"
    finish(name, table(timings), notes, figures_of(timings), where, save=options.save)


def seconds_of(code: str, cache: str) -> tuple[float, float]:
    """Run code in a fresh interpreter with a cache of its own; return the seconds until it is done, and those that it
    says it was `compiling`.
    """
    command = [sys.executable, "-c", f"{code}\nimport time\nprint(time.time(), compiling)"]
    environment = {**os.environ, "CUBIE_CACHE": "1", "CUBIE_CACHE_DIR": cache}
    begin = time.time()
    done = subprocess.run(command, cwd=FOLDER.parent, env=environment, capture_output=True, text=True, check=True)
    end, compiling = map(float, done.stdout.split())
    return end - begin, compiling


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
