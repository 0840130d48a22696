"""The one body of all explicit methods, on invented tableaus that are worked out by hand, call by call.

Two runs side by side solve x' = k*t + y, y' = x, with k = 1 and 3. All numbers are sums of powers of two, so that
arithmetic is exact.
"""

from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import pytest

from cubie import ButcherTableau, create_ode_system
from cubie._types import FloatPrecision
from cubie.integrators.algorithms.base_algorithm_step import StepFunctions
from cubie.integrators.algorithms.butcher_tableau import Interpolant, TableauError
from cubie.integrators.algorithms.generic_erk import ErkSettings, ExplicitRungeKutta
from cubie.integrators.algorithms.generic_erk_tableaus import ERK_TABLEAUS, find_tableau
from cubie.odesystems.rate_function import RateFunction, SystemSettings
from cubie.targets.cuda_launch import LEAST_BLOCK, SHARED_BYTES, padded
from cubie.targets.reference import ReferenceTarget
from tests.batches import RateCall, recorded_rates
from tests.reference_rows import Rows, floats, reals, rows, scratch

SYSTEM: Final = create_ode_system(["dx = k*t + y", "dy = x"], states=["x", "y"], parameters=["k"])
F: Final = Fraction
T: Final = 1.0
DT: Final = (2.0, 4.0)
X, Y, K = (1.0, 0.0), (2.0, -1.0), (1.0, 3.0)
RATE: Final = [[K[0] * T + Y[0], K[1] * T + Y[1]], [X[0], X[1]]]

OPEN: Final = ButcherTableau(
    name="open",
    order=1,
    order_hat=1,
    a=((), (F(1, 4),), (F(1, 4), F(1, 2))),
    b=(F(1, 2), 0, F(1, 2)),
    b_hat=(0, 1, 0),
    c=(0, F(1, 4), F(3, 4)),
    interpolant=Interpolant(
        order=1,
        a=((F(1, 8), 0, F(1, 8), F(1, 4)),),
        c=(F(1, 2),),
        weights=((1, -1), (0, 0), (0, F(1, 2)), (0, F(1, 4)), (0, F(1, 4))),
    ),
)
CLOSED: Final = ButcherTableau(
    name="closed",
    order=1,
    order_hat=1,
    a=((), (F(1, 2),), (F(1, 4), F(3, 4))),
    b=(F(1, 4), F(3, 4), 0),
    b_hat=(F(1, 2), F(1, 4), F(1, 4)),
    c=(0, F(1, 2), 1),
)


class Made(NamedTuple):
    """A step's functions, and what one step from (T, (X, Y)) wrote and asked."""

    functions: StepFunctions
    y: Rows
    rate: Rows
    y_next: Rows
    rate_next: Rows
    error: Rows
    persistent: Rows
    status: list[float]
    calls: list[RateCall]


def make_step(tableau: ButcherTableau, *, precision: FloatPrecision = np.float64, estimates: bool = True) -> Made:
    """Take one step of DT with two runs side by side."""
    with recorded_rates() as calls:
        target = ReferenceTarget(width=2, poison=True)
        settings = ErkSettings(tableau=tableau, n_states=2, precision=precision, estimates_error=estimates)
        rate_function = RateFunction(SystemSettings(system=SYSTEM, precision=precision), target=target)
        factory = ExplicitRungeKutta(settings, rate_function)
        functions = factory.device_function
    y, rate = rows([X, Y], precision), rows(RATE, precision)
    y_next, rate_next = scratch(2, 2, precision), scratch(2, 2, precision)
    error = scratch(2 * settings.n_errors, 2, precision)
    persistent = scratch(factory.persistent_local_buffer_size, 2, precision)
    answer = functions.step(
        reals(T, T, precision=precision), reals(*DT, precision=precision), y, rate, rows([K], precision),
        scratch(0, 2, precision), y_next, rate_next, error, scratch(0, 2), persistent,
    )  # fmt: skip
    return Made(functions, y, rate, y_next, rate_next, error, persistent, floats(answer), calls)


def f(t: float, x: float, y: float, k: float) -> tuple[float, float]:
    return k * t + y, x


def expected_calls(run: int, tableau: ButcherTableau) -> list[tuple[float, float, float]]:
    """Return (t, x, y) of every evaluation after the first stage, and of the one at the end, in order."""
    rates = [f(T, X[run], Y[run], K[run])]
    calls: list[tuple[float, float, float]] = []
    rows_left = list(zip(tableau.a[1:], tableau.c[1:], strict=True))
    if not tableau.first_same_as_last:
        rows_left.append((tableau.b, 1))
    for row, c in rows_left:
        x, y = X[run], Y[run]
        for weight, (dx, dy) in zip(row, rates, strict=False):
            x, y = x + DT[run] * float(weight) * dx, y + DT[run] * float(weight) * dy
        calls.append((T + float(c) * DT[run], x, y))
        rates.append(f(*calls[-1], K[run]))
    return calls


