"""Settings of iterative linear solvers."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final, get_args

from cubie._types import FloatPrecision, nearest
from cubie.integrators.matrix_free_solvers.preconditioners import PRECONDITIONERS, Preconditioner
from cubie.odesystems.ode_system import ODESystem

KrylovKind: TypeAlias = Literal["bicgstab", "gmres", "minimal-residual"]
KRYLOV_KINDS: Final[tuple[KrylovKind, ...]] = get_args(KrylovKind)
KRYLOV_DIM: Final = 10


@final
@dataclass(frozen=True, slots=True, kw_only=True)
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
        if self.system.mass_matrix is not None:
            raise ValueError(
                f"an iterative linear solver must have a system without a mass matrix, got '{self.system.name}'. "
                "Leave the direct one."
            )

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
