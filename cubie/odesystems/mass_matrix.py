"""Mass matrices: the constant M of ``M @ dy/dt = f(t, y)``, which may be singular."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, SupportsFloat, TypeAlias

import numpy as np
import numpy.typing as npt

from cubie._types import nearest
from cubie.odesystems.errors import InvalidValueError, UnknownSymbolError

MassMatrix: TypeAlias = (
    Mapping[str, SupportsFloat] | Sequence[SupportsFloat] | Sequence[Sequence[SupportsFloat]] | npt.NDArray[np.float64]
)
MassEntries: TypeAlias = tuple[tuple[int, int, float], ...]
"""Row, column and value of each entry that is not zero."""

_HOW: Final = "Give its diagonal by states' names, as a list, or all rows."


def mass_entries(matrix: MassMatrix | None, states: Sequence[str]) -> MassEntries | None:
    """Return the entries of a mass matrix, or None for the identity.

    Raises
    ------
    InvalidValueError: if it isn't a square matrix of finite numbers, one row a state.
    UnknownSymbolError: it offers the nearest state.
    """
    if matrix is None:
        return None
    rows = _diagonal_of(matrix, states) if isinstance(matrix, Mapping) else _rows_of(matrix, len(states))
    if not np.isfinite(rows).all():
        raise InvalidValueError(f"mass_matrix must hold finite numbers, got {rows.tolist()}. {_HOW}")
    entries = tuple((int(i), int(j), float(rows[i, j])) for i, j in np.argwhere(rows))
    return None if entries == tuple((i, i, 1.0) for i in range(len(states))) else entries


def _diagonal_of(matrix: Mapping[str, SupportsFloat], states: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the diagonal matrix of the values by name; 1 for a state that is not named."""
    for name in matrix:
        if name not in states:
            raise UnknownSymbolError(
                f"mass_matrix names no state '{name}'.{nearest(name, states) or f' It has {[*states]}.'}"
            )
    return np.diag([float(matrix.get(state, 1.0)) for state in states])


def _rows_of(
    matrix: Sequence[SupportsFloat] | Sequence[Sequence[SupportsFloat]] | npt.NDArray[np.float64], n: int
) -> npt.NDArray[np.float64]:
    try:
        rows = np.array(matrix, np.float64)
    except (TypeError, ValueError):
        raise InvalidValueError(f"mass_matrix must hold numbers, got {matrix!r}. {_HOW}") from None
    if rows.shape == (n,):
        return np.diag(rows)
    if rows.shape != (n, n):
        raise InvalidValueError(f"mass_matrix must have shape ({n}, {n}) or ({n},), got {rows.shape}. {_HOW}")
    return rows


def identity(n: int) -> Mapping[tuple[int, int], float]:
    """Return the mass matrix of a system of ordinary differential equations."""
    return MappingProxyType({(i, i): 1.0 for i in range(n)})
