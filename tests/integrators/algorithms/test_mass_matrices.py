"""Systems with a mass matrix, by every implicit method: index-1 equations, initial values that are corrected, and M
that couples rates.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import solve_ivp

from cubie import Solution, Solver, Status, create_ode_system
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, TableauError
from cubie.integrators.algorithms.generic_dirk_tableaus import DIRK_TABLEAUS
from cubie.integrators.algorithms.methods import METHODS, Method, error_order
from cubie.integrators.matrix_free_solvers.pivot_order import SingularSystemError
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import all_shared, assert_same_bits, movable, solve_on
from tests.integrators.fixed_steps import slopes
from tests.problems import PROBLEMS

IMPLICIT: Final = tuple(row for row in METHODS.values() if not (isinstance(row, ButcherTableau) and row.is_explicit))
EACH: Final = pytest.mark.parametrize("row", IMPLICIT, ids=[row.name for row in IMPLICIT])
ADAPTIVE: Final = tuple(row for row in IMPLICIT if error_order(row) is not None)
EACH_ADAPTIVE: Final = pytest.mark.parametrize("row", ADAPTIVE, ids=[row.name for row in ADAPTIVE])
ONE_OF_EACH: Final = ("rodas5p", "grk4t", "kvaerno-3", "sdirk-43", "implicit-midpoint", "radau", "gauss-legendre-4")
"""Families, with dense output of their own and Hermite's, stiffly accurate and not."""
ROBERTSON: Final = create_ode_system(
    ["dx = -k1*x + k3*y*z", "dy = k1*x - k3*y*z - k2*y*y", "dz = x + y + z - 1"],
    states={"x": 1.0, "y": 0.0, "z": 0.7},
    parameters={"k1": 0.04, "k2": 3e7, "k3": 1e4},
    mass_matrix={"z": 0.0},
    name="robertson-dae",
)
"""Its z is given wrong: it follows from x and y."""
PENDULUM: Final = create_ode_system(
    ["dx = u", "dy = v", "du = -l*x", "dv = -l*y - g", "dl = u*u + v*v - g*y - l*(x*x + y*y)"],
    states={"x": 1.0, "y": 0.0, "u": 0.0, "v": 0.0, "l": 5.0},
    parameters={"g": 9.81},
    mass_matrix=[1.0, 1.0, 1.0, 1.0, 0.0],
    name="pendulum-dae",
)
"""A rod's tension from the twice differentiated constraint; x, y, u and v pass through zero."""
GRAVITY: Final = 9.81


CIRCUIT: Final = create_ode_system(
    ["dx = sin(t) - 2*x + y", "dy = x - 2*y"],
    states={"x": 1.0, "y": 0.25},
    mass_matrix=[[1.0, -1.0], [-1.0, 1.0]],
    name="circuit",
)
"""A capacitor between two nodes: no row of M is zero, and the sum of both equations holds without a rate."""
CURVED: Final = create_ode_system(
    ["dy = z*cos(t) - y*z", "dz = z*z*z + z - y - sin(t)"], states={"y": 1.0, "z": 0.6}, mass_matrix={"z": 0.0}
)
"""Of index 1, not linear, and its constraint moves in time."""
LEAST_ORDERS: Final = {"grk4t": 3, "grk4a": 3, "ros34pw3": 3}
"""Their conditions for order 4 hold for differential equations only."""
DENSE_ORDERS: Final = {"sdirk-3": 2, "sdirk-43": 2}
"""The rates of their last stages, of stage order 1, are Hermite's slopes; of others it is 3, or the method's 1 or 2."""
THETA: Final = 0.37
SHORT_OF_NOMINAL: Final = 0.3


class Slow(NamedTuple):
    """The circuit's answer at a time."""

    x: float
    y: float


def circuit_at(t: float) -> Slow:
    """``w = x - y`` solves ``w' = sin(t)/2 - 3*w/2``, as ``x + y = sin(t)``; it starts at 3/4."""
    forced = (1.5 * np.sin(t) - np.cos(t)) / 6.5
    w = forced + (0.75 + 1 / 6.5) * np.exp(-1.5 * t)
    return Slow(float(np.sin(t) + w) / 2, float(np.sin(t) - w) / 2)


