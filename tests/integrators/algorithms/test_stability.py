"""Stability functions of methods that are known by heart."""

import math
from fractions import Fraction

import numpy as np
import pytest

from cubie.integrators.algorithms.backwards_euler import BACKWARDS_EULER
from cubie.integrators.algorithms.crank_nicolson import TRAPEZOIDAL
from cubie.integrators.algorithms.exact_matrices import identity, inverse, product
from cubie.integrators.algorithms.explicit_euler import EXPLICIT_EULER
from cubie.integrators.algorithms.generic_dirk_tableaus import IMPLICIT_MIDPOINT
from cubie.integrators.algorithms.generic_erk_tableaus import CLASSICAL_RK4
from cubie.integrators.algorithms.printed_rows import noded_rows
from cubie.integrators.algorithms.stability import limit_at_infinity, stability_function, stage_order
from cubie.integrators.algorithms.tableau_checks import TableauError

Z = np.array([[-1.0 + 2.0j, 0.5j], [3.0 + 0j, -1e6 + 0j]])


def test_stability_functions_of_simple_methods_are_their_fractions() -> None:
    assert stability_function(BACKWARDS_EULER.a, BACKWARDS_EULER.b, Z) == pytest.approx(1 / (1 - Z), rel=1e-12)
    midpoint = stability_function(IMPLICIT_MIDPOINT.a, IMPLICIT_MIDPOINT.b, Z)
    assert midpoint == pytest.approx((1 + Z / 2) / (1 - Z / 2), rel=1e-12)
    assert stability_function(TRAPEZOIDAL.a, TRAPEZOIDAL.b, Z) == pytest.approx(midpoint, rel=1e-9)
    assert stability_function(EXPLICIT_EULER.a, EXPLICIT_EULER.b, Z) == pytest.approx(1 + Z, rel=1e-12)


def test_limits_at_infinity_tell_damping_from_growth() -> None:
    assert limit_at_infinity(BACKWARDS_EULER.a, BACKWARDS_EULER.b) == 0
    assert limit_at_infinity(TRAPEZOIDAL.a, TRAPEZOIDAL.b) == limit_at_infinity(((Fraction(1, 2),),), (1,)) == -1
    assert limit_at_infinity(CLASSICAL_RK4.a, CLASSICAL_RK4.b) == math.inf
    assert BACKWARDS_EULER.b_hat is not None
    assert limit_at_infinity(BACKWARDS_EULER.a, BACKWARDS_EULER.b_hat) == math.inf


def test_stage_order_counts_how_far_stages_integrate_powers() -> None:
    assert stage_order(TRAPEZOIDAL.a, TRAPEZOIDAL.c) == 2
    assert stage_order(IMPLICIT_MIDPOINT.a, IMPLICIT_MIDPOINT.c) == 1


def test_inverse_is_exact_and_exchanges_rows() -> None:
    matrix = ((0, 2, 1), (1, 1, 0), (3, 0, Fraction(1, 3)))
    assert product(matrix, inverse(matrix)) == identity(3)
    with pytest.raises(TableauError, match="got one whose column 1 depends on those before"):
        inverse(((1, 2), (2, 4)))


def test_printed_rows_may_run_over_lines() -> None:
    rows, nodes = noded_rows("0 |\n 0.25 | 1/8\n 1/8")
    assert nodes == (Fraction(0), Fraction(1, 4))
    assert rows == ((), (Fraction(1, 8), Fraction(1, 8)))
