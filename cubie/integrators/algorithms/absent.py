"""What stands for functions that a method, or its system, does without."""

import numpy as np

from cubie._types import Mask, PersistentBank, Real, SharedBank, StatusBits, Vector
from cubie.integrators.algorithms.base_algorithm_step import ProjectFn, StartFn
from cubie.targets.base import Target


def start_anywhere(target: Target) -> StartFn:
    """Build the start of a system all of whose states are free."""
    fine, splat = np.int32(0), target.splat

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
        return splat(fine)

    return start


def keep_end(target: Target) -> ProjectFn:
    """Build the projection where steps end on the constraints, or there are none."""

    @target.device
    def keep(
        status: StatusBits,
        t: Real,
        y: Vector,
        error: Vector,
        parameters: Vector,
        drivers: Vector,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> StatusBits:
        return status

    return keep
