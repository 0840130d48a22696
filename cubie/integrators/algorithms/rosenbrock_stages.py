"""The stages of a Rosenbrock tableau: where each one's argument and rate come from, and the code that solves it."""

from fractions import Fraction
from typing import NamedTuple, Protocol, final

from cubie._types import FloatPrecision, PersistentBank, RateFn, Real, SharedBank, StatusBits, Vector
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.integrators.algorithms.rounded_tableau import RoundedRow, nearest, nonzero
from cubie.integrators.matrix_free_solvers.linear_functions import SolveFn
from cubie.integrators.matrix_free_solvers.mass_product import WeighFn
from cubie.targets.base import Target
from cubie.targets.unroll import static


class SolveStageFn(Protocol):
    """Evaluate one stage and solve for its u; `state` ends as its argument, `stage_rate` as its rate."""

    def __call__(
        self,
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        state: Vector,
        stage_rate: Vector,
        stages: Vector,
        drift: Vector,
        weights: Vector,
        linear_shared: SharedBank,
        linear_persistent: PersistentBank,
    ) -> StatusBits: ...


@final
class RosenbrockStages:
    """All stages of a tableau in one precision, and where each one's rate and argument come from."""

    def __init__(self, tableau: RosenbrockTableau, precision: FloatPrecision) -> None:
        a, c, nodes, time_weights = tableau.all_stages()
        gamma = Fraction(tableau.gamma)
        self.gamma = precision(float(gamma))
        self.a: tuple[RoundedRow, ...] = tuple(nearest(row, precision) for row in a)
        self.c: tuple[RoundedRow, ...] = tuple(nearest([gamma * Fraction(x) for x in row], precision) for row in c)
        self.nodes, self.time_weights = nearest(nodes, precision), nearest(time_weights, precision)
        self.m = nearest(tableau.m, precision)
        self.is_evaluated = self._evaluated(tableau)
        self.continues = tuple(
            s > 0 and self.is_evaluated[s] and self.is_evaluated[s - 1] and tuple(a[s]) == (*a[s - 1], 1)
            for s in range(len(a))
        )
        self.takes_start = tuple(first == 0 and nodes[0] == 0 for first in tableau.evaluations)

    @staticmethod
    def _evaluated(tableau: RosenbrockTableau) -> tuple[bool, ...]:
        """Tell which stages evaluate the rate: not those that share the start's, or the one that was evaluated last."""
        firsts, evaluated, last = tableau.evaluations, list[bool](), 0
        for stage, first in enumerate(firsts):
            is_shared = (first == 0 and tableau.nodes[0] == 0) or (stage > 0 and first == last)
            evaluated.append(not is_shared)
            last = last if is_shared else stage
        return tuple(evaluated)


class StageParts(NamedTuple):
    """The device functions that stages call.

    Parameters
    ----------
    weigh : multiply by the mass matrix; None for the identity.
    drifts : the rate depends on the time.
    """

    rate_of: RateFn
    solve: SolveFn
    weigh: WeighFn | None
    drifts: bool


class LoadFn(Protocol):
    """Write the right side of a stage's linear system to its place in `stages`."""

    def __call__(self, dt: Real, stage_rate: Vector, stages: Vector, drift: Vector) -> None: ...


def make_stage(target: Target, rows: RosenbrockStages, s: int, n: int, parts: StageParts) -> SolveStageFn:
    """Build stage `s` of a system of `n` states."""
    a, node, before, last = rows.a[s], rows.nodes[s], range(s), s - 1
    (uses,) = nonzero((a,))
    is_evaluated, continues, takes_start = rows.is_evaluated[s], rows.continues[s], rows.takes_start[s]
    is_at_end, load = float(node) == 1.0, _make_load(target, rows, s, n, parts)
    rate_of, solve, fma = parts.rate_of, parts.solve, target.fma

    @target.device
    def solve_stage(
        t: Real,
        dt: Real,
        y: Vector,
        rate: Vector,
        parameters: Vector,
        drivers: Vector,
        state: Vector,
        stage_rate: Vector,
        stages: Vector,
        drift: Vector,
        weights: Vector,
        linear_shared: SharedBank,
        linear_persistent: PersistentBank,
    ) -> StatusBits:
        if is_evaluated:
            for i in range(n):
                if continues:
                    state[i] = state[i] + stages[last * n + i]
                else:
                    argument = y[i]
                    for j in static(before):
                        if uses[j]:
                            argument = fma(a[j], stages[j * n + i], argument)
                    state[i] = argument
            if is_at_end:
                rate_of(t + dt, state, parameters, drivers, stage_rate)
            else:
                rate_of(fma(node, dt, t), state, parameters, drivers, stage_rate)
        if takes_start:
            load(dt, rate, stages, drift)
        else:
            load(dt, stage_rate, stages, drift)
        return solve(stages[s * n : (s + 1) * n], weights, linear_shared, linear_persistent)

    return solve_stage


def _make_load(target: Target, rows: RosenbrockStages, s: int, n: int, parts: StageParts) -> LoadFn:
    c, weight, gamma, before = rows.c[s], rows.time_weights[s], rows.gamma, range(s)
    drifts, (recalls,), fma = parts.drifts and float(weight) != 0.0, nonzero((c,)), target.fma
    if parts.weigh is not None:
        return _make_weighed_load(target, rows, s, n, parts.weigh, drifts=drifts)

    @target.device
    def load(dt: Real, stage_rate: Vector, stages: Vector, drift: Vector) -> None:
        scale = dt * gamma
        for i in range(n):
            right = scale * stage_rate[i]
            for j in static(before):
                if recalls[j]:
                    right = fma(c[j], stages[j * n + i], right)
            if drifts:
                right = fma(weight, drift[i], right)
            stages[s * n + i] = right

    return load


def _make_weighed_load(
    target: Target, rows: RosenbrockStages, s: int, n: int, weigh: WeighFn, *, drifts: bool
) -> LoadFn:
    """Do it with a mass matrix, which weighs the earlier stages' part."""
    c, weight, gamma, before = rows.c[s], rows.time_weights[s], rows.gamma, range(s)
    zero, (recalls,), fma, splat = type(gamma)(0), nonzero((c,)), target.fma, target.splat

    @target.device
    def load(dt: Real, stage_rate: Vector, stages: Vector, drift: Vector) -> None:
        for i in range(n):
            recalled = splat(zero)
            for j in static(before):
                if recalls[j]:
                    recalled = fma(c[j], stages[j * n + i], recalled)
            stages[s * n + i] = recalled
        weigh(stages[s * n : (s + 1) * n])
        scale = dt * gamma
        for i in range(n):
            right = fma(scale, stage_rate[i], stages[s * n + i])
            if drifts:
                right = fma(weight, drift[i], right)
            stages[s * n + i] = right

    return load
