"""Exchanged rows: a pendulum whose reaction no fixed order of pivots can find, and matrices of every pattern."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from cubie import ODESystem, Solution, Solver, Status, create_ode_system
from cubie._types import FloatPrecision
from cubie.integrators.matrix_free_solvers import constraints, linear_solver
from cubie.integrators.matrix_free_solvers.linear_solver import LinearSettings, LinearSolver, PairSolver
from cubie.integrators.matrix_free_solvers.pivoting import Pivoting, choose_pivots, roundings
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import SolveOptions, all_shared, assert_same_bits, movable, solve_on
from tests.problems import PROBLEMS
from tests.reference_rows import floats, reals, rows, scratch

Array: TypeAlias = npt.NDArray[np.float64]

WIDTH: Final = 4
PENDULUM: Final = create_ode_system(
    [
        "dangle = velocity",
        "dvelocity = -g*sin(angle)",
        "da = a*sin(angle) - b*cos(angle) + velocity**2 + g*cos(angle)",
        "db = a*cos(angle) + b*sin(angle)",
    ],
    states={"angle": np.pi / 2, "velocity": 0.0, "a": 0.0, "b": 0.0},
    parameters={"g": 9.81},
    mass_matrix=[1.0, 1.0, 0.0, 0.0],
    name="pendulum-with-reaction",
)
"""The reaction of its hinge has the horizontal part a and the vertical one b: along the rod, and nothing across it."""
SWINGS: Final[SolveOptions] = {
    "y0": {"angle": [np.pi / 2, 0.0, 1.0], "velocity": [0.0, 2.0, 0.5]},
    "rtol": 1e-7,
    "atol": 1e-9,
    "method": "rodas5p",
}
"""Let go of where the rod lies, and pushed where it hangs: there a and b, by turns, are in one equation alone."""


def fixed_order(system: ODESystem) -> Pivoting:
    return Pivoting(choose_pivots(system).order, exchanges=False)


def swung(target: CpuTarget | ReferenceTarget, **options: object) -> Solution:
    given: SolveOptions = SWINGS.copy()
    given.update(options)  # type: ignore[typeddict-item]  # each test gives options of the solver
    return solve_on(target, PENDULUM, (0.0, 3.0), **given)


def test_exchanged_rows_solve_a_textbook_pendulum_that_a_fixed_order_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """PITFALL 16: static pivots in a generated LU failed a textbook pendulum that an iterative solver could do."""
    solution = swung(ReferenceTarget(width=2, poison=True))
    assert solution.all_succeeded
    angle, velocity, a, b = solution.y[-1]
    pull = velocity**2 + 9.81 * np.cos(angle)
    assert a == pytest.approx(-pull * np.sin(angle), abs=1e-5)
    assert b == pytest.approx(pull * np.cos(angle), abs=1e-5)
    monkeypatch.setattr(linear_solver, "choose_pivots", fixed_order)
    monkeypatch.setattr(constraints, "MOST_EXCHANGED", 0)
    failed = swung(ReferenceTarget(width=2))
    assert failed.status.tolist() == [Status.success, Status.singular, Status.success]


@pytest.mark.parametrize("method", ["radau-iia-5", "radau-iia-9"])
@pytest.mark.parametrize("n_saves", [2, 40])
def test_what_iterations_leave_of_constraints_makes_no_step_too_long(method: str, n_saves: int) -> None:
    """PITFALL 15: inner tolerances set a floor. It is not in the estimate where a, near 0, has a tiny allowed error.

    Under PI control, rejections tell of a floor; Gustafsson's asks for so long steps that more are rejected.
    """
    times = np.linspace(0.0, 3.0, n_saves)
    solution = swung(ReferenceTarget(width=3), method=method, rtol=1e-5, atol=1e-7, t_eval=times, controller="pi")
    assert solution.all_succeeded
    assert (solution.n_rejected < 0.25 * solution.n_steps).all()
    angle, velocity, a, b = solution.y.transpose(1, 0, 2)
    pull = velocity**2 + 9.81 * np.cos(angle)
    assert a == pytest.approx(-pull * np.sin(angle), abs=1e-3)
    assert b == pytest.approx(pull * np.cos(angle), abs=1e-3)


def test_a_fixed_order_is_singular_where_its_pivot_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even from consistent values, no step is short enough."""
    monkeypatch.setattr(linear_solver, "choose_pivots", fixed_order)
    hanging: SolveOptions = {"y0": {"angle": 0.0, "velocity": 0.0, "a": 0.0, "b": 9.81}, "method": "rodas5p"}
    assert solve_on(ReferenceTarget(width=1), PENDULUM, (0.0, 1.0), **hanging).status.tolist() == [Status.singular]
    monkeypatch.undo()
    assert solve_on(ReferenceTarget(width=1), PENDULUM, (0.0, 1.0), **hanging).all_succeeded


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_cpu_exchanges_the_same_rows(precision: str) -> None:
    tolerance = 1e-7 if precision == "float64" else 1e-4
    found, expected = (
        swung(target, precision=precision, rtol=tolerance, atol=tolerance / 100)
        for target in (CpuTarget(width=4), ReferenceTarget(width=3))
    )
    assert found.all_succeeded
    assert found.y[-1] == pytest.approx(expected.y[-1], rel=100 * tolerance, abs=100 * tolerance)


