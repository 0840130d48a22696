"""Stiff methods with each linear solver, chosen by hand or by the model's size, on a partial differential equation."""

import random
from functools import cache
from typing import Final

import numpy as np
import pytest

from cubie import ODESystem, Solution, Solver, Status, create_ode_system
from cubie._types import canonical_form
from cubie.batchsolving.solver_settings import SolverOptions
from cubie.integrators.matrix_free_solvers.krylov_settings import KRYLOV_KINDS, KrylovKind, KrylovSettings
from cubie.integrators.matrix_free_solvers.linear_choice import (
    AS_SUITS,
    LINEAR_KINDS,
    LinearChoice,
    LinearKind,
    find_linear_choice,
)
from cubie.integrators.matrix_free_solvers.linear_solver import LinearSettings
from cubie.integrators.matrix_free_solvers.preconditioners import PRECONDITIONERS, Preconditioner
from cubie.odesystems.mass_matrix import MassMatrix
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import SolveOptions, all_shared, assert_same_bits, movable, solve_on
from tests.problems import PROBLEMS

PROBLEM: Final = PROBLEMS["bruss1d_n32"]
END: Final = 0.2
"""Long enough for steps at which J counts."""


def solved(target: CpuTarget | ReferenceTarget, **options: object) -> Solution:
    """Solve the defaults and two rows of the sweep."""
    given: SolveOptions = {
        "y0": PROBLEM.initial_values()[:3].T,
        "parameters": PROBLEM.parameter_values()[:3].T,
        "rtol": 1e-3,
        "atol": 1e-5,
    }
    given.update(options)  # type: ignore[typeddict-item]  # each test gives options of the solver
    return solve_on(target, PROBLEM.system(), (0.0, END), **given)


@cache
def eliminated(method: str) -> Solution:
    """Solve by elimination."""
    return solved(ReferenceTarget(width=3), method=method, linear_solver="direct")


@pytest.mark.parametrize(
    ("method", "linear_solver"),
    [
        *((method, kind) for method in ("rodas4p", "radau-iia-5") for kind in LINEAR_KINDS),
        *((method, "bicgstab") for method in ("kvaerno-3", "rodas6p", "gauss-legendre-4", "lobatto-iiic-4")),
    ],
)
def test_every_linear_solver_changes_a_solution_by_no_more_than_its_own_error(
    method: str, linear_solver: LinearKind
) -> None:
    direct = eliminated(method)
    solution = solved(ReferenceTarget(width=2, poison=True), method=method, linear_solver=linear_solver)
    assert solution.all_succeeded
    assert solution.n_steps == pytest.approx(direct.n_steps, abs=2)
    assert np.abs((solution.y[-1] - direct.y[-1]) / (1e-3 * np.abs(direct.y[-1]) + 1e-5)).max() < 1.0


HIRES: Final = PROBLEMS["hires"]
HIRES_TOLERANCES: Final = (1e-4, 1e-8)


@cache
def kinetics(method: str, kind: LinearKind, preconditioner: Preconditioner | None = None) -> Solution:
    """Solve HIRES to its end, rates over six decades, in lanes of a CPU."""
    rtol, atol = HIRES_TOLERANCES
    return solve_on(
        CpuTarget(width=4), HIRES.system(), HIRES.t_span, t_eval=(0.0, *HIRES.t_eval), method=method, rtol=rtol,
        atol=atol, linear_solver=kind, preconditioner=preconditioner,
    )  # fmt: skip


def kinetics_error(found: Solution) -> float:
    (rtol, atol), expected = HIRES_TOLERANCES, HIRES.references().y[0]
    return float(np.abs((found.y[1:, :, 0] - expected) / (rtol * np.abs(expected) + atol)).max())


@pytest.mark.parametrize(("kind", "most_steps"), [("gmres", 1.1), ("bicgstab", 1.1), ("minimal-residual", 2.6)])
def test_radau_solves_stiff_kinetics_without_a_matrix(kind: KrylovKind, most_steps: float) -> None:
    """Minimal residuals, which keep no direction, need shorter steps."""
    found = kinetics("radau", kind)
    assert found.all_succeeded
    assert found.n_steps[0] <= most_steps * kinetics("radau", "direct").n_steps[0]
    assert kinetics_error(found) < 100


