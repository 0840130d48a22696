"""What a probe records of explicit methods against the book's formulas in NumPy."""

import numpy as np
import pytest

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.generic_erk import ErkSettings, ExplicitRungeKutta
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS
from cubie.targets.reference import ReferenceTarget
from tests.integrators.algorithms.implicit_steps import rate
from tests.integrators.algorithms.instrumented.recorded_steps import DT, WIDTH, T, Z, one_step, rate_function


def made(row: ButcherTableau) -> ExplicitRungeKutta:
    settings = ErkSettings(tableau=row, n_states=2, precision=np.float64)
    return ExplicitRungeKutta(settings, rate_function(ReferenceTarget(width=WIDTH, poison=True)))


@pytest.mark.parametrize("row", ERK_TABLEAUS.values(), ids=lambda row: row.name)
def test_recorded_stages_are_those_of_a_plain_calculation(row: ButcherTableau) -> None:
    factory = made(row)
    factory.probe()
    step = one_step(factory)
    states, rates = step.recorded(factory, name="stage_states"), step.recorded(factory, name="stage_rates")
    assert states.shape == rates.shape == (row.n_stages - 1, 2, WIDTH)
    for run, dt in enumerate(DT):
        k = [rate(T, Z[:, run])]
        for stage, (weights, node) in enumerate(zip(row.a[1:], row.c[1:], strict=True)):
            state = Z[:, run] + dt * sum(float(weight) * slope for weight, slope in zip(weights, k, strict=False))
            k.append(rate(T + float(node) * dt, state))
            np.testing.assert_allclose(states[stage, :, run], state, rtol=1e-11, atol=1e-14)
            np.testing.assert_allclose(rates[stage, :, run], k[-1], rtol=1e-11, atol=1e-14)


def test_a_probe_changes_no_bit_and_takes_its_memory_from_the_registry() -> None:
    plain, probed = (made(ERK_TABLEAUS["tsit5"]) for _ in range(2))
    probed.probe()
    np.testing.assert_array_equal(one_step(plain).y_next, one_step(probed).y_next)
    n_recorded = sum(recording.n_rows * recording.size for recording in probed.recordings(probed.settings))
    assert probed.persistent_local_buffer_size == plain.persistent_local_buffer_size + n_recorded
