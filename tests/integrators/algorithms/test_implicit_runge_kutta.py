"""The two bodies of implicit Runge-Kutta methods against a plain calculation, and the orders that rows show by them."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie import Solution, Solver, create_ode_system
from cubie._types import Location
from cubie.buffer_registry import buffer_registry
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, TableauError
from cubie.integrators.algorithms.dirk_settings import DirkSettings
from cubie.integrators.algorithms.generic_dirk import DiagonallyImplicitRungeKutta
from cubie.integrators.algorithms.generic_dirk_tableaus import DIRK_TABLEAUS
from cubie.integrators.algorithms.generic_firk_tableaus import FIRK_TABLEAUS
from cubie.integrators.matrix_free_solvers.newton_krylov import NewtonSettings
from cubie.odesystems.rate_function import RateFunction, SystemSettings
from cubie.status import Status
from cubie.targets.reference import ReferenceTarget
from tests.batches import all_shared, assert_same_bits, movable, solve_on
from tests.integrators.algorithms.implicit_steps import LAMBDA, ORDERS, runge_kutta_step
from tests.integrators.fixed_steps import PENDULUM, exact, slopes
from tests.problems import PROBLEMS

METHODS: Final = {**DIRK_TABLEAUS, **FIRK_TABLEAUS}
MEASURED: Final = tuple(name for name in ORDERS["methods"] if name in METHODS)
ROWS: Final = tuple(METHODS.values())
EACH: Final = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
STARTS: Final = (1.0, -0.4, 2.0)
RESOLVED: Final = 1e-12
THETAS: Final = (0.2, 0.5, 0.8)
WITHIN: Final = 0.15
SHORT_OF_NOMINAL: Final = 0.3
PROTHERO_ROBINSON: Final = create_ode_system(
    "dy = k*(y - cos(t)) - sin(t)", states={"y": 1.0}, constants={"k": float(LAMBDA)}, name="prothero-robinson"
)
COUPLED: Final = ButcherTableau(name="coupled", order=1, a=((0.25, -0.25), (0.25, 0.75)), b=(0.25, 0.75), c=(0, 1))
"""Both eigenvalues of a are 1/2, and there is one eigenvector."""


def fixed(
    row: ButcherTableau, n_steps: int, times: npt.NDArray[np.float64], starts: tuple[float, ...] = (1.0,)
) -> Solution:
    """Take equal steps from 0 to 2 on the pendulum, which depends on t, with an iteration that leaves nothing."""
    return solve_on(
        ReferenceTarget(width=min(len(starts), 2)),
        PENDULUM,
        (0.0, 2.0),
        y0={"z1": np.array(starts)},
        method=row,
        controller="fixed",
        first_step=2.0 / n_steps,
        t_eval=times,
        rtol=1e-13,
        atol=1e-14,
    )


def at_end(row: ButcherTableau, n_steps: int, starts: tuple[float, ...] = (1.0,)) -> npt.NDArray[np.float64]:
    solution = fixed(row, n_steps, np.array([0.0, 2.0]), starts)
    assert solution.all_succeeded
    return np.asarray(solution.y[-1], np.float64)


@EACH
def test_steps_are_those_of_a_plain_calculation(row: ButcherTableau) -> None:
    """Twelve steps of three runs, of which two are side by side, by Newton's full method in NumPy."""
    n_steps = 12
    found = at_end(row, n_steps, STARTS)
    for run, start in enumerate(STARTS):
        z = np.array([start, 0.5])
        for i in range(n_steps):
            z = runge_kutta_step(row, i * 2.0 / n_steps, 2.0 / n_steps, z)
        assert found[:, run] == pytest.approx(z, rel=1e-11, abs=1e-12)


@EACH
def test_error_at_the_end_shrinks_by_the_order(row: ButcherTableau) -> None:
    first = 1 if row.order > 6 else 4
    n_steps = tuple(first << halving for halving in range(5))
    errors = np.array([np.abs(at_end(row, n)[:, 0] - exact(2.0)).max() for n in n_steps])
    assert slopes(errors[errors > RESOLVED], n_steps)[-1] > row.order - SHORT_OF_NOMINAL


