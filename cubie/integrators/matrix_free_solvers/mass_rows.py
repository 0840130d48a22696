"""The mass matrix as iterative linear solvers take it: row by row, and which matrices they can't take."""

from typing import NamedTuple

import numpy as np

from cubie._types import FloatPrecision, Scalar
from cubie.integrators.matrix_free_solvers.constraints import constraints_of
from cubie.integrators.matrix_free_solvers.sampling import dense_mass
from cubie.odesystems.ode_system import ODESystem


class MassRows(NamedTuple):
    """The rows of M, each divided by its largest entry.

    Parameters
    ----------
    is_constraint : the row is zero.
    scales : what each row has been multiplied by.
    diagonal : of the rows so divided.
    columns, values : of each row's entries.
    """

    is_constraint: tuple[bool, ...]
    scales: tuple[Scalar, ...]
    diagonal: tuple[Scalar, ...]
    columns: tuple[tuple[int, ...], ...]
    values: tuple[tuple[Scalar, ...], ...]


def mass_rows(system: ODESystem, precision: FloatPrecision) -> MassRows:
    """Return the mass matrix row by row."""
    mass = dense_mass(system)
    largest = np.abs(mass).max(axis=1)
    scales = 1.0 / np.where(largest == 0.0, 1.0, largest)
    columns = tuple(tuple(int(j) for j in np.flatnonzero(row)) for row in mass)
    return MassRows(
        is_constraint=tuple(bool(size == 0.0) for size in largest),
        scales=tuple(precision(scale) for scale in scales),
        diagonal=tuple(precision(scale * mass[i, i]) for i, scale in enumerate(scales)),
        columns=columns,
        values=tuple(tuple(precision(scales[i] * mass[i, j]) for j in row) for i, row in enumerate(columns)),
    )


def obstacle(system: ODESystem) -> str | None:
    """Return why iterations can't solve with a system's matrices, in one line that says what to do; None if they can.

    A constraint has to be an equation of its own, so that it can be divided by dt, and to hold its own state, by whose
    coefficient its row is divided; a row that neither M nor J gives a diagonal has none to divide by either.
    """
    if system.mass_matrix is None:
        return None
    if set(constraints_of(system)) != set(range(system.n_states)) - {row for row, _ in system.mass}:
        return (
            "an iterative linear solver must have a mass matrix whose constraints are rows of zeros, got "
            f"'{system.name}', of which a sum of rows is zero. Put that sum in one equation, or leave "
            "linear_solver='direct'."
        )
    held = {*system.jacobian.pattern, *system.mass}
    for i, state in enumerate(system.states):
        if (i, i) not in held:
            return (
                f"an iterative linear solver must find each state in its own equation, got '{system.name}', where "
                f"that of '{state}' lacks it. Order the equations so, or leave linear_solver='direct'."
            )
    return None
