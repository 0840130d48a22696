"""Larger systems on a GPU, and the time around small batches: Lorenz 96 of 20, 32 and 64 states, and 8 runs of Lorenz.

CuBIE 0.17 was measured on an NVIDIA H200 with the same sweep; where the device is another, its figures are no peers. A
first call is timed from a fresh solver to its answer, compilation included.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from benchmarks.floors.systems import lorenz96
from benchmarks.gpu_floors import gpu_name
from benchmarks.harness import Json, Table, common, finish, machine, parser
from benchmarks.lorenz import LORENZ
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver

N_RUNS: Final = 131_072
SPAN: Final = (0.0, 2.0)
RTOL, ATOL = 1e-5, 1e-6
FEW: Final = 8
MANY_TIMES: Final = 200
OVERHEAD_GOALS: Final[Mapping[str, float]] = {"cpu": 0.1, "cuda": 0.2}
GOAL: Final = 1.3
HEADERS: Final = (
    "states",
    "steps/run",
    "kernel, ms",
    "CuBIE's, ms",
    "gain",
    "end to end, ms",
    "CuBIE's, ms ",
    "gain ",
    "first call, s",
    "CuBIE's, s",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What CuBIE 0.17 took: milliseconds of a warm call, seconds of the first."""

    kernel: float
    end_to_end: float
    first_call: float


PEERS: Final[Mapping[int, Peer]] = {
    20: Peer(kernel=0.54, end_to_end=17.9, first_call=3.3),
    32: Peer(kernel=0.85, end_to_end=27.0, first_call=4.3),
    64: Peer(kernel=4.21, end_to_end=58.1, first_call=7.3),
}


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(device="cuda")
    made.add_argument("--runs", type=int, default=N_RUNS, help=f"runs of Lorenz 96 (default: {N_RUNS})")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    results = [large_row(n, arguments.runs, options.device, options.repeats) for n in PEERS]
    milliseconds = overhead(options.device)
    goal = OVERHEAD_GOALS["cpu" if options.device == "cpu" else "cuda"]
    device = "cpu" if options.device == "cpu" else gpu_name()
    notes = (
        f"Lorenz 96, float32, tsit5, {arguments.runs:,} runs, F from 4 to 12, t from 0 to 2, rtol {RTOL:g}, atol "
        f"{ATOL:g}, on {device} (CuBIE's on an NVIDIA H200); medians of {options.repeats}. Goal: gains of {GOAL}. "
        f"Around a solve of {FEW} runs of Lorenz a warm solver spends {milliseconds:.3f} ms on the host (goal: {goal})."
    )
    table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
    figures: Json = {"rows": [row for _, row in results], "overhead": milliseconds}
    finish("gpu_large", table, notes, figures, where, save=options.save)


def large_row(n: int, n_runs: int, device: str, n_repeats: int) -> tuple[tuple[str, ...], Json]:
    """Measure Lorenz 96 with `n` states."""
    system, peer = lorenz96(n), PEERS[n]
    forcing = np.linspace(4.0, 12.0, n_runs, dtype=np.float32)
    begin = time.perf_counter()
    solver = Solver(system, precision="float32", rtol=RTOL, atol=ATOL, device=device)
    solve(solver, forcing)
    first_call = time.perf_counter() - begin
    kernels: list[float] = []
    wholes: list[float] = []
    for _ in range(n_repeats):
        begin = time.perf_counter()
        solution = solve(solver, forcing)
        wholes.append((time.perf_counter() - begin) * 1e3)
        kernels.append(solution.timings["kernel"] * 1e3)
    kernel, whole = statistics.median(kernels), statistics.median(wholes)
    steps = float(solve(solver, forcing).n_steps.mean())
    cells = (
        str(n),
        f"{steps:.1f}",
        f"{kernel:.3f}",
        f"{peer.kernel:.2f}",
        f"{peer.kernel / kernel:.2f}",
        f"{whole:.2f}",
        f"{peer.end_to_end:.1f}",
        f"{peer.end_to_end / whole:.2f}",
        f"{first_call:.2f}",
        f"{peer.first_call:.1f}",
    )
    return cells, {"states": n, "kernel": [*kernels], "end_to_end": [*wholes], "first_call": first_call}


def solve(solver: Solver, forcing: npt.NDArray[np.float32]) -> Solution:
    """Solve one batch, and save its ends."""
    return solver.solve(SPAN, parameters={"F": forcing}, t_eval=SPAN[1:])


def overhead(device: str) -> float:
    """Return the milliseconds that a warm solver spends around the kernel of a few runs."""
    solver = Solver(LORENZ, device=device)
    rho = np.linspace(1.0, 21.0, FEW)
    spent: list[float] = []
    for _ in range(MANY_TIMES):
        begin = time.perf_counter()
        solution = solver.solve((0.0, 1.0), parameters={"rho": rho})
        spent.append((time.perf_counter() - begin - solution.timings["kernel"]) * 1e3)
    return statistics.median(spent)


if __name__ == "__main__":
    main()
