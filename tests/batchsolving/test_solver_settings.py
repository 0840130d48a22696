"""What users say to a solver: what it means, and what is said of mistakes."""

import math
from dataclasses import fields
from typing import Final

import numpy as np
import pytest

from cubie import ButcherTableau, Solver, SolverSettings, create_ode_system, methods
from cubie._types import canonical_form
from cubie.batchsolving.solver_settings import AUTO, SolverOptions, UnknownOptionError, changed, checked
from cubie.integrators.algorithms.butcher_tableau import UnknownMethodError, require_distinct
from cubie.integrators.algorithms.generic_erk_tableaus import TSIT5
from cubie.integrators.algorithms.methods import METHODS
from cubie.integrators.step_control.gain_laws import GAIN_LAWS, GainLaw, UnknownControllerError

CPU: Final = SolverSettings(device="cpu")
DECAY: Final = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0}, name="decay")


def message(options: SolverOptions, kind: type[Exception] = ValueError) -> str:
    """Return what is said of options that make no sense."""
    with pytest.raises(kind) as raised:
        checked(changed(CPU, options))
    return str(raised.value)


def test_options_and_settings_are_the_same_names() -> None:
    assert [field.name for field in fields(SolverSettings)] == list(SolverOptions.__annotations__)


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    """PITFALL 19: unknown options only warned."""
    with pytest.raises(UnknownOptionError, match=r"unknown option 'rtoll'\. Did you mean 'rtol'\?"):
        Solver(DECAY, rtoll=1e-3)  # type: ignore[call-arg]  # the mistake
    with pytest.raises(UnknownOptionError, match=r"unknown option 'zzz'\. There are \['method', "):
        changed(CPU, {"zzz": 1})  # type: ignore[typeddict-unknown-key]  # the mistake


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("tsit5", "tsit5"), ("RK45", "dormand-prince-54"), ("rk4", "classical-rk4"), ("RK23", "bogacki-shampine-32")),
        *(("BS3", "bogacki-shampine-32"), ("DP5", "dormand-prince-54"), ("ode45", "dormand-prince-54")),
        *(("DOP853", "dormand-prince-853"), ("Vern7", "vern7"), ("Heun", "heun-21"), ("ode23", "bogacki-shampine-32")),
        *(("Kvaerno5", "kvaerno-5"), ("KenCarp4", "kencarp-4"), ("SDIRK-4(3)", "sdirk-43"), ("sdirk3", "sdirk-3")),
        *(("Hairer4", "sdirk-43"), ("TR-BDF2", "trbdf2"), ("ESDIRK54I8L2SA", "esdirk54i8l2sa")),
        *(("ImplicitEuler", "backwards-euler"), ("BackwardEuler", "backwards-euler")),
        *(("backward-euler", "backwards-euler"), ("implicit_euler", "backwards-euler"), ("Trapezoid", "trapezoidal")),
        *(("CrankNicolson", "trapezoidal"), ("Implicit Midpoint", "implicit-midpoint"), ("Radau", "radau-iia-5")),
        *(("RadauIIA5", "radau-iia-5"), ("GaussLegendre4", "gauss-legendre-4"), ("LobattoIIIC4", "lobatto-iiic-4")),
        *(("Scholz47", "scholz4-7"), ("Scholz4_7", "scholz4-7"), ("Rosenbrock23", "rosenbrock23"), ("GRK4T", "grk4t")),
    ],
)
def test_a_method_is_found_by_any_of_its_names(given: str, meant: str) -> None:
    settings = changed(CPU, {"method": given, "first_step": 0.1})
    assert checked(settings).tableau.name == meant


def test_no_two_names_of_methods_meet() -> None:
    require_distinct(METHODS.values())
    names = [AUTO, *(name for row in METHODS.values() for name in (row.name, *row.aliases))]
    assert len({*map(canonical_form, names)}) == len(names)


def test_names_without_a_method_are_not_guessed() -> None:
    for name in ("ode15s", "LSODA", "()"):
        assert message({"method": name}, UnknownMethodError).startswith(f"unknown method '{name}'.")


def test_a_users_own_tableau_is_a_method() -> None:
    midpoint = ButcherTableau(name="midpoint", order=2, a=((), (0.5,)), b=(0, 1), c=(0, 0.5))
    meant = checked(changed(CPU, {"method": midpoint, "first_step": 0.1}))
    assert meant.tableau is midpoint
    assert meant.law is GAIN_LAWS["fixed"]


def test_a_misspelt_method_is_answered_with_the_nearest() -> None:
    text = message({"method": "dopri54"}, UnknownMethodError)
    assert text == "unknown method 'dopri54'. Did you mean 'dormand-prince-54'? cubie.methods() lists all."


def test_what_is_no_method_is_refused() -> None:
    assert "method must be a name or a tableau, got 5" in message({"method": 5}, TypeError)  # type: ignore[typeddict-item]  # the mistake


