"""Saved times between steps have the order that each method's dense output states."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS
from cubie.targets.reference import ReferenceTarget
from tests.integrators.fixed_steps import exact, on_cpu, on_reference, slopes

ROWS: Final = tuple(ERK_TABLEAUS.values())
THETAS: Final = (0.2, 0.5, 0.8)
N_STEPS: Final = (1, 2, 4, 8, 16, 32)
RESOLVED: Final = 1e-14
SHORT_OF_NOMINAL: Final = 0.3


def named(row: ButcherTableau) -> str:
    return row.name


def inside(n_steps: int, steps: Sequence[int]) -> list[float]:
    """Times inside each of some steps, of `n_steps` from 0 to 2."""
    return [(step + theta) * 2 / n_steps for step in steps for theta in THETAS]


def error_at(row: ButcherTableau, n_steps: int, times: Sequence[float]) -> float:
    """The largest error at `times`."""
    states = on_cpu(row, 2 / n_steps, times)[:, :, 0]
    return float(np.abs(states - np.array([exact(t) for t in times])).max())


def last_slope(errors: npt.NDArray[np.float64]) -> float:
    """The slope at the shortest steps whose errors are more than rounding."""
    return slopes(errors[errors > RESOLVED], N_STEPS)[-1]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_error_inside_one_step_shrinks_by_the_order_of_dense_output(row: ButcherTableau) -> None:
    errors = np.array([error_at(row, n, inside(n, [0])) for n in N_STEPS])
    assert last_slope(errors) > min(row.order, row.dense_order) + 1 - SHORT_OF_NOMINAL


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_error_inside_all_steps_shrinks_by_the_order_of_dense_output(row: ButcherTableau) -> None:
    errors = np.array([error_at(row, n, inside(n, range(n))) for n in N_STEPS])
    assert last_slope(errors[errors > 10 * RESOLVED]) > min(row.order, row.dense_order + 1) - SHORT_OF_NOMINAL


@pytest.mark.parametrize("name", ["bogacki-shampine-32", "dormand-prince-54", "tsit5", "vern6"])
def test_dense_output_meets_both_ends_of_a_step(name: str) -> None:
    row, dt = ERK_TABLEAUS[name], 0.5
    at_ends = on_cpu(row, dt, [0.5, 1.0, 2.0])[:2]
    for nudge in (-1e-9, 1e-9):
        beside = on_cpu(row, dt, [0.5 + nudge, 1.0 + nudge])
        assert np.abs(beside - at_ends).max() < 3e-9  # a rate is at most 2


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_saving_between_steps_moves_no_step(row: ButcherTableau) -> None:
    few, many = on_cpu(row, 0.25, [1.1, 2.0]), on_cpu(row, 0.25, [*np.linspace(0.01, 1.99, 100), 2.0])
    assert np.array_equal(few[-1], many[-1])


def test_dense_output_of_neighbouring_steps_joins_on_the_reference_target_too() -> None:
    row, times = ERK_TABLEAUS["dormand-prince-853"], [0.5 - 1e-9, 0.5, 0.5 + 1e-9]
    states = on_reference(row, ReferenceTarget(width=5), 0.5, times)
    assert np.abs(np.diff(states, axis=0)).max() < 3e-9
