"""When Newton's iteration has arrived and when it is given up: runs side by side, judged one correction at a time."""

import numpy as np
import pytest

from cubie.integrators.matrix_free_solvers.convergence import (
    LEAST_SPEED,
    PART,
    IterationSettings,
    make_convergence,
    make_weigh,
)
from cubie.status import Status
from cubie.targets.reference import ReferenceTarget
from tests.reference_rows import counts, floats, reals, rows

SETTINGS = IterationSettings(n_measured=1, precision=np.float64)
TARGET = ReferenceTarget(width=3)
LARGE = reals(1e9, 1e9, 1e9)
"""Increments of which the tolerances ask less than what must be resolved of them anyway."""


def test_each_run_ends_by_its_own_corrections() -> None:
    """One shrinks a hundredfold, one is not finite, one is small enough at the speed of the last iteration."""
    begin, _, judge, end = make_convergence(TARGET, SETTINGS)
    at = begin(counts(0, 0, 0), reals(1.0, 1.0, LEAST_SPEED))
    at = judge(at, reals(100.0, np.nan, 100.0), LARGE, counts(0, 0, 0))
    assert floats(at.active) == [1, 0, 0]
    assert floats(at.status) == [0, Status.non_finite, 0]
    at = judge(at, reals(0.01, 0.0, 0.0), LARGE, counts(0, 0, 0))
    assert floats(at.active) == [0, 0, 0]
    assert floats(end(at)) == pytest.approx([LEAST_SPEED, 1.0, LEAST_SPEED], rel=1e-5)


def test_a_run_that_has_failed_before_does_not_begin_and_a_linear_solvers_word_is_kept() -> None:
    begin, _, judge, _ = make_convergence(TARGET, SETTINGS)
    at = begin(counts(int(Status.singular), 0, 0), reals(1.0, 1.0, 1.0))
    at = judge(at, reals(1e9, 1e9, 1e9), LARGE, counts(0, int(Status.linear_failed), 0))
    assert floats(at.active) == [0, 0, 1]
    assert floats(at.status) == [Status.singular, Status.linear_failed, 0]


def test_a_correction_that_is_not_finite_says_so_whatever_the_linear_solver_says() -> None:
    begin, _, judge, _ = make_convergence(TARGET, SETTINGS)
    at = begin(counts(0, 0, 0), reals(1.0, 1.0, 1.0))
    at = judge(at, reals(np.nan, np.inf, 1e9), LARGE, counts(0, int(Status.linear_failed), int(Status.linear_failed)))
    assert floats(at.status) == [Status.non_finite, Status.non_finite, Status.linear_failed]


def test_an_iteration_that_runs_away_has_failed_though_it_overflows() -> None:
    settings = IterationSettings(n_measured=1, precision=np.float64, gives_up=False)
    begin, _, judge, _ = make_convergence(TARGET, settings)
    at = judge(begin(counts(0, 0, 0), reals(1.0, 1.0, 1.0)), reals(1e9, 1e9, 1e9), LARGE, counts(0, 0, 0))
    at = judge(at, reals(np.inf, np.nan, 1e301), LARGE, counts(0, 0, 0))
    assert floats(at.status) == [Status.newton_failed, Status.non_finite, Status.newton_failed]


def test_growing_corrections_are_damped_and_explosions_given_up() -> None:
    begin, _, judge, _ = make_convergence(TARGET, SETTINGS)
    at = judge(begin(counts(0, 0, 0), reals(1.0, 1.0, 1.0)), reals(1e6, 1e6, 1e6), LARGE, counts(0, 0, 0))
    at = judge(at, reals(2.25e6, 25e6, 0.8e6), LARGE, counts(0, 0, 0))  # times 1.5, 5 and 0.9 in size
    assert floats(at.damping)[0] == 0.5
    assert floats(at.active) == [1, 0, 0]
    assert floats(at.status) == [0, Status.newton_failed, Status.newton_failed]


def test_no_iteration_goes_on_for_ever() -> None:
    """PITFALL 7: corrections that stay as large end after the last round, where no step can be made smaller too."""
    settings = IterationSettings(n_measured=1, precision=np.float64, max_iterations=5, gives_up=False)
    begin, _, judge, _ = make_convergence(TARGET, settings)
    at, n_rounds = begin(counts(0, 0, 0), reals(1.0, 1.0, 1.0)), 0
    while any(floats(at.active)):
        at, n_rounds = judge(at, reals(1e6, 1e6, 1e6), LARGE, counts(0, 0, 0)), n_rounds + 1
    assert n_rounds == 5
    assert floats(at.status) == [Status.newton_failed] * 3


def test_increments_below_the_tolerances_are_resolved_too_down_to_rounding() -> None:
    begin, resolve, judge, _ = make_convergence(TARGET, SETTINGS)
    allowed = resolve(reals(1e-3, 1e-3, 0.0), reals(0.0, 1.0, 1.0))
    assert floats(allowed) == pytest.approx([1e-3 * PART, 1e-3 * PART, SETTINGS.rounding])
    at = begin(counts(0, 0, 0), reals(1.0, 1.0, 1.0))
    at = judge(at, reals(1e-4, 1e-8, 1e-4), reals(1e-6, 1e-6, 1e9), counts(0, 0, 0))
    assert floats(at.active) == [1, 0, 0]
    assert floats(at.status) == [0, 0, 0]


def test_weights_follow_the_tolerances_down_to_rounding() -> None:
    allowed = rows([[1e-6, 1e-9, 1e-30]])
    make_weigh(TARGET, SETTINGS, 1)(rows([[1.0, 1.0, 1.0]]), allowed)
    assert floats(allowed[0]) == pytest.approx([1e7, 1e10, 2.0**52 / 8], rel=1e-6)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"share must be above 0 and at most 1, got 2\.0\. Give a part"):
        IterationSettings(n_measured=1, precision=np.float64, share=2.0)
    with pytest.raises(ValueError, match=r"max_iterations must be at least 2, got 1\. Two show"):
        IterationSettings(n_measured=1, precision=np.float64, max_iterations=1)
