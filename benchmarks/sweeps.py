"""Sweeps with cubie: one parameter of a system varied, solved first cold and then warm, measured alike for every table.

Cold is the first solve of a fresh solver, its making included: no kept kernel spares it compilation, and what it
imports was imported before. On a CPU the kernel is the launch of all threads. Errors are those of a few runs, spread
over the sweep, beside solves at tolerances a million times tighter.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from statistics import median
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from benchmarks.floors.cpu_library import Method
from benchmarks.harness import Json, Row, shown
from benchmarks.lorenz import BATCH_ATOL, LORENZ, RHO, RTOL, T_SPAN
from benchmarks.rounds import Rounds, Sample, Spread, kernel, wall
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import DEFAULT_CONTROLLER, PrecisionName
from cubie.odesystems.create import create_ode_system
from cubie.odesystems.ode_system import ODESystem

Ends: TypeAlias = npt.NDArray[np.float64]

PRECISIONS: Final[tuple[PrecisionName, ...]] = ("float32", "float64")
STEP: Final = 1e-3
FEW: Final = 9
FEW_RUNS: Final = 8
MANY_TIMES: Final = 200
OVERHEAD_GOALS: Final[Mapping[str, float]] = {"cpu": 0.1, "cuda": 0.2}
EXACT, STIFF_EXACT = "vern9", "radau"
"""The methods that errors are measured by."""
TIGHTER: Final = 1e-6


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """Runs of one system that differ in one parameter, and how cubie integrates them.

    Parameters
    ----------
    values : of the parameter, shape (n_runs,), in the precision of the batch.
    step : the length of all steps; None for adaptive ones.
    rtol, atol : with fixed steps they are the unit of the error only.
    exact : the method that errors are measured by.
    """

    title: str
    system: ODESystem
    parameter: str
    values: FloatArray
    t_span: tuple[float, float]
    method: str = "tsit5"
    controller: str = DEFAULT_CONTROLLER
    step: float | None = None
    rtol: float = 1e-6
    atol: float = 1e-9
    precision: PrecisionName = "float64"
    device: str = "cpu"
    lanes: int | None = None
    exact: str = EXACT

    @property
    def kind(self) -> str:
        """The method in words."""
        if self.step is not None:
            return f"{self.method}, fixed"
        return self.method if self.controller == DEFAULT_CONTROLLER else f"{self.method}, {self.controller}"

    def solver(self) -> Solver:
        """Return its solver."""
        return Solver(
            self.system,
            method=self.method,
            controller=self.controller if self.step is None else "fixed",
            rtol=self.rtol,
            atol=self.atol,
            first_step=self.step,
            precision=self.precision,
            device=self.device,
            lanes=self.lanes,
        )

    def solve(self, solver: Solver) -> Solution:
        """Solve all runs, for the states at the end."""
        return solver.solve(self.t_span, parameters={self.parameter: self.values}, t_eval=self.t_span[1:])

    def few(self, n_few: int = FEW) -> npt.NDArray[np.intp]:
        """Return the numbers of a few runs, spread over the values, the least and the largest among them."""
        in_order = np.argsort(self.values, kind="stable")
        return in_order[np.linspace(0, in_order.size - 1, n_few).astype(np.intp)]

    def error(self, ends: FloatArray, runs: npt.NDArray[np.intp]) -> float:
        """Return the largest error of these runs' ends, shape (n_states, n_few), in units of rtol*|y| + atol."""
        values = tuple(self.values[runs].astype(np.float64).tolist())
        exact = exact_ends(self.system, self.parameter, self.t_span, values, self.exact, self.rtol, self.atol)
        return float((np.abs(ends - exact) / (self.rtol * np.abs(exact) + self.atol)).max())


@final
class WarmSweep:
    """A sweep that has been solved once, cold, and is solved again, warm, to be measured."""

    def __init__(self, sweep: Sweep) -> None:
        import_everything(sweep.device)
        begin = time.perf_counter()
        self.solver: Final = sweep.solver()
        self.first: Final = sweep.solve(self.solver)
        self.cold: Final = time.perf_counter() - begin
        self.first.raise_for_status()
        self.sweep = sweep

    def go_by(self, rtol: float, atol: float) -> None:
        """Take other tolerances from now on."""
        self.solver.update(rtol=rtol, atol=atol)
        self.sweep = replace(self.sweep, rtol=rtol, atol=atol)

    def measure(self) -> Sample:
        """Solve it again and measure that."""
        begin, processor = time.perf_counter(), time.process_time()
        solution = self.sweep.solve(self.solver)
        whole, spent = time.perf_counter() - begin, time.process_time() - processor
        n_steps = int(solution.n_steps.sum(dtype=np.int64))
        return Sample(wall=whole, processor=spent, kernel=solution.timings["kernel"], n_steps=n_steps)

    def error(self, n_few: int = FEW) -> float:
        """Return the error of the first solve, by so many of its runs."""
        runs = self.sweep.few(n_few)
        return self.sweep.error(self.first.y[-1][:, runs], runs)

    def row(self, samples: Sequence[Sample], error: float | None = None) -> Row:
        """Return its row: medians of the samples, and the first solve's error unless another one is given."""
        sweep = self.sweep
        return Row(
            problem=sweep.title,
            n_states=sweep.system.n_states,
            n_runs=sweep.values.size,
            precision=sweep.precision,
            method=sweep.kind,
            tolerances=f"{sweep.rtol:.2g}, {sweep.atol:g}" if sweep.step is None else f"steps of {sweep.step:g}",
            error=self.error() if error is None else error,
            cold=self.cold,
            compiling=self.first.timings["compile"],
            warm=1e3 * median(map(wall, samples)),
            kernel=1e3 * median(map(kernel, samples)),
            steps=median(sample.n_steps for sample in samples) / sweep.values.size,
        )


