"""Mass matrices: how they are said, what is refused, and what they are part of."""

import pickle
from typing import Final

import numpy as np
import pytest

from cubie import ODESystem, Solver, create_ode_system
from cubie.integrators.algorithms.butcher_tableau import TableauError
from cubie.odesystems.errors import InvalidValueError, UnknownSymbolError
from cubie.odesystems.mass_matrix import MassMatrix

LINES: Final = ["dx = -x + y", "dy = x - y"]


def system(mass_matrix: MassMatrix | None = None) -> ODESystem:
    return create_ode_system(LINES, states=["x", "y"], mass_matrix=mass_matrix)


@pytest.mark.parametrize("mass_matrix", [{"y": 0.0}, [1.0, 0.0], [[1.0, 0.0], [0.0, 0.0]], np.diag([1.0, 0.0])])
def test_a_diagonal_and_all_rows_say_the_same(mass_matrix: MassMatrix) -> None:
    assert system(mass_matrix).mass_matrix == ((0, 0, 1.0),)
    assert system(mass_matrix) == system([1.0, 0.0])


@pytest.mark.parametrize("mass_matrix", [None, {}, [1, 1], np.eye(2)])
def test_the_identity_is_no_mass_matrix(mass_matrix: MassMatrix | None) -> None:
    assert system(mass_matrix).mass_matrix is None
    assert system(mass_matrix).mass == {(0, 0): 1.0, (1, 1): 1.0}


def test_entries_beside_the_diagonal_are_kept() -> None:
    assert system([[2.0, 1.0], [0.0, 3.0]]).mass == {(0, 0): 2.0, (0, 1): 1.0, (1, 1): 3.0}


def test_a_mass_matrix_is_part_of_what_is_computed() -> None:
    weighed = system({"y": 2.0})
    assert weighed.digest not in (system().digest, system({"y": 3.0}).digest)
    assert pickle.loads(pickle.dumps(weighed)) == weighed
    assert weighed != system()


def test_a_python_function_takes_one_too() -> None:
    traced = create_ode_system(lambda t, y: [-y[0], y[0] - y[1]], states=[1.0, 0.0], mass_matrix=[1.0, 0.0])
    assert traced.mass_matrix == ((0, 0, 1.0),)


def test_faults_are_told() -> None:
    with pytest.raises(UnknownSymbolError, match=r"mass_matrix names no state 'yy'. Did you mean 'y'"):
        system({"yy": 0.0})
    with pytest.raises(InvalidValueError, match=r"must have shape \(2, 2\) or \(2,\), got \(3,\)"):
        system([1.0, 1.0, 1.0])
    with pytest.raises(InvalidValueError, match="must hold finite numbers"):
        system([1.0, float("nan")])
    with pytest.raises(InvalidValueError, match="must hold numbers"):
        system([[1.0], [0.0, 1.0]])


def test_an_explicit_method_is_refused_when_the_solver_is_made() -> None:
    with pytest.raises(TableauError, match=r"must be an implicit one, got 'tsit5'.* Use method='rodas5p'"):
        Solver(system({"y": 0.0}), method="tsit5", device="cpu")
    assert "grk4t" in repr(Solver(system({"y": 0.0}), method="grk4t", device="cpu"))


def test_auto_takes_its_stiff_method() -> None:
    assert "radau-iia-5" in repr(Solver(system({"y": 0.0}), method="auto", device="cpu"))
