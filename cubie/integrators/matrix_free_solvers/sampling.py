"""Numbers for a system's matrices at some states, to choose pivots by: the same ones every time."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.symbolic.functions import evaluate
from cubie.odesystems.symbolic.graph import NodeId, Number, Operation, Symbol, reachable
from cubie.odesystems.symbolic.passes import Expressions

Array: TypeAlias = npt.NDArray[np.float64]

N_SAMPLES: Final = 8
SCALES: Final = (1e-3, 1e-1)
"""Of the matrices M - scale*J."""


def sampled_matrices(system: ODESystem) -> list[Array]:
    """Return M - scale*J, dense, at the samples."""
    mass = dense_mass(system)
    return [mass - scale * jacobian for jacobian in sampled_jacobians(system) for scale in SCALES]


def dense_mass(system: ODESystem) -> Array:
    """Return M, dense."""
    mass = np.zeros((system.n_states, system.n_states))
    for place, value in system.mass.items():
        mass[place] = value
    return mass


def sampled_jacobians(system: ODESystem) -> list[Array]:
    """Return J, dense, at states and parameters around the defaults; around 1 where there is none."""
    random, jacobians = np.random.default_rng(0), list[Array]()
    for _ in range(N_SAMPLES):
        y, p = _around(system.state_defaults, random), _around(system.parameter_defaults, random)
        jacobians.append(_jacobian(system, float(random.uniform()), y, p))
    return jacobians


def _around(values: Sequence[float], random: np.random.Generator) -> Array:
    centres = np.nan_to_num(np.array(values, np.float64), nan=1.0)
    varied: Array = centres * random.uniform(0.5, 1.5, centres.size)
    return np.where(centres == 0.0, random.uniform(0.1, 1.0, centres.size), varied)


def _jacobian(system: ODESystem, t: float, y: Array, p: Array) -> Array:
    values = values_of(system.jacobian.values, t, y, p)
    matrix = np.zeros((system.n_states, system.n_states))
    for row, column, slot, factor in system.jacobian.entries:
        matrix[row, column] = factor if slot is None else factor * values[slot]
    return matrix


def values_of(expressions: Expressions, t: float, y: Array, p: Array) -> list[float]:
    """Evaluate the roots; 1 stands for what has no finite value there."""
    known: dict[NodeId, float] = {}
    for position in reachable(expressions.nodes, expressions.roots):
        match expressions.nodes[position]:
            case Number(value):
                known[position] = value
            case Symbol("state", index):
                known[position] = float(y[index])
            case Symbol("parameter", index):
                known[position] = float(p[index])
            case Symbol():
                known[position] = t
            case Operation(function, arguments):
                result = evaluate(function, tuple(known[argument] for argument in arguments))
                known[position] = 1.0 if result is None else result
    return [known[root] for root in expressions.roots]
