"""The tree of factories that a method, a controller and a system make."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from cubie import create_ode_system
from cubie.buffer_registry import buffer_registry
from cubie.cuda_factory import ChildFactory
from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, TableauError
from cubie.integrators.algorithms.generic_erk import ExplicitRungeKutta
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS, find_tableau
from cubie.integrators.algorithms.generic_rosenbrock_w import RosenbrockW
from cubie.integrators.algorithms.generic_rosenbrock_w_tableaus import ROSENBROCK_TABLEAUS
from cubie.integrators.single_integrator_run import RunSettings, SingleIntegratorRun
from cubie.integrators.step_control.gain_laws import GAIN_LAWS
from cubie.targets.reference import ReferenceTarget
from tests.problems import PROBLEMS

DECAY: Final = create_ode_system(
    ["dx = -k*x", "dy = -y", "sum = x + y"], states=["x", "y"], parameters=["k"], observables=["sum"]
)
SETTINGS: Final = RunSettings(
    system=DECAY,
    method=find_tableau("tsit5"),
    controller=GAIN_LAWS["pi"],
    precision=np.float64,
    saved=(0, 1),
    dense=True,
    scalar_tolerances=True,
)


def made(settings: RunSettings = SETTINGS) -> SingleIntegratorRun:
    return SingleIntegratorRun(settings, target=ReferenceTarget(width=1))


def functions(run: SingleIntegratorRun) -> dict[str, object]:
    """Build, and return the function of every part."""
    parts: dict[str, ChildFactory] = {
        "run": run,
        "loop": run.loop,
        "step": run.step,
        "controller": run.controller,
        "output": run.output,
        "rate": run.rate,
    }
    return {name: part.device_function for name, part in parts.items()}


def test_each_part_gets_its_own_settings_from_the_runs() -> None:
    run = made()
    assert run.step.settings == SETTINGS.step
    assert run.controller.settings == SETTINGS.control
    assert run.output.settings == SETTINGS.output
    assert run.loop.settings == SETTINGS.loop
    assert (SETTINGS.loop.n_states, SETTINGS.loop.n_parameters, SETTINGS.loop.n_errors) == (2, 1, 1)
    assert SETTINGS.control.error_order == SETTINGS.loop.error_order == 4


@pytest.mark.parametrize("tableau", ERK_TABLEAUS.values(), ids=lambda tableau: tableau.name)
@pytest.mark.parametrize("law", ["fixed", "pi"])
def test_errors_are_estimated_only_where_steps_follow_them(tableau: ButcherTableau, law: str) -> None:
    if law == "pi" and not tableau.is_adaptive:
        return
    settings = replace(SETTINGS, method=tableau, controller=GAIN_LAWS[law])
    n_errors = 0 if law == "fixed" else 2 if tableau.b_hat_second is not None else 1
    assert settings.step.n_errors == settings.loop.n_errors == n_errors
    assert settings.loop.adaptive == (law == "pi")
    assert settings.error_order == (tableau.error_order or tableau.order)


CHANGES: Final[dict[str, tuple[RunSettings, set[str]]]] = {
    "method": (replace(SETTINGS, method=find_tableau("cash-karp-54")), {"step"}),
    "controller": (replace(SETTINGS, controller=GAIN_LAWS["pid"]), {"controller"}),
    "saved": (replace(SETTINGS, saved=(2,)), {"output"}),
    "tolerances": (replace(SETTINGS, scalar_tolerances=False), set()),
    "dense": (replace(SETTINGS, dense=False), set()),
    "precision": (replace(SETTINGS, precision=np.float32), {"step", "controller", "output", "rate"}),
}
"""Changed settings, and the parts that are to be built again; each change reaches the loop."""


@pytest.mark.parametrize("name", CHANGES)
def test_only_parts_that_change_are_built_again(name: str) -> None:
    run, (settings, rebuilt) = made(), CHANGES[name]
    before = functions(run)
    run.configure_run(settings)
    after = functions(run)
    assert {part for part in before if after[part] is not before[part]} == rebuilt | {"run", "loop"}
    run.configure_run(settings)
    assert functions(run) == after


def test_a_change_that_makes_no_sense_changes_nothing() -> None:
    run = made()
    before = functions(run)
    coupled = ButcherTableau(name="coupled", order=1, a=((0.25, -0.25), (0.25, 0.75)), b=(0.25, 0.75), c=(0, 1))
    with pytest.raises(TableauError, match="eigenvalues of a must be distinct"):
        run.configure_run(replace(SETTINGS, method=coupled))
    assert run.settings == SETTINGS
    assert functions(run) == before


def test_a_change_and_its_reverse_give_the_same_layout() -> None:
    run = made()
    before = str(buffer_registry.report(run))
    run.configure_run(replace(SETTINGS, method=find_tableau("vern9"), precision=np.float32, saved=(2, 1)))
    assert str(buffer_registry.report(run)) != before
    run.configure_run(SETTINGS)
    assert str(buffer_registry.report(run)) == before


def test_sizes_follow_a_grandchild() -> None:
    """PITFALL 1: a parent measured its child before the grandchild had registered."""
    run = made()
    before = run.persistent_local_buffer_size
    assert isinstance(run.step, ExplicitRungeKutta)
    run.step.update(tableau=find_tableau("vern9"))
    grown = 2 * (find_tableau("vern9").n_dense_stages - find_tableau("tsit5").n_dense_stages)
    assert run.persistent_local_buffer_size - before in (grown, grown - 2, grown + 2)
    assert run.persistent_local_buffer_size == run.step.persistent_local_buffer_size + (
        run.controller.persistent_local_buffer_size
    )


def test_swapping_the_method_leaves_the_other_parts_registrations() -> None:
    """PITFALL 3: a swapped component wiped out what others had registered."""
    run = made()
    buffer_registry.relocate(run.loop, "controller.history", "shared")
    run.configure_run(replace(SETTINGS, method=find_tableau("vern7")))
    (row,) = (row for row in buffer_registry.report(run.controller).rows if row.name == "history")
    assert row.pool == "shared"
    assert run.shared_buffer_size == run.controller.shared_buffer_size == row.size


def test_another_family_takes_the_place_of_the_step() -> None:
    run = made()
    report = str(buffer_registry.report(run))
    run.configure_run(replace(SETTINGS, method=ROSENBROCK_TABLEAUS["rodas5p"]))
    stiff = run.step
    assert isinstance(stiff, RosenbrockW)
    assert run.loop.step is stiff
    run.configure_run(replace(SETTINGS, method=ROSENBROCK_TABLEAUS["ros3p"], system=PROBLEMS["vdpol"].system()))
    assert run.step is stiff
    assert stiff.linear.settings.system.name == "vdpol"
    run.configure_run(SETTINGS)
    assert str(buffer_registry.report(run)) == report
