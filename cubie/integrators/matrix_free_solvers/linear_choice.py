"""Which solver takes a step's linear systems: by elimination where its code stays short, else without a matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final, get_args

from cubie._types import FloatPrecision, NameT, find_name, nearest
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.krylov_solver import KrylovPairSolver, KrylovSolver
from cubie.integrators.matrix_free_solvers.linear_solver import LinearSettings, LinearSolver, PairSolver
from cubie.integrators.matrix_free_solvers.mass_rows import obstacle
from cubie.integrators.matrix_free_solvers.pivot_order import elimination_work
from cubie.integrators.matrix_free_solvers.preconditioners import PRECONDITIONERS, Preconditioner
from cubie.odesystems.ode_system import ODESystem
from cubie.targets.base import Target

LinearKind: TypeAlias = Literal["auto", "direct", "bicgstab", "gmres", "minimal-residual"]
ChosenKind: TypeAlias = Literal["direct", "bicgstab", "gmres", "minimal-residual"]
LINEAR_KINDS: Final[tuple[LinearKind, ...]] = get_args(LinearKind)
AnyLinearSettings: TypeAlias = LinearSettings | KrylovSettings
AnyLinearSolver: TypeAlias = LinearSolver | KrylovSolver
AnyPairSolver: TypeAlias = PairSolver | KrylovPairSolver

DEFAULT_PRECONDITIONER: Final[Preconditioner] = "jacobi"
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
    preconditioner : of an iterative solver; None for Jacobi's.
    """

    kind: LinearKind = "auto"
    preconditioner: Preconditioner | None = None

    def __post_init__(self) -> None:
        for option, value, known in (
            ("linear_solver", self.kind, LINEAR_KINDS),
            ("preconditioner", self.preconditioner, (None, *PRECONDITIONERS)),
        ):
            if value not in known:
                raise _unknown(option, value, [name for name in known if name is not None])

    def kind_for(self, system: ODESystem) -> ChosenKind:
        """Return the kind that is taken."""
        if self.kind != "auto":
            return self.kind
        work = elimination_work({*system.jacobian.pattern, *system.mass}, system.n_states)
        return "direct" if work <= MOST_WORK or obstacle(system) is not None else "bicgstab"

    def settings(self, system: ODESystem, precision: FloatPrecision) -> AnyLinearSettings:
        """Return the settings of the solver that is meant."""
        kind = self.kind_for(system)
        if kind == "direct":
            return LinearSettings(system=system, precision=precision)
        preconditioner = self.preconditioner or DEFAULT_PRECONDITIONER
        return KrylovSettings(system=system, precision=precision, kind=kind, preconditioner=preconditioner)


AS_SUITS: Final = LinearChoice()
"""The default."""


def find_linear_choice(kind: str, preconditioner: str | None) -> LinearChoice:
    """Return the choice of these names, however they are spelt (see `canonical_form`).

    Raises
    ------
    ValueError: it offers the nearest name.
    """
    chosen = None
    if preconditioner is not None:
        chosen = _found("preconditioner", preconditioner, PRECONDITIONERS)
    return LinearChoice(kind=_found("linear_solver", kind, LINEAR_KINDS), preconditioner=chosen)


def _found(option: str, name: object, known: Sequence[NameT]) -> NameT:
    found = find_name(name, known) if isinstance(name, str) else None
    if found is None:
        raise _unknown(option, name, known)
    return found


def _unknown(option: str, value: object, known: Sequence[str]) -> ValueError:
    hint = nearest(str(value).lower(), known)
    return ValueError(f"{option} must be one of {tuple(known)}, got {value!r}.{hint}")


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
