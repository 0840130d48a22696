"""A Rosenbrock method as data: the types of a tableau and of its dense output.

Rows hold the transformed coefficients that programs run on and books print, Hairer & Wanner's (IV.7.25): with
``u = Gamma @ k`` no product with the Jacobian is left. `classical` gives back alpha, Gamma and b, exactly.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.7.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import final

from cubie._types import FloatPrecision, Scalar
from cubie.integrators.algorithms.butcher_tableau import require_distinct
from cubie.integrators.algorithms.exact_matrices import ExactMatrix, ExactRow, inverse, padded, product, times
from cubie.integrators.algorithms.rosenbrock_checks import check_rosenbrock
from cubie.integrators.algorithms.rounded_tableau import RoundedRow, nearest
from cubie.integrators.algorithms.tableau_checks import Coefficient, Row, TableauError

__all__ = [
    "ClassicalForm",
    "RosenbrockInterpolant",
    "RosenbrockTableau",
    "RoundedRosenbrock",
    "from_classical",
    "rosenbrock_rows_by_name",
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RosenbrockInterpolant:
    """Dense output: ``(1 - theta)*y + theta*(y_next + (1 - theta)*(v_0 + theta*(v_1 + ...)))``, ``v_l = h[l] @ u``.

    A row of ``h`` is as long as all stages: the method's own, then the extra ones, whose rows in ``a`` and ``c`` run
    over all stages before them.
    """

    order: int
    h: tuple[Row, ...]
    a: tuple[Row, ...] = ()
    c: tuple[Row, ...] = ()
    nodes: Row = ()
    time_weights: Row = ()
    source: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedRosenbrock:
    """A tableau in one precision, over all ``n_dense_stages``; ``a`` and ``c`` are square, zeros written out.

    ``m`` and ``error_weights`` have ``n_stages`` entries. ``h`` is empty without an interpolant.
    """

    gamma: Scalar
    a: tuple[RoundedRow, ...]
    c: tuple[RoundedRow, ...]
    nodes: RoundedRow
    time_weights: RoundedRow
    m: RoundedRow
    error_weights: RoundedRow | None
    h: tuple[RoundedRow, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicalForm:
    """``k_i = dt*f(t + alpha_i*dt, y + sum_j alpha[i][j]*k_j) + dt*J*sum_j gammas[i][j]*k_j + gamma_i*dt**2*df/dt``.

    All matrices are square, over ``n_dense_stages``; ``gammas`` has the diagonal gamma; ``beta = alpha + gammas``.
    """

    alpha: ExactMatrix
    gammas: ExactMatrix
    beta: ExactMatrix
    b: ExactRow
    b_hat: ExactRow | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RosenbrockTableau:
    """One Rosenbrock method, with one matrix ``I/(dt*gamma) - J`` for all stages.

    Stage i solves ``(I/(dt*gamma) - J) @ u_i = f(t + nodes[i]*dt, y + sum_j a[i][j]*u_j) + sum_j c[i][j]/dt*u_j
    + time_weights[i]*dt*df/dt(t, y)``; then ``y_next = y + sum_j m[j]*u_j``, and the error of the step is
    ``sum_j (m[j] - m_hat[j])*u_j``. Row j of ``a`` and ``c`` has j entries. ``w_order`` is the order that is left
    with any matrix for the Jacobian J.

    Raises
    ------
    TableauError: if rows are ragged, or nodes, time weights and m contradict a and c.
    TypeError: if a coefficient is no fraction, float or int, or is not finite.
    """

    name: str
    order: int
    order_hat: int | None = None
    w_order: int = 1
    gamma: Coefficient
    a: tuple[Row, ...]
    c: tuple[Row, ...]
    m: Row
    m_hat: Row | None = None
    nodes: Row
    time_weights: Row
    source: str = ""
    aliases: tuple[str, ...] = ()
    interpolant: RosenbrockInterpolant | None = None

    def __post_init__(self) -> None:
        check_rosenbrock(self)

    @property
    def n_stages(self) -> int:
        return len(self.m)

    @property
    def n_dense_stages(self) -> int:
        """All stages that the interpolant weighs; the method's own where it has none."""
        return self.n_stages + (0 if self.interpolant is None else len(self.interpolant.a))

    @property
    def is_stiffly_accurate(self) -> bool:
        """``b`` is the last row of beta, and the last stage stands at the step's end: ``m = a[-1] + (..., 1)``."""
        return self.nodes[-1] == 1 and self.m == (*self.a[-1], 1)

    @property
    def is_adaptive(self) -> bool:
        return self.m_hat is not None

    @property
    def error_weights(self) -> ExactRow | None:
        """``m - m_hat``, exact."""
        if self.m_hat is None:
            return None
        return tuple(Fraction(x) - Fraction(y) for x, y in zip(self.m, self.m_hat, strict=True))

    @property
    def error_order(self) -> int | None:
        """The p of an estimate that shrinks as ``dt**(p + 1)``: a controller's exponent is made from it."""
        return None if self.order_hat is None else min(self.order, self.order_hat)

    @property
    def dense_order(self) -> int:
        """The order of dense output: the interpolant's, or the 3 of cubic Hermite."""
        return 3 if self.interpolant is None else self.interpolant.order

    @property
    def evaluations(self) -> tuple[int, ...]:
        """For each of all stages the first one with the same arguments of f: itself, unless it shares that rate."""
        a, _, nodes, _ = self.all_stages()
        arguments = [(padded([row], self.n_dense_stages), node) for row, node in zip(a, nodes, strict=True)]
        return tuple(arguments.index(argument) for argument in arguments)

    @property
    def evaluates_y_next(self) -> bool:
        """The last stage's rate is ``f(t + dt, y_next)``: the next step's first."""
        return self.nodes[-1] == 1 and padded([self.a[-1]], self.n_stages) == padded([self.m], self.n_stages)

    def dense_weights(self, theta: Fraction) -> ExactRow:
        """The w of ``y(t + theta*dt) = y + sum_j w[j]*u_j`` over all stages, exact."""
        if self.interpolant is None:
            raise TableauError(f"tableau '{self.name}' must have an interpolant for dense weights, got none.")
        row = [theta * entry for entry in padded([self.m], self.n_dense_stages)[0]]
        for power, h in enumerate(self.interpolant.h, start=1):
            row = [entry + theta**power * (1 - theta) * Fraction(x) for entry, x in zip(row, h, strict=True)]
        return tuple(row)

    def classical(self) -> ClassicalForm:
        """The method in alpha, Gamma and b, exact."""
        n = self.n_dense_stages
        all_a, all_c, _, _ = self.all_stages()
        a, c = padded(all_a, n), padded(all_c, n)
        gammas = inverse(
            tuple(tuple((i == j) / Fraction(self.gamma) - x for j, x in enumerate(r)) for i, r in enumerate(c))
        )
        alpha = product(a, gammas)
        beta = tuple(tuple(x + y for x, y in zip(r, s, strict=True)) for r, s in zip(alpha, gammas, strict=True))
        b_hat = None if self.m_hat is None else times(padded([self.m_hat], n)[0], gammas)
        return ClassicalForm(
            alpha=alpha, gammas=gammas, beta=beta, b=times(padded([self.m], n)[0], gammas), b_hat=b_hat
        )

    def in_precision(self, precision: FloatPrecision) -> RoundedRosenbrock:
        """Round every coefficient once, error weights after their exact difference."""
        n, weights = self.n_dense_stages, self.error_weights
        a, c, nodes, time_weights = self.all_stages()
        return RoundedRosenbrock(
            gamma=precision(float(self.gamma)),
            a=tuple(nearest(row, precision) for row in padded(a, n)),
            c=tuple(nearest(row, precision) for row in padded(c, n)),
            nodes=nearest(nodes, precision),
            time_weights=nearest(time_weights, precision),
            m=nearest(self.m, precision),
            error_weights=None if weights is None else nearest(weights, precision),
            h=() if self.interpolant is None else tuple(nearest(row, precision) for row in self.interpolant.h),
        )

    def all_stages(self) -> tuple[tuple[Row, ...], tuple[Row, ...], Row, Row]:
        """``a``, ``c``, nodes and time weights, those of the interpolant's extra stages at their end."""
        extra = self.interpolant
        if extra is None:
            return self.a, self.c, self.nodes, self.time_weights
        nodes, time_weights = (*self.nodes, *extra.nodes), (*self.time_weights, *extra.time_weights)
        return (*self.a, *extra.a), (*self.c, *extra.c), nodes, time_weights


