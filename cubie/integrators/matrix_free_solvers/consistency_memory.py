"""The functions of consistent values as a step calls them: each takes its memory out of the step's."""

from cubie._types import (
    AllocatePersistentFn,
    AllocateSharedFn,
    Mask,
    PersistentBank,
    Real,
    SharedBank,
    StatusBits,
    Vector,
)
from cubie.integrators.algorithms.base_algorithm_step import ProjectFn, SlopeFn, StartFn
from cubie.integrators.matrix_free_solvers.consistency import Consistency, ConsistencyFunctions
from cubie.targets.base import Target


def consistent_functions(
    factory: Consistency, banks: tuple[AllocateSharedFn, AllocatePersistentFn]
) -> ConsistencyFunctions:
    """Build what hands each function its memory out of their step's."""
    (start, slope, project), target = factory.device_function, factory.target
    return ConsistencyFunctions(
        None if start is None else _handing_start(target, start, *banks),
        None if slope is None else _handing_slope(target, slope, *banks),
        None if project is None else _handing_project(target, project, *banks),
    )


def _handing_start(
    target: Target, correct: StartFn, own_shared: AllocateSharedFn, own_persistent: AllocatePersistentFn
) -> StartFn:
    @target.device
    def start(
        mask: Mask,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits:
        below, kept = own_shared(shared, persistent), own_persistent(shared, persistent)
        return correct(mask, t, y, parameters, drivers, below, kept)

    return start


def _handing_slope(
    target: Target, solve: SlopeFn, own_shared: AllocateSharedFn, own_persistent: AllocatePersistentFn
) -> SlopeFn:
    @target.device
    def slope(
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        rate: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None:
        solve(t, y, parameters, drivers, rate, own_shared(shared, persistent), own_persistent(shared, persistent))

    return slope


def _handing_project(
    target: Target, correct: ProjectFn, own_shared: AllocateSharedFn, own_persistent: AllocatePersistentFn
) -> ProjectFn:
    @target.device
    def project(
        status: StatusBits,
        t: Real,
        y: Vector,
        error: Vector,
        parameters: Vector,
        drivers: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits:
        below, kept = own_shared(shared, persistent), own_persistent(shared, persistent)
        return correct(status, t, y, error, parameters, drivers, below, kept)

    return project
