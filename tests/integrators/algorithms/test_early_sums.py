"""Sums of late stages formed early, against the plain body: not a bit may differ."""

import numpy as np
import pytest

from cubie.integrators.algorithms.early_sums import turn_of
from cubie.integrators.algorithms.generic_erk import ExplicitRungeKutta
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS
from cubie.targets.reference import ReferenceTarget
from tests.batches import SolveOptions, assert_same_bits, solve_on
from tests.integrators.loops.test_ode_loop import CLOCKED


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", ERK_TABLEAUS)
def test_the_order_of_additions_is_the_plain_bodys(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options: SolveOptions = {
        "method": name,
        "precision": "float32" if precision == "float32" else "float64",
        "rtol": 1e-3,
        "first_step": 0.1,
        "t_eval": [0.0, 0.35, 1.0],
        "parameters": {"k": [0.5, 1.0, 3.0]},
    }
    monkeypatch.setattr(ExplicitRungeKutta, "_nested", False)  # as in all systems that are large
    plain = solve_on(ReferenceTarget(width=3, poison=True), CLOCKED, (0.0, 1.0), **options)
    monkeypatch.setattr(ReferenceTarget, "sums_early", True)
    monkeypatch.setattr("cubie.integrators.algorithms.generic_erk.MOST_IN_REGISTERS", 1)
    assert_same_bits(solve_on(ReferenceTarget(width=3, poison=True), CLOCKED, (0.0, 1.0), **options), plain)
    assert plain.all_succeeded


@pytest.mark.parametrize(("n_rows", "n_errors", "turn"), [(7, 1, 4), (5, 0, 3), (2, 1, 2), (13, 2, 8)])
def test_sums_are_kept_once_they_are_no_more_than_rates(n_rows: int, n_errors: int, turn: int) -> None:
    assert turn_of(n_rows, n_errors) == turn
    kept = np.arange(1, n_rows + 1)
    assert (kept - 1 >= n_rows - 1 - kept + n_errors).argmax() + 1 == turn
