"""Which equations hold without a rate, found from the mass matrix."""

import numpy as np
import pytest

from cubie import ODESystem, create_ode_system
from cubie.integrators.matrix_free_solvers.constraints import constraints_of, without_constraints
from cubie.integrators.matrix_free_solvers.sampling import dense_mass


def system_of(mass: list[list[float]] | None) -> ODESystem:
    return create_ode_system(["dx = y", "dy = z", "dz = x"], states={"x": 1.0, "y": 1.0, "z": 1.0}, mass_matrix=mass)


@pytest.mark.parametrize("mass", [None, [[2.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 1e-9, 1e-9]]])
def test_a_regular_matrix_has_none(mass: list[list[float]] | None) -> None:
    assert not constraints_of(system_of(mass))


def test_a_row_of_zeros_is_one() -> None:
    found = constraints_of(system_of([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]))
    assert dict(found) == {1: ((1, 1.0),)}


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_dependent_rows_make_one_of_a_combination_that_cancels(scale: float) -> None:
    system = system_of([[2 * scale, -scale, 0.1 * scale], [1.0, 1.0, 1.0], [2 * scale + 3, 3 - scale, 0.1 * scale + 3]])
    ((row, parts),) = constraints_of(system).items()
    weights = np.zeros(3)
    for k, factor in parts:
        weights[k] = factor
    assert weights[row] == 1.0
    largest = np.abs(weights) @ np.abs(dense_mass(system))
    assert (np.abs(weights @ dense_mass(system)) <= 1e-15 * largest).all()


def test_what_constraints_say_can_be_taken_out_of_a_vector() -> None:
    system = system_of([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    rest = np.zeros((3, 3))
    for row, column, value in without_constraints(system):
        rest[row, column] = value
    constraints = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert (constraints @ rest == 0.0).all()
    assert (rest @ dense_mass(system) == dense_mass(system)).all()
