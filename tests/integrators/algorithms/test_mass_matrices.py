"""Systems with a mass matrix: index-1 equations, initial values that are corrected, and M that couples rates."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import solve_ivp

from cubie import Solution, Status, create_ode_system
from cubie.integrators.algorithms.butcher_tableau import TableauError
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS
from cubie.integrators.matrix_free_solvers.pivot_order import SingularSystemError
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import solve_on
from tests.problems import PROBLEMS

ABLE: Final = [row.name for row in ROSENBROCK_TABLEAUS.values() if row.interpolant is not None]
FULLY_IMPLICIT: Final = ["radau-iia-5", "radau-iia-9", "lobatto-iiic-4"]
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


@pytest.mark.parametrize("method", [*ABLE, *FULLY_IMPLICIT])
def test_robertson_with_a_constraint_is_robertson(method: str) -> None:
    problem = PROBLEMS["robertson"]
    solution = solve_on(
        ReferenceTarget(width=1), ROBERTSON, problem.t_span, t_eval=(0.0, *problem.t_eval), method=method, rtol=1e-4,
        atol=1e-10
    )  # fmt: skip
    assert solution.all_succeeded
    assert solution.y[0, :, 0].tolist() == [1.0, 0.0, 0.0]
    assert solution.y[1:, :, 0] == pytest.approx(problem.references().y[0], rel=2e-2)


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


@pytest.mark.parametrize("method", ["rodas4p", "rodas5p", "rodas6p", "gauss-legendre-6", *FULLY_IMPLICIT])
def test_coupled_rates_are_those_of_the_solved_system(method: str) -> None:
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
            ReferenceTarget(width=1), system, (0.0, 1.0), method=method, controller="fixed", first_step=0.05,
            t_eval=[0.33, 0.5, 1.0], rtol=1e-12, atol=1e-13,
        )
        for system in (weighed, solved)
    )  # fmt: skip
    assert found.y == pytest.approx(expected.y, rel=1e-11)


def test_methods_that_take_f_for_the_rate_are_refused() -> None:
    with pytest.raises(TableauError, match=r"must be one of .*'radau-iia-5'.*, got 'kvaerno-3'"):
        solve_on(ReferenceTarget(width=1), ROBERTSON, (0.0, 1.0), method="kvaerno-3")


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


def test_an_impossible_start_is_told_for_its_run_alone() -> None:
    root = create_ode_system(
        ["dx = -x", "dy = y*y - c"], states={"x": 1.0, "y": 1.0}, parameters={"c": 4.0}, mass_matrix={"y": 0.0}
    )
    solution = solve_on(ReferenceTarget(width=2), root, (0.0, 1.0), parameters={"c": [4.0, -1.0]}, method="rodas5p")
    assert solution.status.tolist() == [Status.success, Status.newton_failed]
    assert solution["y"][:, 0] == pytest.approx([2.0, 2.0])


def test_the_cpu_corrects_initial_values_too() -> None:
    def solved(target: CpuTarget | ReferenceTarget) -> Solution:
        return solve_on(target, PENDULUM, (0.0, 1.0), parameters={"g": [9.81, 1.6, 3.7]}, method="rodas4p", rtol=1e-5)

    assert solved(CpuTarget(width=4)).y == pytest.approx(solved(ReferenceTarget(width=2)).y, rel=1e-6, abs=1e-8)
