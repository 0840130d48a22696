"""What a context accepts, what it refuses, and that a refusal leaves it as it was."""

import gc

import numpy as np
import pytest

from cubie.buffer_context import BufferContext, UnknownBufferError
from cubie.buffer_layout import BufferEntry, BufferLayout, BufferLayoutError, BufferRegistrationError, PoolLayout
from tests.buffer_toys import Toy


def entry(name: str, size: int = 3, aliases: str | None = None) -> BufferEntry:
    return BufferEntry(name=name, size=size, location="shared", aliases=aliases, precision=np.float64)


def context_of(*entries: BufferEntry) -> BufferContext[Toy]:
    context: BufferContext[Toy] = BufferContext("Toy")
    context.declare(entries)
    return context


def slot(context: BufferContext[Toy]) -> BufferLayout | None:
    return context.layout


def test_a_name_is_taken_once() -> None:
    context = context_of(entry("a"))
    with pytest.raises(BufferRegistrationError, match="got 'a' twice"):
        context.add(entry("a"))
    with pytest.raises(BufferRegistrationError, match="got 'b' twice"):
        context.declare((entry("b"), entry("b")))
    assert list(context.items) == ["a"]


def test_an_alias_names_an_entry_registered_before() -> None:
    context = context_of(entry("stage_rates"))
    message = "buffer 'work' of Toy aliases 'stage_rate', which this factory has not registered before it. "
    with pytest.raises(BufferRegistrationError, match=message + ".* Did you mean 'stage_rates'"):
        context.add(entry("work", aliases="stage_rate"))
    with pytest.raises(BufferRegistrationError, match="aliases 'b'"):
        context.declare((entry("a", aliases="b"), entry("b")))


def test_a_change_cannot_make_aliases_go_round() -> None:
    context = context_of(entry("a"), entry("b", aliases="a"))
    with pytest.raises(BufferRegistrationError, match="'a' of Toy aliases 'b'"):
        context.change("a", {"aliases": "b"})


def test_declared_entries_may_await_a_childs_region() -> None:
    context = context_of(entry("work", aliases="solver_shared"))
    context.change("work", {"size": 5})
    with pytest.raises(BufferRegistrationError, match="aliases 'newton_shared'"):
        context.add(entry("other", aliases="newton_shared"))


def test_a_change_empties_the_slot_and_no_change_leaves_it() -> None:
    context = context_of(entry("a"))
    context.layout = made = BufferLayout()
    context.change("a", {"size": 3})
    assert slot(context) is made
    context.change("a", {"size": 4})
    assert slot(context) is None


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(BufferRegistrationError, match=r"got 'sise'. Did you mean 'size'"):
        context_of(entry("a")).change("a", {"sise": 4})  # type: ignore[typeddict-unknown-key]  # that is the point
    with pytest.raises(BufferRegistrationError, match=r"got 'name'. Nothing else can be changed"):
        context_of(entry("a")).change("a", {"name": "b"})  # type: ignore[typeddict-unknown-key]  # that is the point


def test_a_refused_change_leaves_everything_as_it_was() -> None:
    context = context_of(entry("a"), entry("b"))
    before, context.layout = dict(context.items), BufferLayout()
    for name, faulty in (("a", -1), ("c", 3)):
        with pytest.raises((BufferRegistrationError, UnknownBufferError)):
            context.change(name, {"size": faulty, "location": "local"})
    assert context.items == before
    assert context.moved == {}
    assert slot(context) is not None


def test_chosen_locations_outlive_the_entries() -> None:
    context = context_of(entry("a"), entry("b"))
    context.change("a", {"location": "local"})
    context.declare((entry("b"),))
    context.declare((entry("a", size=9), entry("b")))
    assert context.entry("a") == BufferEntry(name="a", size=9, location="local", precision=np.float64)
    assert context.entry("b").location == "shared"


def test_declaring_anew_keeps_the_children() -> None:
    context, child = context_of(entry("a")), Toy()
    context.add_child("solver", child, persistent=True, replaces=False)
    context.declare((entry("b"), entry("c", aliases="solver_shared")))
    assert list(context.items) == ["b", "c", "solver_shared", "solver_persistent"]
    assert context.part("solver").factory() is child


def test_a_childs_regions_can_neither_be_fetched_nor_changed_as_buffers() -> None:
    context, child = context_of(), Toy()
    context.add_child("solver", child, persistent=True, replaces=False)
    for name in ("solver_shared", "solver_persistent"):
        with pytest.raises(BufferRegistrationError, match=f"'{name}' of Toy must be its own, got the region of child"):
            context.change(name, {"size": 4})


def test_a_childs_name_is_checked_before_anything_is_stored() -> None:
    context, child = context_of(entry("solver_persistent"), entry("a")), Toy()
    with pytest.raises(BufferRegistrationError, match="got 'solver_persistent' twice"):
        context.add_child("solver", child, persistent=True, replaces=False)
    with pytest.raises(BufferRegistrationError, match=r"must be an identifier, got 'a.b'"):
        context.add_child("a.b", child, persistent=True, replaces=False)
    with pytest.raises(UnknownBufferError, match="no child 'newton'"):
        context.add_child("newton", child, persistent=True, replaces=True)
    assert list(context.items) == ["solver_persistent", "a"]


def test_unknown_names_are_answered_with_the_nearest() -> None:
    context, child = context_of(entry("stage_rates")), Toy()
    context.add_child("solver", child, persistent=True, replaces=False)
    with pytest.raises(UnknownBufferError, match=r"Toy has no buffer 'stage_rate'. Did you mean 'stage_rates'"):
        context.entry("stage_rate")
    with pytest.raises(UnknownBufferError, match=r"Toy has no child 'solvers'. Did you mean 'solver'"):
        context.part("solvers")
    assert issubclass(UnknownBufferError, LookupError)


def test_a_context_holds_no_child() -> None:
    context, child = context_of(), Toy()
    context.add_child("solver", child, persistent=True, replaces=False)
    del child
    gc.collect()
    with pytest.raises(BufferLayoutError, match="child 'solver' of Toy must live as long as its parent, got a dropped"):
        context.part("solver").alive("Toy")


def test_a_share_that_was_not_granted_is_refused_when_it_is_needed() -> None:
    context, child = context_of(), Toy()
    context.add_child("solver", child, persistent=False, replaces=False)
    shared, kept = context.parts
    needy = BufferLayout(shared=PoolLayout(size=4, scratch=2), persistent_local=PoolLayout(size=2))
    assert shared.measure("Loop", needy).size == 4
    with pytest.raises(BufferLayoutError, match=r"child 'solver' of Loop must do without .* got a Toy that needs 2"):
        kept.measure("Loop", needy)
    assert kept.measure("Loop", BufferLayout()).size == 0
