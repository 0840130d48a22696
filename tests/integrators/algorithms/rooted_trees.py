"""Order conditions by rooted trees: b . weights(tree) == theta**size / density, for every tree up to the order.

Butcher (2016), Numerical Methods for Ordinary Differential Equations, Sec. 31. Sixty decimal digits, so that what is
left over measures the coefficients and not the arithmetic.
"""

import decimal
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import TypeAlias

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau

Tree: TypeAlias = tuple["Tree", ...]
Vector: TypeAlias = list[Decimal]
Coefficients: TypeAlias = Sequence[Fraction | float | int]

_CONTEXT = decimal.Context(prec=60)


@cache
def rooted_trees(order: int) -> tuple[Tree, ...]:
    """All rooted trees with that many vertices, each as the sorted tuple of its branches."""
    if order == 1:
        return ((),)
    return tuple(sorted({grafted for tree in rooted_trees(order - 1) for grafted in _grafted(tree)}))


def _grafted(tree: Tree) -> Iterator[Tree]:
    """A leaf put on each vertex in turn."""
    yield tuple(sorted((*tree, ())))
    for place, branch in enumerate(tree):
        for grown in _grafted(branch):
            yield tuple(sorted((*tree[:place], grown, *tree[place + 1 :])))


@cache
def size(tree: Tree) -> int:
    return 1 + sum(size(branch) for branch in tree)


@cache
def density(tree: Tree) -> int:
    return size(tree) * math.prod(density(branch) for branch in tree)


def decimals(row: Coefficients, width: int = 0) -> Vector:
    """The row to sixty digits, filled up with zeros."""
    exact = [Fraction(entry) for entry in row]
    digits = [_CONTEXT.divide(Decimal(entry.numerator), Decimal(entry.denominator)) for entry in exact]
    return digits + [Decimal(0)] * (width - len(digits))


class OrderConditions:
    """The trees' stage weights of one matrix ``a``, each computed once."""

    def __init__(self, a: Sequence[Coefficients]) -> None:
        self.a = [decimals(row, len(a)) for row in a]
        self._at_root: dict[Tree, Vector] = {}
        self._below: dict[Tree, Vector] = {}

    def stage_weights(self, tree: Tree) -> Vector:
        """The product, over a tree's branches, of ``a @ stage_weights(branch)``."""
        if tree not in self._at_root:
            product = [Decimal(1)] * len(self.a)
            for branch in tree:
                product = [left * right for left, right in zip(product, self._through_a(branch), strict=True)]
            self._at_root[tree] = product
        return self._at_root[tree]

    def _through_a(self, tree: Tree) -> Vector:
        if tree not in self._below:
            weights = self.stage_weights(tree)
            self._below[tree] = [_dot(row, weights) for row in self.a]
        return self._below[tree]

    def worst(self, b: Coefficients, order: int, theta: Fraction = Fraction(1)) -> float:
        """The largest residual over the trees of one order, relative to the sum of its absolute terms."""
        with decimal.localcontext(_CONTEXT):
            weights, (at,) = decimals(b, len(self.a)), decimals((theta,))
            return max(self._residual(weights, tree, at) for tree in rooted_trees(order))

    def _residual(self, b: Vector, tree: Tree, theta: Decimal) -> float:
        exact = theta ** size(tree) / density(tree)
        terms = [left * right for left, right in zip(b, self.stage_weights(tree), strict=True)]
        return float(abs(sum(terms) - exact) / (sum(map(abs, terms)) + exact))


def _dot(left: Vector, right: Vector) -> Decimal:
    return sum((x * y for x, y in zip(left, right, strict=True) if x), Decimal(0))


def dense_conditions(row: ButcherTableau) -> OrderConditions:
    """The conditions over all stages that a row's interpolant numbers."""
    assert row.interpolant is not None
    end_of_step = () if row.first_same_as_last else (row.b,)
    return OrderConditions((*row.a, *end_of_step, *row.interpolant.a))


def weights_at(theta: Fraction, row: ButcherTableau) -> list[Fraction]:
    """The interpolant's weights ``b_j(theta)``, exact."""
    assert row.interpolant is not None
    return [
        sum((Fraction(entry) * theta**power for power, entry in enumerate(weights, start=1)), Fraction(0))
        for weights in row.interpolant.weights
    ]