@pytest.mark.simulator
@pytest.mark.gpu
def test_a_gpu_exchanges_the_same_rows() -> None:
    def solve(device: str) -> Solution:
        solver = Solver(PENDULUM, method="rodas5p", device=device, rtol=1e-3, atol=1e-6)
        return solver.solve((0.0, 0.1), y0={"angle": np.array([0.0, np.pi / 2]), "velocity": np.array([2.0, 0.0])})

    on_gpu, on_cpu = solve("cuda"), solve("cpu")
    assert on_gpu.all_succeeded
    np.testing.assert_allclose(on_gpu.y, on_cpu.y, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["rodas5p", "radau-iia-5"])
def test_no_placement_changes_a_bit(method: str) -> None:
    paths = movable(Solver(PENDULUM, method=method, device="cpu").report())
    expected = swung(ReferenceTarget(width=3), method=method, max_steps=12)
    assert_same_bits(swung(ReferenceTarget(width=3), method=method, max_steps=12, buffers=all_shared(paths)), expected)
    alone = swung(ReferenceTarget(width=1), method=method, max_steps=12)
    assert_same_bits(alone, expected)


def full(n: int, zeros: Sequence[int]) -> ODESystem:
    """M - J has every entry for a parameter; some rows of M, which is else the identity, are zero."""
    names = [f"x{i}" for i in range(n)]
    lines = [f"d{name} = {' + '.join(f'k{i}{j}*x{j}' for j in range(n))}" for i, name in enumerate(names)]
    return create_ode_system(
        lines,
        states=names,
        parameters=[f"k{i}{j}" for i in range(n) for j in range(n)],
        mass_matrix=[0.0 if i in zeros else 1.0 for i in range(n)],
    )


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "n_zeros"), [(1, 1), (2, 1), (3, 3), (4, 2), (5, 5), (6, 2), (6, 6)])
@pytest.mark.parametrize("is_complex", [False, True])
def test_solutions_leave_roundings_whatever_entries_vanish(
    n: int, n_zeros: int, is_complex: bool, precision: FloatPrecision
) -> None:
    """In each run other entries are zero or tiny, but for a permutation that keeps the matrix regular."""
    random, system = np.random.default_rng(n + 10 * n_zeros), full(n, range(n_zeros))
    j = random.normal(size=(WIDTH, n, n)) * 10.0 ** random.choice([-9, -5, 0], size=(WIDTH, n, n))
    for run in range(WIDTH):
        j[run] *= random.uniform(size=(n, n)) < 0.6
        j[run, range(n), random.permutation(n)] += 2.0
    scale = 0.7 - 0.4j if is_complex else 0.7 + 0.0j
    real, imaginary, answers = solved(system, j, scale, is_complex, precision)
    assert answers == [0] * WIDTH
    mass = np.diag([0.0] * n_zeros + [1.0] * (n - n_zeros))
    for run in range(WIDTH):
        matrix, x = mass - scale * j[run], real[:, run] + 1j * imaginary[:, run]
        left = np.abs(matrix @ x - (1.0 + 2.0j * is_complex)) / (np.abs(matrix) @ np.abs(x) + 1.0)
        assert left.max() < 1000 * np.finfo(precision).eps


