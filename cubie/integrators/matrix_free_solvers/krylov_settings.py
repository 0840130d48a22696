"""Settings of iterative linear solvers."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias, final, get_args

from cubie._types import FloatPrecision, nearest
from cubie.integrators.matrix_free_solvers.mass_rows import MassRows, mass_rows, obstacle
from cubie.integrators.matrix_free_solvers.preconditioners import PRECONDITIONERS, Preconditioner
from cubie.odesystems.ode_system import ODESystem

KrylovKind: TypeAlias = Literal["bicgstab", "gmres", "minimal-residual"]
KRYLOV_KINDS: Final[tuple[KrylovKind, ...]] = get_args(KrylovKind)
KRYLOV_DIM: Final = 10


@final
@dataclass(frozen=True, kw_only=True)
class KrylovSettings:
    """What shapes the device code of an iterative solver.

    Parameters
    ----------
    share : the part of the allowed error that the iteration may leave; stages of Rosenbrock methods weigh each other's
        errors by up to a hundred.
    max_iterations : products with the matrix (two an iteration of BiCGSTAB) after which a step has failed.
    """

    system: ODESystem
    precision: FloatPrecision
    kind: KrylovKind = "bicgstab"
    preconditioner: Preconditioner = "jacobi"
    share: float = 0.001
    max_iterations: int = 100

    def __post_init__(self) -> None:
        for what, value, known in (
            ("kind", self.kind, KRYLOV_KINDS),
            ("preconditioner", self.preconditioner, PRECONDITIONERS),
        ):
            if value not in known:
                raise ValueError(f"{what} must be one of {known}, got {value!r}.{nearest(value, known)}")
        if (reason := obstacle(self.system)) is not None:
            raise ValueError(reason)

    @cached_property
    def rows(self) -> MassRows | None:
        """The mass matrix; None for the identity."""
        return None if self.system.mass_matrix is None else mass_rows(self.system, self.precision)

    @property
    def is_scaled(self) -> bool:
        """The diagonal of the matrix is divided by."""
        return self.preconditioner != "none"

    @property
    def takes_diagonal(self) -> bool:
        """The diagonal of J is asked for: to precondition, or for constraints' rows to be divided by."""
        return self.is_scaled or (self.rows is not None and any(self.rows.is_constraint))

    def krylov_dim(self, n_parts: int = 1) -> int:
        """Return how many directions GMRES keeps: twice as many if numbers have two parts."""
        return n_parts * min(KRYLOV_DIM, self.system.n_states)

    @property
    def n_iterations(self) -> int:
        """The budget: iterations, or of GMRES, restarts."""
        return max(self.max_iterations // self.krylov_dim(), 1) if self.kind == "gmres" else self.max_iterations

    @property
    def least_pivot(self) -> float:
        """A smaller entry of the matrix' diagonal is taken for 1."""
        return 1e-3

    @property
    def least_coefficient(self) -> float:
        """A smaller one, in J, of a constraint's own state is taken for 1."""
        return 1e-30
