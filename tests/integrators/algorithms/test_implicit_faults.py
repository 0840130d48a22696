"""Faults that implicit methods of other programs have had, each by its pitfall's number."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
import pytest

from cubie import Solution, Status, create_ode_system
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovKind
from cubie.integrators.matrix_free_solvers.linear_choice import LinearKind
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import assert_same_bits, solve_on
from tests.problems import PROBLEMS

POLE: Final = create_ode_system("dx = k + x*x", states={"x": 0.0}, parameters=["k"], name="pole")
"""Of k = c**2 the solution is c*tan(c*t); that of k = 4 ends at pi/4."""
LAST: Final = np.pi / 4
TIMES: Final = (0.0, 0.25, 0.5, 0.75, float(LAST), 0.9, 1.0)
SOLVERS: Final[tuple[tuple[str, LinearKind], ...]] = (
    ("kvaerno-3", "bicgstab"),
    ("radau", "direct"),
    ("rodas4p", "direct"),
)
EACH: Final = pytest.mark.parametrize(("method", "linear_solver"), SOLVERS)


@cache
def to_the_pole(method: str, linear_solver: LinearKind) -> Solution:
    return solve_on(
        CpuTarget(width=2), POLE, (0.0, 1.0), parameters={"k": np.array([1.0, 4.0, -1.0])}, t_eval=TIMES, method=method,
        linear_solver=linear_solver, rtol=1e-6, atol=1e-8, first_step=0.7, max_steps=3000,
    )  # fmt: skip


@EACH
def test_failures_at_a_save_come_to_an_end(method: str, linear_solver: LinearKind) -> None:
    """PITFALL 7: rejections and Newton failures at a save boundary that never ended. A save is due at the pole."""
    solution = to_the_pole(method, linear_solver)
    assert solution.status[1] in {Status.step_too_small, Status.newton_failed, Status.non_finite, Status.singular}
    assert solution.n_steps[1] < 3000
    assert solution.t_final[1] == pytest.approx(LAST, abs=1e-4)


@EACH
def test_a_failure_that_was_recovered_leaves_no_trace_and_a_late_one_keeps_what_was_reached(
    method: str, linear_solver: LinearKind
) -> None:
    """PITFALL 9: a recovered step's status stained the run; a failure late in a run discarded its good prefix."""
    solution = to_the_pole(method, linear_solver)
    assert (solution.n_rejected > 0).any()
    assert [solution.status[0], solution.status[2]] == [Status.success, Status.success]
    x = solution["x"]
    assert x[:, 0] == pytest.approx(np.tan(TIMES), rel=1e-4)
    assert x[:, 2] == pytest.approx(-np.tanh(TIMES), rel=1e-4, abs=1e-6)
    assert x[:4, 1] == pytest.approx(2 * np.tan(2 * np.array(TIMES[:4])), rel=1e-3)
    assert np.isnan(x[5:, 1]).all()


@pytest.mark.parametrize("method", ["radau", "kvaerno-5", "rodas5p"])
@pytest.mark.parametrize(("rate", "t_end"), [("sqrt(x) - 1", 5.0), ("1000*x", 1.0)], ids=["root", "overflow"])
def test_what_is_not_finite_is_named_so_by_every_family(rate: str, t_end: float, method: str) -> None:
    system = create_ode_system(f"dx = {rate}", states={"x": 0.5})
    found = solve_on(ReferenceTarget(width=1), system, (0.0, t_end), method=method, rtol=1e-2, atol=1e-4)
    assert found.status.tolist() == [Status.non_finite]


@pytest.mark.parametrize(("method", "kind"), [("radau", "gmres"), ("kvaerno-5", "bicgstab")])
def test_iterative_solvers_set_no_floor_under_the_error(method: str, kind: KrylovKind) -> None:
    """PITFALL 15: inner Krylov tolerances set an error floor well above rtol."""
    hires = PROBLEMS["hires"]

    def solved(linear_solver: LinearKind, rtol: float) -> Solution:
        return solve_on(
            ReferenceTarget(width=1), hires.system(), (0.0, 0.5), method=method, linear_solver=linear_solver,
            rtol=rtol, atol=rtol / 1000,
        )  # fmt: skip

    exact = solved("direct", 1e-10).y[-1]
    found, direct = (np.abs(solved(solver, 1e-8).y[-1] - exact) for solver in (kind, "direct"))
    assert (found <= 3 * direct + 1e-8 * np.abs(exact) + 1e-11).all()


TAKEN: Final = ("beta", "gamma", "h", "n", "order", *(f"x{i}" for i in range(1, 13)))
"""Names of coefficients in solvers, and of states whose pairs of numbers can be read in two ways: 1, 11 and 11, 1."""


@pytest.mark.parametrize("method", ["rodas5p", "kvaerno-3", "radau", "tsit5"])
def test_names_of_a_model_meet_none_of_the_solvers(method: str) -> None:
    """PITFALL 18: symbols overwrote a solver's constants, and names in Jacobians collided from 11 states on."""

    def solved(names: Sequence[str]) -> Solution:
        parameters, states = names[:5], names[5:]
        rates = [
            f"d{x} = {parameters[i % 5]}*({states[i - 1]} - {x}) - {states[i - 2]}*{states[i - 5]}/9"
            for i, x in enumerate(states)
        ]
        system = create_ode_system(
            rates,
            states={x: 1.0 + i / 10 for i, x in enumerate(states)},
            parameters={name: 1.0 + i for i, name in enumerate(parameters)},
        )
        return solve_on(ReferenceTarget(width=1), system, (0.0, 1.0), method=method, rtol=1e-4)

    assert_same_bits(solved(TAKEN), solved([f"quite_another_{name}" for name in TAKEN]))
