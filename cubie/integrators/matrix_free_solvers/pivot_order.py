"""The fixed order in which a sparse matrix is eliminated.

References
----------
Markowitz (1957), Management Science 3(3), 255-269; Duff, Erisman & Reid (2017), Direct Methods for Sparse Matrices,
Sec. 7.2.
"""

from collections.abc import Iterable
from typing import TypeAlias

Place: TypeAlias = tuple[int, int]
"""Row and column."""


def diagonal_order(pattern: Iterable[Place], n: int, free: frozenset[int]) -> tuple[Place, ...]:
    """Return the diagonal's entries in the order that makes few new ones.

    Parameters
    ----------
    free : pivots that are a number, whose reciprocal costs nothing: they come first among equals.
    """
    rows: list[set[int]] = [set() for _ in range(n)]
    columns: list[set[int]] = [set() for _ in range(n)]
    for row, column in pattern:
        rows[row].add(column)
        columns[column].add(row)
    waiting = set(range(n))

    def cost(i: int) -> tuple[int, bool, int]:
        return (len(rows[i]) - 1) * (len(columns[i]) - 1), i not in free, i

    order: list[int] = []
    while waiting:
        pivot = min(waiting, key=cost)
        waiting.remove(pivot)
        order.append(pivot)
        across, down = rows[pivot] - {pivot}, columns[pivot] - {pivot}
        for row in down:
            rows[row] = (rows[row] | across) - {pivot}
        for column in across:
            columns[column] = (columns[column] | down) - {pivot}
    return tuple((i, i) for i in order)
