"""Dense output of diagonally implicit methods fulfils what it is made from, and is bounded where Hermite's is not."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.exact_matrices import padded
from cubie.integrators.algorithms.generic_dirk_tableaus import DIRK_TABLEAUS

ROWS: Final = tuple(row for row in DIRK_TABLEAUS.values() if row.interpolant is not None)
EACH: Final = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
SLOW: Final = frozenset({"kvaerno-5", "esdirk54i8l2sa"})
THETA: Final = np.linspace(0.0, 1.0, 11)

Array = npt.NDArray[np.float64]


def matrix(row: ButcherTableau) -> Array:
    return np.array([[float(entry) for entry in entries] for entries in padded(row.a, row.n_stages)])


def weights(row: ButcherTableau) -> Array:
    """Shape (n_theta, n_stages)."""
    assert row.interpolant is not None
    degrees = np.arange(1, len(row.interpolant.weights[0]) + 1)
    powers: Array = THETA[:, None] ** degrees
    made: Array = powers @ np.array([[float(x) for x in w] for w in row.interpolant.weights]).T
    return made


def test_methods_with_stages_enough_have_it() -> None:
    assert {row.name: row.dense_order for row in ROWS} == {
        "kvaerno-5": 3,
        "kencarp-4": 4,
        "kencarp-5": 4,
        "esdirk54i8l2sa": 4,
    }


@EACH
def test_sums_are_those_of_the_order(row: ButcherTableau) -> None:
    w, a, c = weights(row), matrix(row), np.array([float(x) for x in row.c])
    for k in range(row.dense_order):
        assert w @ c**k == pytest.approx(THETA ** (k + 1) / (k + 1), abs=1e-12)
    if row.dense_order == 4:
        assert w @ a @ c**2 == pytest.approx(THETA**4 / 12, abs=1e-12)
    if row.name in SLOW:
        assert w[:, 1:] @ np.linalg.inv(a[1:, 1:]) @ c[1:] ** 3 == pytest.approx(THETA**3, abs=1e-11)


@EACH
def test_it_ends_at_the_end_of_the_step_and_smoothly_if_it_can(row: ButcherTableau) -> None:
    assert row.interpolant is not None
    assert weights(row)[-1] == pytest.approx([float(x) for x in row.b], abs=1e-12)
    slopes = [float(sum(d * float(x) for d, x in enumerate(w, start=1))) for w in row.interpolant.weights]
    if row.name not in SLOW:
        assert slopes == pytest.approx([0.0] * (row.n_stages - 1) + [1.0], abs=1e-11)


@EACH
def test_it_is_bounded_however_stiff_the_problem(row: ButcherTableau) -> None:
    """On y' = z*y with dt = 1, to which Hermite's cubic answers z*theta*(1 - theta)**2 times y and more."""
    z, a = -1e12, matrix(row)
    stages = np.linalg.solve(np.eye(row.n_stages) - z * a, np.ones(row.n_stages))
    assert np.abs(1 + weights(row) @ (z * stages)).max() < 25
