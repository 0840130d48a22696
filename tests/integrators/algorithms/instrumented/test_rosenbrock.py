"""What a probe records of Rosenbrock methods against the book's formulas in NumPy."""

import numpy as np
import pytest

from cubie.integrators.algorithms.generic_rosenbrock_w import RosenbrockSettings, RosenbrockW
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from cubie.targets.reference import ReferenceTarget
from tests.integrators.algorithms.implicit_steps import Array, jacobian, rate, time_derivative
from tests.integrators.algorithms.instrumented.recorded_steps import DT, WIDTH, T, Z, one_step, rate_function
from tests.integrators.fixed_steps import PENDULUM


def made(row: RosenbrockTableau) -> RosenbrockW:
    settings = RosenbrockSettings(tableau=row, system=PENDULUM, precision=np.float64)
    return RosenbrockW(settings, rate_function(ReferenceTarget(width=WIDTH, poison=True)))


@pytest.mark.parametrize("row", ROSENBROCK_TABLEAUS.values(), ids=lambda row: row.name)
def test_recorded_stages_are_those_of_a_plain_calculation(row: RosenbrockTableau) -> None:
    """Hairer & Wanner (IV.7.25) as it is printed: with I/(dt*gamma) - J, and c/dt."""
    factory = made(row)
    factory.probe()
    step = one_step(factory)
    assert step.status == [0.0] * WIDTH
    states, solutions = step.recorded(factory, name="stage_states"), step.recorded(factory, name="solutions")
    for run, dt in enumerate(DT):
        z, u = Z[:, run], list[Array]()
        matrix = np.eye(2) / (dt * float(row.gamma)) - jacobian(T, z)
        for s in range(row.n_stages):
            state = z + sum((float(a) * x for a, x in zip(row.a[s], u, strict=True)), np.zeros(2))
            load = rate(T + float(row.nodes[s]) * dt, state) + float(row.time_weights[s]) * dt * time_derivative(T, z)
            load = load + sum((float(c) / dt * x for c, x in zip(row.c[s], u, strict=True)), np.zeros(2))
            u.append(np.asarray(np.linalg.solve(matrix, load), np.float64))
            np.testing.assert_allclose(solutions[s, :, run], u[-1], rtol=1e-9, atol=1e-12)
            if s > 0 and any(row.a[s]) and row.evaluations[s] == s:
                np.testing.assert_allclose(states[s, :, run], state, rtol=1e-10, atol=1e-13)
        ends = sum((float(m) * x for m, x in zip(row.m, u, strict=True)), z)
        np.testing.assert_allclose(step.y_next[:, run], ends, rtol=1e-10, atol=1e-13)
        weights = row.error_weights
        assert weights is not None
        off = sum((float(e) * x for e, x in zip(weights, u, strict=True)), np.zeros(2))
        np.testing.assert_allclose(step.error[:, run], off, rtol=1e-8, atol=1e-13)


def test_a_probe_changes_no_bit_and_takes_its_memory_from_the_registry() -> None:
    plain, probed = (made(ROSENBROCK_TABLEAUS["rodas5p"]) for _ in range(2))
    probed.probe()
    np.testing.assert_array_equal(one_step(plain).y_next, one_step(probed).y_next)
    n_recorded = sum(recording.n_rows * recording.size for recording in probed.recordings(probed.settings))
    assert probed.persistent_local_buffer_size == plain.persistent_local_buffer_size + n_recorded
