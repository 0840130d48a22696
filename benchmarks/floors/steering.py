"""cubie's controllers, as the numbers that the hand-written code takes."""

import math
from typing import NamedTuple

from cubie.integrators.algorithms.generic_erk_tableaus import TSIT5
from cubie.integrators.step_control.gain_laws import find_gain_law


class Steering(NamedTuple):
    """By how much the logarithm of the next step follows those of this error and of the last accepted step's."""

    of_error: float
    of_last_error: float
    set_point: float


def steering(controller: str) -> Steering:
    """Return the numbers of a controller that remembers one error at most, for tsit5.

    Raises
    ------
    ValueError: if it remembers more.
    """
    law, error_order = find_gain_law(controller), TSIT5.error_order
    if not 1 <= len(law.beta) <= 2 or law.alpha or error_order is None:
        raise ValueError(f"the floors' controller must be 'i' or of two errors, got '{controller}'. Choose 'pi'.")
    of_error, of_last_error = (-weight / (error_order + 1) for weight in (*law.beta, 0.0)[:2])
    return Steering(of_error, of_last_error, sum(law.beta) * math.log2(law.safety))
