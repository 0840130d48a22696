"""Sweeps on a GPU beside diffrax's: Tsit5 on Lorenz's system, Kvaerno5 on Robertson's, each in a process of its own.

diffrax and JAX are no dependencies: `--peer` names an interpreter that has them. The kernel is cubie's by events on the
device, and diffrax's jitted and vmapped solve with its inputs there already. Controllers are PI for Tsit5 (diffrax with
the same weights) and each package's default for Kvaerno5.

References
----------
Kidger (2021), On neural differential equations, PhD thesis, University of Oxford (diffrax).
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final, final

import numpy as np

from benchmarks.gpu_floors import RUNS, TOLERANCES, Case
from benchmarks.gpu_stiff import TASKS
from benchmarks.harness import ROW_HEADERS, Json, Row, Table, common, finish, machine, parser, require_package, shown
from benchmarks.lorenz import BETA, SIGMA
from benchmarks.sweeps import PRECISIONS, Sweep, WarmSweep
from cubie.targets.devices import find_device

HEADERS: Final = ("package", *ROW_HEADERS, "steps/run", "warm / cubie's", "kernel / cubie's")
LORENZ_RATES: Final = f"{SIGMA!r}*(y[1] - y[0]), y[0]*(p - y[2]) - y[1], y[0]*y[1] - {BETA!r}*y[2]"
ROBERTSON_RATES: Final = "1e4*y[1]*y[2] - p*y[0], p*y[0] - 1e4*y[1]*y[2] - 3e7*y[1]**2, 3e7*y[1]**2"
CODE: Final = """
import json, sys, time
asked = json.loads(sys.stdin.readline())
import diffrax, jax, jax.numpy as jnp, numpy as np

jax.config.update("jax_enable_x64", asked["precision"] == "float64")
control = (
    diffrax.PIDController(rtol=asked["rtol"], atol=asked["atol"], **asked["weights"])
    if asked["step"] is None else diffrax.ConstantStepSize()
)
values, y0 = np.array(asked["values"], asked["precision"]), np.array(asked["y0"], asked["precision"])
(t0, t_end), method = asked["t_span"], getattr(diffrax, asked["method"])()

def rate(t, y, p):
    return jnp.stack([RATES])

def one(p):
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rate), method, t0, t_end, asked["step"], y0, p, stepsize_controller=control
    )
    return solution.ys[-1], solution.stats["num_steps"]

run = jax.jit(jax.vmap(one))

def milliseconds(work):
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3

def whole():
    return [np.asarray(each) for each in run(jnp.asarray(values))]

cold = milliseconds(whole) / 1e3
there = jax.block_until_ready(jnp.asarray(values))
kernels = [milliseconds(lambda: jax.block_until_ready(run(there))) for _ in range(asked["repeats"])]
wholes = [milliseconds(whole) for _ in range(asked["repeats"])]
ends, steps = whole()
print(json.dumps(dict(
    package="diffrax " + diffrax.__version__, device=str(jax.devices()[0]), cold=cold, kernels=kernels, wholes=wholes,
    steps=float(np.mean(steps)), ends=ends[np.array(asked["few"])].T.tolist(),
)))
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One sweep by both; `y0` and `rates` as diffrax takes them."""

    sweep: Sweep
    method: str
    y0: tuple[float, ...]
    rates: str
    weights: dict[str, float]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What diffrax's process says: seconds of the first call, milliseconds of the others, the ends of a few runs."""

    package: str
    device: str
    cold: float
    kernels: list[float]
    wholes: list[float]
    steps: float
    ends: list[list[float]]


