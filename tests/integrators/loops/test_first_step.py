"""The automatic first step against the recipe of the book, written out."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie import ODESystem, create_ode_system
from cubie.targets.reference import ReferenceTarget
from tests.batches import RateCall, recorded_rates, solve_on, times_of

RTOL: Final = 1e-5
ATOL: Final = 1e-8
SYSTEM: Final = create_ode_system(["dx = a*y + sin(t)", "dy = -a*x"], states=["x", "y"], parameters=["a"])


def f(t: float, y: npt.NDArray[np.float64], a: float) -> npt.NDArray[np.float64]:
    return np.array([a * y[1] + np.sin(t), -a * y[0]])


def by_the_book(t0: float, t_end: float, y0: npt.NDArray[np.float64], a: float, order: int) -> float:
    """Hairer, Norsett & Wanner, Solving ODEs I, Sec. II.4, "Starting Step Size", a to f."""
    scale = ATOL + RTOL * abs(y0)
    span, direction = abs(t_end - t0), np.sign(t_end - t0)

    def norm(v: npt.NDArray[np.float64]) -> float:
        return float(np.sqrt(np.mean((v / scale) ** 2)))

    rate = f(t0, y0, a)
    d0, d1 = norm(y0), norm(rate)
    h0 = min(1e-6 * span if min(d0, d1) < 1e-5 else 0.01 * d0 / d1, span)
    trial = f(t0 + h0 * direction, y0 + h0 * direction * rate, a)
    d2 = norm(trial - rate) / h0
    bend = max(d1, d2)
    h1 = max(1e-6 * span, h0 * 1e-3) if bend <= 1e-15 else float((0.01 / bend) ** (1 / (order + 1)))
    return min(100 * h0, h1, span)


def first_attempt(system: ODESystem, span: tuple[float, float], y0: list[float], a: float) -> float:
    """Return the length of the first step that a solve tries."""
    with recorded_rates() as calls:
        solve_on(
            ReferenceTarget(width=1), system, span, y0=np.array(y0), parameters={"a": a}, rtol=RTOL, atol=ATOL,
            method="dormand-prince-54", max_steps=1,
        )  # fmt: skip
    return step_length(calls, span)


def step_length(calls: list[RateCall], span: tuple[float, float]) -> float:
    """Return the length of the only attempt: its last stage stands at its end."""
    assert len(calls) == 2 + 6
    return abs(calls[-1].t[0] - span[0])


@pytest.mark.parametrize("span", [(0.0, 10.0), (2.0, -3.0), (-1e3, 1e3)])
@pytest.mark.parametrize("a", [0.01, 1.0, 300.0])
def test_the_first_step_is_the_books(span: tuple[float, float], a: float) -> None:
    y0 = [1.0, 0.3]
    expected = by_the_book(*span, np.array(y0), a, order=4)
    assert first_attempt(SYSTEM, span, y0, a) == pytest.approx(expected, rel=1e-9)


def test_a_state_at_rest_at_zero_still_gets_a_first_step() -> None:
    still = create_ode_system(["dx = 0*x", "dy = a*0"], states=["x", "y"], parameters=["a"])
    assert first_attempt(still, (0.0, 5.0), [0.0, 0.0], 1.0) == pytest.approx(5e-6, rel=1e-9)


def test_the_first_step_depends_on_the_unit_of_time_as_time_does() -> None:
    """From rest, where no size is known, the guess is a part of the span, not an absolute number."""
    still = create_ode_system(["dx = 0*x", "dy = a*0"], states=["x", "y"], parameters=["a"])
    for unit in (1e-12, 1.0, 1e12):
        assert first_attempt(still, (0.0, unit), [0.0, 0.0], 1.0) == pytest.approx(1e-6 * unit, rel=1e-9)


def test_the_guess_never_leaves_the_span() -> None:
    slow = create_ode_system(["dx = a*x", "dy = 0*y"], states=["x", "y"], parameters=["a"])
    for span in ((0.0, 1e-3), (1.0, 1.0 - 1e-3)):
        with recorded_rates() as calls:
            solve_on(ReferenceTarget(width=1), slow, span, y0=[1.0, 1.0], parameters={"a": 1e-3})
        assert min(span) <= min(times_of(calls))
        assert max(times_of(calls)) <= max(span)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_rates_too_large_to_be_squared_still_give_a_step(precision: str) -> None:
    """In float32 the norm of a rate of 1e11 at atol = 1e-9 overflows."""
    steep = create_ode_system("dx = a", states={"x": 0.0}, parameters=["a"])
    solution = solve_on(
        ReferenceTarget(width=3), steep, (0.0, 4.0), parameters={"a": [1e11, 1e16, 1e30]},
        precision="float32" if precision == "float32" else "float64",
    )  # fmt: skip
    assert solution.all_succeeded
    np.testing.assert_allclose(solution["x"][-1], [4e11, 4e16, 4e30], rtol=1e-5)
