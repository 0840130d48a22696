"""What the demonstration computes from a sweep."""

from pathlib import Path

import numpy as np

from cubie.batchsolving.solution import Solution
from cubie.demo import RHO, draw, lorenz, maxima


def waves(n_runs: int) -> Solution:
    """Return z = rho + cos(3 t + phase), whose maxima are rho + 1, as a sweep that saves z and its rate."""
    t = np.linspace(20.0, 24.0, 201)
    rho, phase = np.linspace(*RHO, n_runs), np.linspace(0.0, 6.0, n_runs)
    angle = 3.0 * t[:, np.newaxis] + phase
    return Solution(
        system="waves",
        t=t,
        y=np.stack((rho + np.cos(angle), -3.0 * np.sin(angle)), axis=1),
        variables=("z", "rise"),
        status=np.zeros(n_runs, dtype=np.int32),
        t_final=np.full(n_runs, 24.0),
        n_steps=np.ones(n_runs, dtype=np.int32),
        n_rejected=np.zeros(n_runs, dtype=np.int32),
        coordinates={"rho": rho},
        method="tsit5",
        device="cpu",
    )


def test_maxima_between_saved_times_are_found_to_high_accuracy() -> None:
    rho, top = maxima(waves(50))
    np.testing.assert_allclose(top, rho + 1.0, rtol=0, atol=1e-6)
    per_run = np.unique(rho, return_counts=True)[1]
    assert per_run.size == 50
    assert set(per_run.tolist()) <= {1, 2}


def test_failed_runs_have_no_maxima() -> None:
    solution = waves(5)
    solution.y[:, :, 2] = np.nan
    rho, _ = maxima(solution)
    assert solution.coordinates["rho"][2] not in rho


def test_the_picture_is_written_for_one_run_too(tmp_path: Path) -> None:
    for n_runs in (1, 300):
        draw(waves(n_runs), tmp_path / f"{n_runs}.png")
        assert (tmp_path / f"{n_runs}.png").read_bytes().startswith(b"\x89PNG")


def test_the_models_observable_is_the_rate_of_z() -> None:
    system = lorenz()
    assert system.observables == ("rise",)
    assert system.states == ("x", "y", "z")