@EACH_ADAPTIVE
def test_robertson_with_a_constraint_is_robertson(row: Method) -> None:
    problem, rtol, atol, n_times = PROBLEMS["robertson"], 1e-3, 1e-9, 5
    times = problem.t_eval[:n_times]
    solution = solve_on(
        ReferenceTarget(width=1), ROBERTSON, (0.0, times[-1]), t_eval=(0.0, *times), method=row, rtol=rtol, atol=atol
    )
    assert solution.all_succeeded
    assert solution.y[0, :, 0].tolist() == [1.0, 0.0, 0.0]
    reference = problem.references().y[0, :n_times]
    miss = np.abs(solution.y[1:, :, 0] - reference) / (rtol * np.abs(reference) + atol)
    assert miss.max() < 100


@EACH_ADAPTIVE
def test_a_pendulum_of_index_one_swings_as_its_angle_does(row: Method) -> None:
    times, rtol = np.linspace(0.0, 1.0, 4), 1e-3 if row.order < 3 else 1e-4
    solution = solve_on(ReferenceTarget(width=1), PENDULUM, (0.0, 1.0), t_eval=times, method=row, rtol=rtol, atol=rtol)
    swing = solve_ivp(swinging, (0.0, 1.0), [0.0, 0.0], rtol=1e-11, atol=1e-12, t_eval=times)
    tension = swing.y[1] ** 2 - GRAVITY * np.sin(swing.y[0])
    assert solution.all_succeeded
    assert np.abs(solution["x"][:, 0] - np.cos(swing.y[0])).max() < 100 * rtol
    assert np.abs(solution["l"][:, 0] - tension).max() < 100 * rtol * (1 + tension.max())
    x, y, u, v, tautness = solution.y[-1, :, 0]
    assert u * u + v * v - GRAVITY * y == pytest.approx(tautness * (x * x + y * y), rel=10 * rtol)


@pytest.mark.parametrize("name", [row.name for row in DIRK_TABLEAUS.values() if row.is_adaptive])
def test_a_pendulum_swings_under_any_gravity(name: str) -> None:
    """Where the rod's tension passes zero, it is off its constraint by more than the tolerances then allow."""
    gravity = np.linspace(1.0, 30.0, 40)
    solution = solve_on(
        ReferenceTarget(width=40), PENDULUM, (0.0, 1.5), t_eval=[1.5], method=name, rtol=1e-3, atol=1e-6,
        parameters={"g": gravity}
    )  # fmt: skip
    assert solution.all_succeeded
    x, y, u, v, tension = solution.y[0]
    assert np.abs(u * u + v * v - gravity * y - tension * (x * x + y * y)).max() < 1e-3 * (3 * gravity[-1])


def swinging(t: float, a: npt.NDArray[np.float64]) -> list[float]:
    return [float(a[1]), float(-GRAVITY * np.cos(a[0]))]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_pendulum_swings_on_its_circle(precision: str) -> None:
    times = np.linspace(0.0, 3.0, 7)
    rtol = 1e-7 if precision == "float64" else 1e-4
    solution = solve_on(
        ReferenceTarget(width=2), PENDULUM, (0.0, 3.0), t_eval=times, method="rodas5p", rtol=rtol, atol=rtol / 10,
        parameters={"g": [9.81, 1.6]}, precision="float64" if precision == "float64" else "float32"
    )  # fmt: skip
    assert solution["l"][0].tolist() == [0.0, 0.0]
    for run, g in enumerate((9.81, 1.6)):

        def swinging(t: float, a: npt.NDArray[np.float64], g: float = g) -> list[float]:
            return [float(a[1]), float(-g * np.cos(a[0]))]

        swing = solve_ivp(swinging, (0.0, 3.0), [0.0, 0.0], rtol=1e-11, atol=1e-12, t_eval=times)
        assert solution["x"][:, run] == pytest.approx(np.cos(swing.y[0]), abs=300 * rtol)
        assert solution["l"][:, run] == pytest.approx(swing.y[1] ** 2 - g * np.sin(swing.y[0]), abs=5000 * rtol)


