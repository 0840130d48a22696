"""The working arrays of Krylov's methods, and what they know of the matrix: its product with a vector."""

from typing import NamedTuple, Protocol

from cubie._types import Mask, PersistentBank, SharedBank, Vector


class KrylovMemory(NamedTuple):
    """Vectors of one solve, and those that describe the matrix; complex ones hold all real parts, then the others.

    Parameters
    ----------
    point : the state at which J is taken, then t, and dt times the scale, part by part.
    parameters : the run's.
    inverse : one over the diagonal of the matrix; over that of J where there is a constraint.
    basis : the vectors that a method keeps, one after the other.
    """

    point: Vector
    parameters: Vector
    inverse: Vector
    residual: Vector
    direction: Vector
    image: Vector
    rest: Vector
    basis: Vector
    coefficients: Vector


class OperatorFn(Protocol):
    """Write the product of the matrix and `vector` to `out`."""

    def __call__(self, vector: Vector, out: Vector, k: KrylovMemory) -> None: ...


class IterateFn(Protocol):
    """Overwrite `b` by the solution; answer for which runs it has been found. Each has a budget of iterations."""

    def __call__(
        self, b: Vector, weights: Vector, k: KrylovMemory, shared: SharedBank, persistent: PersistentBank
    ) -> Mask: ...
