"""The size of an error relative to the tolerances, against the textbook's formula."""

import math
from typing import Final

import numpy as np
import pytest

from cubie.integrators.loops.norms import Norms, make_norms
from cubie.integrators.loops.ode_loop_config import LoopArguments, LoopSettings
from cubie.targets.reference import ReferenceTarget
from tests.reference_rows import floats, loop_arguments, rows

Y: Final = [[1.0, -2.0], [0.0, 4.0], [-0.5, 0.25]]
Y_NEXT: Final = [[-1.5, 2.5], [1.0, -3.0], [0.25, 0.0]]
ERROR: Final = [[1e-6, 2e-3], [-3e-6, 0.0], [2e-7, -1e-4]]
SECOND: Final = [[4e-5, 1e-3], [0.0, 0.0], [-1e-6, 2e-4]]
RTOL: Final = (1e-3, 1e-5, 1e-4)
ATOL: Final = (1e-6, 1e-4, 0.0)
ARGUMENTS: Final[LoopArguments] = loop_arguments(rtol=RTOL, atol=ATOL)


def settings(*, scalar: bool, n_errors: int = 1, n_states: int = 3) -> LoopSettings:
    return LoopSettings(
        n_states=n_states,
        n_parameters=0,
        precision=np.float64,
        adaptive=True,
        dense=False,
        scalar_tolerances=scalar,
        n_errors=n_errors,
        error_order=4,
    )


def norms(*, scalar: bool, n_errors: int = 1) -> Norms:
    return make_norms(ReferenceTarget(width=2), settings(scalar=scalar, n_errors=n_errors))


def by_the_book(error: list[list[float]], rtol: tuple[float, ...], atol: tuple[float, ...]) -> list[float]:
    """Return the mean square, run by run (Hairer, Norsett & Wanner II.4.11)."""
    y, y_next, errors = np.array(Y), np.array(Y_NEXT), np.array(error)
    scale = np.array(atol)[:, None] + np.array(rtol)[:, None] * np.maximum(abs(y), abs(y_next))
    means: list[float] = ((errors / scale) ** 2).mean(axis=0).tolist()
    return means


@pytest.mark.parametrize("scalar", [True, False])
def test_the_norm_is_the_root_mean_square_over_the_larger_end_of_the_step(scalar: bool) -> None:
    measured = norms(scalar=scalar).error_squared(rows(Y), rows(Y_NEXT), rows(ERROR), ARGUMENTS)
    used = ((RTOL[0],) * 3, (ATOL[0],) * 3) if scalar else (RTOL, ATOL)
    assert floats(measured) == pytest.approx(by_the_book(ERROR, *used), rel=1e-13)


def test_a_two_fold_estimate_weighs_its_second_error_by_a_hundredth() -> None:
    """Hairer, Norsett & Wanner II.10: E**2 / sqrt(E**2 + 0.01*E2**2), in the mean square."""
    measured = norms(scalar=False, n_errors=2).error_squared(rows(Y), rows(Y_NEXT), rows([*ERROR, *SECOND]), ARGUMENTS)
    first, second = by_the_book(ERROR, RTOL, ATOL), by_the_book(SECOND, RTOL, ATOL)
    expected = [e * e / (e + 0.01 * e2) for e, e2 in zip(first, second, strict=True)]
    assert floats(measured) == pytest.approx(expected, rel=1e-13)


def test_a_two_fold_error_of_zero_is_zero_and_not_nan() -> None:
    nothing = rows([[0.0, 0.0]] * 6)
    with np.errstate(all="ignore"):
        measured = norms(scalar=True, n_errors=2).error_squared(rows(Y), rows(Y_NEXT), nothing, ARGUMENTS)
    assert floats(measured) == [0.0, 0.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_step_with_an_error_that_is_not_finite_is_never_accepted(bad: float) -> None:
    for n_errors in (1, 2):
        error = [[bad, 0.0], [0.0, 0.0], [0.0, 0.0]] * n_errors
        with np.errstate(all="ignore"):
            measured = floats(
                norms(scalar=True, n_errors=n_errors).error_squared(rows(Y), rows(Y_NEXT), rows(error), ARGUMENTS)
            )
        assert not measured[0] <= 1
        assert measured[1] == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_vector_is_finite_only_if_all_its_numbers_are(bad: float) -> None:
    with np.errstate(all="ignore"):
        answer = floats(norms(scalar=True).finite(rows([[1.0, 1.0], [1e308, bad], [-3.0, 0.0]])))
    assert answer[0] == 0
    assert math.isnan(answer[1])