def main() -> None:
    made = parser(__doc__, device="cuda")
    made.add_argument("--runs", type=int, default=None, help="instead of each sweep's own number")
    made.add_argument("--only", default="", help="part of 'PROBLEM, METHOD, PRECISION' (default: all)")
    made.add_argument("--peer", default=sys.executable, metavar="PYTHON", help="an interpreter with diffrax (this one)")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    require_package(arguments.peer, "diffrax")
    device = find_device(options.device)
    lines: list[tuple[str, ...]] = []
    figures: list[Json] = []
    diffraxs_device = ""
    for contest in contests(arguments.runs, device.name):
        sweep = contest.sweep
        if arguments.only not in f"{sweep.title}, {sweep.kind}, {sweep.precision}":
            continue
        answer = diffraxs(arguments.peer, contest, options.repeats)
        diffraxs_device = answer.device
        ours = WarmSweep(sweep)
        row = ours.row([ours.measure() for _ in range(options.repeats)])
        rows = {"cubie": row, answer.package: diffraxs_row(contest, row, answer)}
        lines += [(package, *each.cells(), shown(each.steps), *ratios(each, row)) for package, each in rows.items()]
        figures.append({package: asdict(each) for package, each in rows.items()})
    notes = (
        "Lorenz: t from 0 to 1, rho from 0 to 21; Robertson: t from 0 to 1e5, k1 from half its default to twice that; "
        f"on {device.description} (diffrax on {diffraxs_device}); medians of {options.repeats}."
    )
    finish("gpu_vs_diffrax", Table(headers=HEADERS, rows=tuple(lines)), notes, figures, where, save=options.save)


def contests(n_runs: int | None, device: str) -> Iterator[Contest]:
    """Yield all sweeps: those of the floors by tsit5, then Robertson's."""
    for precision in PRECISIONS:
        for tolerance in (0.0, *TOLERANCES):
            case = Case(
                method="tsit5", controller="pi", tolerance=tolerance, precision=precision, n_runs=n_runs or RUNS[0]
            )
            weights = {"pcoeff": 0.4, "icoeff": 0.3}
            yield Contest(
                sweep=case.sweep(device), method="Tsit5", y0=(1.0, 0.0, 0.0), rates=LORENZ_RATES, weights=weights
            )
    robertson = TASKS[0]
    yield Contest(
        sweep=robertson.sweep("kvaerno-5", n_runs, device),
        method="Kvaerno5",
        y0=robertson.problem.y0,
        rates=ROBERTSON_RATES,
        weights={},
    )


def diffraxs(python: str, contest: Contest, n_repeats: int) -> Answer:
    """Measure diffrax in its process, which leaves what it doesn't need of the device's memory.

    Raises
    ------
    subprocess.CalledProcessError: if that interpreter has no diffrax, or the solve fails; its own message stands above.
    """
    sweep = contest.sweep
    asked = {
        "precision": sweep.precision,
        "values": sweep.values.tolist(),
        "few": sweep.few().tolist(),
        "t_span": sweep.t_span,
        "step": sweep.step,
        "rtol": sweep.rtol,
        "atol": sweep.atol,
        "weights": contest.weights,
        "method": contest.method,
        "y0": contest.y0,
        "repeats": n_repeats,
    }
    command = [python, "-c", CODE.replace("RATES", contest.rates)]
    done = subprocess.run(
        command,
        input=json.dumps(asked) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    )
    return Answer(**json.loads(done.stdout))


def diffraxs_row(contest: Contest, ours: Row, answer: Answer) -> Row:
    """Return diffrax's row beside ours."""
    return replace(
        ours,
        method=contest.method if contest.sweep.step is None else f"{contest.method}, fixed",
        error=contest.sweep.error(np.array(answer.ends), contest.sweep.few()),
        cold=answer.cold,
        compiling=None,
        warm=statistics.median(answer.wholes),
        kernel=statistics.median(answer.kernels),
        steps=answer.steps,
    )


def ratios(each: Row, ours: Row) -> tuple[str, str]:
    """Return how many times our times a row's are, warm and in the kernel."""
    kernels = None if each.kernel is None or ours.kernel is None else each.kernel / ours.kernel
    return shown(each.warm / ours.warm), shown(kernels)


if __name__ == "__main__":
    main()
