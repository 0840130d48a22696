"""The product of the mass matrix, or another matrix of numbers, and a vector, generated."""

from typing import Protocol

from cubie._types import FloatPrecision, Vector
from cubie.odesystems.mass_matrix import MassEntries
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.symbolic.emit import emit
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId
from cubie.odesystems.symbolic.passes import Expressions, contract
from cubie.odesystems.symbolic.rules import apply
from cubie.targets.base import Target


class WeighFn(Protocol):
    """Overwrite `vector`, shape (n_states,), by its product with the mass matrix."""

    def __call__(self, vector: Vector) -> None: ...


def make_weigh(target: Target, system: ODESystem, precision: FloatPrecision) -> WeighFn | None:
    """Build the product, or return None where the mass matrix is the identity."""
    if system.mass_matrix is None:
        return None
    return make_product(target, system.mass_matrix, system.n_states, precision)


def make_product(target: Target, entries: MassEntries, n: int, precision: FloatPrecision) -> WeighFn:
    """Build the product with any matrix of order `n` whose entries are numbers."""
    g = GraphBuilder()
    roots: list[NodeId] = [g.number(0.0)] * n
    for row, column, value in entries:
        term = apply(g, "multiply", g.number(value), g.symbol("vector", column))
        roots[row] = apply(g, "add", roots[row], term)
    source = emit(
        "weigh",
        contract(Expressions(g.nodes, tuple(roots))),
        precision,
        arguments="vector",
        places=[f"vector[{i}] =" for i in range(n)],
        loads_first=True,
    )
    weigh: WeighFn = target.from_source(source.name, source.text, source.constants, precision)
    return weigh
