"""What shapes the device code of a diagonally implicit method, and what follows from it."""

import math
from dataclasses import dataclass
from typing import final

from cubie._types import FloatPrecision
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, TableauError
from cubie.integrators.algorithms.exact_matrices import padded
from cubie.integrators.algorithms.stability import damps, limit_at_infinity
from cubie.integrators.matrix_free_solvers.consistency import ConsistencySettings
from cubie.integrators.matrix_free_solvers.convergence import MAX_ITERATIONS, MAX_ITERATIONS_OF_FIXED_STEPS
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.linear_choice import AS_SUITS, AnyLinearSettings, LinearChoice
from cubie.integrators.matrix_free_solvers.newton_krylov import NewtonSettings
from cubie.odesystems.ode_system import ODESystem


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DirkSettings:
    """What shapes the device code of a diagonally implicit method."""

    tableau: ButcherTableau
    system: ODESystem
    precision: FloatPrecision
    estimates_error: bool = True
    linear_choice: LinearChoice = AS_SUITS

    def __post_init__(self) -> None:
        require_diagonal(self.tableau)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return self.system.n_states

    @property
    def first(self) -> int:
        """The number of the first stage that isn't the loop's `rate`."""
        return int(self.starts_at_y)

    @property
    def starts_at_y(self) -> bool:
        """The first stage is ``f(t, y)``."""
        return not any(self.tableau.a[0])

    @property
    def end(self) -> int:
        """The number of the stage that is `rate_next`."""
        return self.tableau.n_stages - self.tableau.is_stiffly_accurate

    @property
    def n_errors(self) -> int:
        """How many error vectors a step writes."""
        return int(self.tableau.is_adaptive and self.estimates_error)

    @property
    def filters(self) -> bool:
        """The embedded formula needs the filter."""
        tableau = self.tableau
        return tableau.b_hat is not None and math.isinf(limit_at_infinity(tableau.a, tableau.b_hat))

    @property
    def settles(self) -> bool:
        """A step damps stiff components, its error estimate doesn't."""
        a, b, b_hat = self.tableau.a, self.tableau.b, self.tableau.b_hat
        return self.n_errors > 0 and b_hat is not None and damps(a, b) and not damps(a, b_hat)

    @property
    def consistency(self) -> ConsistencySettings:
        """Settings of consistent values; rates are dy/dt here, which only the first of all is to be solved for."""
        return ConsistencySettings(
            system=self.system,
            precision=self.precision,
            has_slopes=self.system.mass_matrix is not None,
            projects=not self.tableau.is_stiffly_accurate,
            n_errors=self.n_errors,
        )

    @property
    def keeps_weights(self) -> bool:
        """The linear solver iterates, by weights that the check of dense output needs again."""
        return isinstance(self.linear, KrylovSettings)

    @property
    def newton(self) -> NewtonSettings:
        """Settings of Newton's method."""
        return NewtonSettings(
            n_states=self.n_states,
            precision=self.precision,
            max_iterations=MAX_ITERATIONS if self.estimates_error else MAX_ITERATIONS_OF_FIXED_STEPS,
            gives_up=self.estimates_error,
        )

    @property
    def linear(self) -> AnyLinearSettings:
        """Settings of the linear solver."""
        return self.linear_choice.settings(self.system, self.precision)


def is_diagonal(tableau: ButcherTableau) -> bool:
    """Tell whether every stage needs itself, except that the first may be ``f(t, y)``, and none a later one."""
    full = padded(tableau.a, tableau.n_stages)
    above = any(entry for stage, row in enumerate(full) for entry in row[stage + 1 :])
    return not above and full[-1][-1] != 0 and all(full[stage][stage] for stage in range(1, tableau.n_stages))


def require_diagonal(tableau: ButcherTableau) -> None:
    """Raise `TableauError` unless the method is diagonally implicit."""
    if not is_diagonal(tableau):
        raise TableauError(
            f"tableau '{tableau.name}' must be diagonally implicit (stages need themselves and no later one, but the "
            f"first may be explicit), got a = {tableau.a}. Use a method of the explicit or fully implicit family."
        )
