"""Dense output of diagonally implicit methods whose first stage is explicit and whose last one is the result.

All weights are polynomials in theta that fulfil conditions for every theta, exactly, and are the smallest that do:

- sums of the weights times powers of c, for the order on problems that are not stiff; as all stages have order 2, order
  4 asks for the sum times ``a @ c**2`` besides;
- boundedness: what the first stage contributes, ``f(t, y)`` itself, which times dt is without bound after a transient,
  is taken back by the others, as it is at the end of the step. In cubic Hermite output it isn't;
- the sum times ``inv(a) @ c**3``, for order 3 on the slow solution of a stiff problem, where stages are exact, but
  their rates have order 2 only, and Hermite's cubic with them.

Few methods have stages enough for all of them; the others meet the rate at the end of the step instead of the last
one, or have order 3. On Robertson's problem at a tolerance of 1e-9, errors are 1/4 (kvaerno-5) to 1/65 (kencarp-5) of
those of Hermite's output.

References
----------
Kennedy & Carpenter (2016), NASA/TM-2016-219173, Sec. 2.1 and 2.8 (dense output, and its stability at infinity).
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from cubie.integrators.algorithms.butcher_tableau import Interpolant
from cubie.integrators.algorithms.exact_matrices import (
    ExactMatrix,
    ExactRow,
    inverse,
    padded,
    product,
    times_column,
)
from cubie.integrators.algorithms.tableau_checks import Row


def stiff_interpolant(a: Sequence[Row], b: Row, c: Row, order: Literal[3, 4], *, slow: bool) -> Interpolant:
    """Work out the weights of an order; `slow` says that the last condition is to hold, or else the end is smooth."""
    conditions = _conditions(padded(a, len(b)), [Fraction(node) for node in c], order, slow)
    transposed = tuple(zip(*conditions, strict=True))
    solver = product(transposed, inverse(product(conditions, transposed)))  # of the smallest solutions
    projection = product(solver, conditions)
    last = tuple(Fraction(int(stage == len(b) - 1)) for stage in range(len(b)))
    free_b, free_last = (_rest(row, projection) for row in (tuple(Fraction(x) for x in b), last))
    columns: list[ExactRow] = []
    for degree in range(1, order + 1):
        met = times_column(solver, _sums(degree, order, slow))
        if slow:
            free = [x / order for x in free_b]
        else:  # of the smallest rows x_1 to x_4 with sum(x_d) == free_b and sum(d*x_d) == free_last
            free = [(3 - degree) * x / 2 + (2 * degree - 5) * y / 10 for x, y in zip(free_b, free_last, strict=True)]
        columns.append(tuple(x + y for x, y in zip(met, free, strict=True)))
    return Interpolant(order=order, weights=tuple(zip(*columns, strict=True)), source="this module")


def _conditions(a: ExactMatrix, c: Sequence[Fraction], order: int, slow: bool) -> ExactMatrix:
    """One row for each sum: powers of c; what grows as the stiffness does; then what order and slowness ask for."""
    powers = [tuple(node**k for node in c) for k in range(4)]
    backwards = inverse([row[1:] for row in a[1:]])
    grows = (Fraction(1), *(-x for x in times_column(backwards, [row[0] for row in a[1:]])))
    of_order = (times_column(a, powers[2]),) if order == 4 else ()
    of_slowness = ((Fraction(0), *times_column(backwards, powers[3][1:])),) if slow else ()
    return (*powers[:order], grows, *of_order, *of_slowness)


def _sums(degree: int, order: int, slow: bool) -> ExactRow:
    """The coefficient of ``theta**degree`` in each row's sum: the last two are ``theta**4/12`` and ``theta**3``."""
    powers = [Fraction(int(k + 1 == degree), degree) for k in range(order)]
    of_order = (Fraction(int(degree == 4), 12),) if order == 4 else ()
    return (*powers, Fraction(0), *of_order, *((Fraction(int(degree == 3)),) if slow else ()))


def _rest(row: ExactRow, projection: ExactMatrix) -> ExactRow:
    """What the conditions leave free of a row."""
    return tuple(x - y for x, y in zip(row, times_column(projection, row), strict=True))
