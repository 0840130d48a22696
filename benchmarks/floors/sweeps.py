"""Sweeps with cubie on the CPU, measured in steps."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from benchmarks.floors.cpu_library import Method, Precision
from benchmarks.floors.rounds import Rounds, Sample, Spread, timed
from benchmarks.harness import Json
from benchmarks.lorenz import LORENZ
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import DEFAULT_CONTROLLER
from cubie.odesystems.ode_system import ODESystem

Values: TypeAlias = npt.NDArray[np.float64]

PRECISIONS: Final[tuple[Precision, ...]] = ("float32", "float64")
ATOL: Final[Mapping[Precision, float]] = {"float32": 1e-6, "float64": 1e-9}
RTOL: Final = 1e-6
STEP: Final = 1e-3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep with cubie; its solvers differ in lanes only."""

    title: str
    system: ODESystem
    parameter: str
    values: Values
    t_end: float
    precision: Precision
    method: Method = "adaptive"

    def solver(self, lanes: int | None = None) -> Solver:
        """Return a solver; None lets it choose its lanes."""
        is_fixed = self.method != "adaptive"
        return Solver(
            self.system,
            method=self.method if is_fixed else "tsit5",
            controller="fixed" if is_fixed else DEFAULT_CONTROLLER,
            rtol=RTOL,
            atol=ATOL[self.precision],
            first_step=STEP if is_fixed else None,
            precision=self.precision,
            device="cpu",
            lanes=lanes,
        )

    def solve(self, solver: Solver, every: int = 1) -> Solution:
        """Solve for the values, or for one of so many."""
        return solver.solve((0.0, self.t_end), parameters={self.parameter: self.values[::every]}, t_eval=[self.t_end])

    def measure(self, solver: Solver, every: int = 1) -> Callable[[], Sample]:
        """Return what solves and measures."""
        return timed(lambda: self.solve(solver, every).stats.n_steps)

    @property
    def kind(self) -> str:
        """The method in words."""
        return "tsit5, adaptive" if self.method == "adaptive" else f"{self.method}, fixed"


def lorenz(method: Method, precision: Precision, scale: float) -> Sweep:
    """Return Lorenz over rho from 0 to 21: 1,000 steps to t = 1, or adaptive ones to t = 10."""
    n_runs = int(scale * (131_072 if method == "adaptive" else 65_536))
    t_end = 10.0 if method == "adaptive" else 1.0
    return Sweep(
        title="Lorenz",
        system=LORENZ,
        parameter="rho",
        values=np.linspace(0.0, 21.0, n_runs),
        t_end=t_end,
        precision=precision,
        method=method,
    )


def slowness(rounds: Rounds[Sample], name: str, to: str) -> Spread:
    """Return how many times the processor time of `to` a step takes."""
    return rounds.ratio(name, to, lambda sample: sample.processor_per_step)


def millions(rounds: Rounds[Sample], name: str) -> str:
    """Return millions of steps a second."""
    return f"{rounds.of(name, lambda sample: sample.rate).median / 1e6:,.0f}"


def figures_of(rounds: Rounds[Sample]) -> Json:
    """Return everything that was measured."""
    figures: Json = {name: [asdict(sample) for sample in samples] for name, samples in rounds.samples.items()}
    return figures