@pytest.mark.parametrize("tableau", [OPEN, CLOSED], ids=lambda tableau: tableau.name)
def test_stages_are_evaluated_in_order_at_the_states_and_times_of_the_formula(tableau: ButcherTableau) -> None:
    made = make_step(tableau)
    assert len(made.calls) == (3 if tableau is OPEN else 2)
    for run in range(2):
        asked = [(call.t[run], call.y[0][run], call.y[1][run]) for call in made.calls]
        assert asked == expected_calls(run, tableau)


def test_an_open_method_worked_out_on_paper() -> None:
    made = make_step(OPEN)
    # Run 0, k = 1, dt = 2: k0 = (3, 1); stage 1 at t = 1.5: (2.5, 2.5), k1 = (4, 2.5);
    # stage 2 at t = 2.5: (1 + 2*(3/4 + 4/2), 2 + 2*(1/4 + 2.5/2)) = (6.5, 5), k2 = (7.5, 6.5).
    assert made.y_next.values[:, 0].tolist() == [1 + (3 + 7.5), 2 + (1 + 6.5)]
    assert made.rate_next.values[:, 0].tolist() == [3 + 9.5, 11.5]
    assert made.error.values[:, 0].tolist() == [2 * (1.5 - 4 + 3.75), 2 * (0.5 - 2.5 + 3.25)]
    # Run 1, k = 3, dt = 4: k0 = (2, 0); stage 1 at t = 2: (2, -1), k1 = (5, 2);
    # stage 2 at t = 4: (12, 3), k2 = (15, 12).
    assert made.y_next.values[:, 1].tolist() == [34.0, 23.0]
    assert made.rate_next.values[:, 1].tolist() == [15.0 + 23.0, 34.0]
    assert made.error.values[:, 1].tolist() == [4 * (1 - 5 + 7.5), 4 * (0 - 2 + 6)]
    assert made.status == [0.0, 0.0]


def test_a_closed_method_hands_on_its_last_stage() -> None:
    made = make_step(CLOSED)
    # Run 0: k0 = (3, 1), stage 1 at t = 2: (4, 3), k1 = (5, 4), y_next = (1 + 2*(3 + 15)/4, 2 + 2*(1 + 12)/4).
    assert made.y_next.values[:, 0].tolist() == [10.0, 8.5]
    assert made.rate_next.values[:, 0].tolist() == [3 + 8.5, 10.0]
    assert made.error.values[:, 0].tolist() == [2 * (-3 / 4 + 5 / 2 - 11.5 / 4), 2 * (-1 / 4 + 4 / 2 - 10 / 4)]


@pytest.mark.parametrize("tableau", [OPEN, CLOSED], ids=lambda tableau: tableau.name)
def test_a_step_leaves_its_start_as_it_was_so_that_it_can_be_tried_again(tableau: ButcherTableau) -> None:
    made = make_step(tableau)
    assert made.y.values.tolist() == [list(X), list(Y)]
    assert made.rate.values.tolist() == RATE


def test_without_control_no_error_is_computed_nor_given_memory() -> None:
    made = make_step(OPEN, estimates=False)
    assert made.error.values.size == 0
    assert made.y_next.values.tolist() == make_step(OPEN).y_next.values.tolist()


def test_a_float32_step_computes_in_float32_only() -> None:
    made = make_step(OPEN, precision=np.float32)
    for bank in (made.y_next, made.rate_next, made.error, made.persistent):
        assert bank.rows.dtype == np.float32
    assert made.y_next.values.tolist() == make_step(OPEN).y_next.values.tolist()


def test_dense_output_uses_its_extra_stage_and_the_published_weights() -> None:
    made = make_step(OPEN)
    out, before = scratch(2, 2), len(made.calls)
    parameters, drivers, shared = rows([K]), scratch(0, 2), scratch(0, 2)
    made.functions.prepare_dense(
        reals(T, T),
        reals(*DT),
        made.y,
        made.rate,
        parameters,
        drivers,
        made.y_next,
        made.rate_next,
        out,
        shared,
        made.persistent,
    )
    (extra,) = made.calls[before:]
    # Run 0: k0 = (3, 1), k2 = (7.5, 6.5), k3 = rate_next = (12.5, 11.5): the extra stage stands at t = 2.
    x = 1 + 2 * (3 / 8 + 7.5 / 8 + 12.5 / 4)
    y = 2 + 2 * (1 / 8 + 6.5 / 8 + 11.5 / 4)
    assert (extra.t[0], extra.y[0][0], extra.y[1][0]) == (2.0, x, y)
    k4 = f(2.0, x, y, 1.0)
    for theta in (0.0, 0.25, 0.5, 1.0):
        made.functions.interpolate(
            reals(theta, theta), reals(*DT), made.y, made.rate, made.y_next, made.rate_next, out, shared,
            made.persistent,
        )  # fmt: skip
        square = theta * theta
        dx = (theta - square) * 3 + square * (7.5 / 2 + 12.5 / 4 + k4[0] / 4)
        dy = (theta - square) * 1 + square * (6.5 / 2 + 11.5 / 4 + k4[1] / 4)
        assert out.values[:, 0].tolist() == [1 + 2 * dx, 2 + 2 * dy]


