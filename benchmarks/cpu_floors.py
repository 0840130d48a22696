"""How near cubie's CPU kernels come to code written by hand: Lorenz against C++ with GCC's vector extensions.

The C++ is compiled here, with our flags and with -ffast-math, and runs in groups as wide as cubie's and in groups of
one vector register. Ratios are cubie's to the floor's, medians over rounds in which everything has its turn, with the
values between which eight of ten rounds lie; they compare the processor time of all threads for a step, which other
programs change least. Steps a second, attempted ones, are by the clock.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.floors.cpu_library import FLAGS, METHODS, FloorLibrary, Method, Precision, Reals, Task
from benchmarks.harness import ROW_HEADERS, Json, Table, common, finish, machine, needing, parser
from benchmarks.rounds import in_turn, timed
from benchmarks.sweeps import PRECISIONS, STEP, Sweep, WarmSweep, figures_of, lorenz_by, millions, slowness
from cubie.batchsolving.solution import Solution

GOAL: Final = 1.25
LIKENESS: Final[Mapping[Precision, float]] = {"float32": 2e-2, "float64": 1e-5}
"""How far the ends of most runs may differ: rounding that the system has magnified, not another answer."""
MOST: Final = 0.98
WIDTHS: Final = ("", ", one register")
NAMES: Final = tuple(f"{flags}{width}" for width in WIDTHS for flags in FLAGS)
HEADERS: Final = (*ROW_HEADERS, "lanes", "Msteps/s", *(f"C++ {name}, ratio" for name in NAMES))


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--scale", type=float, default=1.0, help="how many runs, in units of 65,536 (default: 1)")
    arguments = made.parse_args()
    options, where = common(arguments, only="cpu"), machine()
    with tempfile.TemporaryDirectory() as folder, needing("g++ of GCC"):
        floors = {name: FloorLibrary(name, Path(folder)) for name in FLAGS}
    results = [
        contest(method, precision, floors, arguments.scale, options.repeats)
        for precision in PRECISIONS
        for method in METHODS
    ]
    notes = (
        "Rho from 0 to 21, all threads, millions of attempted steps a second, cubie's and the C++'s beside the ratio. "
        f"Fixed: 1,000 steps to t = 1, errors by the adaptive rows' tolerances; adaptive: t to 10. Goal: a ratio of "
        f"{GOAL} at equal width. {options.repeats} rounds."
    )
    table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
    finish("cpu_floors", table, notes, [figures for _, figures in results], where, save=options.save)


def contest(
    method: Method, precision: Precision, floors: Mapping[str, FloorLibrary], scale: float, n_rounds: int
) -> tuple[tuple[str, ...], Json]:
    """Measure Lorenz with cubie, with the floor in groups as wide, and with the floor in whole registers."""
    ours, n_threads = WarmSweep(lorenz_by(method, precision, scale)), len(os.sched_getaffinity(0))
    sweep, lanes = ours.sweep, ours.solver.lanes
    task = Task(
        method=method,
        precision=precision,
        rho=sweep.values,
        t_end=sweep.t_span[1],
        n_steps=round(sweep.t_span[1] / STEP),
        rtol=sweep.rtol,
        atol=sweep.atol,
    )
    widths = {"": lanes, ", one register": floors["ours"].register_bytes // np.dtype(precision).itemsize}
    works = {
        f"{flags}{label}": timed(floor_work(floors[flags], task, width, n_threads))
        for label, width in widths.items()
        for flags in FLAGS
    }
    for floor in floors.values():
        require_likeness(sweep, ours.first, floor.solve(task, width=lanes, n_threads=n_threads).states)
    rounds = in_turn({"cubie": ours.measure, **works}, n_rounds)
    ratios = (f"{millions(rounds, name)}, {slowness(rounds, 'cubie', name).text()}" for name in works)
    row = ours.row(rounds.samples["cubie"])
    return (*row.cells(), str(lanes), millions(rounds, "cubie"), *ratios), figures_of(rounds, row)


def floor_work(floor: FloorLibrary, task: Task, width: int, n_threads: int) -> Callable[[], int]:
    """Return what runs the floor and answers its steps."""
    return lambda: floor.solve(task, width=width, n_threads=n_threads).n_steps


def require_likeness(sweep: Sweep, ours: Solution, theirs: Reals) -> None:
    """Raise if the floor's answers are others than cubie's."""
    apart = np.abs(ours.y[-1] - theirs).max(axis=0)
    share = float(np.mean(apart <= LIKENESS[sweep.precision]))
    if not ours.all_succeeded or share < MOST:
        raise AssertionError(
            f"{MOST:.0%} of the ends must be the floor's ({sweep.kind}, {sweep.precision}), got {share:.1%}. "
            "Find out which of the two has changed."
        )


if __name__ == "__main__":
    main()
