"""What implicit methods ask of a solver of the linear systems of a step, ``(M - gamma_dt*J) @ x = b``."""

from typing import NamedTuple, Protocol

from cubie._types import PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.targets.base import Target


class FactorFn(Protocol):
    """Take J = df/dy at (t, y) and make ready to solve with ``M - gamma_dt*J``; answer 0, or why that can't be done."""

    def __call__(
        self,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        gamma_dt: Real,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


class SolveFn(Protocol):
    """Overwrite `b` by the solution x; answer 0, or why there is none.

    `b` has the shape (n_states,), or (2*n_states,) with all real parts first if the system is complex. `weights`, shape
    (n_states,), are one over the error that each x may have: what iterations go by.
    """

    def __call__(self, b: Vector, weights: Vector, shared: SharedBank, persistent: PersistentBank) -> StatusBits: ...


class LinearFunctions(NamedTuple):
    """The device functions of one linear solver."""

    factor: FactorFn
    solve: SolveFn


class LinearFactory(Protocol):
    """What implicit methods know of a linear solver's factory. Its scratch is dead between calls."""

    @property
    def target(self) -> Target: ...
    @property
    def device_function(self) -> LinearFunctions: ...
    @property
    def shape(self) -> str: ...


class PairFactorFn(Protocol):
    """Take J = df/dy at (t, y) and make ready to solve with ``M - (re_dt + i*im_dt)*J``; answer 0, or why it can't."""

    def __call__(
        self,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        re_dt: Real,
        im_dt: Real,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits: ...


class PairFunctions(NamedTuple):
    """The device functions of a linear solver for one complex pair of systems."""

    factor: PairFactorFn
    solve: SolveFn


class PairFactory(Protocol):
    """What fully implicit methods know of a complex linear solver's factory. Its scratch is dead between calls."""

    @property
    def target(self) -> Target: ...
    @property
    def device_function(self) -> PairFunctions: ...
    @property
    def shape(self) -> str: ...
