"""Order conditions of Rosenbrock and W-methods: the trees of Runge-Kutta methods, with two kinds of edges.

Hairer & Wanner (1996), Solving ODEs II, Sec. IV.7: a vertex with one branch leads on by beta = alpha + gamma, one with
several by alpha. With any matrix for the Jacobian, each vertex with one branch is of two kinds, alpha and gamma, and
trees with a gamma contribute nothing.
"""

import decimal
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import final

from typing_extensions import override

from cubie.integrators.algorithms.rosenbrock_tableau import ClassicalForm
from tests.integrators.algorithms.rooted_trees import (
    Coefficients,
    OrderConditions,
    Tree,
    Vector,
    decimals,
    density,
    rooted_trees,
)

Matrix = Sequence[Sequence[Decimal]]

_CONTEXT = decimal.Context(prec=60)


@final
class RosenbrockConditions(OrderConditions):
    """The trees' stage weights of one method with its exact Jacobian."""

    def __init__(self, form: ClassicalForm) -> None:
        super().__init__(form.alpha)
        self.beta = [decimals(row) for row in form.beta]
        self._single: dict[Tree, Vector] = {}

    @override
    def stage_weights(self, tree: Tree) -> Vector:
        if len(tree) != 1:
            return super().stage_weights(tree)
        if tree not in self._single:
            self._single[tree] = times(self.beta, self.stage_weights(tree[0]))
        return self._single[tree]


def w_residual(form: ClassicalForm, b: Coefficients, order: int) -> float:
    """The largest miss over the trees of one order of a W-method, relative to 1."""
    with decimal.localcontext(_CONTEXT):
        alpha, gammas = [decimals(row) for row in form.alpha], [decimals(row) for row in form.gammas]
        weights = decimals(b)
        return max(
            float(abs(dot(weights, stages) - (Decimal(0) if has_gamma else 1 / Decimal(density(tree)))))
            for tree in rooted_trees(order)
            for stages, has_gamma in _kinds(alpha, gammas, tree)
        )


def _kinds(alpha: Matrix, gammas: Matrix, tree: Tree) -> Iterator[tuple[Vector, bool]]:
    """Stage weights of a tree for each choice of its edges, and whether a gamma is among them."""
    found: list[tuple[Vector, bool]] = [([Decimal(1)] * len(alpha), False)]
    for branch in tree:
        below = [(times(alpha, stages), has_gamma) for stages, has_gamma in _kinds(alpha, gammas, branch)]
        if len(tree) == 1:
            below += [(times(gammas, stages), True) for stages, _ in _kinds(alpha, gammas, branch)]
        found = [
            ([x * y for x, y in zip(left, right, strict=True)], one or other)
            for left, one in found
            for right, other in below
        ]
    yield from found


def index_1_residuals(form: ClassicalForm, inverse_beta: Sequence[Sequence[Fraction]]) -> dict[int, float]:
    """The largest miss, by order, of what index-1 problems ask beyond the trees (Sec. VI.4, order 3 and 4)."""
    with decimal.localcontext(_CONTEXT):
        alpha, beta = [decimals(row) for row in form.alpha], [decimals(row) for row in form.beta]
        omega, b = [decimals(row) for row in inverse_beta], decimals(form.b)
        nodes, beta_sums = [sum(row, Decimal(0)) for row in alpha], [sum(row, Decimal(0)) for row in beta]
        square = [x * x for x in nodes]
        implied = times(omega, square)  # omega_ij alpha_j**2
        through = times(alpha, implied)
        third = dot(b, implied) - 1
        fourth = [
            dot(b, _each(nodes, through)) - Decimal("0.25"),
            dot(b, times(omega, _each(nodes, square))) - 1,
            dot(b, times(omega, _each(nodes, times(alpha, beta_sums)))) - Decimal("0.5"),
            dot(b, times(omega, _each(nodes, through))) - 1,
        ]
        return {3: float(abs(third)), 4: float(max(map(abs, fourth)))}


def times(matrix: Matrix, column: Vector) -> Vector:
    return [dot(row, column) for row in matrix]


def dot(left: Sequence[Decimal], right: Sequence[Decimal]) -> Decimal:
    return sum((x * y for x, y in zip(left, right, strict=True) if x), Decimal(0))


def _each(left: Vector, right: Vector) -> Vector:
    return [x * y for x, y in zip(left, right, strict=True)]
