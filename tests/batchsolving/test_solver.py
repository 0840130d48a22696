"""The public face on the CPU: what compiles and when, what survives, and what is said of mistakes."""

import inspect
import pickle
import sys
from typing import Final

import numpy as np
import pytest

import cubie
from cubie import ODESystem, OutputTooLargeError, Solution, Solver, Status, create_ode_system, solve_ivp
from cubie.batchsolving.solver_settings import SolverOptions
from cubie.buffer_registry import UnknownBufferError
from tests.batches import all_shared, assert_same_bits, movable

DECAY: Final[ODESystem] = create_ode_system(
    ["dx = -k*x", "dy = -y", "sum = x + y"],
    states={"x": 1.0, "y": 2.0},
    parameters={"k": 1.0},
    observables=["sum"],
    name="decay",
)
K: Final = np.array([0.5, 1.0, 2.0])


@pytest.fixture(scope="module")
def solver() -> Solver:
    """Return a solver that all tests share; each leaves its settings as they were."""
    return Solver(DECAY, device="cpu")


@pytest.fixture
def cheap() -> Solver:
    """Return a solver of its own, whose kernels compile fast."""
    return Solver(DECAY, device="cpu", method="euler", first_step=0.01, lanes=1)


def ends(solver: Solver) -> Solution:
    return solver.solve((0.0, 1.0), parameters={"k": K})


def test_the_first_solve_compiles_and_no_later_one(solver: Solver) -> None:
    assert np.allclose(ends(solver)["x"][-1], np.exp(-K), rtol=1e-5)
    before = solver.n_compilations
    solver.solve((0.0, 1.0), parameters={"k": np.linspace(0, 1, 1000)})
    solver.solve((3.0, -2.0), y0={"x": [1.0, 2.0]}, parameters={"k": 0.1})
    solver.solve((0.0, 1e-3), y0=np.ones((2, 5)))
    changes: tuple[SolverOptions, ...] = (
        {"rtol": 1e-3},
        {"atol": 1e-4},
        {"first_step": 0.1},
        {"max_step": 0.5},
        {"max_steps": 100},
        {"sweep": "product"},
        {"rtol": 1e-6, "atol": 1e-9, "first_step": None, "max_step": None, "max_steps": 100_000, "sweep": "paired"},
    )
    for change in changes:
        solver.update(**change)
        assert ends(solver).all_succeeded
    assert solver.n_compilations == before


def test_saves_between_compile_once_and_no_other_times_do(solver: Solver) -> None:
    ends(solver)
    before = solver.n_compilations
    solver.solve((0.0, 1.0), t_eval=[0.5])
    between = solver.n_compilations
    assert between - before <= 1
    solver.solve((0.0, 2.0), save_every=0.25)
    solver.solve((0.0, -1.0), t_eval=np.linspace(0, -1, 7))
    solver.solve((0.0, 2.0), t_eval=[0.0, 2.0])
    solver.solve((0.0, 2.0), t_eval=[2.0])
    assert solver.n_compilations == between


def test_what_shapes_the_code_compiles_once_and_equal_settings_nothing(cheap: Solver) -> None:
    ends(cheap)
    assert cheap.n_compilations == 1
    cheap.update(method="Explicit-Euler", controller="FIXED", save=["x", "y"], precision="float64", device="cpu")
    ends(cheap)
    assert cheap.n_compilations == 1
    cheap.update(method="heun-21", save="sum")
    assert cheap.n_compilations == 1
    first = ends(cheap)
    assert_same_bits(ends(cheap), first)
    assert cheap.n_compilations == 2
    assert (first.variables, first.method) == (("sum",), "heun-21")
    np.testing.assert_allclose(first["sum"][-1], np.exp(-K) + 2 * np.exp(-1), rtol=1e-3)


def test_compile_builds_what_the_next_solve_needs(solver: Solver) -> None:
    solver.compile()
    before = solver.n_compilations
    timings = ends(solver).timings
    assert solver.n_compilations == before
    assert timings["compile"] < 0.05
    assert set(timings) == {"total", "compile", "solve", "kernel"}
    assert timings["total"] >= timings["solve"] >= timings["kernel"] > 0
    solver.compile(dense=True)
    before = solver.n_compilations
    solver.solve((0.0, 1.0), t_eval=[0.5])
    assert solver.n_compilations == before