def spaced(low: float, high: float, n_runs: int, precision: PrecisionName = "float64") -> FloatArray:
    """Return equally spaced values, shape (n_runs,)."""
    values: FloatArray = np.linspace(low, high, n_runs, dtype=precision)
    return values


def lorenz(n_runs: int, precision: PrecisionName, t_span: tuple[float, float] = T_SPAN) -> Sweep:
    """Return Lorenz over rho from 0 to 21."""
    return Sweep(
        title="Lorenz",
        system=LORENZ,
        parameter="rho",
        values=spaced(*RHO, n_runs, precision),
        t_span=t_span,
        rtol=RTOL,
        atol=BATCH_ATOL[precision],
        precision=precision,
    )


def lorenz_by(method: Method, precision: PrecisionName, scale: float) -> Sweep:
    """Return Lorenz as the hand-written code has it: 1,000 steps to t = 1, or adaptive ones to t = 10."""
    if method == "adaptive":
        return lorenz(int(scale * 131_072), precision)
    return replace(lorenz(int(scale * 65_536), precision, (0.0, 1.0)), method=method, step=STEP)


def overhead(device: str) -> tuple[float, str]:
    """Return the milliseconds that a warm solver of Lorenz spends around the kernel of a few runs, and a note."""
    solver = Solver(LORENZ, device=device)
    rho = spaced(1.0, 21.0, FEW_RUNS)
    spent: list[float] = []
    for _ in range(MANY_TIMES):
        begin = time.perf_counter()
        solution = solver.solve((0.0, 1.0), parameters={"rho": rho})
        spent.append((time.perf_counter() - begin - solution.timings["kernel"]) * 1e3)
    milliseconds, goal = median(spent), OVERHEAD_GOALS[solver.device.kind]
    around = f"Around a solve of {FEW_RUNS} runs of Lorenz a warm solver spends {milliseconds:.3f} ms on the host"
    return milliseconds, f"{around} (goal: {goal})."


@cache
def import_everything(device: str) -> None:
    """Import all that a solve needs, by solving; from now on keep no kernels, and find none."""
    os.environ["CUBIE_CACHE"] = "0"
    decay = create_ode_system(["dx = -x"], states={"x": 1.0})
    for method in ("bogacki-shampine-32", "rosenbrock23"):
        Solver(decay, method=method, device=device).solve((0.0, 1.0))


@cache
def exact_ends(
    system: ODESystem,
    parameter: str,
    t_span: tuple[float, float],
    values: tuple[float, ...],
    method: str,
    rtol: float,
    atol: float,
) -> Ends:
    """Return where runs end at tolerances far tighter than these, shape (n_states, n_values)."""
    solver = _exact_solver(system, method)
    solver.update(rtol=rtol * TIGHTER, atol=atol * TIGHTER)
    solution = solver.solve(t_span, parameters={parameter: np.array(values)}, t_eval=t_span[1:])
    solution.raise_for_status()
    ends: Ends = np.asarray(solution.y[-1], dtype=np.float64)
    return ends


@cache
def _exact_solver(system: ODESystem, method: str) -> Solver:
    return Solver(system, method=method, device="cpu", lanes=1, max_steps=10_000_000)


def slowness(rounds: Rounds[Sample], name: str, to: str) -> Spread:
    """Return how many times the processor time of `to` a step takes."""
    return rounds.ratio(name, to, lambda sample: sample.processor_per_step)


def millions(rounds: Rounds[Sample], name: str) -> str:
    """Return millions of steps a second."""
    return shown(rounds.of(name, lambda sample: sample.rate).median / 1e6)


def figures_of(rounds: Rounds[Sample], row: Row) -> Json:
    """Return a row, and everything that was measured for it."""
    samples: Json = {name: [asdict(sample) for sample in each] for name, each in rounds.samples.items()}
    return {"row": asdict(row), "samples": samples}
