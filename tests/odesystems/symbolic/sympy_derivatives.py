"""Derivatives of the reference problems by sympy, from their own text."""

from functools import cache
from typing import TypeAlias

import numpy as np
import sympy

from tests.odesystems.evaluate import Values
from tests.problems import PROBLEMS, Problem

Derivatives: TypeAlias = dict[tuple[int, int], sympy.Expr]
DIGITS = 30


@cache
def _symbols(name: str) -> dict[str, sympy.Symbol]:
    problem = PROBLEMS[name]
    return {word: sympy.Symbol(word) for word in (*problem.states, *problem.parameters, "t")}


@cache
def _derivatives(name: str) -> Derivatives:
    """Return the derivatives of each rate by each state, and by the time as the last column."""
    problem, symbols, expressions = PROBLEMS[name], _symbols(name), dict[str, sympy.Expr]()
    for line in problem.equations:
        target, _, text = line.partition("=")
        expressions[target.strip()] = sympy.sympify(text, locals={**symbols, **expressions})
    by = [symbols[word] for word in (*problem.states, "t")]
    rates = [expressions[f"d{state}"] for state in problem.states]
    return {
        (row, column): rate.diff(symbol)
        for row, rate in enumerate(rates)
        for column, symbol in enumerate(by)
        if symbol in rate.free_symbols
    }


def sympy_derivatives(problem: Problem, y: Values, p: Values, t: float) -> Values:
    """Return the Jacobian at (t, y) with df/dt as one more column."""
    names, values = (*problem.states, *problem.parameters, "t"), (*y.tolist(), *p.tolist(), t)
    symbols, matrix = _symbols(problem.name), np.zeros((len(y), len(y) + 1))
    substitutes = {symbols[name]: sympy.Float(value, DIGITS) for name, value in zip(names, values, strict=True)}
    for (row, column), derivative in _derivatives(problem.name).items():
        matrix[row, column] = float(derivative.evalf(DIGITS, subs=substitutes))
    return matrix