def test_a_method_without_an_interpolant_uses_hermites_cubic() -> None:
    made = make_step(CLOSED)
    out, parameters, drivers, empty, before = scratch(2, 2), rows([K]), scratch(0, 2), scratch(0, 2), len(made.calls)
    made.functions.prepare_dense(
        reals(T, T),
        reals(*DT),
        made.y,
        made.rate,
        parameters,
        drivers,
        made.y_next,
        made.rate_next,
        out,
        empty,
        empty,
    )
    assert len(made.calls) == before
    for theta in (0.0, 0.25, 0.5, 1.0):
        made.functions.interpolate(
            reals(theta, theta), reals(*DT), made.y, made.rate, made.y_next, made.rate_next, out, empty, empty
        )
        basis = ((1 + 2 * theta) * (1 - theta) ** 2, theta * (1 - theta) ** 2, theta**2 * (3 - 2 * theta))
        last = theta**2 * (theta - 1)
        for run in range(2):
            for i in range(2):
                start, slope = made.y.values[i, run], made.rate.values[i, run]
                end, end_slope = made.y_next.values[i, run], made.rate_next.values[i, run]
                expected = basis[0] * start + DT[run] * (basis[1] * slope + last * end_slope) + basis[2] * end
                assert out.values[i, run] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("tableau", ERK_TABLEAUS.values(), ids=lambda tableau: tableau.name)
def test_memory_is_for_stages_only_that_the_loop_does_not_hold(tableau: ButcherTableau) -> None:
    settings = ErkSettings(tableau=tableau, n_states=3, precision=np.float64)
    stage_rates, early_sums = ExplicitRungeKutta.buffers(settings)
    assert early_sums.size == 0
    held = 1 + (tableau.first_same_as_last or tableau.interpolates_stages)
    assert stage_rates.size == 3 * (tableau.n_dense_stages - held)
    assert stage_rates.persistent == tableau.interpolates_stages


def test_an_implicit_tableau_is_refused() -> None:
    midpoint = ButcherTableau(name="implicit midpoint", order=2, a=((F(1, 2),),), b=(1,), c=(F(1, 2),))
    with pytest.raises(TableauError, match=r"'implicit midpoint' must be explicit .* a\[0\]\[0\] = 1/2\. Use a method"):
        ErkSettings(tableau=midpoint, n_states=1, precision=np.float64)


def test_settings_can_be_replaced_by_name() -> None:
    target = ReferenceTarget(width=1)
    rate = RateFunction(SystemSettings(system=SYSTEM, precision=np.float64), target=target)
    factory = ExplicitRungeKutta(ErkSettings(tableau=OPEN, n_states=2, precision=np.float64), rate)
    before = factory.device_function
    assert (factory.settings.n_errors, factory.settings.end) == (1, 3)
    factory.update(tableau=CLOSED, estimates_error=False)
    assert factory.device_function is not before
    assert (factory.settings.n_errors, factory.settings.end, factory.persistent_local_buffer_size) == (0, 2, 0)


@pytest.mark.parametrize(
    ("n_states", "precision", "shared"),
    [
        (44, np.float32, ()),
        (48, np.float32, ("rate",)),
        (64, np.float32, ("y", "error")),
        (191, np.float32, ("y", "error")),
        (192, np.float32, ()),
        (20, np.float64, ()),
        (24, np.float64, ("rate",)),
        (32, np.float64, ("y", "rate")),
        (95, np.float64, ("y", "rate")),
        (96, np.float64, ()),
    ],
)
def test_vectors_too_large_for_registers_stand_in_shared_memory_while_a_warps_fit(
    n_states: int, precision: FloatPrecision, shared: tuple[str, ...]
) -> None:
    settings = ErkSettings(tableau=find_tableau("tsit5"), n_states=n_states, precision=precision)
    assert settings.shared_vectors == shared
    assert LEAST_BLOCK * padded(len(shared) * n_states) * np.dtype(precision).itemsize <= SHARED_BYTES
