"""A sample of the accuracy matrix, another one every day: as accurate as SciPy at equal tolerances, for no more work.

`benchmarks/accuracy.py` measures the whole of it.
"""

import random
from typing import Final

import pytest

from cubie.batchsolving.auto_method import STIFF_METHOD
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import PrecisionName
from tests.integrators.scores import (
    LEVELS,
    NONSTIFF,
    PEERS,
    STIFF_LEVELS,
    bound_of,
    scipys_error,
    scipys_work,
    score,
)
from tests.problems import PROBLEMS, Problem
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


def stiff_sample(seed: int) -> list[tuple[PrecisionName, Problem]]:
    """Draw a problem for either precision."""
    chosen = random.Random(seed).sample(tuple(PROBLEMS.values()), len(STIFF_LEVELS))
    return [*zip(STIFF_LEVELS, chosen, strict=True)]


STIFF_CASES: Final = stiff_sample(ACCURACY_SEED)


@pytest.mark.parametrize(("precision", "problem"), STIFF_CASES, ids=[f"{made}-{it.name}" for made, it in STIFF_CASES])
def test_default_stiff_method_is_as_accurate_as_the_best_of_scipys(precision: PrecisionName, problem: Problem) -> None:
    """Of any problem, stiff or not; `benchmarks/stiff_accuracy.py` measures all."""
    solver = Solver(problem.system(), method=STIFF_METHOD, device="cpu", precision=precision)
    for rtol in STIFF_LEVELS[precision]:
        assert score(solver, problem, rtol).error <= bound_of(problem, rtol, is_default=True), f"rtol {rtol}"


def test_the_whole_matrix_is_drawn_from_in_time() -> None:
    drawn = {(method, problem.name) for seed in range(200) for method, problem in sample(seed)}
    assert len(drawn) == len(PEERS) * len(NONSTIFF)
    assert len({(made, it.name) for seed in range(400) for made, it in stiff_sample(seed)}) == 2 * len(PROBLEMS)
