"""Every problem's emitted code against sympy, which reads the same equations by itself, in thirty digits."""

import numpy as np
import pytest
import sympy

from tests.odesystems.evaluate import rates
from tests.problems import N_ROWS, PROBLEMS, Problem

DIGITS = 30


def rates_by_sympy(problem: Problem, t: float, y: list[float], p: list[float]) -> list[float]:
    values: dict[str, sympy.Expr] = {
        name: sympy.Float(value, DIGITS)
        for name, value in zip((*problem.states, *problem.parameters, "t"), (*y, *p, t), strict=True)
    }
    found: dict[str, float] = {}
    for line in problem.equations:
        target, _, text = line.partition("=")
        value = sympy.sympify(text, locals=values).evalf(DIGITS)
        values[target.strip()] = value
        found[target.strip()] = float(value)
    return [found[f"d{state}"] for state in problem.states]


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_emitted_rates_equal_an_independent_evaluation_at_random_points(problem: Problem) -> None:
    random = np.random.default_rng(len(problem.equations))
    scale = np.maximum(np.abs(problem.references().y).max(axis=(0, 1)), 1e-3)
    y = [float(value) for value in scale * random.uniform(0.1, 1.0, len(problem.states))]
    p = [float(value) for value in np.array(problem.defaults) * random.uniform(0.8, 1.2, len(problem.defaults))]
    t = float(random.uniform(0.1, 2.0))
    expected = rates_by_sympy(problem, t, y, p)
    system = problem.system()
    size = np.maximum(np.abs(expected), np.abs(expected).max() * 1e-3)
    assert np.all(np.abs(rates(system, y, p, t=t) - expected) <= 1e-13 * size)
    single = rates(system, y, p, t=t, precision=np.float32)
    assert np.all(np.abs(single - expected) <= 2e-4 * size)


def test_all_problems_are_whole() -> None:
    assert len(PROBLEMS) == 33
    for problem in PROBLEMS.values():
        references = problem.references()
        assert references.y.shape == references.uncertainty.shape == (N_ROWS, 11, len(problem.states))
        assert problem.initial_values().shape == (N_ROWS, len(problem.states))
        assert problem.parameter_values().shape == (N_ROWS, len(problem.parameters))
        assert problem.t_eval[-1] == problem.t_span[1]
