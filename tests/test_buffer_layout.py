"""The rules of layout, one by one, on entries alone."""

from dataclasses import FrozenInstanceError
from typing import Final

import numpy as np
import pytest

from cubie._types import Location, Precision
from cubie.buffer_layout import (
    EMPTY_LAYOUT,
    BufferEntry,
    BufferLayout,
    BufferLayoutError,
    BufferRegistrationError,
    ChildRegion,
    lay_out,
)

N: Final = 7


def entry(
    name: str,
    size: int,
    location: Location = "shared",
    *,
    kept: bool = False,
    aliases: str | None = None,
    precision: Precision = np.float64,
) -> BufferEntry:
    return BufferEntry(name=name, size=size, location=location, persistent=kept, aliases=aliases, precision=precision)


def region(name: str, size: int, scratch: int, precision: Precision | None = np.float64) -> ChildRegion:
    return ChildRegion(
        name=f"{name}_shared", child=name, pool="shared", size=size, scratch=scratch, precision=precision
    )


def layout_of(*items: BufferEntry | ChildRegion) -> BufferLayout:
    return lay_out("Toy", items)


def inside(layout: BufferLayout, name: str) -> str | None:
    placed = layout.find(name)
    assert placed is not None
    return placed.inside


def test_aliases_take_their_targets_scratch_from_the_front() -> None:
    """The example of the mission's diagram."""
    layout = layout_of(
        entry("solver_scratch", 100),
        entry("stage_rhs", N, "local", aliases="solver_scratch"),
        entry("increment_cache", N, "local", aliases="solver_scratch"),
    )
    assert layout.shared_slices == {
        "solver_scratch": slice(0, 100),
        "stage_rhs": slice(0, N),
        "increment_cache": slice(N, 2 * N),
    }
    assert (layout.shared.size, layout.persistent_local.size, layout.local_size) == (100, 0, 0)


def test_alias_falls_back_to_own_storage_when_target_is_full() -> None:
    layout = layout_of(
        entry("scratch", 10), entry("first", 8, aliases="scratch"), entry("second", 3, aliases="scratch"), entry("z", 1)
    )
    assert layout.shared_slices == {
        "scratch": slice(0, 10),
        "first": slice(0, 8),
        "second": slice(10, 13),
        "z": slice(13, 14),
    }
    assert inside(layout, "second") is None


def test_an_alias_that_did_not_fit_leaves_room_for_a_smaller_one() -> None:
    layout = layout_of(
        entry("scratch", 10), entry("large", 11, aliases="scratch"), entry("small", 10, aliases="scratch")
    )
    assert inside(layout, "large") is None
    assert inside(layout, "small") == "scratch"


def test_an_alias_of_an_alias_resolves_inside_the_slice_its_target_got() -> None:
    layout = layout_of(
        entry("scratch", 10),
        entry("front", 4, aliases="scratch"),
        entry("back", 6, aliases="scratch"),
        entry("half", 3, aliases="back"),
        entry("other_half", 3, aliases="back"),
        entry("too_much", 1, aliases="back"),
    )
    assert layout.shared_slices["half"] == slice(4, 7)
    assert layout.shared_slices["other_half"] == slice(7, 10)
    assert layout.shared_slices["too_much"] == slice(10, 11)


def test_an_alias_of_a_local_buffer_has_storage_of_its_own_by_its_own_flag() -> None:
    layout = layout_of(
        entry("work", 10, "local"),
        entry("plain", 4, "local", aliases="work"),
        entry("kept", 5, "local", kept=True, aliases="work"),
        entry("moved", 6, "shared", aliases="work"),
    )
    assert layout.local_sizes == {"work": 10, "plain": 4}
    assert layout.persistent_local_slices == {"kept": slice(0, 5)}
    assert layout.shared_slices == {"moved": slice(0, 6)}