def test_a_failed_update_changes_nothing(solver: Solver) -> None:
    settings, expected = solver.settings, ends(solver)
    mistakes: tuple[SolverOptions, ...] = (
        {"rtol": 1e-3, "method": "nonsense"},
        {"rtol": 1e-3, "save": ["x", "zzz"]},
        {"method": "rk4"},
        {"rtol": -1.0},
        {"device": "cuda:99"},
        {"max_steps": 0, "rtol": 0.1},
    )
    before = solver.n_compilations
    for mistake in mistakes:
        with pytest.raises((ValueError, LookupError)):
            solver.update(**mistake)
        assert solver.settings is settings
    assert_same_bits(ends(solver), expected)
    assert solver.n_compilations == before


def test_a_solver_pickles_by_its_settings(cheap: Solver) -> None:
    expected = ends(cheap)
    copy: object = pickle.loads(pickle.dumps(cheap))
    assert isinstance(copy, Solver)
    assert copy.settings == cheap.settings
    assert copy.system == cheap.system
    assert copy.n_compilations == 0
    assert_same_bits(ends(copy), expected)
    assert len(pickle.dumps(cheap)) < 10_000


def test_a_solution_pickles_and_belongs_to_its_user(solver: Solver) -> None:
    """PITFALL 24: arrays were overwritten by the next solve."""
    first = ends(solver)
    kept: object = pickle.loads(pickle.dumps(first))
    assert isinstance(kept, Solution)
    y, t, status = first.y, first.t, first.status
    del first
    for shift in (1.0, 2.0, 3.0):
        solver.solve((0.0, 2.0), parameters={"k": K + shift})
    np.testing.assert_array_equal(y, kept.y)
    np.testing.assert_array_equal(t, kept.t)
    np.testing.assert_array_equal(status, kept.status)


def test_what_a_user_gives_stays_as_it_was_and_what_a_user_gets_is_not_tied_to_it(solver: Solver) -> None:
    k, y0, times = K.copy(), np.array([1.0, 2.0]), np.array([0.0, 0.5, 1.0])
    solution = solver.solve((0.0, 1.0), y0=y0, parameters={"k": k}, t_eval=times)
    expected = solution.y.copy()
    np.testing.assert_array_equal(k, K)
    for array in (k, y0, times):
        array[:] = -7.0
    np.testing.assert_array_equal(solution.y, expected)
    np.testing.assert_array_equal(solution.t, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(solution.coordinates["k"], K)


def test_buffers_are_placed_by_path_and_reported(solver: Solver) -> None:
    placed = Solver(DECAY, device="cpu", buffers={"step.stage_rates": "shared", "y": "shared"})
    report = placed.report()
    assert report.pool_size("shared") == 2 * 5 + 2
    assert solver.report().pool_size("shared") == 0
    assert "step.stage_rates" in movable(report)
    assert "stage_rates" in str(report)
    assert report.to_svg().startswith("<svg")


def test_a_placement_survives_a_change_of_the_method() -> None:
    solver = Solver(DECAY, device="cpu", buffers=all_shared(["step.stage_rates"]))
    before = solver.report().pool_size("shared")
    solver.update(method="dop853")
    assert solver.report().pool_size("shared") > before > 0


def test_a_path_that_is_not_there_is_answered_with_the_nearest() -> None:
    for path, hint in (
        ("step.stage_rate", "Did you mean 'stage_rates'?"),
        ("stepp.stage_rates", "Did you mean 'step'?"),
        ("z", "has no buffer 'z'"),
    ):
        with pytest.raises(UnknownBufferError) as raised:
            Solver(DECAY, device="cpu", buffers=all_shared([path])).report()
        assert hint in str(raised.value)


def test_what_is_no_system_is_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"system must be an ODESystem, got str\. Make one with cubie\.create"):
        Solver("dx = -x")  # type: ignore[arg-type]  # the mistake