@EACH
def test_coupled_rates_are_those_of_the_solved_system(row: Method) -> None:
    """M @ y' = f, with an M that is no diagonal and regular, is y' = inv(M) @ f; the rates depend on t."""
    mass = np.array([[2.0, 1.0], [0.5, -1.0]])
    weighed = create_ode_system(["dx = -x + y*sin(t)", "dy = x*y - t"], states={"x": 1.0, "y": 0.5}, mass_matrix=mass)
    determinant = -2.5
    solved = create_ode_system(
        [
            "p = -x + y*sin(t)",
            "q = x*y - t",
            f"dx = (-p - q)/({determinant})",
            f"dy = (-0.5*p + 2*q)/({determinant})",
        ],
        states={"x": 1.0, "y": 0.5},
    )
    found, expected = (
        solve_on(
            ReferenceTarget(width=1), system, (0.0, 1.0), method=row, controller="fixed", first_step=0.05,
            t_eval=[0.33, 0.5, 1.0], rtol=1e-12, atol=1e-13,
        )
        for system in (weighed, solved)
    )  # fmt: skip
    assert found.y == pytest.approx(expected.y, rel=1e-11)


@EACH
def test_a_system_of_index_one_is_solved_with_the_order_of_the_method(row: Method) -> None:
    """In both states, at the ends of steps; inside them with order 3, as cubic dense output has it."""
    n_steps = {5: (24, 48), 6: (8, 16), 9: (2, 3)}.get(row.order, (32, 64))
    inside = [(n // 2 + THETA) / n for n in n_steps]
    times = sorted([*inside, 1.0])
    exact = solve_on(ReferenceTarget(width=1), CURVED, (0.0, 1.0), t_eval=times, method="radau", rtol=1e-13, atol=1e-14)
    at = dict(zip(times, exact.y[:, :, 0], strict=True))
    found = [
        solve_on(
            ReferenceTarget(width=1), CURVED, (0.0, 1.0), t_eval=[time, 1.0], method=row, controller="fixed",
            first_step=1 / n, rtol=1e-13, atol=1e-14,
        )
        for n, time in zip(n_steps, inside, strict=True)
    ]  # fmt: skip
    assert all(solution.all_succeeded for solution in found)
    ends = np.array([np.abs(solution.y[1, :, 0] - at[1.0]) for solution in found])
    between = np.array([np.abs(it.y[0, :, 0] - at[time]) for it, time in zip(found, inside, strict=True)])
    order = LEAST_ORDERS.get(row.name, row.order)
    for errors, least in ((ends, order), (between, DENSE_ORDERS.get(row.name, min(order, 3)))):
        assert all(slopes(of_state, n_steps)[0] > least - SHORT_OF_NOMINAL for of_state in errors.T)


@pytest.mark.parametrize("method", ONE_OF_EACH)
def test_a_singular_matrix_without_a_row_of_zeros_has_constraints_too(method: str) -> None:
    """The start is off the constraint; what M @ y is there stays."""
    times = (0.0, 0.7, 2.0)
    fixed = method == "implicit-midpoint"
    solution = solve_on(
        ReferenceTarget(width=1), CIRCUIT, (0.0, 2.0), t_eval=times, method=method, rtol=1e-6, atol=1e-8,
        controller="fixed" if fixed else None, first_step=0.005 if fixed else None,
    )  # fmt: skip
    assert solution.all_succeeded
    assert solution.y[:, :, 0] == pytest.approx(np.array([circuit_at(t) for t in times]), abs=2e-5)


@pytest.mark.parametrize("method", ["grk4t", "kvaerno-3", "gauss-legendre-4"])
def test_no_placement_and_no_scratch_changes_a_bit(method: str) -> None:
    def solved(target: ReferenceTarget, paths: list[str]) -> Solution:
        return solve_on(
            target, PENDULUM, (0.0, 0.5), parameters={"g": [9.81, 1.6, 3.7]}, method=method, t_eval=[0.0, 0.2, 0.5],
            rtol=1e-4, atol=1e-5, buffers=all_shared(paths),
        )  # fmt: skip

    expected = solved(ReferenceTarget(width=1), [])
    paths = movable(Solver(PENDULUM, method=method, device="cpu").report())
    assert "step.consistency.factors" in paths
    assert_same_bits(solved(ReferenceTarget(width=2, poison=True), paths), expected, method)


def test_explicit_methods_are_refused() -> None:
    with pytest.raises(TableauError, match="must be an implicit one, got 'tsit5'"):
        solve_on(ReferenceTarget(width=1), ROBERTSON, (0.0, 1.0), method="tsit5")


@pytest.mark.parametrize("method", ONE_OF_EACH)
def test_a_system_of_index_two_is_refused(method: str) -> None:
    """The pendulum with the rod's length itself as its constraint, in which no tension appears."""
    system = create_ode_system(
        ["dx = u", "dy = v", "du = -l*x", "dv = -l*y - 9.81", "dl = x*x + y*y - 1"],
        states={"x": 1.0, "y": 0.0, "u": 0.0, "v": 0.0, "l": 0.0},
        mass_matrix={"l": 0.0},
    )
    with pytest.raises(SingularSystemError, match="index-1 systems only"):
        solve_on(ReferenceTarget(width=1), system, (0.0, 1.0), method=method, first_step=0.1)


@pytest.mark.parametrize("method", ONE_OF_EACH)
def test_a_run_whose_constraint_is_singular_has_a_status(method: str) -> None:
    """With k = 0 its constraint says nothing of z; the other run is as it would be alone."""
    system = create_ode_system(
        ["dx = -x + z", "dz = k*z - x"], states={"x": 1.0, "z": 0.0}, parameters={"k": 1.0}, mass_matrix={"z": 0.0}
    )
    solution = solve_on(
        ReferenceTarget(width=2), system, (0.0, 1.0), parameters={"k": [0.0, 2.0]}, method=method, first_step=0.01,
        controller="fixed" if method == "implicit-midpoint" else None,
    )  # fmt: skip
    assert solution.status.tolist() == [Status.singular, Status.success]
    assert solution["x"][-1, 1] == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_radau_holds_a_pendulum_on_its_circle() -> None:
    solution = solve_on(ReferenceTarget(width=1), PENDULUM, (0.0, 3.0), method="radau", rtol=1e-7, atol=1e-8)
    reference = solve_on(ReferenceTarget(width=1), PENDULUM, (0.0, 3.0), method="rodas5p", rtol=1e-9, atol=1e-10)
    assert solution.y[-1] == pytest.approx(reference.y[-1], abs=1e-4)


def test_equations_may_stand_in_any_order() -> None:
    """The constraint comes first, so that no pivot of its row stands on the diagonal."""
    system = create_ode_system(
        ["dz = x - 2*y", "dx = z - x", "dy = -y"],
        states={"z": 0.0, "x": 1.0, "y": 3.0},
        mass_matrix=[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    )
    with pytest.raises(SingularSystemError, match="index-1 systems only"):
        solve_on(ReferenceTarget(width=1), system, (0.0, 1.0), method="rodas5p")
    exchanged = create_ode_system(
        ["dx = y", "dy = x - 2*z", "dz = -z"],
        states={"x": 1.0, "y": 0.3, "z": 1.0},
        mass_matrix=[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    )
    solution = solve_on(ReferenceTarget(width=1), exchanged, (0.0, 1.0), method="rodas5p", rtol=1e-8, atol=1e-10)
    assert solution.all_succeeded
    assert solution.y[0, 0, 0] == pytest.approx(2.0)
    assert solution["x"] == pytest.approx(2 * solution["z"], rel=1e-8)


@pytest.mark.parametrize("method", ONE_OF_EACH)
def test_an_impossible_start_is_told_for_its_run_alone(method: str) -> None:
    root = create_ode_system(
        ["dx = -x", "dy = y*y - c"], states={"x": 1.0, "y": 1.0}, parameters={"c": 4.0}, mass_matrix={"y": 0.0}
    )
    solution = solve_on(
        ReferenceTarget(width=2), root, (0.0, 1.0), parameters={"c": [4.0, -1.0]}, method=method, first_step=0.05,
        controller="fixed" if method == "implicit-midpoint" else None,
    )  # fmt: skip
    assert solution.status.tolist() == [Status.success, Status.newton_failed]
    assert "No consistent initial values were found" in solution.message
    assert "No consistent initial values were found" in solution.run(1).message
    assert solution["y"][:, 0] == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("method", ["rodas4p", "ros3p", "kvaerno-3", "gauss-legendre-4"])
def test_the_cpu_takes_mass_matrices_as_the_reference_target_does(method: str) -> None:
    def solved(target: CpuTarget | ReferenceTarget) -> Solution:
        return solve_on(
            target, PENDULUM, (0.0, 0.5), parameters={"g": [9.81, 1.6, 3.7]}, t_eval=[0.0, 0.3, 0.5], method=method,
            rtol=1e-4, atol=1e-5,
        )  # fmt: skip

    assert solved(CpuTarget(width=4)).y == pytest.approx(solved(ReferenceTarget(width=2)).y, rel=1e-6, abs=1e-8)
