"""Steps of stiff methods may be longer than their dense output bears; where it is used, they are held to its error."""

import numpy as np
import pytest

from cubie.targets.reference import ReferenceTarget
from tests.batches import solve_on
from tests.integrators.scores import LEVELS, atol_of
from tests.problems import PROBLEMS


@pytest.mark.parametrize("method", ["rodas5p", "rodas4", "radau-iia-5"])
def test_states_inside_long_steps_are_within_the_tolerances(method: str) -> None:
    """Prothero and Robinson's problem: steps that meet the tolerances at their ends miss them inside by 1e3 to 1e5."""
    problem = PROBLEMS["prothero_robinson"]
    for rtol in LEVELS[:2]:
        atol = atol_of(problem, rtol)
        solution = solve_on(
            ReferenceTarget(width=1),
            problem.system(),
            problem.t_span,
            t_eval=problem.t_eval,
            method=method,
            rtol=rtol,
            atol=atol,
        )
        exact = problem.references().y[0]
        assert (np.abs(solution.y[:, :, 0] - exact) / (rtol * np.abs(exact) + atol)).max() < 5


def test_nothing_is_checked_where_nothing_is_saved_inside_steps() -> None:
    """The check of one run leaves those beside it alone, and a step without a save is as long as it may be."""
    problem = PROBLEMS["prothero_robinson"]
    times: tuple[tuple[float, ...] | None, ...] = (None, (5.0, 10.0), problem.t_eval)
    solutions = [
        solve_on(ReferenceTarget(width=1), problem.system(), problem.t_span, method="rodas5p", t_eval=t_eval)
        for t_eval in times
    ]
    n_steps = [int(solution.n_steps[0]) for solution in solutions]
    assert n_steps[0] < n_steps[1] < n_steps[2]