@pytest.mark.parametrize("name", MEASURED)
def test_errors_are_those_measured_elsewhere_at_the_same_steps(name: str) -> None:
    row, measured = METHODS[name], ORDERS["methods"][name]
    pairs = [(measured["n_first"] << i, error) for i, error in enumerate(measured["nonstiff"][:4]) if error > RESOLVED]
    for n_steps, error in pairs[1:]:
        assert np.abs(at_end(row, n_steps)[:, 0] - exact(2.0)).max() == pytest.approx(error, rel=0.02)


@pytest.mark.parametrize("name", MEASURED)
def test_error_on_prothero_and_robinsons_problem_shrinks_as_measured(name: str) -> None:
    row, n_steps = METHODS[name], (8, 16, 32, 64)
    ends = [
        solve_on(
            ReferenceTarget(width=1), PROTHERO_ROBINSON, (0.0, 1.0), method=row, controller="fixed",
            first_step=1.0 / n, rtol=1e-13, atol=1e-15,
        ).y[-1, 0, 0]
        for n in n_steps
    ]  # fmt: skip
    errors = np.abs(np.array(ends) - np.cos(1.0))
    measured = np.array(ORDERS["methods"][name]["stiff"])[: len(n_steps)]
    kept = measured > RESOLVED
    assert slopes(errors[kept], n_steps) == pytest.approx(slopes(measured[kept], n_steps), abs=WITHIN)


@EACH
def test_error_inside_a_step_shrinks_by_the_order_of_dense_output(row: ButcherTableau) -> None:
    n_steps, errors = (4, 8, 16, 32), list[float]()
    for n in n_steps:
        times = np.array([theta * 2.0 / n for theta in THETAS])
        states = np.asarray(fixed(row, n, times).y[:, :, 0], np.float64)
        errors.append(float(np.abs(states - np.array([exact(t) for t in times])).max()))
    found = np.array(errors)
    assert slopes(found[found > 1e-13], n_steps)[-1] > min(row.order, row.dense_order) + 1 - SHORT_OF_NOMINAL


ROBERTSON: Final = PROBLEMS["robertson"].system()


def robertson(method: str, target: ReferenceTarget, **buffers: Location) -> Solution:
    """Let four runs, one after the other in three places, step through the first stiff decades."""
    k1 = np.array([0.04, 0.4, 0.004, 0.04])
    return solve_on(
        target, ROBERTSON, (0.0, 50.0), parameters={"k1": k1}, method=method, t_eval=[0.0, 0.3, 10.0, 50.0],
        buffers=buffers,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["trbdf2", "kvaerno-3", "sdirk-43", "radau", "lobatto-iiic-4", "gauss-legendre-4"])
def test_a_run_is_independent_of_its_neighbours_and_of_what_scratch_held(method: str) -> None:
    together = robertson(method, ReferenceTarget(width=3, poison=True))
    assert together.all_succeeded
    assert_same_bits(together, robertson(method, ReferenceTarget(width=1)), method)
    np.testing.assert_array_equal(together.y[:, :, 0], together.y[:, :, 3])


@pytest.mark.parametrize("method", ["kvaerno-3", "radau"])
def test_no_placement_and_no_alias_changes_a_bit(method: str) -> None:
    expected = robertson(method, ReferenceTarget(width=2))
    paths = movable(Solver(ROBERTSON, method=method, device="cpu").report())
    assert len(paths) > 10
    assert_same_bits(robertson(method, ReferenceTarget(width=2, poison=True), **all_shared(paths)), expected, method)


def dirk_on(target: ReferenceTarget, problem: str) -> DiagonallyImplicitRungeKutta:
    system = PROBLEMS[problem].system()
    rate = RateFunction(SystemSettings(system=system, precision=np.float64), target=target)
    settings = DirkSettings(tableau=DIRK_TABLEAUS["kvaerno-3"], system=system, precision=np.float64)
    return DiagonallyImplicitRungeKutta(settings, rate)