def test_an_alias_of_a_persistent_local_buffer_has_storage_of_its_own() -> None:
    layout = layout_of(entry("history", 10, "local", kept=True), entry("work", 4, "local", aliases="history"))
    assert layout.persistent_local_slices == {"history": slice(0, 10)}
    assert layout.local_sizes == {"work": 4}


def test_a_persistent_alias_of_shared_scratch_is_kept_in_shared_storage_of_its_own() -> None:
    layout = layout_of(entry("scratch", 10), entry("kept", 4, "local", kept=True, aliases="scratch"))
    assert layout.shared_slices == {"scratch": slice(0, 10), "kept": slice(10, 14)}
    assert layout.shared.scratch == 10


def test_an_alias_of_a_kept_shared_buffer_has_storage_of_its_own() -> None:
    layout = layout_of(entry("history", 10, kept=True), entry("work", 4, aliases="history"))
    assert layout.shared_slices == {"history": slice(4, 14), "work": slice(0, 4)}


def test_scratch_comes_first_and_kept_entries_last_in_order_of_registration() -> None:
    layout = layout_of(entry("k1", 1, kept=True), entry("s1", 2), entry("k2", 3, kept=True), entry("s2", 4))
    assert layout.shared_slices == {"k1": slice(6, 7), "s1": slice(0, 2), "k2": slice(7, 10), "s2": slice(2, 6)}
    assert layout.shared.scratch == 6


def test_a_local_entry_counts_at_least_one_element() -> None:
    layout = layout_of(entry("none", 0, "local"), entry("three", 3, "local"), entry("empty", 0))
    assert layout.local_size == 4
    assert layout.local_sizes == {"none": 1, "three": 3}
    assert layout.shared.size == 0


def test_the_leading_scratch_of_a_childs_region_can_be_aliased() -> None:
    layout = layout_of(
        entry("first", 4, aliases="solver_shared"),
        entry("second", 3, aliases="solver_shared"),
        entry("third", 3, aliases="solver_shared"),
        entry("own", 2),
        region("solver", size=12, scratch=8),
    )
    assert layout.shared_slices["solver_shared"] == slice(5, 17), "it holds kept entries, so it comes last"
    assert layout.shared_slices["first"] == slice(5, 9)
    assert layout.shared_slices["second"] == slice(9, 12)
    assert layout.shared_slices["third"] == slice(0, 3), "only one element of scratch was left"
    assert layout.shared_slices["own"] == slice(3, 5)
    assert (layout.shared.size, layout.shared.scratch) == (17, 5 + 8)


def test_a_childs_leading_scratch_counts_as_its_parents_whatever_is_kept_beside_it() -> None:
    """So that the parent's parent can alias it: a Jacobian's room stays, when factors are placed behind it."""
    layout = layout_of(
        entry("speed", 1, kept=True), entry("work", 2), region("all_kept", size=3, scratch=0), region("linear", 38, 15)
    )
    assert layout.shared_slices == {
        "work": slice(0, 2),
        "linear_shared": slice(2, 40),
        "speed": slice(40, 41),
        "all_kept_shared": slice(41, 44),
    }
    assert layout.shared.scratch == 2 + 15


def test_a_childs_region_without_kept_entries_is_scratch() -> None:
    layout = layout_of(region("solver", size=12, scratch=12), entry("history", 2, kept=True), entry("work", 3))
    assert layout.shared_slices == {"solver_shared": slice(0, 12), "history": slice(15, 17), "work": slice(12, 15)}
    assert layout.shared.scratch == 15


def test_a_pool_of_mixed_element_types_is_refused_by_the_names_of_both_entries() -> None:
    with pytest.raises(BufferLayoutError, match=r"shared pool of Toy .* float64 for 'rate' and int32 for 'counts'"):
        layout_of(entry("rate", 3), entry("counts", 2, precision=np.int32))
    with pytest.raises(BufferLayoutError, match=r"persistent_local pool .* float32 for 'a' and float64 for 'b'"):
        layout_of(entry("a", 3, "local", kept=True, precision=np.float32), entry("b", 2, "local", kept=True))


