"""One step of a probed method, and what its factories recorded: no copies of algorithms."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol, final

import numpy as np
import numpy.typing as npt

from cubie._types import AllocateFn, AllocatePersistentFn, AllocateSharedFn, PersistentBank, SharedBank
from cubie.cuda_factory import Recording
from cubie.integrators.algorithms.base_algorithm_step import StepFunctions
from cubie.odesystems.rate_function import RateFunction, SystemSettings
from cubie.targets.reference import ReferenceBank, ReferenceTarget
from tests.integrators.algorithms.implicit_steps import rate
from tests.integrators.fixed_steps import PENDULUM
from tests.reference_rows import floats, mask, reals, rows, scratch

Array = npt.NDArray[np.float64]

T: Final = 0.3
DT: Final = (0.2, 0.4, 0.05)
"""Three runs side by side take steps of different lengths."""
Z: Final = np.array([[1.0, -0.4, 2.0], [0.5, 0.1, -0.3]])
WIDTH: Final = len(DT)


class Probed(Protocol):
    """A factory that may record."""

    @property
    def children(self) -> Mapping[str, object]: ...
    @property
    def recorded(self) -> tuple[Recording, ...]: ...
    def allocator(self, name: str) -> AllocateFn: ...
    def child_allocators(self, name: str) -> tuple[AllocateSharedFn, AllocatePersistentFn]: ...


class CountsErrors(Protocol):
    """Settings of a method's factory."""

    @property
    def n_errors(self) -> int: ...


class ProbedStep(Protocol):
    """A method's factory, as a probe takes it."""

    @property
    def device_function(self) -> StepFunctions: ...
    @property
    def settings(self) -> CountsErrors: ...
    @property
    def shared_buffer_size(self) -> int: ...
    @property
    def persistent_local_buffer_size(self) -> int: ...


@final
@dataclass(frozen=True, eq=False)
class RecordedStep:
    """The ends of the step of each run, shape (n_states, n_runs), and its pools."""

    y_next: Array
    error: Array
    status: list[float]
    shared: SharedBank
    persistent: PersistentBank

    def recorded(self, *path: Probed, name: str) -> Array:
        """Return a recording of the factory at the end of a path of children, shape (n_rows, size, n_runs)."""
        shared, persistent = self.shared, self.persistent
        for parent, child in pairwise(path):
            below = next(name for name, part in parent.children.items() if part is child)
            take_shared, take_persistent = parent.child_allocators(below)
            shared, persistent = take_shared(shared, persistent), take_persistent(shared, persistent)
        recording = next(recording for recording in path[-1].recorded if recording.name == name)
        bank = path[-1].allocator(recording.entry.name)(shared, persistent)
        assert isinstance(bank, ReferenceBank)
        return np.array(bank.rows, np.float64).reshape(recording.n_rows, recording.size, WIDTH)


def rate_function(target: ReferenceTarget) -> RateFunction:
    """Return the right-hand side of the pendulum, which is neither linear nor autonomous."""
    return RateFunction(SystemSettings(system=PENDULUM, precision=np.float64), target=target)


def one_step(factory: ProbedStep, allowed: float = 1e-12) -> RecordedStep:
    """Take a step of each run from T; `allowed` is the error that the tolerances allow a state."""
    functions, n = factory.device_function, len(Z)
    start = np.array([rate(T, Z[:, run]) for run in range(WIDTH)]).T
    y_next, rate_next, empty = scratch(n, WIDTH), scratch(n, WIDTH), scratch(0, WIDTH)
    error = rows(np.full((max(factory.settings.n_errors, 1) * n, WIDTH), allowed).tolist())
    shared = scratch(factory.shared_buffer_size, WIDTH)
    persistent = scratch(factory.persistent_local_buffer_size, WIDTH)
    if functions.reset is not None:
        functions.reset(mask(*(True for _ in range(WIDTH))), shared, persistent)
    status = functions.step(
        reals(*(T for _ in DT)), reals(*DT), rows(Z.tolist()), rows(start.tolist()), empty, empty, y_next, rate_next,
        error, shared, persistent,
    )  # fmt: skip
    return RecordedStep(y_next.values, error.values, floats(status), shared, persistent)