def test_the_default_controller_follows_the_error_where_there_is_one() -> None:
    assert checked(CPU).law is GAIN_LAWS["pi"]
    for method in ("radau", "rodas5p", "kvaerno-3"):
        assert checked(changed(CPU, {"method": method})).law is GAIN_LAWS["gustafsson"]
    assert checked(changed(CPU, {"method": "rk4", "first_step": 0.1})).law is GAIN_LAWS["fixed"]
    mine = GainLaw(name="mine", beta=(0.8,))
    assert checked(changed(CPU, {"controller": mine})).law is mine


def test_a_controller_without_an_error_to_go_by_is_refused() -> None:
    text = message({"method": "rk4", "controller": "pi"})
    assert text == (
        "controller 'pi' must have an error to go by, got 'classical-rk4', which estimates none. "
        "Use controller='fixed' with first_step, or an adaptive method."
    )


def test_a_misspelt_controller_is_answered_with_the_nearest() -> None:
    assert "Did you mean 'gustafsson'?" in message({"controller": "gustafson"}, UnknownControllerError)


def test_steps_of_fixed_length_need_their_length() -> None:
    for options in ({"method": "rk4"}, {"controller": "fixed"}):
        text = message(options)  # type: ignore[arg-type]  # a plain dictionary
        assert text.startswith("first_step must be given for steps of fixed length, got None.")


@pytest.mark.parametrize("name", ["first_step", "max_step"])
@pytest.mark.parametrize("length", [0.0, -0.1, math.nan, "0.1", True, [0.1]])
def test_a_length_of_a_step_must_be_positive(name: str, length: object) -> None:
    text = message({name: length})  # type: ignore[misc]  # names and values that are mistakes
    assert text.startswith(f"{name} must be a positive length in the units of t, got {length!r}.")


def test_the_first_step_must_be_finite_and_the_longest_need_not() -> None:
    assert message({"first_step": math.inf}).startswith("first_step must be finite, got inf.")
    assert checked(changed(CPU, {"max_step": math.inf})).limits.max_step == math.inf


@pytest.mark.parametrize("number", [0, -5, 2**31, 1.5, 100.0, "100", True, None])
def test_a_budget_of_steps_is_a_whole_number(number: object) -> None:
    text = message({"max_steps": number})  # type: ignore[typeddict-item]  # the mistake
    assert text.startswith(f"max_steps must be a whole number from 1 to 2147483647, got {number!r}.")


def test_numpys_numbers_are_numbers() -> None:
    options: dict[str, object] = {"first_step": np.float32(0.5), "max_step": np.int64(2), "max_steps": np.int64(7)}
    limits = checked(changed(CPU, options)).limits  # type: ignore[arg-type]  # NumPy's, at run time
    assert (limits.first_step, limits.max_step, limits.max_steps) == (0.5, 2.0, 7)
    assert type(limits.max_steps) is int


def test_a_precision_is_one_of_two() -> None:
    text = message({"precision": "float16"})  # type: ignore[typeddict-item]  # the mistake
    assert text.startswith("precision must be 'float32' or 'float64', got 'float16'. Did you mean 'float")


def test_a_location_is_one_of_two() -> None:
    text = message({"buffers": "shared"}, TypeError)  # type: ignore[typeddict-item]  # the mistake
    assert text.startswith("buffers must be a mapping from a buffer's path to 'shared' or 'local', such as {'step.")
    text = message({"buffers": {"step.stage_rates": "global"}})  # type: ignore[dict-item]  # the mistake
    assert text.startswith("the location of buffer 'step.stage_rates' must be 'shared' or 'local', got 'global'.")


def test_a_precision_in_numpys_words_is_answered_with_its_name() -> None:
    for given in (np.float32, np.dtype("float32")):
        text = message({"precision": given})  # type: ignore[typeddict-item]  # the mistake
        assert text == f"precision must be 'float32' or 'float64', got {given!r}. Did you mean 'float32'?"
    assert message({"precision": ["float32"]}).startswith("precision must be 'float32' or")  # type: ignore[typeddict-item]  # the mistake


@pytest.mark.parametrize("lanes", [0, 3, 128, -1, "8"])
def test_lanes_are_a_power_of_two(lanes: object) -> None:
    assert message({"lanes": lanes}).startswith("lanes must be one of ")  # type: ignore[typeddict-item]  # the mistake


WHOLE: Final = {"lanes": 4, "block_size": 128, "max_registers": 64}


@pytest.mark.parametrize(("name", "number"), WHOLE.items())
def test_choices_are_whole_numbers_of_python_or_numpy(name: str, number: int) -> None:
    for value in (float(number), np.float64(number), str(number), [number], True, np.True_, np.timedelta64(number)):
        text = message({name: value})  # type: ignore[misc]  # names and values that are mistakes
        assert text.startswith(f"{name} must be ") and text.endswith(f", got {value!r}. Leave it out for what suits.")
    plan = checked(changed(CPU, {name: np.int64(number)})).plan  # type: ignore[misc]  # NumPy's, at run time
    assert [(found, type(found)) for found in (plan.lanes, plan.block_size, plan.max_registers) if found] == [
        (number, int)
    ]


def test_methods_lists_every_name_that_method_takes() -> None:
    names = methods()
    assert TSIT5.name in names
    assert len(names) == len(set(names)) >= 13
    for name in names:
        assert checked(changed(CPU, {"method": name, "first_step": 0.1})).tableau.name == name