def solved(
    system: ODESystem, j: Array, scale: complex, is_complex: bool, precision: FloatPrecision
) -> tuple[Array, Array, list[float]]:
    """Solve (M - scale*J) @ x = 1, or 1 + 2j; return both parts of the solutions, a run a column, and the answers."""
    n, settings = system.n_states, LinearSettings(system=system, precision=precision)
    target = ReferenceTarget(width=WIDTH, poison=True)
    parameters = rows(j.reshape(WIDTH, n * n).T.tolist(), precision)
    t, y = reals(*(0.0,) * WIDTH, precision=precision), rows(np.zeros((n, WIDTH)).tolist(), precision)
    re, im = (reals(*(part,) * WIDTH, precision=precision) for part in (scale.real, scale.imag))
    ones, none = np.ones((n, WIDTH)).tolist(), scratch(n, WIDTH, precision)
    drivers, shared = scratch(1, WIDTH, precision), scratch(1, WIDTH, precision)
    if is_complex:
        pair = PairSolver(settings, target=target)
        kept = scratch(pair.persistent_local_buffer_size, WIDTH, precision)
        answers = pair.device_function.factor(t, y, parameters, drivers, re, im, shared, kept)
        b = rows([*ones, *(2 * np.ones((n, WIDTH))).tolist()], precision)
        pair.device_function.solve(b, none, shared, kept)
        return b.values[:n], b.values[n:], floats(answers)
    solver = LinearSolver(settings, target=target)
    kept = scratch(solver.persistent_local_buffer_size, WIDTH, precision)
    answers = solver.device_function.factor(t, y, parameters, drivers, re, shared, kept)
    b = rows(ones, precision)
    solver.device_function.solve(b, none, shared, kept)
    return b.values, np.zeros((n, WIDTH)), floats(answers)


def test_a_singular_matrix_is_told_after_exchanges_too() -> None:
    """Two equal rows, in two of the runs."""
    j = np.array([[[1, 2], [4, 3]], [[1, 2], [1, 2]], [[0, 1], [0, 1]], [[0, 1], [1, 0]]], np.float64)
    with np.errstate(all="ignore"):
        answers = solved(full(2, [0, 1]), j, 1.0, False, np.float64)[2]
    assert [bool(answer) for answer in answers] == [False, True, True, False]


def test_rows_are_exchanged_where_the_model_asks_for_it() -> None:
    """A singular mass matrix, or samples in which the fixed order loses digits; and never beyond six states."""
    assert choose_pivots(PENDULUM).exchanges
    assert choose_pivots(full(6, [0])).exchanges
    assert not choose_pivots(full(7, [0])).exchanges
    for name in ("robertson", "vdpol", "orego", "lorenz"):
        assert not choose_pivots(PROBLEMS[name].system()).exchanges
    growing = create_ode_system(["dx = 10*x + y", "dy = x - y"], states=["x", "y"])
    assert choose_pivots(growing).exchanges, "1 - scale*10 vanishes at one of the scales"


def test_roundings_tell_of_lost_digits() -> None:
    good, order = np.array([[1e-8, 1.0], [1.0, 1.0]]), [(1, 0), (0, 1)]
    assert roundings(good, order) < 10
    assert roundings(good, [(0, 0), (1, 1)]) > 1e4
    assert roundings(np.array([[0.0, 1.0], [1.0, 0.0]]), [(0, 0), (1, 1)]) == np.inf
