"""Which solver takes a step's linear systems: by elimination where its code stays short, else without a matrix."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final, get_args

from cubie._types import FloatPrecision, nearest
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.krylov_solver import KrylovPairSolver, KrylovSolver
from cubie.integrators.matrix_free_solvers.linear_solver import LinearSettings, LinearSolver, PairSolver
from cubie.integrators.matrix_free_solvers.mass_rows import obstacle
from cubie.integrators.matrix_free_solvers.pivot_order import elimination_work
from cubie.integrators.matrix_free_solvers.preconditioners import PRECONDITIONERS, Preconditioner
from cubie.odesystems.ode_system import ODESystem
from cubie.targets.base import Target

LinearKind: TypeAlias = Literal["auto", "direct", "bicgstab", "gmres", "minimal-residual"]
LINEAR_KINDS: Final[tuple[LinearKind, ...]] = get_args(LinearKind)
AnyLinearSettings: TypeAlias = LinearSettings | KrylovSettings
AnyLinearSolver: TypeAlias = LinearSolver | KrylovSolver
AnyPairSolver: TypeAlias = PairSolver | KrylovPairSolver

MOST_WORK: Final = 12_000
"""Multiply-adds of an elimination that is still generated: compilation takes about a millisecond for each."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LinearChoice:
    """What users say of linear solvers.

    Parameters
    ----------
    kind : "auto" eliminates where that is little code, and where iterations can't take the mass matrix; else it takes
        BiCGSTAB.
    preconditioner : of an iterative solver.
    """

    kind: LinearKind = "auto"
    preconditioner: Preconditioner = "jacobi"

    def __post_init__(self) -> None:
        for option, value, known in (
            ("linear_solver", self.kind, LINEAR_KINDS),
            ("preconditioner", self.preconditioner, PRECONDITIONERS),
        ):
            if value not in known:
                raise ValueError(f"{option} must be one of {known}, got {value!r}.{nearest(str(value), known)}")

    def settings(self, system: ODESystem, precision: FloatPrecision) -> AnyLinearSettings:
        """Return the settings of the solver that is meant."""
        kind = self.kind
        if kind == "auto":
            work = elimination_work({*system.jacobian.pattern, *system.mass}, system.n_states)
            kind = "direct" if work <= MOST_WORK or obstacle(system) is not None else "bicgstab"
        if kind == "direct":
            return LinearSettings(system=system, precision=precision)
        return KrylovSettings(system=system, precision=precision, kind=kind, preconditioner=self.preconditioner)


AS_SUITS: Final = LinearChoice()
"""The default."""


def make_linear_solver(settings: AnyLinearSettings, target: Target) -> AnyLinearSolver:
    """Make the factory of a solver."""
    if isinstance(settings, KrylovSettings):
        return KrylovSolver(settings, target=target)
    return LinearSolver(settings, target=target)


def make_pair_solver(settings: AnyLinearSettings, target: Target) -> AnyPairSolver:
    """Make the factory of a solver of complex systems."""
    if isinstance(settings, KrylovSettings):
        return KrylovPairSolver(settings, target=target)
    return PairSolver(settings, target=target)


def configured_linear(solver: AnyLinearSolver | AnyPairSolver, settings: AnyLinearSettings) -> bool:
    """Let a solver go by other settings, if they are its own; tell whether they are."""
    if isinstance(solver, KrylovSolver | KrylovPairSolver) and isinstance(settings, KrylovSettings):
        solver.configure_system(settings)
        return True
    if isinstance(solver, LinearSolver | PairSolver) and isinstance(settings, LinearSettings):
        solver.configure_system(settings)
        return True
    return False
