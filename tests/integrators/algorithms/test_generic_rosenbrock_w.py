"""The one body of Rosenbrock methods against a plain calculation, and the orders that every row shows by it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest
from typing_extensions import Unpack

from cubie import Solution, create_ode_system
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.status import Status
from cubie.targets.base import Target
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import SolveOptions, all_shared, assert_same_bits, recorded_rates, solve_on
from tests.integrators.algorithms.implicit_steps import ORDERS, rosenbrock_step
from tests.integrators.fixed_steps import PENDULUM, exact, slopes
from tests.integrators.scores import atol_of
from tests.problems import PROBLEMS, Problem

ROWS: Final = tuple(ROSENBROCK_TABLEAUS.values())
EACH: Final = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
RESOLVED: Final = 1e-12
THETAS: Final = (0.2, 0.5, 0.8)
PROTHERO_ROBINSON: Final = PROBLEMS["prothero_robinson"].system()


def fixed(row: RosenbrockTableau, n_steps: int, times: Sequence[float]) -> Solution:
    """Take equal steps from 0 to 2 on the pendulum of `implicit_orders.json`, which depends on t."""
    return solve_on(
        ReferenceTarget(width=2),
        PENDULUM,
        (0.0, 2.0),
        y0={"z1": np.array([1.0, -0.4, 2.0])},
        t_eval=times,
        method=row,
        controller="fixed",
        first_step=2.0 / n_steps,
    )


@EACH
def test_steps_are_those_of_a_plain_calculation(row: RosenbrockTableau) -> None:
    """Twelve steps of runs side by side, in lanes that differ, by the book's formula in NumPy."""
    n_steps = 12
    found = fixed(row, n_steps, [0.0, 2.0]).y[-1]
    for run, z1 in enumerate((1.0, -0.4, 2.0)):
        z = np.array([z1, 0.5])
        for i in range(n_steps):
            z = rosenbrock_step(row, i * 2.0 / n_steps, 2.0 / n_steps, z)
        assert found[:, run] == pytest.approx(z, rel=1e-11, abs=1e-12)


@EACH
def test_error_at_the_end_shrinks_by_the_order(row: RosenbrockTableau) -> None:
    n_steps = (8, 16, 32, 64)
    ends = [fixed(row, n, [0.0, 2.0]).y[-1, :, 0] for n in n_steps]
    errors = np.array([np.abs(end - exact(2.0)).max() for end in ends])
    errors = errors[errors > RESOLVED]
    assert slopes(errors, n_steps)[-1] > row.order - 0.3
    if row.name in ORDERS["methods"]:
        assert slopes(errors, n_steps)[-1] == pytest.approx(ORDERS["methods"][row.name]["nonstiff_slope"], abs=0.3)


@EACH
def test_error_inside_steps_shrinks_by_the_order_of_dense_output(row: RosenbrockTableau) -> None:
    n_steps = (8, 16, 32)
    errors = []
    for n in n_steps:
        times = [(step + theta) * 2.0 / n for step in range(0, n, 3) for theta in THETAS]
        states = fixed(row, n, times).y[:, :, 0]
        errors.append(float(np.abs(states - np.array([exact(t) for t in times])).max()))
    assert slopes(np.array(errors), n_steps)[-1] > min(row.order, row.dense_order + 1) - 0.3


@pytest.mark.parametrize("name", ["ros3p", "rodas3p", "rodas4p", "rodas5p", "ros34pw2", "grk4t"])
def test_stiff_order_is_that_of_the_literature(name: str) -> None:
    """Prothero and Robinson's problem at lambda = -1e6, as far as rounding lets see."""
    measured, row = ORDERS["methods"][name], ROSENBROCK_TABLEAUS[name]
    for halvings, expected in enumerate(measured["stiff"][:3]):
        n_steps = 8 << halvings
        found = solve_on(
            ReferenceTarget(width=1), PROTHERO_ROBINSON, (0.0, 1.0), method=row, controller="fixed",
            first_step=1.0 / n_steps
        )  # fmt: skip
        error = abs(float(found.y[-1, 0, 0]) - float(np.cos(1.0)))
        assert error == pytest.approx(expected, rel=0.02, abs=2e-14)


def sweep(problem: Problem, target: Target, **options: Unpack[SolveOptions]) -> Solution:
    """Solve all rows of a problem, with saves between steps."""
    options["y0"], options["parameters"] = problem.initial_values().T, problem.parameter_values().T
    options["t_eval"] = problem.t_eval
    return solve_on(target, problem.system(), problem.t_span, **options)


def options_of(problem: Problem, method: str, rtol: float) -> SolveOptions:
    """Return a method and `rtol` with the atol of the problem's own proportion."""
    return {"method": method, "rtol": rtol, "atol": atol_of(problem, rtol)}


def misses(problem: Problem, solution: Solution, rtol: float) -> float:
    """The largest error in units of the tolerances."""
    reference = problem.references().y
    miss = np.abs(np.transpose(solution.y, (2, 0, 1)) - reference) / (rtol * np.abs(reference) + atol_of(problem, rtol))
    return float(miss.max())


