"""Preconditioners: cheap approximations of ``inv(M - gamma_dt*J)`` that need no matrix.

References
----------
Saad (2003), Iterative Methods for Sparse Linear Systems, Sec. 4.1 and 12.3.
"""

from typing import Final, Literal, Protocol, TypeAlias, get_args

from cubie._types import Vector
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
    target: Target, kind: Preconditioner, operate: OperatorFn, divide: OperatorFn, size: int
) -> PreconditionFn:
    """Build a preconditioner of vectors of `size` numbers; `divide` is by the matrix' diagonal, or 1 for "none"."""
    n_terms = NEUMANN_TERMS * (kind == "neumann")

    @target.device
    def precondition(vector: Vector, out: Vector, k: KrylovMemory) -> None:
        divide(vector, out, k)
        for _ in static(range(n_terms)):
            operate(out, k.rest, k)
            for i in range(size):
                k.rest[i] = vector[i] - k.rest[i]
            divide(k.rest, k.rest, k)
            for i in range(size):
                out[i] = out[i] + k.rest[i]

    return precondition
