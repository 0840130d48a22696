"""The fixed order in which a sparse matrix is eliminated.

References
----------
Markowitz (1957), Management Science 3(3), 255-269; Duff, Erisman & Reid (2017), Direct Methods for Sparse Matrices,
Sec. 7.2.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cubie.odesystems.errors import ModelError

Place: TypeAlias = tuple[int, int]
"""Row and column."""
Samples: TypeAlias = npt.NDArray[np.float64]
ACCEPTABLE: Final = 0.05
"""A pivot may be this much smaller than the largest entry of its row, in any sample."""


class SingularSystemError(ModelError):
    """A model whose equations do not determine its states."""


def diagonal_order(pattern: Iterable[Place], n: int, free: frozenset[int]) -> tuple[Place, ...]:
    """Return the diagonal's entries in the order that makes few new ones.

    Parameters
    ----------
    free : pivots that are a number, whose reciprocal costs nothing: they come first among equals.
    """
    order, _ = _diagonal_elimination(pattern, n, free)
    return order


def elimination_work(pattern: Iterable[Place], n: int) -> int:
    """Return how many multiply-adds the elimination takes in that order."""
    _, work = _diagonal_elimination(pattern, n, frozenset())
    return work


def _diagonal_elimination(pattern: Iterable[Place], n: int, free: frozenset[int]) -> tuple[tuple[Place, ...], int]:
    rows: list[set[int]] = [set() for _ in range(n)]
    columns: list[set[int]] = [set() for _ in range(n)]
    for row, column in pattern:
        rows[row].add(column)
        columns[column].add(row)
    waiting = set(range(n))

    def cost(i: int) -> tuple[int, bool, int]:
        return (len(rows[i]) - 1) * (len(columns[i]) - 1), i not in free, i

    order: list[int] = []
    work = 0
    while waiting:
        pivot = min(waiting, key=cost)
        waiting.remove(pivot)
        order.append(pivot)
        across, down = rows[pivot] - {pivot}, columns[pivot] - {pivot}
        work += (len(across) + 1) * (len(down) + 1)
        for row in down:
            rows[row] = (rows[row] | across) - {pivot}
        for column in across:
            columns[column] = (columns[column] | down) - {pivot}
    return tuple((i, i) for i in order), work


def sampled_order(entries: Mapping[Place, Samples], n: int) -> tuple[Place, ...]:
    """Return pivots, on the diagonal or not, that are not small in any sample, and make few new entries.

    Raises
    ------
    SingularSystemError: if they don't suffice.
    """
    active = {place: values.copy() for place, values in entries.items()}
    order: list[Place] = []
    for _ in range(n):
        pivot = _best(active)
        if pivot is None:
            raise SingularSystemError(
                f"every one of {n} states must follow from an equation, got {n - len(order)} that no equation "
                "determines. Check the mass matrix: index-1 systems only; differentiate the constraints of others."
            )
        order.append(pivot)
        _eliminate(active, pivot)
    return tuple(order)


def _best(active: Mapping[Place, Samples]) -> Place | None:
    """Return the sound entry of least fill-in; the soundest one where none is."""
    rows: dict[int, int] = {}
    columns: dict[int, int] = {}
    largest: dict[int, Samples] = {}
    for (row, column), values in active.items():
        rows[row], columns[column] = rows.get(row, 0) + 1, columns.get(column, 0) + 1
        largest[row] = np.maximum(largest.get(row, 0.0), np.abs(values))
    shares = {
        (row, column): float(np.min(np.abs(values) / np.maximum(largest[row], 1e-300)))
        for (row, column), values in active.items()
    }
    sound = [place for place, share in shares.items() if share >= ACCEPTABLE]
    if not sound:
        best = max(shares, key=lambda place: shares[place], default=None)
        return None if best is None or shares[best] == 0.0 else best
    return min(sound, key=lambda p: ((rows[p[0]] - 1) * (columns[p[1]] - 1), p[0] != p[1], p))


def _eliminate(active: dict[Place, Samples], pivot: Place) -> None:
    """Take the pivot's row and column out, and update the rest; what cancels to rounding is zero."""
    value = active.pop(pivot)
    across = [(column, active.pop((row, column))) for row, column in [*active] if row == pivot[0]]
    down = [(row, active.pop((row, column))) for row, column in [*active] if column == pivot[1]]
    for row, below in down:
        for column, beside in across:
            with np.errstate(all="ignore"):
                change = np.nan_to_num(below / value * beside)
            before = active.get((row, column), np.zeros_like(change))
            after = before - change
            size = np.maximum(np.abs(before), np.abs(change))
            active[row, column] = np.where(np.abs(after) <= 1e-12 * size, 0.0, after)
