"""Implicit Runge-Kutta methods on stiff problems with trusted answers, and Radau IIA beside SciPy's."""

from functools import cache
from typing import Final

import numpy as np
import pytest
from scipy.integrate import Radau

from cubie.batchsolving.auto_method import STIFF_METHOD
from cubie.batchsolving.solver import Solver
from cubie.targets.reference import ReferenceTarget
from tests.batches import building_for
from tests.integrators.scores import Score, atol_of, bound_of, rate_of, score
from tests.problems import N_ROWS, PROBLEMS, Problem

STIFF: Final = ("robertson", "hires", "vdpol")
METHODS: Final = ("radau", "radau-iia-9", "lobatto-iiic-4", "kvaerno-3", "kencarp-4", "esdirk54i8l2sa", "trbdf2")
MOST_ERROR: Final = 100.0
MOST_STEPS: Final = 1.5
LEAST_SUCCESS: Final = 0.999


def scored(method: str, problem: Problem, rtol: float) -> Score:
    """Solve all nine rows side by side on the reference target."""
    with building_for(ReferenceTarget(width=9)):
        return score(Solver(problem.system(), method=method, device="cpu"), problem, rtol)


@pytest.mark.parametrize("name", STIFF)
@pytest.mark.parametrize("method", METHODS)
def test_loose_tolerances_are_met_on_stiff_problems(method: str, name: str) -> None:
    assert scored(method, PROBLEMS[name], 1e-3).error < MOST_ERROR


@pytest.mark.parametrize("method", ["radau", "kencarp-5"])
def test_tight_tolerances_are_met_on_a_stiff_problem(method: str) -> None:
    assert scored(method, PROBLEMS["hires"], 1e-7).error < MOST_ERROR


@cache
def radau(name: str) -> Solver:
    """Return the default stiff method's solver of a problem on the CPU, compiled for few tests and tolerances."""
    return Solver(PROBLEMS[name].system(), method=STIFF_METHOD, device="cpu")


def n_steps_of_scipy(problem: Problem, rtol: float, row: int) -> int:
    start, end = problem.t_span
    rate, y0 = rate_of(problem, problem.parameter_values()[row]), problem.initial_values()[row]
    run, n_steps = Radau(rate, start, y0, end, rtol=rtol, atol=atol_of(problem, rtol)), 0
    with np.errstate(all="ignore"):
        while run.status == "running":
            run.step()
            n_steps += 1
    return n_steps


@pytest.mark.parametrize("name", [*STIFF, "pollu"])
def test_radau_takes_at_most_one_and_a_half_times_scipys_steps(name: str) -> None:
    problem, rtol = PROBLEMS[name], 1e-3
    ours, theirs = scored("radau", problem, rtol), sum(n_steps_of_scipy(problem, rtol, row) for row in range(N_ROWS))
    assert ours.n_steps - ours.n_rejected <= MOST_STEPS * theirs


@pytest.mark.parametrize("name", STIFF)
def test_radau_takes_no_more_steps_than_scipys_at_tight_tolerances(name: str) -> None:
    problem, solver = PROBLEMS[name], radau(name)
    y0, parameters = problem.initial_values()[0], problem.parameter_values()[0]
    for rtol in (1e-6, 1e-9):
        solver.update(rtol=rtol, atol=atol_of(problem, rtol))
        ours = solver.solve(problem.t_span, y0, parameters, t_eval=problem.t_eval)
        assert ours.n_steps[0] - ours.n_rejected[0] <= n_steps_of_scipy(problem, rtol, 0), f"rtol {rtol}"


@pytest.mark.parametrize(("row", "rtol"), [(0, 1e-8), (0, 1e-9), (0, 1e-10), (7, 1e-6), (7, 1e-8)])
def test_radau_attempts_at_most_one_and_a_half_times_scipys_steps_beside_a_slow_solution(row: int, rtol: float) -> None:
    """Prothero and Robinson's problem: a step that ends off it by the tolerance sets no floor under the next error."""
    problem, solver = PROBLEMS["prothero_robinson"], radau("prothero_robinson")
    solver.update(rtol=rtol, atol=atol_of(problem, rtol))
    end = problem.t_span[1]
    ours = solver.solve(problem.t_span, problem.initial_values()[row], problem.parameter_values()[row], t_eval=[end])
    assert ours.n_steps[0] <= MOST_STEPS * n_steps_of_scipy(problem, rtol, row)
    assert abs(ours.y[-1, 0, 0] - np.cos(end)) <= rtol * abs(np.cos(end))


def test_a_closed_system_is_followed_to_its_end_in_single_precision() -> None:
    """Robertson's J is singular: what M leaves of the last pivot has few digits after a while."""
    problem = PROBLEMS["robertson"]
    solver = Solver(problem.system(), method=STIFF_METHOD, device="cpu", precision="float32")
    ours = score(solver, problem, 1e-3)
    assert ours.error <= bound_of(problem, 1e-3, is_default=True)
    assert ours.n_steps < 9 * 10_000


@pytest.mark.parametrize("name", ["robertson", "orego"])
def test_rates_drawn_over_four_decades_lose_no_run(name: str) -> None:
    """States that decay below the tolerances keep their sign, without which Robertson's problem runs away."""
    problem, n_runs = PROBLEMS[name], 10_000
    decades = np.random.default_rng(1).uniform(-2.0, 2.0, (len(problem.parameters), n_runs))
    rates = problem.parameter_values()[:1].T * 10.0**decades
    solver = radau(name)
    for rtol in (1e-3, 1e-6):
        solver.update(rtol=rtol, atol=atol_of(problem, rtol))
        solution = solver.solve(problem.t_span, problem.initial_values()[0], rates)
        assert np.count_nonzero(solution.success) >= LEAST_SUCCESS * n_runs


@pytest.mark.parametrize("method", ["kvaerno-3", "radau"])
def test_lanes_of_a_cpu_take_the_steps_of_the_reference_target(method: str) -> None:
    problem, rtol = PROBLEMS["vdpol"], 1e-4
    solver = radau("vdpol") if method == "radau" else Solver(problem.system(), method=method, device="cpu")
    ours = score(solver, problem, rtol)
    reference = scored(method, problem, rtol)
    assert ours.error < MOST_ERROR
    assert ours.n_steps == pytest.approx(reference.n_steps, rel=0.02)
