"""The loop over steps: where f is asked, what is remembered, what is saved, and how runs end.

Most of it is watched in the reference target, which lists every evaluation of the right-hand side.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import Unpack

from cubie import ODESystem, Solution, Solver, Status, create_ode_system
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.integrators.algorithms.generic_erk_tableaus import BOGACKI_SHAMPINE_32, ERK_TABLEAUS
from cubie.integrators.step_control.controller import LEAST_REMEMBERED_ERROR
from cubie.integrators.step_control.gain_laws import GAIN_LAWS
from cubie.targets.base import Target
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import RateCall, SolveOptions, building_for, recorded_rates, solve_on, times_of

Span = tuple[float, float]

DRIFT: Final = create_ode_system("dx = 1 + 0*t", states={"x": 0.0}, name="drift")
CLOCKED: Final = create_ode_system(
    ["dx = k*y", "dy = -x + 0.1*sin(t)", "clock = t", "energy = x*x + y*y"],
    states={"x": 1.0, "y": 0.0},
    parameters={"k": 1.0},
    observables=["clock", "energy"],
    name="clocked",
)


def one(system: ODESystem, span: Span, **options: Unpack[SolveOptions]) -> Solution:
    """Solve one run at a time in the reference target."""
    return solve_on(ReferenceTarget(width=1), system, span, **options)


def asked(system: ODESystem, span: Span, **options: Unpack[SolveOptions]) -> tuple[Solution, list[RateCall]]:
    """Solve, and list the evaluations of f."""
    with recorded_rates() as calls:
        solution = one(system, span, **options)
    return solution, calls


# f is evaluated inside the span only

SPANS: Final[tuple[Span, ...]] = (
    (0.0, 1.0),
    (0.0, -1.0),
    (0.1, 0.7),
    (-1000.0, 8.4e-4),
    (1000.0, -3.7e-3),
    (-1.0, 0.11037),
    (1e6, 1e6 + 10.0),
    (1e6, 1e6 - 10.0),
    (-259944.1, -259840.6),
    (0.09, 3.3e-4),
    (1e-9, 3e9),
)
WAYS: Final[tuple[SolveOptions, ...]] = (
    {"method": "tsit5"},
    {"method": "bogacki-shampine-32", "first_step": 0.3},
    {"method": "dop853"},
    {"method": "vern9"},
    {"method": "cash-karp-54", "controller": "fixed"},
    {"method": "classical-rk4"},
    {"method": "vern7", "controller": "fixed"},
)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way['method']}-{way.get('controller', 'adaptive')}")
def test_f_is_never_evaluated_outside_the_span(way: SolveOptions, precision: PrecisionName) -> None:
    """PITFALL 11: the right-hand side was evaluated outside [t0, t1].

    Down to the last bit: sqrt(t_end - t) is a good right-hand side. Saved times inside the span change nothing.
    """
    for span in SPANS:
        for n_steps in (1, 7, 30):
            for t_eval in (None, np.linspace(*span, 5)):
                options: SolveOptions = {**way, "precision": precision, "t_eval": t_eval}
                if way["method"] == "classical-rk4" or way.get("controller") == "fixed":
                    options["first_step"] = abs(span[1] - span[0]) / n_steps * (1 - 1e-3)
                elif n_steps > 1:
                    continue
                solution, calls = asked(DRIFT, span, **options)
                low, high = (float(np.dtype(precision).type(end)) for end in (min(span), max(span)))
                assert low <= min(times_of(calls)), (span, options)
                assert max(times_of(calls)) <= high, (span, options)
                assert solution.all_succeeded
                assert solution.t_final.tolist() == [span[1]]


@pytest.mark.parametrize("target", [ReferenceTarget(), CpuTarget(width=4)], ids=lambda target: target.kind)
def test_a_model_that_only_exists_inside_the_span_is_solved(target: Target) -> None:
    inside = create_ode_system("dx = sqrt((b - t)*d) + sqrt((t - a)*d)", states={"x": 0.0}, parameters=["a", "b", "d"])
    with building_for(target):
        solver = Solver(inside, device="cpu", rtol=1e-4, atol=1e-6)
        for span in ((0.0, 1.0), (0.0, 0.7), (2.0, 0.3), (-1000.0, 8.4e-4)):
            direction = math.copysign(1.0, span[1] - span[0])
            solution = solver.solve(span, parameters={"a": span[0], "b": span[1], "d": direction})
            assert solution.all_succeeded, solution.status
            exact = 4 / 3 * abs(span[1] - span[0]) ** 1.5 * direction
            np.testing.assert_allclose(solution["x"][-1], exact, rtol=1e-3)


# Steps: first same as last, history, rejections


class Steps(NamedTuple):
    """What a textbook implementation does: the times at which it asks f, and what it comes to."""

    times: list[float]
    y: npt.NDArray[np.float64]
    n_steps: int
    n_rejected: int


def bogacki_shampine(span: Span, first_step: float, rtol: float, atol: float, law_name: str) -> Steps:
    """Integrate CLOCKED by the book: its own stages, error, controller; k1 is kept where a step is rejected."""
    law, power = GAIN_LAWS[law_name], 3
    t, y, h = span[0], np.array([1.0, 0.0]), first_step

    def f(t: float, y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        times.append(t)
        return np.array([y[1], -y[0] + 0.1 * np.sin(t)])

    times: list[float] = []
    k1, past_errors, past_gains, cap, n_steps, n_rejected = f(t, y), [1.0, 1.0], [1.0], law.max_gain, 0, 0
    while t < span[1]:
        left = span[1] - t
        last = h * 1.01 >= left
        h = left if last else h
        k2 = f(t + h / 2, y + h * k1 / 2)
        k3 = f(t + 3 * h / 4, y + 3 * h * k2 / 4)
        y_next = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        k4 = f(t + h, y_next)
        error = h * (-5 * k1 / 72 + k2 / 12 + k3 / 9 - k4 / 8)
        norm = float(np.sqrt(np.mean((error / (atol + rtol * np.maximum(abs(y), abs(y_next)))) ** 2)))
        n_steps += 1
        elementary = law.safety * norm ** (-1 / power)
        if norm > 1:
            n_rejected += 1
            h, cap = h * max(law.min_gain, min(elementary, 1.0)), 1.0
            continue
        gain = law.safety ** sum(law.beta) * norm ** (-law.beta[0] / power)
        for beta, past in zip(law.beta[1:], past_errors, strict=False):
            gain *= past ** (-beta / power)
        for alpha, past in zip(law.alpha, past_gains, strict=False):
            gain *= past**-alpha
        gain = min(gain, elementary) if law.is_bounded else gain
        gain = min(max(gain, law.min_gain), cap)
        t, y, k1, h, cap = (span[1] if last else t + h), y_next, k4, h * gain, law.max_gain
        past_errors, past_gains = [max(norm, LEAST_REMEMBERED_ERROR), past_errors[0]], [gain]
    return Steps(times, y, n_steps, n_rejected)


@pytest.mark.parametrize("law", [law.name for law in GAIN_LAWS.values() if law.is_adaptive])
def test_every_step_is_the_textbooks_rejected_ones_included(law: str) -> None:
    """PITFALL 10: a rate taken from a rejected step, or a rejected error in the controller's history, would show."""
    span, first_step, rtol, atol = (0.0, 20.0), 8.0, 1e-5, 1e-7
    book = bogacki_shampine(span, first_step, rtol, atol, law)
    assert book.n_rejected >= 4
    solution, calls = asked(
        CLOCKED, span, method="bogacki-shampine-32", controller=law, first_step=first_step, rtol=rtol, atol=atol
    )
    assert (solution.n_steps[0], solution.n_rejected[0]) == (book.n_steps, book.n_rejected)
    np.testing.assert_allclose(times_of(calls), book.times, rtol=1e-7)
    np.testing.assert_allclose(solution.y[-1, :, 0], book.y, rtol=1e-8)


