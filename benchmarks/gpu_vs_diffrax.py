"""A Lorenz sweep on a GPU beside diffrax's: Tsit5 with PI control in float32, each warm, in a process of its own.

diffrax and JAX are no dependencies: `--peer` names an interpreter that has them. Both are timed on the device (cubie's
kernel, diffrax's jitted and vmapped solve with its inputs there already) and end to end (NumPy in, NumPy out). Errors
are those of a few runs, spread over the sweep, beside a tight solve on the CPU.

References
----------
Kidger (2021), On neural differential equations, PhD thesis, University of Oxford (diffrax).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from benchmarks.gpu_floors import SPAN, gpu_name, solve
from benchmarks.harness import Json, Table, common, finish, machine, parser
from benchmarks.lorenz import BETA, LORENZ, SIGMA, Y0
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.solver import Solver

N_RUNS: Final = 1_048_576
TOLERANCE: Final = 1e-6
LARGEST_RHO: Final = 21.0
FEW: Final = 9
TIGHT: Final = 1e-13
HEADERS: Final = (
    "package",
    "steps/run",
    "error",
    "first call, s",
    "on the device, ms",
    "ratio",
    "end to end, ms",
    "ratio ",
)
CODE: Final = f"""
import json, sys, time
import diffrax, jax, jax.numpy as jnp, numpy as np

def rate(t, y, rho):
    return jnp.stack([{SIGMA!r}*(y[1] - y[0]), y[0]*(rho - y[2]) - y[1], y[0]*y[1] - {BETA!r}*y[2]])

control = diffrax.PIDController(rtol={TOLERANCE!r}, atol={TOLERANCE!r}, pcoeff=0.4, icoeff=0.3)
y0 = jnp.array({list(Y0)!r}, jnp.float32)

def one(rho):
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rate), diffrax.Tsit5(), {SPAN[0]!r}, {SPAN[1]!r}, None, y0, rho, stepsize_controller=control
    )
    return solution.ys[-1], solution.stats["num_steps"]

run = jax.jit(jax.vmap(one))

def milliseconds(work):
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3

n_runs, repeats, few = json.loads(sys.argv[1])
rho = np.linspace(0.0, {LARGEST_RHO!r}, n_runs, dtype=np.float32)
first_call = milliseconds(lambda: jax.block_until_ready(run(jnp.asarray(rho)))) / 1e3
there = jax.block_until_ready(jnp.asarray(rho))
kernels = [milliseconds(lambda: jax.block_until_ready(run(there))) for _ in range(repeats)]
wholes = [milliseconds(lambda: [np.asarray(each) for each in run(jnp.asarray(rho))]) for _ in range(repeats)]
ends, steps = run(there)
print(json.dumps(dict(
    package="diffrax " + diffrax.__version__, steps=float(np.mean(steps)), first_call=first_call, kernels=kernels,
    wholes=wholes, ends=np.asarray(ends)[np.array(few)].T.tolist(), device=str(jax.devices()[0]),
)))
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one package did.

    Parameters
    ----------
    first_call : seconds, compilation included.
    kernels, wholes : milliseconds of each repeat on the device and end to end.
    ends : of the few runs, shape (3, n_few).
    """

    package: str
    device: str
    steps: float
    first_call: float
    kernels: list[float]
    wholes: list[float]
    ends: list[list[float]]

    def cells(self, ours: "Measured", exact: FloatArray) -> tuple[str, ...]:
        """Return a line of the table."""
        kernel, whole = statistics.median(self.kernels), statistics.median(self.wholes)
        error = np.abs(np.array(self.ends) - exact) / (TOLERANCE * np.abs(exact) + TOLERANCE)
        return (
            *(self.package, f"{self.steps:.1f}", f"{error.max():.2g}", f"{self.first_call:.2f}"),
            *(f"{kernel:.3f}", f"{kernel / statistics.median(ours.kernels):.1f}"),
            *(f"{whole:.2f}", f"{whole / statistics.median(ours.wholes):.1f}"),
        )


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(device="cuda")
    made.add_argument("--runs", type=int, default=N_RUNS, help=f"runs of Lorenz (default: {N_RUNS})")
    made.add_argument("--peer", default=sys.executable, metavar="PYTHON", help="an interpreter with diffrax (this one)")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    few = np.linspace(0, arguments.runs - 1, FEW).astype(np.int64)
    peer = diffraxs(arguments.peer, arguments.runs, options.repeats, few)
    ours = cubies(options.device, arguments.runs, options.repeats, few)
    exact = tight_ends(swept(arguments.runs)[few])
    notes = (
        f"Lorenz, float32, tsit5, {arguments.runs:,} runs, t from 0 to 1, rho from 0 to 21, rtol and atol "
        f"{TOLERANCE:g}, on {ours.device} (diffrax on {peer.device}); medians of {options.repeats}. Ratios: times by "
        f"cubie's. Error: the largest of {FEW} runs at the end, in units of rtol*|y| + atol."
    )
    table = Table(headers=HEADERS, rows=tuple(each.cells(ours, exact) for each in (ours, peer)))
    figures: list[Json] = [asdict(ours), asdict(peer)]
    finish("gpu_vs_diffrax", table, notes, figures, where, save=options.save)


def swept(n_runs: int) -> npt.NDArray[np.float32]:
    """Return rho of all runs."""
    return np.linspace(0.0, LARGEST_RHO, n_runs, dtype=np.float32)


def diffraxs(python: str, n_runs: int, n_repeats: int, few: npt.NDArray[np.int64]) -> Measured:
    """Measure diffrax in its process, which leaves what it doesn't need of the device's memory.

    Raises
    ------
    subprocess.CalledProcessError: if that interpreter has no diffrax, or the solve fails; its own message stands above.
    """
    command = [python, "-c", CODE, json.dumps([n_runs, n_repeats, few.tolist()])]
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return Measured(**json.loads(done.stdout))


def cubies(device: str, n_runs: int, n_repeats: int, few: npt.NDArray[np.int64]) -> Measured:
    """Measure cubie."""
    rho = swept(n_runs)
    begin = time.perf_counter()
    solver = Solver(LORENZ, method="tsit5", rtol=TOLERANCE, atol=TOLERANCE, precision="float32", device=device)
    solution = solve(solver, rho)
    first_call = time.perf_counter() - begin
    solution.raise_for_status()
    kernels: list[float] = []
    wholes: list[float] = []
    for _ in range(n_repeats):
        begin = time.perf_counter()
        solution = solve(solver, rho)
        wholes.append((time.perf_counter() - begin) * 1e3)
        kernels.append(solution.timings["kernel"] * 1e3)
    return Measured(
        package="cubie",
        device="cpu" if device == "cpu" else gpu_name(),
        steps=float(solution.n_steps.mean()),
        first_call=first_call,
        kernels=kernels,
        wholes=wholes,
        ends=solution.y[-1][:, few].tolist(),
    )


def tight_ends(rho: npt.NDArray[np.float32]) -> FloatArray:
    """Return the ends of a few runs in float64 at far tighter tolerances, shape (3, n_few)."""
    solver = Solver(LORENZ, method="dop853", rtol=TIGHT, atol=TIGHT, device="cpu")
    ends: FloatArray = solve(solver, rho.astype(np.float64)).y[-1]
    return ends


if __name__ == "__main__":
    main()
