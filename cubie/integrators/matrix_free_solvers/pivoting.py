"""How a system's matrices ``M - scale*J`` are eliminated: in which order, and whether each run exchanges rows.

A fixed order is chosen once, for all runs and times. In a small system whose entries pass through zero, such as those
of a body that turns, no order serves all; then each run exchanges rows by their size. Selects and fill-in cost a tenth
(Van der Pol) to a half (Robertson) of a step on CPU lanes; so where M is regular and the fixed order good in samples,
rows stay.

References
----------
Golub & Van Loan (2013), Matrix Computations, Sec. 3.4; Oettli & Prager (1964), Numer. Math. 6, 405-409 (what is left
of equations, relative to their terms).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cubie.integrators.matrix_free_solvers.elimination import Mass
from cubie.integrators.matrix_free_solvers.pivot_order import Place, diagonal_order, sampled_order
from cubie.integrators.matrix_free_solvers.sampling import sampled_matrices
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.symbolic.differentiate import SparseMatrix

Matrix: TypeAlias = npt.NDArray[np.float64]

MOST_EXCHANGED: Final = 6
"""States of a system whose rows may be exchanged: code and factors grow as n**3 and n**2."""
MOST_ROUNDINGS: Final = 1e4
"""A fixed order that leaves more of a sample's equations loses four digits."""


class Pivoting(NamedTuple):
    """The pivots in order; where rows are exchanged, their rows are where each run begins to look."""

    order: tuple[Place, ...]
    exchanges: bool


@lru_cache(maxsize=64)
def choose_pivots(system: ODESystem) -> Pivoting:
    """Choose the order, and exchange rows where a small system's mass matrix or samples ask for it.

    Raises
    ------
    SingularSystemError: if no choice of pivots makes the matrix regular.
    """
    n, is_small = system.n_states, system.n_states <= MOST_EXCHANGED
    regular = _is_regular_diagonal(system.mass, n)
    samples = sampled_matrices(system) if is_small or not regular else []
    order = elimination_order(system.jacobian, system.mass, n, samples)
    asks = not regular or any(roundings(sample, order) > MOST_ROUNDINGS for sample in samples)
    return Pivoting(order, is_small and asks)


def elimination_order(jacobian: SparseMatrix, mass: Mass, n: int, samples: Sequence[Matrix]) -> tuple[Place, ...]:
    """Choose the pivots: on the diagonal where short steps make it large, else by their size in samples of M - scale*J.

    Raises
    ------
    SingularSystemError: if no choice of pivots makes the matrix regular.
    """
    pattern = {*jacobian.pattern, *mass}
    if _is_regular_diagonal(mass, n):
        free = frozenset(i for i in range(n) if (i, i) not in jacobian.pattern)
        return diagonal_order(pattern, n, free)
    return sampled_order({place: np.array([sample[place] for sample in samples]) for place in pattern}, n)


def _is_regular_diagonal(mass: Mass, n: int) -> bool:
    return all((i, i) in mass for i in range(n)) and all(row == column for row, column in mass)


def roundings(matrix: Matrix, order: Sequence[Place]) -> float:
    """Return what is left of the equations solved in that order, in roundings of the terms of each: the largest."""
    rows, columns = zip(*order, strict=True)
    ordered = matrix[np.ix_(rows, columns)]
    upper, lower, n = ordered.copy(), np.eye(len(order)), len(order)
    with np.errstate(all="ignore"):
        for i in range(n):
            lower[i + 1 :, i] = upper[i + 1 :, i] / upper[i, i]
            upper[i + 1 :] -= np.outer(lower[i + 1 :, i], upper[i])
            upper[i + 1 :, i] = 0.0
        if not np.isfinite(upper).all() or not np.diag(upper).all():
            return np.inf
        x = np.linalg.solve(upper, np.linalg.solve(lower, np.eye(n)))
        left = np.abs(ordered @ x - np.eye(n)) / (np.abs(ordered) @ np.abs(x) + np.eye(n) + np.finfo(np.float64).tiny)
    return float(left.max() / np.finfo(np.float64).eps)
