"""Which equations of a system with a mass matrix hold without a rate, and the matrix that solves for what they say.

Gauss' elimination of M finds them: a combination of rows of M that is zero makes the same combination of f a
constraint. The other rows of M, and the constraints' rows of -J, are one matrix S, regular for systems of index 1. It
serves twice. ``S @ dy = (0, g)`` is a step of Newton's method for consistent values, which leaves ``M @ y`` as it is;
``S @ dy/dt = (f, dg/dt)`` gives all rates, those of the states that M leaves out by the differentiated constraints.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. VI.1, eq. (1.7) and (1.12).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from cubie.integrators.matrix_free_solvers.elimination import Elimination, eliminate
from cubie.integrators.matrix_free_solvers.pivot_order import sampled_order
from cubie.integrators.matrix_free_solvers.pivoting import MOST_EXCHANGED
from cubie.integrators.matrix_free_solvers.sampling import Array, dense_mass, sampled_jacobians
from cubie.odesystems.mass_matrix import MassEntries
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.symbolic.differentiate import Entry, SparseMatrix

Constraints: TypeAlias = Mapping[int, tuple[tuple[int, float], ...]]
"""For each row that holds a constraint, the rows of f that it combines, and their factors."""
NEGLIGIBLE: Final = 64 * 2.0**-52
"""What is left of a row of M, as a part of its largest entry and times the number of states, that counts as nothing."""


def constraints_of(system: ODESystem) -> Constraints:
    """Find the constraints of a system; none where its mass matrix is regular."""
    if system.mass_matrix is None:
        return {}
    matrix, n = dense_mass(system), system.n_states
    scales = np.abs(matrix).max(axis=1)
    scales[scales == 0.0] = 1.0
    rest, combined, waiting = matrix / scales[:, None], np.eye(n), [*range(n)]
    while waiting:
        place = int(np.argmax(np.abs(rest[waiting])))
        pivot, column = waiting[place // n], place % n
        if abs(rest[pivot, column]) <= NEGLIGIBLE * n:
            break
        waiting.remove(pivot)
        for row in waiting:
            factor = rest[row, column] / rest[pivot, column]
            rest[row] -= factor * rest[pivot]
            combined[row] -= factor * combined[pivot]
    weights = combined * scales[:, None] / scales[None, :]
    return MappingProxyType(
        {i: tuple((int(k), float(weights[i, k])) for k in np.flatnonzero(weights[i])) for i in waiting}
    )


def without_constraints(system: ODESystem) -> MassEntries:
    """Return the matrix that takes out of a vector of rates what the constraints say, in their rows."""
    constraints = constraints_of(system)
    parts = {i: {i: 1.0} for i in range(system.n_states)}
    for row, combined in constraints.items():
        parts[row] = {k: float(k == row) - factor for k, factor in combined}
    return tuple((row, k, value) for row, values in parts.items() for k, value in values.items() if value != 0.0)


def constraint_elimination(system: ODESystem, *, loss: float) -> Elimination:
    """Generate the elimination of S.

    Raises
    ------
    SingularSystemError: if the equations don't determine every rate.
    """
    constraints, n = constraints_of(system), system.n_states
    mass = {(row, column): value for (row, column), value in system.mass.items() if row not in constraints}
    entries = tuple(
        Entry(row, entry.column, entry.slot, factor * entry.factor)
        for row, parts in constraints.items()
        for k, factor in parts
        for entry in system.jacobian.entries
        if entry.row == k
    )
    pattern = {*mass, *((entry.row, entry.column) for entry in entries)}
    samples = [_sampled(system, constraints, jacobian) for jacobian in sampled_jacobians(system)]
    order = sampled_order({place: np.array([sample[place] for sample in samples]) for place in pattern}, n)
    matrix, exchanges = SparseMatrix(entries, system.jacobian.values), len(entries) > 0 and n <= MOST_EXCHANGED
    return eliminate(matrix, mass, n, order, loss=loss, exchanges=exchanges)


def _sampled(system: ODESystem, constraints: Constraints, jacobian: Array) -> Array:
    matrix = dense_mass(system)
    for row, parts in constraints.items():
        matrix[row] = -sum((factor * jacobian[k] for k, factor in parts), np.zeros(system.n_states))
    return matrix
