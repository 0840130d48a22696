"""The one way in: equations or a Python function, with names and defaults, to an `ODESystem`."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from cubie.odesystems.declarations import Declarations, Names, Numbers, StateValues, Values, declarations
from cubie.odesystems.errors import TracingError
from cubie.odesystems.mass_matrix import MassEntries, MassMatrix, mass_entries
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.symbolic.read_text import read_text


class RatesFunction(Protocol):
    """`f(t, y, p)`, `f(t, y, a, b)` or `f(t, y)`, as SciPy's `solve_ivp` takes it."""

    @property
    def __name__(self) -> str: ...
    @property
    def __call__(self) -> object: ...


Equations: TypeAlias = str | Sequence[str] | RatesFunction


def create_ode_system(
    equations: Equations,
    *,
    states: StateValues | None = None,
    parameters: Values | None = None,
    constants: Numbers | None = None,
    observables: Names | None = None,
    mass_matrix: MassMatrix | None = None,
    name: str | None = None,
) -> ODESystem:
    """Describe a system of ordinary differential equations, in text or by a Python function.

    Parameters
    ----------
    equations : lines such as `dx = -k*x`, `x' = ...`, `dx/dt = ...` and auxiliary `name = expression`, in any order,
        as a list or as one text; or a function `f(t, y, p)` that returns the rates, which is run with symbols. See
        docs/models.md.
    states : names with initial values, in the order that all results have; a list of names leaves the values to each
        solve. From text they are inferred if left out. A function's states may be a list of initial values, named
        y0, y1, ...
    parameters : names with default values, which each run may have its own of; or a list of names.
    constants : names with values, compiled in.
    observables : auxiliaries that can be saved beside the states.
    mass_matrix : the constant M of ``M @ dy/dt = f``, whose f the equations give: all rows, or the diagonal, as a list
        or by states' names, 1 where it is not said. A state with 0 follows from the others by its equation ``0 = f``:
        its initial value is a guess, which each run corrects. Implicit methods take it.
    name : for messages and plots.

    Raises
    ------
    ModelError: one of its kinds for each thing that can be wrong (`cubie.odesystems.errors`).

    Examples
    --------
    >>> create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 0.5}, name="decay")
    <ODESystem 'decay': states x=1; parameters k=0.5>
    """
    declared = declarations(states, parameters, constants, observables)
    if callable(equations):
        from cubie.odesystems.symbolic.tracing.trace import trace

        form = trace(equations, declared)
        name = name or str(getattr(equations, "__name__", "system"))
        return ODESystem.of(name, declared, form, _mass(declared, mass_matrix))
    if not isinstance(equations, (str, Sequence)):
        raise TracingError(
            f"equations must be text, a list of texts or a Python function, got {equations!r}. Write 'dx = -k*x'."
        )
    form, declared = read_text(equations, declared)
    return ODESystem.of(name or "system", declared, form, _mass(declared, mass_matrix))


def _mass(declared: Declarations, mass_matrix: MassMatrix | None) -> MassEntries | None:
    return mass_entries(mass_matrix, [state for state, _ in declared.states or ()])