@pytest.mark.parametrize("name", ERK_TABLEAUS)
def test_an_attempt_costs_one_evaluation_a_stage_and_no_more(name: str) -> None:
    """Work, so that a silent slowdown fails: the first stage is never evaluated again."""
    tableau = ERK_TABLEAUS[name]
    if tableau.is_adaptive:
        solution, calls = asked(CLOCKED, (0.0, 5.0), method=name, first_step=4.0, rtol=1e-4)
        assert solution.n_rejected[0] >= 1
    else:
        solution, calls = asked(CLOCKED, (0.0, 5.0), method=name, first_step=0.5)
    per_step = tableau.n_stages - (1 if tableau.first_same_as_last else 0)
    assert len(calls) == 1 + per_step * solution.n_steps[0]


def test_the_first_step_and_the_longest_are_as_asked_for() -> None:
    _, calls = asked(CLOCKED, (0.0, 5.0), method="bogacki-shampine-32", first_step=0.015625, max_step=0.25)
    ends = np.array(times_of(calls)[3::3])
    assert ends[0] == 0.015625
    assert np.diff(np.concatenate([[0.0], ends])).max() <= 0.25 * (1 + 1e-15)
    _, calls = asked(CLOCKED, (0.0, 5.0), method="bogacki-shampine-32", first_step=2.0, max_step=0.125, rtol=0.1)
    assert times_of(calls)[3] == 0.125


