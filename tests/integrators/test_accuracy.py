"""A sample of the accuracy matrix, another one every day: as accurate as SciPy at equal tolerances, for no more work.

`benchmarks/accuracy.py` measures the whole of it.
"""

import random
from typing import Final

import pytest

from cubie.batchsolving.solver import Solver
from tests.integrators.scores import LEVELS, NONSTIFF, PEERS, scipys_error, scipys_work, score
from tests.problems import Problem
from tests.seed import ACCURACY_SEED

SAMPLES_PER_METHOD: Final = 2
MOST_ERROR: Final = 10.0
"""Times SciPy's, in any case; in the whole matrix the mean is below 1."""
MOST_STEPS: Final = {"tsit5": 2.0, "dop853": 2.0, "vern7": 3.0}
"""Times SciPy's; vern7 has an order less than its peer."""


def sample(seed: int) -> list[tuple[str, Problem]]:
    """Draw problems for every method."""
    choose = random.Random(seed)
    return [(method, problem) for method in PEERS for problem in choose.sample(NONSTIFF, SAMPLES_PER_METHOD)]


CASES: Final = sample(ACCURACY_SEED)


@pytest.mark.parametrize(("method", "problem"), CASES, ids=[f"{method}-{problem.name}" for method, problem in CASES])
def test_sweep_is_as_accurate_as_scipys_at_every_tolerance(method: str, problem: Problem) -> None:
    solver, peer = Solver(problem.system(), method=method, device="cpu"), PEERS[method]
    for rtol in LEVELS:
        ours, theirs = score(solver, problem, rtol), scipys_error(problem, rtol, peer)
        assert theirs is None or ours.error <= MOST_ERROR * max(theirs, 1.0), f"rtol {rtol}"
        assert ours.n_steps <= MOST_STEPS[method] * scipys_work(problem, rtol, peer).n_steps, f"rtol {rtol}"


def test_the_whole_matrix_is_drawn_from_in_time() -> None:
    drawn = {(method, problem.name) for seed in range(200) for method, problem in sample(seed)}
    assert len(drawn) == len(PEERS) * len(NONSTIFF)