def test_equations_can_be_solved_as_they_are() -> None:
    solution = solve_ivp("dx = -k*x", (0.0, 1.0), {"x": 1.0}, {"k": K}, device="cpu")
    np.testing.assert_allclose(solution["x"][-1], np.exp(-K), rtol=1e-5)
    with pytest.raises(
        TypeError, match=r"y0 must map names to values when equations are given, got list\. Write \{'x'"
    ):
        solve_ivp("dx = -k*x", (0.0, 1.0), [1.0], {"k": 1.0})


def test_an_output_larger_than_memory_is_refused_with_its_size(solver: Solver) -> None:
    k = np.zeros(1_000_000)
    with pytest.raises(OutputTooLargeError, match=r"1,000,001 x 2 x 1,000,000 values of float64\)\. Save fewer times"):
        solver.solve((0.0, 1.0), parameters={"k": k}, save_every=1e-6)


def test_more_fixed_steps_than_the_budget_are_refused(solver: Solver) -> None:
    """They used to overflow a counter, and the loop never ended."""
    fixed = Solver(DECAY, device="cpu", method="euler", first_step=1e-12)
    with pytest.raises(ValueError, match=r"at most max_steps, 100,000, got 1e\+12 to fill t_span. Raise max_steps"):
        fixed.solve((0.0, 1.0))
    fixed.update(first_step=0.25, max_step=0.1)
    solution = fixed.solve((0.0, 1.0))
    assert solution.n_steps.tolist() == [10]
    fixed.update(max_steps=10)
    assert fixed.solve((0.0, 1.0)).all_succeeded
    fixed.update(max_steps=9)
    with pytest.raises(ValueError, match="at most max_steps, 9, got 10"):
        fixed.solve((0.0, 1.0))


def test_the_number_of_compilations_never_falls(cheap: Solver) -> None:
    ends(cheap)
    cheap.update(buffers={"y": "shared"})
    assert cheap.n_compilations == 1
    ends(cheap)
    assert cheap.n_compilations == 2


def test_a_run_is_told_of_in_scipys_words(solver: Solver) -> None:
    """The words are SciPy's: solve_ivp(system, t_span, y0, ...) with t, y, status, success and message."""
    run = ends(solver).run(1)
    assert run.t.shape == (2,)
    assert run.y.shape == (2, 2)
    assert run.status == Status.success
    assert run.success
    assert "success" in run.message


def test_the_repr_of_a_solver_tells_what_it_does(solver: Solver) -> None:
    assert repr(solver) == "<Solver of 'decay': tsit5, pi control, float64, on cpu>"
    assert cubie.Solver is Solver


def test_lanes_and_poison_are_options_that_change_no_digit(cheap: Solver) -> None:
    expected = ends(cheap)
    cheap.update(lanes=4, poison=True)
    assert cheap.lanes == 4
    np.testing.assert_allclose(ends(cheap).y, expected.y, rtol=1e-13)
    cheap.update(lanes=None)
    assert cheap.lanes > 1


def test_both_ways_to_solve_have_the_same_defaults(solver: Solver) -> None:
    """PITFALL 20: two entry points with different defaults (grid against paired)."""
    starts = {"x": [1.0, 2.0, 3.0]}
    at_once = solve_ivp(DECAY, (0.0, 1.0), starts, {"k": K}, device="cpu")
    assert at_once.n_runs == 3
    assert_same_bits(at_once, solver.solve((0.0, 1.0), starts, {"k": K}))
    both = (inspect.signature(solve_ivp).parameters, inspect.signature(Solver.solve).parameters)
    shared = both[0].keys() & both[1].keys()
    assert shared == both[1].keys() - {"self"}
    assert all(both[0][name].default == both[1][name].default for name in shared)


def test_a_small_solve_costs_the_host_few_calls(solver: Solver) -> None:
    """PITFALL 25: the host needed 5 ms around a kernel of 50 us."""
    ends(solver)
    calls: list[str] = []
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        ends(solver)
    finally:
        sys.setprofile(None)
    assert 50 < sum(event in {"call", "c_call"} for event in calls) < 1000