def test_a_step_that_would_leave_a_crumb_is_stretched_to_the_end() -> None:
    _, calls = asked(CLOCKED, (0.0, 1.0), method="bogacki-shampine-32", first_step=0.995, rtol=1.0, atol=1.0)
    assert times_of(calls) == [0.0, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("first_step", "n_steps"), [(0.3, 4), (0.25, 4), (1.0, 1), (5.0, 1), (0.1, 10), (1 / 3, 3), (0.7, 2)]
)
def test_fixed_steps_are_shortened_evenly_to_fill_the_span(first_step: float, n_steps: int) -> None:
    for span in ((2.0, 3.0), (3.0, 2.0)):
        solution, calls = asked(DRIFT, span, method="euler", first_step=first_step)
        expected = np.linspace(*span, n_steps + 1)
        np.testing.assert_allclose(times_of(calls), expected, rtol=4e-16)
        assert solution.n_steps[0] == n_steps
        assert solution["x"][-1, 0] == pytest.approx(span[1] - span[0], rel=1e-14)


def test_every_run_takes_its_own_steps() -> None:
    """PITFALL 12: batching changed a member's step count."""
    k = np.array([0.1, 400.0, 1.0])
    together = solve_on(ReferenceTarget(width=3), CLOCKED, (0.0, 3.0), parameters={"k": k}, rtol=1e-3)
    assert len(set(together.n_steps.tolist())) == 3
    for run, value in enumerate(k):
        alone = one(CLOCKED, (0.0, 3.0), parameters={"k": [value]}, rtol=1e-3)
        assert alone.n_steps[0] == together.n_steps[run]
        assert alone.y[:, :, 0].tolist() == together.y[:, :, run].tolist()


def test_time_reversed_is_the_same_arithmetic() -> None:
    """x' = f(t, x) forwards, and x' = -f(-t, x) backwards, agree in every bit."""
    mirrored = create_ode_system(
        ["dx = -(k*y)", "dy = -(-x + 0.1*sin(-t))"], states={"x": 1.0, "y": 0.0}, parameters={"k": 1.0}
    )
    for method in ("tsit5", "dop853", "heun-21"):
        times = np.linspace(0.5, 6.0, 9)
        forwards = one(CLOCKED, (0.5, 6.0), t_eval=times, method=method, rtol=1e-4)
        backwards = one(mirrored, (-0.5, -6.0), t_eval=-times, method=method, rtol=1e-4)
        assert forwards.y.tolist() == backwards.y.tolist()
        assert forwards.n_steps.tolist() == backwards.n_steps.tolist()


