"""Which equations of a singular system hold without a rate, which states they determine, how those are solved for."""

from typing import NamedTuple

import numpy as np

from cubie.integrators.matrix_free_solvers.elimination import Elimination, eliminate
from cubie.integrators.matrix_free_solvers.pivot_order import sampled_order
from cubie.integrators.matrix_free_solvers.pivoting import MOST_EXCHANGED
from cubie.integrators.matrix_free_solvers.sampling import sampled_jacobians
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.symbolic.differentiate import SparseMatrix


class Constraints(NamedTuple):
    """The equations without a rate, and the states that they determine; neither where they are not as many."""

    rows: frozenset[int]
    columns: frozenset[int]

    @classmethod
    def of(cls, system: ODESystem) -> "Constraints":
        """Find them: the rows and columns of the mass matrix that are zero."""
        every = frozenset(range(system.n_states))
        rows = every - {row for row, _ in system.mass}
        columns = every - {column for _, column in system.mass}
        return cls(rows, columns) if len(rows) == len(columns) else cls(frozenset(), frozenset())


def constraint_elimination(system: ODESystem, *, loss: float) -> Elimination:
    """Generate the elimination of the constraints' Jacobian, with 1 for each of the other states.

    Raises
    ------
    SingularSystemError: if the constraints don't determine their states.
    """
    every, (rows, columns) = range(system.n_states), Constraints.of(system)
    others = zip([i for i in every if i not in rows], [i for i in every if i not in columns], strict=True)
    identity = dict.fromkeys(others, 1.0)
    entries = tuple(e for e in system.jacobian.entries if e.row in rows and e.column in columns)
    samples = sampled_jacobians(system)
    values = {(e.row, e.column): np.array([sample[e.row, e.column] for sample in samples]) for e in entries}
    ones = {place: np.ones(len(samples)) for place in identity}
    order = sampled_order({**values, **ones}, system.n_states)
    jacobian, exchanges = SparseMatrix(entries, system.jacobian.values), len(rows) <= MOST_EXCHANGED
    return eliminate(jacobian, identity, system.n_states, order, loss=loss, exchanges=exchanges)
