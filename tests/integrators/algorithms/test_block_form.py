"""The block form of a fully implicit method is exact to fifty digits, and Hairer and Wanner's where they print it."""

from fractions import Fraction

import numpy as np
import pytest

from cubie.integrators.algorithms.block_form import BlockForm, block_form
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.exact_matrices import ExactMatrix, identity, padded, product
from cubie.integrators.algorithms.generic_dirk_tableaus import SDIRK_2, SDIRK_3, TRBDF2
from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS, RADAU_IIA_5
from cubie.integrators.algorithms.tableau_checks import TableauError

ROWS = tuple(FIRK_TABLEAUS.values())


def named(row: ButcherTableau) -> str:
    return row.name


def blocks(form: BlockForm) -> ExactMatrix:
    n, n_real = len(form.t), len(form.real_eigenvalues)
    matrix = [[Fraction(0)] * n for _ in range(n)]
    for i, value in enumerate(form.real_eigenvalues):
        matrix[i][i] = value
    for i, (alpha, beta) in enumerate(form.complex_eigenvalues):
        j = n_real + 2 * i
        matrix[j][j : j + 2], matrix[j + 1][j : j + 2] = [alpha, -beta], [beta, alpha]
    return tuple(map(tuple, matrix))


def distance(left: ExactMatrix, right: ExactMatrix) -> float:
    return max(
        abs(float(x - y)) for one, other in zip(left, right, strict=True) for x, y in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_transformation_block_diagonalises_the_inverse_of_a(row: ButcherTableau) -> None:
    form = block_form(row)
    a = padded(row.a, row.n_stages)
    assert distance(product(a, product(form.t, blocks(form))), form.t) < 1e-50
    assert distance(product(form.t, form.t_inverse), identity(row.n_stages)) == 0
    assert distance(product(product(form.t, blocks(form)), product(form.t_inverse, a)), identity(row.n_stages)) < 1e-48


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_rounded_transformation_is_well_conditioned(row: ButcherTableau) -> None:
    rounded = block_form(row).in_precision(np.float64)
    t, t_inverse = np.array(rounded.t, np.float64), np.array(rounded.t_inverse, np.float64)
    assert float(np.abs(t @ t_inverse - np.eye(len(t))).max()) < 1e-13
    assert all(type(entry) is np.float64 for matrix in (rounded.t, rounded.t_inverse) for x in matrix for entry in x)


def test_methods_of_odd_stages_have_one_real_eigenvalue_and_of_even_ones_none() -> None:
    for row in ROWS:
        form = block_form(row)
        assert len(form.real_eigenvalues) == row.n_stages % 2
        assert len(form.complex_eigenvalues) == row.n_stages // 2
        assert all(alpha > 0 and beta > 0 for alpha, beta in form.complex_eigenvalues)


def test_radau_5_has_hairer_and_wanners_eigenvalues_and_transformation() -> None:
    """Solving ODEs II, p. 121; the code RADAU5 scales the first column by 0.966048..."""
    form = block_form(RADAU_IIA_5).in_precision(np.float64)
    ninth = 9 ** (1 / 3)
    gamma = (6 + ninth**2 - ninth) / 30  # of a
    alpha, beta = (12 - ninth**2 + ninth) / 60, (ninth**2 + ninth) * 3**0.5 / 60
    size = alpha**2 + beta**2
    assert form.real_eigenvalues == pytest.approx([1 / gamma], rel=1e-14)
    assert form.complex_eigenvalues[0] == pytest.approx((alpha / size, beta / size), rel=1e-14)
    published = [
        [9.1232394870892942792e-2, -0.14125529502095420843, -3.0029194105147424492e-2],
        [0.24171793270710701896, 0.20412935229379993199, 0.38294211275726193779],
        [0.96604818261509293619, 1.0, 0.0],
    ]
    expected = np.array(published) / np.array([published[2][0], 1, 1])
    assert np.array(form.t, np.float64) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("row", [SDIRK_2, SDIRK_3], ids=named)
def test_coinciding_eigenvalues_are_refused(row: ButcherTableau) -> None:
    with pytest.raises(TableauError, match="the eigenvalues of a must be distinct"):
        block_form(row)


def test_singular_matrix_is_refused() -> None:
    with pytest.raises(TableauError, match="a matrix to invert must be regular, got one whose column"):
        block_form(TRBDF2)


def test_stages_that_do_not_reach_the_last_are_refused() -> None:
    apart = ButcherTableau(name="apart", order=1, a=((1, 0), (0, 0.5)), b=(1, 0), c=(1, 0.5))
    with pytest.raises(TableauError, match="eigenvectors of a must not end with 0"):
        block_form(apart)