# Saves


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way['method']}-{way.get('controller', 'adaptive')}")
@pytest.mark.parametrize("span", [(0.0, 7.3), (7.3, 0.1), (1e6, 1e6 + 7.3)])
def test_saves_between_change_neither_the_steps_nor_the_end(
    way: SolveOptions, span: Span, precision: PrecisionName
) -> None:
    options: SolveOptions = {
        **way,
        "precision": precision,
        "rtol": 1e-4,
        "save": ["x", "y", "clock", "energy"],
        "parameters": {"k": [1.0, 2.0, 0.5]},
    }
    if way["method"] == "classical-rk4" or way.get("controller") == "fixed":
        options["first_step"] = 0.37
    times = np.linspace(*span, 14)
    ends = solve_on(ReferenceTarget(width=2), CLOCKED, span, **options)
    options["t_eval"] = times
    dense = solve_on(ReferenceTarget(width=2), CLOCKED, span, **options)
    options["t_eval"] = times[1:-1:3]
    fewer = solve_on(ReferenceTarget(width=2), CLOCKED, span, **options)
    for other in (dense, fewer):
        assert ends.n_steps.tolist() == other.n_steps.tolist()
        assert ends.t_final.tolist() == other.t_final.tolist()
    np.testing.assert_array_equal(dense.y[[0, -1]], ends.y)
    np.testing.assert_array_equal(dense.y[1:-1:3], fewer.y)
    clock = np.broadcast_to(times.astype(precision)[:, None], (14, 3))
    np.testing.assert_array_equal(dense["clock"], clock)


@pytest.mark.parametrize("method", ["tsit5", "bogacki-shampine-32", "dop853"])
def test_saves_on_the_boundaries_of_steps_are_made_once_each(method: str) -> None:
    """Saves at every end of a step, where rounding puts some a bit before and some a bit after it."""
    for n_steps in (3, 10, 49):
        span = (0.0, 0.7 * n_steps)
        for factor in (1, 2):
            times = np.linspace(*span, n_steps * factor + 1)
            solution = one(
                CLOCKED, span, method=method, controller="fixed", first_step=0.7, t_eval=times, save=["x", "clock"]
            )
            assert solution.n_steps[0] == n_steps
            assert np.isfinite(solution.y).all()
            np.testing.assert_array_equal(solution["clock"][:, 0], times)