@pytest.mark.parametrize("name", ["robertson", "hires", "orego", "pollu"])
@pytest.mark.parametrize("rtol", [1e-3, 1e-6])
def test_stiff_problems_are_solved_to_their_tolerance(name: str, rtol: float) -> None:
    problem = PROBLEMS[name]
    solution = sweep(problem, ReferenceTarget(width=9), **options_of(problem, "rodas5p", rtol))
    assert solution.all_succeeded
    assert misses(problem, solution, rtol) < 20.0


@EACH
def test_every_method_solves_a_stiff_sweep(row: RosenbrockTableau) -> None:
    problem = PROBLEMS["hires"]
    solution = sweep(problem, ReferenceTarget(width=9), **options_of(problem, row.name, 1e-3))
    assert solution.all_succeeded
    assert misses(problem, solution, 1e-3) < 300.0


def test_single_precision_solves_a_stiff_sweep() -> None:
    problem = PROBLEMS["hires"]
    options = options_of(problem, "rodas5p", 1e-3)
    options["precision"] = "float32"
    solution = sweep(problem, ReferenceTarget(width=9), **options)
    assert solution.y.dtype == np.float32
    assert solution.all_succeeded
    assert misses(problem, solution, 1e-3) < 20.0


BUFFERS: Final = ("step.stages", "step.dense", "step.linear.jacobian", "step.linear.factors", "rate_next")


@pytest.mark.parametrize("name", ["rodas5p", "rodas6p", "ros3p"])
def test_no_placement_and_no_poison_changes_a_bit(name: str) -> None:
    problem = PROBLEMS["vdpol"]
    options = options_of(problem, name, 1e-3)
    options["max_steps"] = 20
    expected = sweep(problem, ReferenceTarget(width=4), **options)
    paths = [path for path in BUFFERS if name != "ros3p" or path != "step.dense"]
    for buffers in (None, *(all_shared([path]) for path in paths), all_shared(paths)):
        for poison in (False, True):
            options["buffers"] = buffers
            moved = sweep(problem, ReferenceTarget(width=4, poison=poison), **options)
            assert_same_bits(moved, expected, str(buffers))


def test_the_cpu_agrees_with_the_reference_to_rounding() -> None:
    problem = PROBLEMS["robertson"]
    options = options_of(problem, "rodas5p", 1e-4)
    expected = sweep(problem, ReferenceTarget(width=3), **options)
    found = sweep(problem, CpuTarget(width=4, poison=True), **options)
    assert found.n_steps == pytest.approx(expected.n_steps, abs=3)
    assert misses(problem, found, 1e-4) < 20.0


def test_a_singular_matrix_shortens_the_step_and_fails_no_run() -> None:
    """With dx = x and gamma*dt = 1 there is no solution; beside it runs go on."""
    growth = create_ode_system(["dx = k*x"], states={"x": 1.0}, parameters={"k": 1.0})
    row = ROSENBROCK_TABLEAUS["rodas5p"]
    first = 1.0 / float(row.gamma)
    solution = solve_on(
        ReferenceTarget(width=2), growth, (0.0, 8.0), parameters={"k": [1.0, -1.0]}, method=row, first_step=first,
        rtol=1e-8
    )  # fmt: skip
    assert solution.all_succeeded
    assert solution.n_rejected[0] >= 1
    assert solution.y[-1, 0] == pytest.approx(np.exp([8.0, -8.0]), rel=1e-5, abs=1e-8)


def test_a_matrix_that_stays_singular_is_told_in_fixed_steps() -> None:
    growth = create_ode_system(["dx = k*x"], states={"x": 1.0}, parameters={"k": 1.0})
    first = 1.0 / float(ROSENBROCK_TABLEAUS["rodas5p"].gamma)
    solution = solve_on(
        ReferenceTarget(width=2), growth, (0.0, first), parameters={"k": [1.0, -1.0]}, method="rodas5p",
        controller="fixed", first_step=first
    )  # fmt: skip
    assert solution.status.tolist() == [Status.singular, Status.success]


def test_rates_are_shared_and_carried_over() -> None:
    """Each evaluation of f is one that the book's method needs: stage rates that are equal, or the next step's, count
    once.
    """
    counts = {row.name: steps_rates(row) for row in ROWS}
    assert counts == {
        "rosenbrock23": 2,
        "ros3p": 2,
        "rodas3": 3,
        "rodas3p": 3,
        "scholz4-7": 3,
        "ros34pw2": 4,
        "ros34pw3": 4,
        "grk4t": 3,
        "grk4a": 3,
        "rodas4": 6,
        "rodas42": 6,
        "rodas4p": 6,
        "rodas5": 8,
        "rodas5p": 8,
        "rodas6p": 16,
    }


def steps_rates(row: RosenbrockTableau) -> int:
    """Count evaluations of f in one step, the first and the start's apart."""
    with recorded_rates() as calls:
        solve_on(
            ReferenceTarget(width=1), PENDULUM, (0.0, 0.1), method=row, controller="fixed", first_step=0.1
        )  # fmt: skip
    return len(calls) - 1
