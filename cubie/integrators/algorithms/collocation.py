"""Collocation methods from their nodes alone: ``a``, ``b`` and dense output are integrals of Lagrange's polynomials."""

from collections.abc import Sequence
from fractions import Fraction

from cubie.integrators.algorithms.butcher_tableau import Interpolant
from cubie.integrators.algorithms.exact_matrices import ExactMatrix, ExactRow, inverse
from cubie.integrators.algorithms.tableau_checks import Row


def collocation_weights(c: Row) -> ExactMatrix:
    """Rows of ``b_j(theta) = sum_d weights[j][d] * theta**(d + 1)``, the integrals of the rates' interpolants.

    They reach beyond theta = 1: a predictor of the next step's stages is the polynomial continued.
    """
    powers = [[Fraction(node) ** d for node in c] for d in range(len(c))]
    return tuple(tuple(entry / (d + 1) for d, entry in enumerate(row)) for row in inverse(powers))


def weights_at(theta: Fraction, weights: Sequence[Row]) -> ExactRow:
    """``b_j(theta)`` of every stage."""
    return tuple(
        sum((Fraction(entry) * theta ** (d + 1) for d, entry in enumerate(row)), Fraction(0)) for row in weights
    )


def collocation_matrix(c: Row) -> ExactMatrix:
    """``a``: the weights at every node."""
    weights = collocation_weights(c)
    return tuple(weights_at(Fraction(node), weights) for node in c)


def collocation_interpolant(c: Row, order: int, source: str) -> Interpolant:
    """The weights as dense output, which has no use for the rate at the end of the step."""
    unused = (Fraction(0),) * len(c)
    return Interpolant(order=order, weights=(*collocation_weights(c), unused), source=source)