def test_a_rejected_step_saves_nothing() -> None:
    """Many saves lie in the first step, which is far too long: they must hold the values of the accepted ones."""
    times = np.linspace(0.0, 3.0, 301)
    solution = one(CLOCKED, (0.0, 20.0), first_step=19.0, t_eval=times, rtol=1e-9, atol=1e-11)
    assert solution.n_rejected[0] >= 2
    accurate = one(CLOCKED, (0.0, 20.0), t_eval=times, method="vern9", rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(solution.y, accurate.y, atol=1e-7)


LONG: Final = create_ode_system(
    ["dx = 1 + 0*t", "dy = -0.001*y", "clock = t"], states={"x": 0.0, "y": 1.0}, observables=["clock"]
)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_hundred_thousand_saves_at_awkward_decimals_are_all_there(precision: PrecisionName) -> None:
    """PITFALL 8: the last row was never written, save schedules drifted.

    save_every = 0.1 up to 1e4: no drift, no NaN, the last row written.
    """
    solution = solve_on(
        CpuTarget(width=1), LONG, (0.0, 1e4), save_every=0.1, precision=precision, save=["x", "y", "clock"], rtol=1e-4
    )
    assert solution.t.size == 100_001
    assert solution.t[-1] == 1e4
    np.testing.assert_array_equal(solution["clock"][:, 0], solution.t.astype(precision))
    np.testing.assert_allclose(solution["x"][:, 0], solution.t, rtol=1e-5 if precision == "float32" else 1e-12)
    np.testing.assert_allclose(solution["y"][:, 0], np.exp(-0.001 * solution.t), rtol=1e-3)


@pytest.mark.parametrize("backwards", [False, True])
def test_float32_steps_of_a_hundredth_count_from_a_million(backwards: bool) -> None:
    """PITFALL 8: float32 time was accumulated.

    A float32 near 1e6 can't tell times closer than 0.06: steps of 0.01 neither stick nor drift.
    """
    span = (1e6, 1e6 - 10.0) if backwards else (1e6, 1e6 + 10.0)
    sign = -1.0 if backwards else 1.0
    ways: tuple[SolveOptions, ...] = (
        {"precision": "float32", "save_every": 0.5, "controller": "fixed", "first_step": 0.01},
        {"precision": "float32", "save_every": 0.5, "max_step": 0.01},
    )
    for way in ways:
        solution = one(LONG, span, **way)
        assert solution.all_succeeded
        assert abs(int(solution.n_steps[0]) - 1000) <= (0 if "controller" in way else 60)
        assert solution.t_final.tolist() == [span[1]]
        np.testing.assert_allclose(solution["x"][:, 0], sign * np.arange(21) * 0.5, atol=2e-4)


# How runs end

ENDS: Final = create_ode_system(
    ["dx = a*x*x + q*sqrt(s - t)"], states={"x": 1.0}, parameters={"a": 0.0, "q": 0.0, "s": 100.0}, name="ends"
)


class Ending(NamedTuple):
    """Parameters of a run of ENDS over (0, 2), how it ends, and when."""

    a: float
    q: float
    s: float
    status: Status
    t_final: float


ENDINGS: Final = (
    Ending(0.1, 0.0, 100.0, Status.success, 2.0),
    Ending(1.0, 0.0, 100.0, Status.step_too_small, 1.0),
    Ending(0.1, 1.0, 1.5, Status.non_finite, 1.5),
    Ending(0.0, 1.0, -1.0, Status.non_finite, 0.0),
    Ending(-1.0, 0.0, 100.0, Status.success, 2.0),
    Ending(3.0, 0.0, 100.0, Status.step_too_small, 1 / 3),
)


def given(endings: tuple[Ending, ...]) -> dict[str, list[float]]:
    return {
        "a": [ending.a for ending in endings],
        "q": [ending.q for ending in endings],
        "s": [ending.s for ending in endings],
    }


@pytest.mark.parametrize(
    "target",
    [ReferenceTarget(width=1), ReferenceTarget(width=5), CpuTarget(width=2)],
    ids=lambda target: f"{target.kind}-{target.width}",
)
def test_every_run_ends_in_its_own_way_and_keeps_what_it_reached(target: Target) -> None:
    times = np.linspace(0.0, 2.0, 21)
    solution = solve_on(target, ENDS, (0.0, 2.0), parameters=given(ENDINGS), t_eval=times)
    assert solution.status.tolist() == [ending.status for ending in ENDINGS]
    np.testing.assert_allclose(solution.t_final, [ending.t_final for ending in ENDINGS], atol=1e-5)
    for run, ending in enumerate(ENDINGS):
        written = np.isfinite(solution["x"][:, run])
        assert written[times < solution.t_final[run] - 1e-9].all()
        assert not written[times > solution.t_final[run] + 1e-9].any()
        assert written[0]
        assert solution.run(run).t.size == written.sum()
        if ending.q == 0:
            near = times < 0.95 * ending.t_final
            np.testing.assert_allclose(solution["x"][near, run], 1 / (1 - ending.a * times[near]), rtol=1e-4)


def test_a_first_rate_that_is_not_finite_ends_a_run_before_its_first_step() -> None:
    solution = one(ENDS, (0.0, 2.0), parameters={"q": 1.0, "s": -1.0})
    assert (solution.status[0], solution.n_steps[0], solution.t_final[0]) == (Status.non_finite, 0, 0.0)
    assert solution["x"][0, 0] == 1.0
    assert np.isnan(solution["x"][-1, 0])


@pytest.mark.parametrize("target", [ReferenceTarget(), CpuTarget()], ids=lambda target: target.kind)
def test_fixed_steps_end_at_the_first_state_that_is_not_finite(target: Target) -> None:
    explosive = create_ode_system("dx = x*x", states={"x": 1.0})
    times = np.linspace(0.0, 20.0, 21)
    solution = solve_on(
        target, explosive, (0.0, 20.0), y0={"x": [1.0, -1.0]}, method="rk4", first_step=0.25, t_eval=times
    )
    assert solution.status.tolist() == [Status.non_finite, Status.success]
    assert 1.0 <= solution.t_final[0] < 5.0
    written = np.isfinite(solution["x"][:, 0])
    np.testing.assert_array_equal(written, times <= solution.t_final[0])
    np.testing.assert_allclose(solution["x"][:, 1], -1 / (1 + times), rtol=1e-3)


def test_a_run_that_has_spent_its_steps_is_given_up() -> None:
    for budget in (1, 2, 10):
        solution = one(CLOCKED, (0.0, 50.0), max_steps=budget, t_eval=np.linspace(0, 50, 101))
        assert solution.status.tolist() == [Status.max_steps]
        assert solution.n_steps.tolist() == [budget]
        assert 0 < solution.t_final[0] < 50
        np.testing.assert_array_equal(np.isfinite(solution["x"][:, 0]), solution.t <= solution.t_final[0])


def test_the_last_step_of_a_budget_may_reach_the_end() -> None:
    enough = int(one(CLOCKED, (0.0, 5.0)).n_steps[0])
    assert one(CLOCKED, (0.0, 5.0), max_steps=enough).all_succeeded
    assert one(CLOCKED, (0.0, 5.0), max_steps=enough - 1).status.tolist() == [Status.max_steps]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "text",
    [
        "dx = x**2",
        "dx = 1/(1.3 - t)",
        "dx = -sqrt(x) - 0.1",
        "dx = log(1.2345 - t)",
        "dx = exp(x)",
        "dx = -1/x",
        "dx = 1/sqrt(1.3 - t)",
        "dx = 1/(1.3 - t)**2",
    ],
)
def test_singular_solutions_end_soon(text: str, precision: PrecisionName) -> None:
    """PITFALL 7: rejection cycles that never ended.

    A budget of steps bounds every run, and singular ones stay far below it.
    """
    system = create_ode_system(text, states={"x": 1.0})
    for method in ("tsit5", "dop853"):
        solution = one(system, (0.0, 4.0), method=method, precision=precision, rtol=1e-4)
        assert not solution.all_succeeded
        assert solution.status[0] in {Status.non_finite, Status.step_too_small}
        assert solution.n_steps[0] < 600
        assert 0 < solution.t_final[0] < 4.0


