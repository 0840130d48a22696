"""Saves: which variables, in which order, where in the output, and NaN where there is nothing to save."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie import create_ode_system
from cubie.odesystems.rate_function import ObservablesFunction, SystemSettings
from cubie.outputhandling.output_functions import OutputFunctions, OutputSettings
from cubie.targets.reference import ReferenceTarget
from tests.reference_rows import counts, mask, reals, rows, scratch

SYSTEM: Final = create_ode_system(
    ["dx = -x", "dy = x", "sum = x + k*y", "clock = t"],
    states=["x", "y"],
    parameters=["k"],
    observables=["sum", "clock"],
)
WIDTH: Final = 2
N_SLOTS: Final = 3


def output(saved: tuple[int, ...], *, poison: bool = True) -> OutputFunctions:
    target = ReferenceTarget(width=WIDTH, poison=poison)
    observables = ObservablesFunction(SystemSettings(system=SYSTEM, precision=np.float64), target=target)
    settings = OutputSettings(n_states=2, n_observables=2, saved=saved, precision=np.float64)
    return OutputFunctions(settings, observables)


def stored(saved: tuple[int, ...], *, valid: tuple[bool, bool], chosen: tuple[bool, bool]) -> npt.NDArray[np.float64]:
    """Store save 1 of runs 2 and 0 (at t = 4 and 5), and return the output, -1 where nothing was written."""
    array = np.full((2, len(saved), N_SLOTS), -1.0)
    flat = array.reshape(-1)
    output(saved).device_function(
        reals(4.0, 5.0), rows([[1.0, 2.0], [10.0, 20.0]]), rows([[2.0, 3.0]]), scratch(0, WIDTH), counts(1, 1),
        counts(2, 0), N_SLOTS, mask(*valid), mask(*chosen), flat, scratch(0, WIDTH), scratch(0, WIDTH),
    )  # fmt: skip
    return array


@pytest.mark.parametrize("saved", [(0, 1), (1, 0), (3,), (2, 0, 3, 1), (2,)])
def test_variables_are_stored_in_the_order_asked_for(saved: tuple[int, ...]) -> None:
    values = np.array([[1.0, 2.0], [10.0, 20.0], [1.0 + 2 * 10.0, 2.0 + 3 * 20.0], [4.0, 5.0]])
    array = stored(saved, valid=(True, True), chosen=(True, True))
    np.testing.assert_array_equal(array[1][:, [2, 0]], values[list(saved)])


def test_nothing_is_written_outside_the_save_and_the_runs_of_the_mask() -> None:
    array = stored((0, 2), valid=(True, True), chosen=(False, True))
    assert (array[0] == -1).all()
    assert (array[1][:, 1:] == -1).all()
    assert (array[1][:, 0] != -1).all()


def test_a_run_that_ended_before_is_stored_as_nan() -> None:
    array = stored((0, 2), valid=(False, True), chosen=(True, True))
    assert np.isnan(array[1][:, 2]).all()
    assert np.isfinite(array[1][:, 0]).all()


def test_observables_take_memory_only_where_one_is_saved() -> None:
    for saved, size in (((0, 1), 0), ((1,), 0), ((0, 3), 2)):
        (buffer,) = OutputFunctions.buffers(
            OutputSettings(n_states=2, n_observables=2, saved=saved, precision=np.float64)
        )
        assert (buffer.name, buffer.size) == ("observables_out", size)


def test_settings_can_be_replaced_by_name() -> None:
    factory = output((0,))
    before = factory.device_function
    factory.update(saved=(0, 3))
    assert factory.device_function is not before
    assert factory.local_buffer_size == 2
