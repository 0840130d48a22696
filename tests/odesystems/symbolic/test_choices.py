"""Derivatives of functions made of pieces, against those written by hand, on both sides of a kink and at it."""

import math
from typing import Final

import numpy as np
import pytest

from cubie import solve_ivp
from cubie.odesystems import ODESystem, create_ode_system
from cubie.odesystems.sources import jacobian_source, jacobian_vector_product_source, time_derivative_source
from tests.odesystems.evaluate import run
from tests.odesystems.symbolic.test_differentiate import jacobian

INF: Final = math.inf

# An expression in x and y, then x, y, and its derivative by x.
PIECES: Final = [
    ("sqrt(max(x, 0))", -1.0, 0.0, 0.0),
    ("sqrt(max(x, 0))", 0.0, 0.0, 0.0),
    ("sqrt(max(0, x))", 0.0, 0.0, 0.0),
    ("sqrt(max(x, 0))", 4.0, 0.0, 0.25),
    ("max(x, 0)**0.5", -1.0, 0.0, 0.0),
    ("max(x, 0)**0.3", -1.0, 0.0, 0.0),
    ("max(x, 0)**0.3", 1.0, 0.0, 0.3),
    ("cbrt(max(x, 0))", -1.0, 0.0, 0.0),
    ("max(x, 0)**p", -1.0, 0.0, 0.0),
    ("log(max(x, 0) + max(y, 0))", -1.0, -1.0, 0.0),
    ("sqrt(max(x, 0) + max(y, 0))", -1.0, -1.0, 0.0),
    ("sqrt(max(x, 0) + max(y, 0))", 4.0, -1.0, 0.25),
    ("sqrt(3*max(x, 0))", -1.0, 0.0, 0.0),
    ("-sqrt(-min(x, 0))", 1.0, 0.0, 0.0),
    ("-sqrt(-min(x, 0))", 0.0, 0.0, 0.0),
    ("-sqrt(-min(x, 0))", -4.0, 0.0, 0.25),
    ("sqrt(1 - min(x, 1))", 2.0, 0.0, 0.0),
    ("sqrt(1 - min(x, 1))", -3.0, 0.0, -0.25),
    ("1/(1 - clip(x, 0, 1))", 2.0, 0.0, 0.0),
    ("sqrt(clip(x, 0, 2))", -1.0, 0.0, 0.0),
    ("sqrt(clip(x, 0, 2))", 1.0, 0.0, 0.5),
    ("sqrt(clip(x, 0, 2))", 3.0, 0.0, 0.0),
    ("sqrt(abs(x))", 4.0, 0.0, 0.25),
    ("sqrt(abs(x))", -4.0, 0.0, -0.25),
    ("-sign(x)*sqrt(abs(x))", 0.0, 0.0, 0.0),
    ("-sign(x)*sqrt(abs(x))", -4.0, 0.0, -0.25),
    ("sqrt(where(x > 0, x, 0))", -1.0, 0.0, 0.0),
    ("sqrt(where(x > 0, x, 0))", 4.0, 0.0, 0.25),
    ("sqrt(piecewise((0, x < 0), (x, x < 1), (0, True)))", 2.0, 0.0, 0.0),
    ("(y > 0)*sqrt(x)", 0.0, -1.0, 0.0),
    ("(y > 0)*sqrt(x)", 4.0, 1.0, 0.25),
    ("heaviside(y)*sqrt(x)", 0.0, -1.0, 0.0),
    ("heaviside(y)*sqrt(x)", 4.0, 0.0, 0.125),
    ("sign(y)*sqrt(x)", 0.0, 0.0, 0.0),
    ("max(y, 0)*sqrt(x)", 0.0, -1.0, 0.0),
    ("sqrt(x)*3", 0.0, 0.0, INF),
]  # fmt: skip


def pieces(expression: str) -> ODESystem:
    return create_ode_system([f"dx = {expression}", "dy = 0*p"], states=["x", "y"], parameters=["p"])


@pytest.mark.parametrize(("expression", "x", "y", "slope"), PIECES)
def test_a_piece_that_is_not_chosen_adds_nothing(expression: str, x: float, y: float, slope: float) -> None:
    assert jacobian(pieces(expression), np.array([x, y]), np.array([0.5]))[0, 0] == pytest.approx(slope)


@pytest.mark.parametrize(("expression", "x", "y", "slope"), PIECES)
def test_products_with_vectors_choose_alike(expression: str, x: float, y: float, slope: float) -> None:
    source = jacobian_vector_product_source(pieces(expression), np.float64)
    assert run(source, 2, 0.0, [x, y], [0.5], np.float64, [2.0, 0.0])[0] == pytest.approx(2.0 * slope)


@pytest.mark.parametrize(("t", "slope"), [(-1.0, 0.0), (0.0, 0.0), (4.0, 0.25)])
def test_derivatives_by_time_choose_alike(t: float, slope: float) -> None:
    system = create_ode_system(["dx = sqrt(max(t, 0))"], states=["x"])
    assert run(time_derivative_source(system, np.float64), 1, t, [0.0], [], np.float64)[0] == pytest.approx(slope)


def test_products_stay_plain_where_nothing_can_be_infinite() -> None:
    system = create_ode_system(["dx = 3*max(x, 0)*sin(y) + 2*max(x, 0)*y", "dy = x"], states=["x", "y"])
    assert jacobian_source(system, np.float64).text.count("select(") == 1


@pytest.mark.parametrize("method", ["radau", "rodas5p", "kvaerno-5"])
def test_a_tank_drains_and_stays_empty(method: str) -> None:
    tank = create_ode_system(["dh = -k*sqrt(max(h, 0))"], states={"h": 1.0}, parameters={"k": 0.5})
    solution = solve_ivp(tank, (0.0, 10.0), method=method, t_eval=[0.0, 2.0, 10.0], device="cpu", lanes=4)
    assert solution.all_succeeded, solution.message
    assert solution["h"][:, 0] == pytest.approx([1.0, 0.25, 0.0], abs=1e-4)