def test_caches_share_the_solvers_scratch_where_it_is_shared_memory_and_has_room() -> None:
    """User story 2. The Jacobian's 50 numbers are of no use any more when the caches, of 20 each, are first filled."""
    step = dirk_on(ReferenceTarget(width=1), "pollu")
    caches, own = ("increment_cache", "rhs_cache"), buffer_registry.layout(step)
    for name in caches:
        placed = own.find(name)
        assert placed is not None and placed.aliases == "newton_shared" and placed.inside is None
    buffer_registry.relocate(step, "newton.linear.jacobian", "shared")
    shared = buffer_registry.layout(step)
    for name, start in zip(caches, (0, 20), strict=True):
        placed = shared.find(name)
        assert placed is not None and placed.inside == "newton_shared" and placed.placement.start == start
    assert shared.shared.size == step.settings.system.jacobian.n_slots == 50
    bytes_saved = (own.local_size - shared.local_size) * 8
    assert bytes_saved == 2 * 20 * 8
    assert str(buffer_registry.report(step)).count("newton_shared") >= 2
    buffer_registry.relocate(step, "newton.linear.factors", "shared")
    buffer_registry.relocate(step, "newton.speed", "shared")
    assert all(
        placed.inside == "newton_shared" for name in caches if (placed := buffer_registry.layout(step).find(name))
    )


def test_caches_have_memory_of_their_own_where_the_solvers_scratch_is_too_small() -> None:
    step = dirk_on(ReferenceTarget(width=1), "robertson")
    buffer_registry.relocate(step, "newton.linear.jacobian", "shared")
    layout = buffer_registry.layout(step)
    inside = {name: placed.inside for name in ("increment_cache", "rhs_cache") if (placed := layout.find(name))}
    assert inside == {"increment_cache": "newton_shared", "rhs_cache": None}


def test_a_run_whose_iteration_fails_ends_alone() -> None:
    """One step of length 1 from 0 solves x = k + x*x, which has no real solution for k > 1/4."""
    system = create_ode_system("dx = k + x*x", states={"x": 0.0}, parameters=["k"])
    found = solve_on(
        ReferenceTarget(width=3), system, (0.0, 4.0), parameters={"k": np.array([-1.0, 5.0, -1.2])},
        method="backwards-euler", controller="fixed", first_step=1.0,
    )  # fmt: skip
    assert found.status.tolist() == [Status.success, Status.newton_failed, Status.success]
    assert np.isfinite(found.y[-1, 0, [0, 2]]).all()


def test_a_step_whose_iteration_fails_is_tried_again_smaller() -> None:
    system = create_ode_system("dx = k + x*x", states={"x": 0.0}, parameters=["k"])
    found = solve_on(
        ReferenceTarget(width=2), system, (0.0, 0.6), parameters={"k": np.array([4.0, -1.0])}, method="radau",
        first_step=0.6,
    )  # fmt: skip
    assert found.all_succeeded
    assert found.n_rejected[0] > 0
    expected = [2.0 * np.tan(1.2), -np.tanh(0.6)]
    assert found.y[-1, 0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["backwards-euler", "radau"])
def test_a_run_for_which_no_step_works_ends_with_a_status(method: str) -> None:
    """PITFALL 7: failures of Newton's method that never ended. The rate is not finite beyond the start."""
    system = create_ode_system("dx = log(1 - x) * 1e6 + 2e6", states={"x": 0.0})
    found = solve_on(ReferenceTarget(width=1), system, (0.0, 1e6), method=method, max_steps=2000)
    assert found.status[0] in {Status.success, Status.newton_failed, Status.step_too_small, Status.non_finite}


def test_the_iteration_sets_no_floor_under_the_error() -> None:
    """PITFALL 15: an iteration that leaves fifty times less changes answers by less than the tolerance."""

    def sparing(settings: DirkSettings) -> NewtonSettings:
        return NewtonSettings(n_states=settings.n_states, precision=settings.precision, share=4e-4)

    def solved() -> npt.NDArray[np.float64]:
        return np.asarray(
            solve_on(
                ReferenceTarget(width=1), PROBLEMS["hires"].system(), (0.0, 5.0), method="kencarp-5", rtol=1e-8,
                atol=1e-11,
            ).y[-1, :, 0],
            np.float64,
        )  # fmt: skip

    usual = solved()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DirkSettings, "newton", property(sparing))
        assert np.abs(solved() - usual).max() < 1e-8


def test_a_tableau_whose_stages_cannot_be_decoupled_is_refused() -> None:
    with pytest.raises(TableauError, match="eigenvalues of a must be distinct"):
        Solver(ROBERTSON, method=COUPLED, device="cpu")
