"""The reference target: what it lets pass, and what it finds."""

from typing import Final

import numpy as np
import pytest

from cubie import create_ode_system
from cubie._types import Mask, Placement, Pool, Precision
from cubie.targets.base import poison_value
from cubie.targets.reference import ReferenceBank, ReferenceTarget
from tests.batches import recorded_rates, solve_on
from tests.reference_rows import Rows, counts, floats, mask, reals, rows, scratch

DECAY: Final = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0})


def test_a_branch_on_a_mask_is_found() -> None:
    target = ReferenceTarget(width=2)

    def branches(condition: Mask) -> float:
        return 1.0 if condition else 0.0  # type: ignore[truthy-bool]  # the mistake that is to be found

    with pytest.raises(ValueError, match="truth value of an array"):
        target.device(branches)(mask(True, False))


def test_device_functions_stay_the_plain_python_they_were() -> None:
    def body(x: float) -> float:
        return x

    assert ReferenceTarget().device(body) is body


def test_a_row_of_a_bank_is_a_copy_and_a_slice_a_view() -> None:
    bank = rows([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    row, part = bank[1], bank[1:3]
    bank[1] = np.array([7.0, 8.0])
    assert floats(row) == [3.0, 4.0]
    assert floats(part[0]) == [7.0, 8.0]
    part[1] = np.array([9.0, 10.0])
    assert floats(bank[2]) == [9.0, 10.0]


def test_values_are_stored_for_the_runs_of_the_mask_only() -> None:
    array = np.zeros(6)
    ReferenceTarget(width=3).functions["store_at"](
        array, counts(4, 1, 5), reals(1.0, 2.0, 3.0), mask(True, False, True)
    )
    assert array.tolist() == [0, 0, 0, 0, 1, 3]


def test_runs_that_follow_those_that_ended_are_told_from_each_other() -> None:
    functions = ReferenceTarget(width=5).functions
    ended = mask(True, False, True, True, False)
    assert floats(functions["rank"](ended)) == [0, 1, 1, 2, 3]
    assert functions["count"](ended) == 3
    assert floats(functions["side_by_side"](7)) == [7, 8, 9, 10, 11]


@pytest.mark.parametrize(("a", "b", "least", "most"), [(1.0, 2.0, 1.0, 2.0), (np.nan, 2.0, 2.0, 2.0)])
def test_the_first_of_two_is_taken_only_if_it_is_smaller_or_larger(
    a: float, b: float, least: float, most: float
) -> None:
    """As the compilers' compare and select: a NaN in the first place loses, one in the second wins."""
    functions = ReferenceTarget(width=1).functions
    assert floats(functions["minimum"](reals(a), reals(b))) == [least]
    assert floats(functions["maximum"](reals(a), reals(b))) == [most]
    assert np.isnan(floats(functions["minimum"](reals(b), reals(np.nan)))[0])
    assert np.isnan(floats(functions["maximum"](reals(b), reals(np.nan)))[0])


def test_a_counter_stays_a_32_bit_integer() -> None:
    counted = ReferenceTarget(width=2).functions["increment"](counts(4, 5), mask(True, False))
    assert np.asarray(counted).dtype == np.int32
    assert floats(counted) == [5, 5]


def test_multiply_adds_are_rounded_once_in_float32() -> None:
    fma = ReferenceTarget(width=1).functions["fma"]
    a = reals(1 + 2.0**-12, precision=np.float32)
    rest = fma(a, a, reals(-(1 + 2.0**-11), precision=np.float32))
    assert np.asarray(rest).dtype == np.float32
    assert floats(rest) == [2.0**-24]


@pytest.mark.parametrize("pool", ["shared", "persistent_local", "local"])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("precision", [np.float32, np.float64, np.int32])
def test_poison_fills_scratch_at_every_hand_out_and_nothing_that_is_kept(
    pool: Pool, kept: bool, precision: Precision
) -> None:
    if kept and pool == "local":
        return  # plain locals don't outlive a call
    target = ReferenceTarget(width=2, poison=True)
    allocate = target.allocator(Placement(pool=pool, start=1, size=2, precision=precision, kept=kept))
    shared, persistent = (Rows(np.zeros((4, 2), precision)) for _ in range(2))
    handed = allocate(shared, persistent)
    assert isinstance(handed, ReferenceBank)
    bad = np.full((2, 2), poison_value(precision), precision)
    np.testing.assert_array_equal(handed.rows, np.zeros((2, 2), precision) if kept else bad)
    bank = {"shared": shared, "persistent_local": persistent}.get(pool)
    if bank is not None:
        np.testing.assert_array_equal(bank.rows[[0, 3]], np.zeros((2, 2), precision))
        assert np.shares_memory(handed.rows, bank.rows)


def test_a_buffer_of_no_size_can_be_handed_out() -> None:
    allocate = ReferenceTarget(width=3).allocator(
        Placement(pool="local", start=0, size=0, precision=np.float64, kept=False)
    )
    handed = allocate(scratch(0, 3), scratch(0, 3))
    assert isinstance(handed, ReferenceBank)
    assert handed.rows.shape[1] == 3


def test_a_batch_of_another_size_than_the_width_is_solved_whole() -> None:
    k = np.linspace(0.5, 2.0, 7)
    for width in (1, 3, 7, 20):
        solution = solve_on(ReferenceTarget(width=width), DECAY, (0.0, 1.0), parameters={"k": k})
        np.testing.assert_allclose(solution["x"][-1], np.exp(-k), rtol=1e-6)


def test_probes_see_every_evaluation() -> None:
    with recorded_rates() as calls:
        solve_on(ReferenceTarget(width=1), DECAY, (0.0, 1.0), method="rk4", first_step=0.5)
    assert [call.t[0] for call in calls] == [0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0]
    assert calls[0].y == ((1.0,),)
