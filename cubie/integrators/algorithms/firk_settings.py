"""What shapes the device code of a fully implicit method, and what follows from it."""

from dataclasses import dataclass
from typing import final

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.block_form import BlockForm
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.filtered_estimate import FilteredEstimate
from cubie.integrators.algorithms.firk_weights import FirkWeights, analysed, firk_weights
from cubie.integrators.algorithms.rounded_tableau import nearest
from cubie.integrators.algorithms.stability import damps
from cubie.integrators.matrix_free_solvers.consistency import ConsistencySettings
from cubie.integrators.matrix_free_solvers.convergence import (
    MAX_ITERATIONS,
    MAX_ITERATIONS_OF_FIXED_STEPS,
    SHARE_OF_ALL_STAGES,
    IterationSettings,
)
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.linear_choice import AS_SUITS, LinearChoice
from cubie.integrators.matrix_free_solvers.stage_systems import StageSystemsSettings
from cubie.odesystems.ode_system import ODESystem


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FirkSettings:
    """What shapes the device code of a fully implicit method.

    Raises
    ------
    TableauError: if its stages can't be decoupled.
    """

    tableau: ButcherTableau
    system: ODESystem
    precision: FloatPrecision
    estimates_error: bool = True
    linear_choice: LinearChoice = AS_SUITS

    def __post_init__(self) -> None:
        analysed(self.tableau)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return self.system.n_states

    @property
    def form(self) -> BlockForm:
        """The coordinates in which stages decouple."""
        return analysed(self.tableau)[0]

    @property
    def estimate(self) -> FilteredEstimate:
        """The error estimate."""
        return analysed(self.tableau)[1]

    @property
    def n_real(self) -> int:
        """How many real systems the stages have."""
        return len(self.form.real_eigenvalues)

    @property
    def error_order(self) -> int:
        """The p of an error estimate that shrinks as ``dt**(p + 1)``."""
        return self.estimate.order

    @property
    def n_errors(self) -> int:
        """How many error vectors a step writes."""
        return int(self.estimates_error)

    @property
    def settles(self) -> bool:
        """A step damps stiff components, its error estimate, which the rate is part of, doesn't."""
        return self.estimates_error and self.estimate.rate_weight != 0 and damps(self.tableau.a, self.tableau.b)

    @property
    def weights(self) -> FirkWeights:
        """The method's numbers, rounded."""
        return firk_weights(self.tableau, self.precision)

    @property
    def systems(self) -> StageSystemsSettings:
        """Settings of the linear systems."""
        gammas = tuple(1 / value for value in self.form.real_eigenvalues)
        pairs = [(re, im, re * re + im * im) for re, im in self.form.complex_eigenvalues]
        return StageSystemsSettings(
            system=self.system,
            precision=self.precision,
            scales=nearest(gammas or (self.estimate.gamma,) * self.estimates_error, self.precision),
            pair_scales=tuple(nearest((re / size, -im / size), self.precision) for re, im, size in pairs),
            n_real=self.n_real,
            linear_choice=self.linear_choice,
        )

    @property
    def solves_slopes(self) -> bool:
        """Dense output is Hermite's, and the rates that it takes are not f."""
        return self.tableau.interpolant is None and self.system.mass_matrix is not None

    @property
    def consistency(self) -> ConsistencySettings:
        """Settings of consistent values."""
        return ConsistencySettings(
            system=self.system,
            precision=self.precision,
            has_slopes=self.solves_slopes,
            projects=not self.tableau.is_stiffly_accurate,
            n_errors=self.n_errors,
        )

    @property
    def keeps_weights(self) -> bool:
        """The linear solver iterates, by weights that the check of dense output needs again."""
        return isinstance(self.systems.linear, KrylovSettings)

    @property
    def iteration(self) -> IterationSettings:
        """Settings of the control of Newton's iteration."""
        return IterationSettings(
            n_measured=self.tableau.n_stages * self.n_states,
            precision=self.precision,
            share=SHARE_OF_ALL_STAGES,
            max_iterations=MAX_ITERATIONS if self.estimates_error else MAX_ITERATIONS_OF_FIXED_STEPS,
            gives_up=self.estimates_error,
        )