def test_an_alias_of_another_element_type_is_refused() -> None:
    with pytest.raises(BufferLayoutError, match="'scratch' and int32 for 'counts'"):
        layout_of(entry("scratch", 3), entry("counts", 2, aliases="scratch", precision=np.int32))


def test_a_childs_region_of_another_element_type_is_refused_unless_it_is_empty() -> None:
    with pytest.raises(BufferLayoutError, match="'rate' and float32 for 'solver_shared'"):
        layout_of(entry("rate", 3), region("solver", 2, 2, np.float32))
    layout = layout_of(entry("rate", 3), region("solver", 0, 0, None))
    solver = layout.find("solver_shared")
    assert solver is not None
    assert solver.placement.precision is np.float64


def test_plain_locals_have_an_element_type_each() -> None:
    layout = layout_of(entry("rate", 3, "local"), entry("counts", 2, "local", precision=np.int32), entry("shared", 1))
    assert [placed.placement.precision for placed in layout.placed] == [np.float64, np.int32, np.float64]


def test_an_alias_of_nothing_is_refused_by_name() -> None:
    with pytest.raises(BufferLayoutError, match="'work' of Toy aliases 'solver_shared', which this factory has not"):
        layout_of(entry("work", 3, aliases="solver_shared"))


def test_a_layout_is_a_value() -> None:
    items = (entry("a", 3), entry("b", 2, "local", kept=True), entry("c", 2, "local"))
    assert layout_of(*items) == layout_of(*items)
    assert hash(layout_of(*items)) == hash(layout_of(*items))
    assert layout_of() == EMPTY_LAYOUT
    assert layout_of(*items).find("d") is None
    with pytest.raises(FrozenInstanceError):
        layout_of(*items).local_size = 3  # type: ignore[misc]  # frozen: that is the point


@pytest.mark.parametrize("size", [-1, True, 2.0, "3", None, np.int64(3)])
def test_a_size_that_is_no_int_of_at_least_zero_is_refused(size: int) -> None:
    with pytest.raises(BufferRegistrationError, match="size of buffer 'a' must be an int of at least 0, got"):
        entry("a", size)


@pytest.mark.parametrize("location", ["local_persistent", "persistent_local", "Shared", "", None, ["shared"]])
def test_a_location_other_than_shared_or_local_is_refused(location: Location) -> None:
    with pytest.raises(BufferRegistrationError, match="location of buffer 'a' must be 'shared' or 'local', got"):
        entry("a", 3, location)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "1a", 3, None])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(BufferRegistrationError, match="must be an identifier, got"):
        entry(name, 3)


@pytest.mark.parametrize("kept", [0, 1, None, "yes"])
def test_a_persistent_flag_that_is_no_bool_is_refused(kept: bool) -> None:
    with pytest.raises(BufferRegistrationError, match="persistent flag of buffer 'a' must be True or False, got"):
        entry("a", 3, kept=kept)


@pytest.mark.parametrize("precision", ["float64", float, int, np.dtype("float64"), np.float16, np.int64, None])
def test_a_precision_other_than_the_three_scalar_types_is_refused(precision: Precision) -> None:
    with pytest.raises(
        BufferRegistrationError, match=r"precision of buffer 'a' must be numpy\.float32, float64 or int32"
    ):
        entry("a", 3, precision=precision)


def test_an_alias_of_itself_is_refused() -> None:
    with pytest.raises(BufferRegistrationError, match="alias of buffer 'a' must be another buffer, got 'a'"):
        entry("a", 3, aliases="a")


def test_an_alias_that_is_no_name_is_refused() -> None:
    with pytest.raises(BufferRegistrationError, match="alias of buffer 'a' must be a name or None, got 3"):
        entry("a", 3, aliases=3)  # type: ignore[arg-type]  # not a name: that is the point


def test_errors_are_value_errors() -> None:
    assert issubclass(BufferRegistrationError, ValueError)
    assert issubclass(BufferLayoutError, ValueError)
