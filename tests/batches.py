"""Solves on a target of the test's choosing, and a record of what they ask of the right-hand side."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import pytest
from typing_extensions import Unpack

from cubie import ODESystem, Solution, solve_ivp
from cubie._types import FloatPrecision, Location, RateFn, Real, Vector
from cubie.batchsolving.arrays import InputsLike
from cubie.batchsolving.solver_settings import SolverOptions, Times
from cubie.buffer_report import BufferReport
from cubie.targets.base import Target
from cubie.targets.reference import ReferenceBank, ReferenceTarget
from tests.reference_rows import floats

FLOAT_NAMES: Final = ("float32", "float64")


class SolveOptions(SolverOptions, total=False):
    """All that `solve_ivp` takes by name."""

    y0: InputsLike | None
    parameters: InputsLike | None
    t_eval: Times | None
    save_every: float | None


@contextmanager
def building_for(target: Target) -> Iterator[None]:
    """Let solvers build kernels for `target`, whatever their device."""

    def chosen(*device: object, **options: object) -> Target:
        return target

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cubie.batchsolving.solver.make_target", chosen)
        yield


def solve_on(target: Target, system: ODESystem, t_span: Times, **options: Unpack[SolveOptions]) -> Solution:
    """Solve for a target: `ReferenceTarget()` interprets, `CpuTarget(poison=True)` fills scratch with NaN."""
    options.setdefault("device", "cpu")
    with building_for(target):
        return solve_ivp(system, t_span, **options)


class RateCall(NamedTuple):
    """One evaluation of a right-hand side: a time for each run, and `y[i]`, the i-th state of each."""

    t: tuple[float, ...]
    y: tuple[tuple[float, ...], ...]


@contextmanager
def recorded_rates() -> Iterator[list[RateCall]]:
    """List every evaluation of f by reference targets, in the order of calls; what is saved is not evaluated by it."""
    calls: list[RateCall] = []
    compile_source = ReferenceTarget.from_source

    def recording(
        target: ReferenceTarget,
        name: str,
        text: str,
        constants: tuple[tuple[str, float], ...],
        precision: FloatPrecision,
    ) -> RateFn:
        function: RateFn = compile_source(target, name, text, constants, precision)

        def rate(t: Real, y: Vector, parameters: Vector, drivers: Vector, out: Vector) -> None:
            assert isinstance(y, ReferenceBank)
            calls.append(RateCall(tuple(floats(t)), tuple(tuple(floats(state)) for state in y.rows)))
            function(t, y, parameters, drivers, out)

        return rate if name == "rate" else function

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReferenceTarget, "from_source", recording)
        yield calls


def times_of(calls: list[RateCall]) -> list[float]:
    """Return the times at which f was evaluated by a target of width 1."""
    return [call.t[0] for call in calls]


def movable(report: BufferReport, path: str = "") -> list[str]:
    """Return the paths of all buffers of some size that a user may place."""
    own = [f"{path}{row.name}" for row in report.rows if row.child is None and row.size > 0]
    return own + [name for child in report.children for name in movable(child, f"{path}{child.name}.")]


def all_shared(paths: list[str]) -> dict[str, Location]:
    """Return the placement that moves every one of `paths` to shared memory."""
    return {path: "shared" for path in paths}


def assert_same_bits(left: Solution, right: Solution, what: str = "") -> None:
    """Require two solutions to agree in every bit of every run, NaNs in the same places."""
    np.testing.assert_array_equal(left.y, right.y, err_msg=what)
    np.testing.assert_array_equal(left.status, right.status, err_msg=what)
    np.testing.assert_array_equal(left.t_final, right.t_final, err_msg=what)
    np.testing.assert_array_equal(left.n_steps, right.n_steps, err_msg=what)
    np.testing.assert_array_equal(left.n_rejected, right.n_rejected, err_msg=what)
