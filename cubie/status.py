"""How a run ended, as one small integer per run, and what to do about it."""

from enum import IntEnum
from typing import Final


class Status(IntEnum):
    """How a run ended. Device code stores the plain integers; codes from `max_steps` on are failures."""

    success = 0
    """The run reached the end of `t_span`."""
    event = 1
    """A terminal event ended the run."""
    max_steps = 2
    """The run used up its budget of steps."""
    step_too_small = 3
    """The step needed for the tolerances fell below the resolution of time."""
    non_finite = 4
    """The state or its rate became infinite or NaN."""
    newton_failed = 5
    """Newton's method did not converge for any step that was tried."""
    linear_failed = 6
    """The linear solver did not converge for any step that was tried."""
    singular = 7
    """The matrix of a linear system was singular."""

    @property
    def label(self) -> str:
        """The code in words, for tables and messages."""
        return self.name.replace("_", " ")

    @property
    def is_failure(self) -> bool:
        """Whether the run ended before it was meant to."""
        return self > Status.event

    @property
    def remedy(self) -> str:
        """One sentence: which argument to change, or where to look in the model."""
        return _REMEDIES[self]

    def remedy_after(self, n_steps: int) -> str:
        """Return the remedy for a run that ended after so many steps: without any, Newton's method sought its start."""
        return INCONSISTENT if self is Status.newton_failed and n_steps == 0 else self.remedy


_REMEDIES: Final[dict[Status, str]] = {
    Status.success: "Nothing needs to be done.",
    Status.event: "Nothing needs to be done: a terminal event ended the run, as asked.",
    Status.max_steps: (
        "Raise max_steps, loosen rtol or atol, or shorten t_span; if steps stay tiny everywhere, the model is stiff."
    ),
    Status.step_too_small: (
        "Loosen rtol or atol, use precision='float64', or end t_span before t_final if the solution is singular there."
    ),
    Status.non_finite: (
        "Look for an overflow, a division by zero or a root or logarithm of a negative number in the model near "
        "t_final, and for a derivative that is infinite there, as that of sqrt at zero (start a little beside, or use "
        "an explicit method); where a step was merely too bold, lower first_step, max_step or rtol."
    ),
    Status.newton_failed: "Lower max_step or first_step, or loosen rtol or atol.",
    Status.linear_failed: "Lower max_step or first_step, loosen rtol or atol, or choose another method.",
    Status.singular: (
        "Check the model for states that no equation determines, or lower max_step; where a derivative is infinite at "
        "t_final, as that of sqrt at zero, start a little beside, or use an explicit method."
    ),
}
INCONSISTENT: Final = (
    "No consistent initial values were found: check that the constraints (rows of zeros in the mass matrix) have a "
    "solution near the initial values, or give values nearer to one."
)