def test_the_cpu_compiles_another_preconditioner_for_a_rosenbrock_method() -> None:
    found = kinetics("rodas4p", "bicgstab", "neumann")
    assert found.all_succeeded
    assert kinetics_error(found) < 100


@pytest.mark.parametrize(("method", "path"), [("rodas4p", "step.linear"), ("radau-iia-5", "step.systems.pair_0")])
def test_no_placement_changes_a_bit(method: str, path: str) -> None:
    solver = Solver(PROBLEM.system(), method=method, linear_solver="gmres", device="cpu")
    paths = [path for path in movable(solver.report()) if path.startswith("step.")]
    assert {f"{path}.basis", f"{path}.point"} <= set(paths)
    options: SolverOptions = {"method": method, "linear_solver": "gmres", "max_steps": 3}
    expected = solved(ReferenceTarget(width=3), **options)
    moved = solved(ReferenceTarget(width=3), buffers=all_shared(paths), **options)
    assert_same_bits(moved, expected)


def test_a_choice_can_be_changed_and_taken_back() -> None:
    solver = Solver(PROBLEM.system(), method="rodas4p", device="cpu")
    report = str(solver.report())
    for method in ("rodas4p", "kvaerno-3", "radau-iia-5", "rodas4p"):
        solver.update(method=method, linear_solver="bicgstab")
        assert "inverse" in str(solver.report())
    solver.update(linear_solver="auto")
    assert str(solver.report()) == report


MEMBRANE: Final = create_ode_system(
    [
        *(f"du{i} = 40*(u{i - 1} - 2*u{i} + u{i + 1}) + w{i}" for i in range(1, 9)),
        *(f"dw{i} = w{i - 1} - 3*w{i} + w{i + 1} + sin(t) + u{i}*u{i}" for i in range(1, 9)),
        "du0 = -u0", "du9 = -u9", "dw0 = u0 - w0", "dw9 = u9 - w9",
    ],
    states={**{f"u{i}": 1.0 + 0.1 * i for i in range(10)}, **{f"w{i}": 1.0 for i in range(10)}},
    mass_matrix={f"w{i}": 0.0 for i in range(10)},
    name="membrane",
)  # fmt: skip
"""Diffusion, and another equation in space that holds at each moment."""


@pytest.mark.parametrize("preconditioner", ["jacobi", "neumann"])
@pytest.mark.parametrize(
    ("method", "linear_solver"),
    [
        *(("rodas4p", kind) for kind in KRYLOV_KINDS),
        *((method, "bicgstab") for method in ("grk4t", "kvaerno-3", "sdirk-3", "radau", "gauss-legendre-4")),
        ("radau", "gmres"),
    ],
)
def test_equations_without_a_rate_are_solved_without_a_matrix(
    method: str, linear_solver: LinearKind, preconditioner: Preconditioner
) -> None:
    def integrated(kind: LinearKind, preconditioner: Preconditioner | None = None) -> Solution:
        return solve_on(
            ReferenceTarget(width=1, poison=True), MEMBRANE, (0.0, 0.5), t_eval=(0.0, 0.2, 0.5), method=method,
            rtol=1e-4, atol=1e-6, linear_solver=kind, preconditioner=preconditioner,
        )  # fmt: skip

    found, direct = integrated(linear_solver, preconditioner), integrated("direct")
    assert found.all_succeeded
    assert found.n_steps == pytest.approx(direct.n_steps, rel=0.1)
    assert np.abs((found.y - direct.y) / (1e-4 * np.abs(direct.y) + 1e-6)).max() < 1.0


def test_the_cpu_compiles_iterations_with_a_mass_matrix() -> None:
    system = create_ode_system(
        ["dx = -40*x + y", "dy = x - y*y"], states={"x": 0.1, "y": 0.3}, mass_matrix={"x": 2.0, "y": 0.0}
    )
    reference, compiled = (
        solve_on(target, system, (0.0, 0.5), method="radau", rtol=1e-4, atol=1e-6, linear_solver="bicgstab")
        for target in (ReferenceTarget(width=1), CpuTarget(width=2))
    )
    assert compiled.y == pytest.approx(reference.y, rel=1e-6)