def test_a_longest_step_below_the_resolution_of_time_is_a_step_too_small() -> None:
    """PITFALL 7: dt below one ulp of t."""
    solution = one(DRIFT, (1e6, 1e6 + 1.0), max_step=1e-11)
    assert solution.status.tolist() == [Status.step_too_small]


def test_a_failed_run_does_not_stain_the_run_that_takes_its_place() -> None:
    """PITFALL 9: a status stained the run.

    Side by side, one after the other in the same lane: failing, calm, failing, calm.
    """
    endings = (ENDINGS[1], ENDINGS[0], ENDINGS[2], ENDINGS[4], ENDINGS[3], ENDINGS[0])
    for width in (1, 2):
        solution = solve_on(ReferenceTarget(width=width), ENDS, (0.0, 2.0), parameters=given(endings))
        for run, ending in enumerate(endings):
            alone = one(ENDS, (0.0, 2.0), parameters=given((ending,)))
            assert alone.status[0] == solution.status[run] == ending.status
            assert alone.n_steps[0] == solution.n_steps[run]
            np.testing.assert_array_equal(alone.y[:, :, 0], solution.y[:, :, run])


def test_the_tableau_by_hand_above_is_the_one_that_is_shipped() -> None:
    weights = BOGACKI_SHAMPINE_32.error_weights
    assert weights is not None
    assert [float(weight) for weight in weights] == [-5 / 72, 1 / 12, 1 / 9, -1 / 8]
