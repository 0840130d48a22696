"""The one controller body against the gain law as it is printed, over recorded errors that include the worst ones."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie._types import FLOAT_PRECISIONS, FloatPrecision
from cubie.integrators.step_control.controller import LEAST_REMEMBERED_ERROR, ControllerSettings, StepController
from cubie.integrators.step_control.gain_laws import GAIN_LAWS, GainLaw
from cubie.targets.reference import ReferenceTarget
from tests.reference_rows import Rows, floats, mask, reals, scratch

ADAPTIVE: Final = [law for law in GAIN_LAWS.values() if law.is_adaptive] + [
    GainLaw(name="mine", beta=(0.5, 0.2, 0.1), alpha=(0.3, 0.15), safety=0.8, min_gain=0.3, max_gain=3.0)
]
# Error norms of one run: accepted and rejected ones, and what a step can answer at its worst.
ERRORS: Final = (0.5, 0.8, 3.0, 0.9, 0.02, math.inf, 0.3, math.nan, 40.0, 1.0, 0.0, 0.7, 1e-9, 0.6, 2.0, 1.5, 0.4)
ORDER: Final = 4


def by_the_book(law: GainLaw, errors: tuple[float, ...], order: int) -> list[float]:
    """Return the ratio of each next step to its step, as printed, in decimal arithmetic and no logarithms.

    After a rejection a step shrinks by the elementary controller, and the next accepted one does not let it grow.
    Remembered are accepted steps only.
    """
    k = order + 1
    past_errors, past_gains, cap = [1.0, 1.0], [1.0, 1.0], law.max_gain
    gains: list[float] = []
    for error in errors:
        if not error < 1e15:
            gain, accepted = law.min_gain, False
        elif error > 1:
            gain, accepted = max(law.min_gain, min(1.0, law.safety * error ** (-1 / k))), False
        else:
            known = max(error, 2.0**-64)
            gain, accepted = law.safety ** sum(law.beta) * known ** (-law.beta[0] / k), True
            for beta, past in zip(law.beta[1:], past_errors, strict=False):
                gain *= past ** (-beta / k)
            for alpha, past in zip(law.alpha, past_gains, strict=False):
                gain *= past**-alpha
            if law.is_bounded:
                gain = min(gain, law.safety * known ** (-1 / k))
            gain = min(max(gain, law.min_gain), cap)
            past_errors = [max(error, LEAST_REMEMBERED_ERROR), past_errors[0]]
            past_gains = [gain, past_gains[0]]
        cap = law.max_gain if accepted else 1.0
        gains.append(gain)
    return gains


class Controlled:
    """A controller of the reference target, with its memory."""

    def __init__(self, law: GainLaw, width: int = 1, precision: FloatPrecision = np.float64) -> None:
        settings = ControllerSettings(law=law, error_order=ORDER, precision=precision)
        factory = StepController(settings, target=ReferenceTarget(width=width, poison=True))
        self.precision = precision
        self.functions = factory.device_function
        self.memory: Rows = scratch(factory.persistent_local_buffer_size, width, precision)
        self.reset(*[True] * width)

    def reset(self, *which: bool) -> None:
        self.functions.reset(mask(*which), scratch(0, len(which)), self.memory)

    def retries(self) -> list[float]:
        """Return 1 for the runs whose last attempt was rejected, 0 for the others."""
        return floats(self.functions.retries(scratch(0, 1), self.memory))

    def gain(self, *errors: float) -> list[float]:
        """Return the gain of each run after a step of the given error norms, which it accepts if they are at most 1."""
        with np.errstate(all="ignore"):
            squares = reals(*(error * error for error in errors), precision=self.precision)
            accepted = mask(*(error <= 1 for error in errors))
            return floats(self.functions.gain(squares, accepted, scratch(0, len(errors)), self.memory))


@pytest.mark.parametrize("law", ADAPTIVE, ids=lambda law: law.name)
def test_runs_whose_last_attempt_was_rejected_are_told_apart(law: GainLaw) -> None:
    controlled = Controlled(law, width=4)
    assert controlled.retries() == [0, 0, 0, 0]
    controlled.gain(0.5, 3.0, math.inf, 1.0)
    assert controlled.retries() == [0, 1, 1, 0]
    controlled.gain(2.0, 0.5, 3.0, 1e-9)
    assert controlled.retries() == [1, 0, 1, 0]


@pytest.mark.parametrize("law", ADAPTIVE, ids=lambda law: law.name)
def test_a_step_of_the_error_steered_for_keeps_its_length(law: GainLaw) -> None:
    controlled = Controlled(GainLaw(name="i", beta=(1.0,), safety=law.safety, min_gain=law.min_gain))
    assert controlled.gain(float(controlled.functions.aim) ** 0.5) == pytest.approx([1.0], rel=1e-3)


@pytest.mark.parametrize("law", ADAPTIVE, ids=lambda law: law.name)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_gain_is_the_formulas(law: GainLaw, precision: str) -> None:
    controlled = Controlled(law, precision=FLOAT_PRECISIONS[precision])
    gains = [controlled.gain(error)[0] for error in ERRORS]
    tolerance = 1e-12 if precision == "float64" else 2e-5
    np.testing.assert_allclose(gains, by_the_book(law, ERRORS, ORDER), rtol=tolerance)


@pytest.mark.parametrize("law", ADAPTIVE, ids=lambda law: law.name)
def test_gains_stay_within_their_bounds_and_no_rejected_step_grows(law: GainLaw) -> None:
    rng = np.random.default_rng(3)
    controlled = Controlled(law)
    for error in 10.0 ** rng.uniform(-30, 10, 300):
        (gain,) = controlled.gain(float(error))
        assert law.min_gain * (1 - 1e-12) <= gain <= law.max_gain * (1 + 1e-12)
        assert error <= 1 or gain <= 1


@pytest.mark.parametrize("law", ADAPTIVE, ids=lambda law: law.name)
def test_rejected_steps_are_not_remembered(law: GainLaw) -> None:
    """PITFALL 10: step history was updated after a rejected step."""
    with_rejections, without = Controlled(law), Controlled(law)
    for error in (0.5, 0.9, 0.3):
        with_rejections.gain(error)
        without.gain(error)
    for error in (5.0, math.nan, 1e9, math.inf, 2.0):
        with_rejections.gain(error)
    # The first gain after a rejection is capped at 1, so that only shrinking gains can be compared there.
    shrinking = with_rejections.gain(1.0)[0], without.gain(1.0)[0]
    assert shrinking[0] == min(shrinking[1], 1.0)
    if shrinking[1] <= 1:
        assert with_rejections.memory.values.tolist() == without.memory.values.tolist()


@pytest.mark.parametrize("law", ADAPTIVE, ids=lambda law: law.name)
def test_each_run_has_a_memory_of_its_own(law: GainLaw) -> None:
    runs = [list(ERRORS), list(reversed(ERRORS)), [0.3] * len(ERRORS)]
    together = Controlled(law, width=3)
    gains = np.array([together.gain(*errors) for errors in zip(*runs, strict=True)])
    for run, errors in enumerate(runs):
        alone = Controlled(law)
        assert gains[:, run].tolist() == [alone.gain(error)[0] for error in errors]


def test_reset_forgets_the_history_of_the_runs_of_the_mask_only() -> None:
    law = GAIN_LAWS["gustafsson"]
    controlled, fresh = Controlled(law, width=2), Controlled(law, width=2)
    for error in (0.5, 3.0, 0.2):
        controlled.gain(error, error)
    kept = controlled.memory.values[:, 1].tolist()
    controlled.reset(True, False)
    assert controlled.memory.values[:, 0].tolist() == fresh.memory.values[:, 0].tolist()
    assert controlled.memory.values[:, 1].tolist() == kept


def test_the_memory_of_a_law_is_as_long_as_it_needs() -> None:
    sizes = {law.name: ControllerSettings(law=law, error_order=1, precision=np.float64).n_history for law in ADAPTIVE}
    expected: npt.NDArray[np.int64] = np.array([1, 2, 3, 3, 2, 3, 2, 2, 2, 5])
    assert list(sizes.values()) == expected.tolist()


def test_a_controller_can_be_given_another_law() -> None:
    settings = ControllerSettings(law=GAIN_LAWS["i"], error_order=4, precision=np.float64)
    factory = StepController(settings, target=ReferenceTarget(width=1))
    before = factory.device_function
    factory.update(law=GAIN_LAWS["pid"])
    assert factory.device_function is not before
    assert factory.persistent_local_buffer_size == 3
    factory.update(law=rows_of_the_same_law())
    assert factory.persistent_local_buffer_size == 3


def rows_of_the_same_law() -> GainLaw:
    """Return a law that equals "pid" but is another object."""
    law = GAIN_LAWS["pid"]
    return GainLaw(name=law.name, beta=law.beta, source=law.source)


def test_a_run_at_the_edge_of_acceptance_keeps_its_step_but_for_safety() -> None:
    assert Controlled(GAIN_LAWS["i"]).gain(1.0) == pytest.approx([0.9])
