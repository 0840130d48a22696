"""numbalsoda on the same Lorenz sweep, in a process of its own, since it is no dependency of ours.

It has no wheels: building it takes cmake and a Fortran compiler.
"""

import json
import statistics
import subprocess
from typing import Final

from benchmarks.lorenz import ATOL, BETA, RTOL, SIGMA, T_SPAN, Y0

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

rho = np.linspace(0.0, 21.0, int(sys.argv[1]))
ends, taken = np.empty((rho.size, 3)), []
sweep(rho[:16], ends)
for _ in range(int(sys.argv[2])):
    begin = time.perf_counter()
    sweep(rho, ends)
    taken.append(time.perf_counter() - begin)
print(json.dumps(taken))
"""


def numbalsodas_seconds(python: str, n_runs: int, repeats: int) -> float:
    """Return the median time of its sweep, all threads, warm.

    Raises
    ------
    subprocess.CalledProcessError: if that interpreter has no numbalsoda.
    """
    command = [python, "-c", CODE, str(n_runs), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken: list[float] = json.loads(done.stdout)
    return statistics.median(taken)