def from_classical(
    *,
    name: str,
    order: int,
    order_hat: int,
    gamma: Coefficient,
    alpha: Sequence[Row],
    gammas: Sequence[Row],
    b: Row,
    b_hat: Row,
    source: str,
    w_order: int = 1,
    aliases: tuple[str, ...] = (),
    h: Sequence[Row] = (),
) -> RosenbrockTableau:
    """Transform rows of strictly lower ``alpha`` and ``gammas`` (stage j's has j entries), exactly.

    ``h`` gives dense output of the method's order, in weights of the k_i.
    """
    n = len(b)
    backwards = inverse(tuple((*row, gamma, *(0,) * (n - 1 - i)) for i, row in enumerate(gammas)))
    a, m, m_hat = product(padded(alpha, n), backwards), times(b, backwards), times(b_hat, backwards)
    dense = tuple(times(row, backwards) for row in h)
    return RosenbrockTableau(
        name=name,
        order=order,
        order_hat=order_hat,
        w_order=w_order,
        gamma=gamma,
        a=tuple(row[:i] for i, row in enumerate(a)),
        c=tuple(tuple(-x for x in row[:i]) for i, row in enumerate(backwards)),
        m=m,
        m_hat=m_hat,
        nodes=tuple(sum((Fraction(x) for x in row), Fraction(0)) for row in alpha),
        time_weights=tuple(sum((Fraction(x) for x in row), Fraction(gamma)) for row in gammas),
        source=source,
        aliases=aliases,
        interpolant=RosenbrockInterpolant(order=order, h=dense, source=source) if h else None,
    )


def rosenbrock_rows_by_name(rows: Iterable[RosenbrockTableau]) -> Mapping[str, RosenbrockTableau]:
    """Make a registry from the rows' own names; two names or aliases of one canonical form raise `TableauError`."""
    claimants = tuple(rows)
    require_distinct(claimants)
    return MappingProxyType({row.name: row for row in claimants})
