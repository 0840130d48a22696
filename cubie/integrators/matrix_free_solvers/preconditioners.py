"""Preconditioners: cheap approximations of ``inv(I - gamma_dt*J)`` that need no matrix.

References
----------
Saad (2003), Iterative Methods for Sparse Linear Systems, Sec. 4.1 and 12.3.
"""

from typing import Final, Literal, Protocol, TypeAlias, get_args

from cubie._types import FloatPrecision, Vector
from cubie.integrators.matrix_free_solvers.krylov_memory import KrylovMemory, OperatorFn
from cubie.targets.base import Target
from cubie.targets.unroll import static

Preconditioner: TypeAlias = Literal["none", "jacobi", "neumann"]
PRECONDITIONERS: Final[tuple[Preconditioner, ...]] = get_args(Preconditioner)
NEUMANN_TERMS: Final = 2
"""Terms of the series beyond the first, which is Jacobi's preconditioner."""


class PreconditionFn(Protocol):
    """Write an approximate solution of ``A @ out = vector``; `rest` of the memory is scratch."""

    def __call__(self, vector: Vector, out: Vector, k: KrylovMemory) -> None: ...


def make_precondition(
    target: Target, kind: Preconditioner, operate: OperatorFn, n: int, precision: FloatPrecision
) -> PreconditionFn:
    """Build a preconditioner; `k.inverse` holds one over the matrix' diagonal, or ones for "none"."""
    n_terms, fma = NEUMANN_TERMS * (kind == "neumann"), target.fma

    @target.device
    def precondition(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        for i in range(n):
            out[i] = k.inverse[i] * vector[i]
        for _ in static(range(n_terms)):
            operate(out, k.rest, k)
            for i in range(n):
                out[i] = fma(k.inverse[i], vector[i] - k.rest[i], out[i])

    return precondition