def connected(n: int, mass_matrix: MassMatrix | None = None) -> ODESystem:
    """A system in which each state depends on three others, drawn at random."""
    draw = random.Random(5)
    lines = [f"dx{i} = -x{i} + {' + '.join(f'0.1*x{draw.randrange(n)}*x{i}' for _ in range(3))}" for i in range(n)]
    return create_ode_system(lines, states={f"x{i}": 1.0 for i in range(n)}, mass_matrix=mass_matrix)


def test_large_systems_are_solved_without_a_matrix() -> None:
    assert isinstance(AS_SUITS.settings(PROBLEMS["heat_n64"].system(), np.float64), LinearSettings)
    large = AS_SUITS.settings(connected(140), np.float64)
    assert isinstance(large, KrylovSettings)
    assert large.kind == "bicgstab"
    assert isinstance(LinearChoice(kind="direct").settings(connected(140), np.float64), LinearSettings)
    assert isinstance(AS_SUITS.settings(connected(140, {"x0": 2.0}), np.float64), KrylovSettings)
    coupled = np.eye(140)
    coupled[1] = coupled[0]
    assert isinstance(AS_SUITS.settings(connected(140, coupled), np.float64), LinearSettings)


def test_unknown_solvers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"linear_solver must be one of .*got 'gmress'. Did you mean 'gmres'"):
        Solver(PROBLEM.system(), linear_solver="gmress")  # type: ignore[arg-type]  # that is the fault
    with pytest.raises(ValueError, match=r"preconditioner must be one of .*got 'jacoby'. Did you mean 'jacobi'"):
        Solver(PROBLEM.system(), preconditioner="jacoby")  # type: ignore[arg-type]  # that is the fault


@pytest.mark.parametrize(
    ("given", "meant"),
    [("GMRES", "gmres"), ("BiCGSTAB", "bicgstab"), ("minimal_residual", "minimal-residual"), ("Auto", "auto")],
)
def test_a_linear_solver_is_found_however_it_is_spelt(given: str, meant: LinearKind) -> None:
    assert find_linear_choice(given, "Neumann") == LinearChoice(kind=meant, preconditioner="neumann")


def test_no_two_names_of_linear_solvers_meet() -> None:
    for names in (LINEAR_KINDS, PRECONDITIONERS):
        assert len({*map(canonical_form, names)}) == len(names)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"method": "rodas5p", "linear_solver": "direct", "preconditioner": "jacobi"},
            "with 'direct', which eliminates",
        ),
        ({"method": "rodas5p", "preconditioner": "neumann"}, "got 'neumann' with 'auto', which eliminates here"),
        ({"linear_solver": "gmres"}, "linear_solver must go with an implicit method, got 'tsit5'"),
        ({"preconditioner": "jacobi"}, "preconditioner must go with an implicit method, got 'tsit5'"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options: SolverOptions, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Solver(PROBLEM.system(), **options)
    solver = Solver(PROBLEM.system())
    with pytest.raises(ValueError, match=words):
        solver.update(**options)


def test_another_method_may_follow_whatever_was_named_before() -> None:
    solver = Solver(PROBLEM.system(), method="rodas5p", linear_solver="gmres", preconditioner="neumann")
    solver.update(method="tsit5")
    solver.update(method="kvaerno-3")
    solver.update(linear_solver="direct")
    assert solver.settings.preconditioner == "neumann"
    Solver(PROBLEM.system(), method="auto", linear_solver="gmres", preconditioner="jacobi")


def test_a_solver_that_does_not_converge_shortens_steps_until_it_does() -> None:
    """With so few products a long step can't be solved; the run ends well all the same."""
    heat = PROBLEMS["heat_n32"]
    solution = solve_on(
        ReferenceTarget(width=1), heat.system(), (0.0, 1e-3), method="rodas3", linear_solver="minimal-residual",
        preconditioner="none", rtol=1e-3, first_step=1.0
    )  # fmt: skip
    assert solution.status.tolist() == [Status.success]
