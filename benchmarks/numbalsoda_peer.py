"""numbalsoda on the same Lorenz sweep, in a process of its own, since it is no dependency of ours.

It has no wheels: building it takes cmake and a Fortran compiler.
"""

import json
import statistics
import subprocess
from typing import Final

import numpy as np

from benchmarks.harness import Row
from benchmarks.lorenz import ATOL, BETA, RTOL, SIGMA, T_SPAN, Y0
from benchmarks.sweeps import Sweep

CODE: Final = f"""
import json, sys, time
import numba, numpy as np
from numbalsoda import dop853, lsoda_sig

@numba.cfunc(lsoda_sig)
def rate(t, u, du, p):
    du[0] = {SIGMA!r}*(u[1] - u[0])
    du[1] = u[0]*(p[0] - u[2]) - u[1]
    du[2] = u[0]*u[1] - {BETA!r}*u[2]

address = rate.address

@numba.njit(parallel=True)
def sweep(rho, ends):
    for i in numba.prange(rho.size):
        y0, times, p = np.array({list(Y0)!r}), np.array({list(T_SPAN)!r}), np.array([rho[i]])
        y, success = dop853(address, y0, times, p, rtol={RTOL!r}, atol={ATOL!r})
        ends[i] = y[-1]

rho = np.array(json.loads(sys.stdin.readline()))
ends, taken = np.empty((rho.size, 3)), []
for _ in range(int(sys.argv[1]) + 1):
    begin = time.perf_counter()
    sweep(rho, ends)
    taken.append(time.perf_counter() - begin)
print(json.dumps([taken, ends.T.tolist()]))
"""


def numbalsodas(python: str, sweep: Sweep, repeats: int) -> Row:
    """Return what its dop853 does of the sweep with all threads.

    Raises
    ------
    subprocess.CalledProcessError: if that interpreter has no numbalsoda.
    """
    command, asked = [python, "-c", CODE, str(repeats)], json.dumps(sweep.values.tolist())
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True)
    (cold, *taken), ends = json.loads(done.stdout)
    runs = sweep.few()
    return Row(
        problem=sweep.title,
        n_states=sweep.system.n_states,
        n_runs=sweep.values.size,
        precision="float64",
        method="numbalsoda's dop853",
        tolerances=f"{RTOL:g}, {ATOL:g}",
        error=sweep.error(np.array(ends)[:, runs], runs),
        cold=cold,
        warm=1e3 * statistics.median(taken),
    )
