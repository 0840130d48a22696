"""numbalsoda's lsoda on a stiff problem's sweep, in a process of its own, since it is no dependency of ours.

The process lives as long as the measurement and is asked for one sweep at a time, so that both have their turns.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from cubie.batchsolving.arrays import FloatArray
from tests.problems import Problem

States = npt.NDArray[np.float64]
MOST_STEPS: Final = 1_000_000
CODE: Final = """
import json, sys
from math import cos, exp, log, sin, sqrt, tanh
import numba, numpy as np
from numbalsoda import lsoda, lsoda_sig

@numba.cfunc(lsoda_sig)
def rate(t, u, du, p):
{body}

address = rate.address

@numba.njit(parallel=True)
def sweep(values, rtol, atol, ends, succeeded):
    for i in numba.prange(values.size):
        y, succeeded[i] = lsoda(
            address, np.array({y0}), np.array({t_span}), np.array([values[i]]), rtol=rtol, atol=atol, mxstep={most}
        )
        ends[i] = y[-1]

for line in sys.stdin:
    given, rtol, atol = json.loads(line)
    values = np.array(given)
    ends, succeeded = np.empty((values.size, {n_states})), np.empty(values.size, np.bool_)
    sweep(values, rtol, atol, ends, succeeded)
    print(json.dumps([ends[0].tolist(), bool(succeeded.all())]), flush=True)
"""


class LsodaError(RuntimeError):
    """The peer could not be asked, or did not reach the end of its runs."""


@final
@dataclass(frozen=True, slots=True)
class LsodaPeer:
    """A process that sweeps a problem's first parameter."""

    process: subprocess.Popen[str]

    def first_end(self, values: FloatArray, rtol: float, atol: float) -> States:
        """Integrate all runs, warm from the second call on; return the end of the first, shape (n_states,).

        Raises
        ------
        LsodaError: if the process has ended, or a run failed.
        """
        asked, answers = self.process.stdin, self.process.stdout
        if asked is None or answers is None:
            raise LsodaError("the peer must have pipes, got none. Start it by lsoda_peer().")
        asked.write(json.dumps([values.tolist(), rtol, atol]) + "\n")
        asked.flush()
        answer = answers.readline()
        if not answer:
            raise LsodaError("the peer must answer, got nothing. See its own message; does it have numbalsoda?")
        end, all_succeeded = json.loads(answer)
        if not all_succeeded:
            raise LsodaError(f"lsoda must reach all ends, got failures among {values.size}. Loosen the tolerances.")
        return np.array(end, dtype=np.float64)


@contextmanager
def lsoda_peer(python: str, problem: Problem) -> Iterator[LsodaPeer]:
    """Start the peer, with as many threads as numba takes: all."""
    command = [python, "-c", code_of(problem)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield LsodaPeer(process)


def code_of(problem: Problem) -> str:
    """Return the program: the problem's equations as numba compiles them, all parameters but the first as numbers."""
    swept, *fixed = problem.parameters
    lines = [
        *(f"{state} = u[{i}]" for i, state in enumerate(problem.states)),
        f"{swept} = p[0]",
        *(f"{name} = {value!r}" for name, value in zip(fixed, problem.defaults[1:], strict=True)),
        *(re.sub(r"\^", "**", line) for line in problem.equations),
        *(f"du[{i}] = d{state}" for i, state in enumerate(problem.states)),
    ]
    return CODE.format(
        body="\n".join(f"    {line}" for line in lines),
        y0=list(problem.y0),
        t_span=list(problem.t_span),
        most=MOST_STEPS,
        n_states=len(problem.states),
    )
