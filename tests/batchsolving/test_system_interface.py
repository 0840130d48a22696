"""Names to positions, and what can be saved."""

import pytest

from cubie.batchsolving.system_interface import SavedVariables, UnknownNameError
from tests.batchsolving.models import DECAY, INTERFACE


def test_inputs_are_states_then_parameters_as_declared() -> None:
    assert INTERFACE.inputs == ("x", "y", "z", "sigma", "rho", "beta")
    assert INTERFACE.defaults.tolist() == [1.0, 2.0, 3.0, 10.0, 21.0, 2.5]
    assert INTERFACE.state_index("z") == 2
    assert INTERFACE.parameter_index("rho") == 4


def test_all_states_are_saved_unless_told_otherwise() -> None:
    assert INTERFACE.saved_variables(None) == SavedVariables(("x", "y", "z"), (0, 1, 2))


def test_saved_variables_keep_the_order_in_which_they_are_listed() -> None:
    assert INTERFACE.saved_variables(["energy", "z", "x"]) == SavedVariables(("energy", "z", "x"), (3, 2, 0))


def test_one_name_may_be_saved_without_a_list() -> None:
    assert INTERFACE.saved_variables("energy").indices == (3,)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown parameter: 'rhoo'\. Did you mean 'rho'\?"):
        INTERFACE.parameter_index("rhoo")
    with pytest.raises(UnknownNameError, match=r"'enrgy'\. Did you mean 'energy'\? There is: x, y, z, energy"):
        INTERFACE.saved_variables(["enrgy"])


def test_a_name_of_the_other_kind_is_told_where_it_belongs() -> None:
    with pytest.raises(UnknownNameError, match="'x' is a state: give its initial value in y0"):
        INTERFACE.parameter_index("x")
    with pytest.raises(UnknownNameError, match="'rho' is a parameter: give it in parameters"):
        INTERFACE.state_index("rho")
    with pytest.raises(UnknownNameError, match=r"'rho' is a parameter: see solution\.coordinates"):
        INTERFACE.saved_variables("rho")


def test_a_system_without_parameters_says_so() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown parameter: 'rho'\. There is none\."):
        DECAY.parameter_index("rho")


def test_saving_nothing_or_something_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="save must name at least one"):
        INTERFACE.saved_variables([])
    with pytest.raises(ValueError, match="save must name each variable once, got 'x' twice"):
        INTERFACE.saved_variables(["x", "y", "x"])
