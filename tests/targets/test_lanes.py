"""Runs side by side: none feels which others stand beside it, in which lane, or, but for rounding, how many lanes there
are.
"""

from typing import Final

import numpy as np
import pytest

from cubie import Solution, Solver, create_ode_system
from cubie.batchsolving.solver_settings import PrecisionName

N: Final = 77
SYSTEM: Final = create_ode_system(
    ["dx = y + b*x*x", "dy = -w*w*x + 0.1*sin(3*t)"],
    states={"x": 1.0, "y": 0.0},
    parameters={"w": 1.0, "b": 0.0},
    name="brittle",
)
W: Final = np.linspace(0.1, 7.0, N)
B: Final = np.where(np.arange(N) % 6 == 4, 20.0, 0.01)
"""Every sixth run blows up, at a time of its own."""


def solved(solver: Solver, runs: list[int]) -> Solution:
    """Solve the runs of the given numbers."""
    return solver.solve((0.0, 3.0), parameters={"w": W[runs], "b": B[runs]})


@pytest.fixture(scope="module")
def fixed() -> Solver:
    """Return a solver of fixed steps, eight runs side by side: 300 steps are blocks, then single ones."""
    return Solver(SYSTEM, method="classical-rk4", first_step=0.01, device="cpu", lanes=8)


def test_fixed_steps_of_a_run_depend_on_no_neighbour_and_no_place(fixed: Solver) -> None:
    """Beside runs that fail, or that started later, a run takes single steps where alone it takes blocks."""
    everything = list(range(N))
    whole = solved(fixed, everything)
    assert np.array_equal(np.flatnonzero(~whole.success), np.flatnonzero(B > 1))
    shuffled = np.random.default_rng(3).permutation(N).tolist()
    for runs in (shuffled, everything[::-1], everything[1::2], [4, 0], [0], [4]):
        part = solved(fixed, runs)
        np.testing.assert_array_equal(part.y, whole.y[..., runs])
        np.testing.assert_array_equal(part.n_steps, whole.n_steps[runs])
        np.testing.assert_array_equal(part.status, whole.status[runs])


def test_fixed_steps_agree_with_one_run_at_a_time_to_rounding(fixed: Solver) -> None:
    """The bound: two hundred units of rounding after three hundred steps."""
    one = solved(Solver(SYSTEM, method="classical-rk4", first_step=0.01, device="cpu", lanes=1), list(range(N)))
    side_by_side = solved(fixed, list(range(N)))
    np.testing.assert_array_equal(side_by_side.n_steps, one.n_steps)
    np.testing.assert_array_equal(side_by_side.status, one.status)
    bound = 200 * np.finfo(np.float64).eps
    np.testing.assert_allclose(side_by_side.y[..., one.success], one.y[..., one.success], rtol=bound, atol=bound)


@pytest.mark.parametrize(("precision", "widths"), [("float64", (1, 4, 32)), ("float32", (1, 16))])
def test_adaptive_runs_agree_at_every_width(precision: PrecisionName, widths: tuple[int, ...]) -> None:
    """Rounding may move a step; the answers then differ by a small part of the tolerance, or in float32 by rounding."""
    calm = np.flatnonzero(B < 1)
    solutions = [
        solved(Solver(SYSTEM, rtol=1e-5, atol=1e-7, precision=precision, device="cpu", lanes=width), list(range(N)))
        for width in widths
    ]
    for solution in solutions:
        assert np.array_equal(np.flatnonzero(solution.success), calm)
        np.testing.assert_allclose(solution.n_steps, solutions[0].n_steps, rtol=0.05, atol=1)
        bound = 1e-8 if precision == "float64" else 2e-5
        np.testing.assert_allclose(solution.y[..., calm], solutions[0].y[..., calm], rtol=bound, atol=bound)
