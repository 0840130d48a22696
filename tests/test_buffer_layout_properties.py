"""What holds for every layout: random trees of factories, entries, aliases and changes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from hypothesis import strategies as st

from cubie._types import Location, Vector
from cubie.buffer_layout import BankPool
from cubie.buffer_registry import (
    BufferChanges,
    BufferEntry,
    BufferRegistrationError,
    PlacedBuffer,
)
from tests.buffer_toys import Toy, ToyPersistentBank, ToyRegistry, ToySharedBank, banks_for, values_of
from tests.typed_hypothesis import given

BANKS: Final[tuple[BankPool, ...]] = ("shared", "persistent_local")
LOCATIONS: Final[tuple[Location, ...]] = ("shared", "local")


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """A factory to be made: its entries, then its children, called child0, child1, ..."""

    entries: tuple[BufferEntry, ...]
    children: "tuple[Plan, ...]"


@final
@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one entry of a plan: which child of which child, which entry, and what."""

    path: tuple[int, ...]
    entry: int
    changes: BufferChanges


@st.composite
def plans(draw: st.DrawFn, depth: int = 2) -> Plan:
    """Draw a tree whose entries alias earlier entries, aliases and children's regions, some of them kept."""
    children = tuple(draw(plans(depth - 1)) for _ in range(draw(st.integers(0, 2)) if depth > 0 else 0))
    targets: list[str | None] = [None, *(f"child{index}_shared" for index in range(len(children)))]
    entries: list[BufferEntry] = []
    for index in range(draw(st.integers(1, 5))):
        entry = BufferEntry(
            name=f"b{index}",
            size=draw(st.integers(0, 9)),
            location=draw(st.sampled_from(LOCATIONS)),
            persistent=draw(st.sampled_from((False, False, True))),
            aliases=draw(st.sampled_from(targets)),
            precision=np.float64,
        )
        entries.append(entry)
        targets.append(entry.name)
    if draw(st.booleans()):
        entries.append(BufferEntry(name="count", size=1, location="local", precision=np.int32))
    return Plan(tuple(entries), children)


def nodes(plan: Plan, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Plan]]:
    """Yield every factory of a plan with the way to it."""
    yield path, plan
    for index, child in enumerate(plan.children):
        yield from nodes(child, (*path, index))


@st.composite
def edits(draw: st.DrawFn) -> tuple[Plan, Edit]:
    """Draw a plan and a valid change of one of its entries."""
    plan = draw(plans())
    path, node = draw(st.sampled_from(tuple(nodes(plan))))
    index = draw(st.sampled_from([i for i, entry in enumerate(node.entries) if entry.name != "count"]))
    earlier = [None, *(f"b{i}" for i in range(index)), *(f"child{i}_shared" for i in range(len(node.children)))]
    options: list[BufferChanges] = [
        {"size": draw(st.integers(0, 9))},
        {"location": draw(st.sampled_from(LOCATIONS))},
        {"persistent": draw(st.booleans())},
        {"aliases": draw(st.sampled_from(earlier))},
        {"size": draw(st.integers(0, 9)), "aliases": None, "persistent": True},
    ]
    return plan, Edit(path, index, draw(st.sampled_from(options)))


def edited(plan: Plan, edit: Edit, path: tuple[int, ...] = ()) -> Plan:
    """Return the plan as it would have been drawn with the change in it."""
    entries = list(plan.entries)
    if path == edit.path:
        entries[edit.entry] = replace(entries[edit.entry], **edit.changes)
    children = tuple(edited(child, edit, (*path, index)) for index, child in enumerate(plan.children))
    return Plan(tuple(entries), children)


def make(registry: ToyRegistry, plan: Plan) -> Toy:
    """Build the factories of a plan, parents before children."""
    root = Toy()
    fill(registry, root, plan)
    return root


def fill(registry: ToyRegistry, toy: Toy, plan: Plan) -> None:
    """Give a factory what its plan says, measuring it while its children are still empty: that must not stick."""
    registry.declare(toy, plan.entries)
    made = [toy.adopt(registry, f"child{index}", Toy()) for index in range(len(plan.children))]
    registry.layout(toy)
    for child, below in zip(made, plan.children, strict=True):
        fill(registry, child, below)


def toys(root: Toy) -> Iterator[Toy]:
    """Yield a factory and all below it."""
    yield root
    for child in root.children.values():
        yield from toys(child)


def at(root: Toy, path: tuple[int, ...]) -> Toy:
    """Return the factory at the end of a way through a plan."""
    for index in path:
        root = root.children[f"child{index}"]
    return root


def chain(placed: PlacedBuffer, by_name: dict[str, PlacedBuffer]) -> Iterator[str]:
    """Yield the buffers of whose slices this one's is a part, nearest first."""
    while placed.inside is not None:
        yield placed.inside
        placed = by_name[placed.inside]


def overlap(one: PlacedBuffer, other: PlacedBuffer) -> bool:
    """Tell whether two buffers of one factory share an element."""
    a, b = one.placement, other.placement
    if a.pool == "local" or a.pool != b.pool:
        return False
    return max(a.start, b.start) < min(a.start + a.size, b.start + b.size)


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """A buffer that isn't a region, in elements from the start of the root's pool."""

    pool: BankPool
    elements: frozenset[int]
    kept: bool
    is_alias: bool


def leaves(registry: ToyRegistry, toy: Toy, shared: int = 0, persistent: int = 0) -> Iterator[Leaf]:
    """Yield all buffers of a tree that stand in one of the two pools."""
    layout = registry.layout(toy)
    for placed in layout.placed:
        place = placed.placement
        if place.pool == "local" or placed.child is not None:
            continue
        start = place.start + (shared if place.pool == "shared" else persistent)
        yield Leaf(place.pool, frozenset(range(start, start + place.size)), place.kept, placed.inside is not None)
    for name, child in toy.children.items():
        below_shared = shared + layout.shared_slices[f"{name}_shared"].start
        below_persistent = persistent + layout.persistent_local_slices[f"{name}_persistent"].start
        yield from leaves(registry, child, below_shared, below_persistent)


@given(plans())
def test_buffers_overlap_only_along_a_chain_of_aliases(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    for toy in toys(root):
        placed = registry.layout(toy).placed
        by_name = {buffer.name: buffer for buffer in placed}
        for one in placed:
            for other in placed:
                if one is not other and overlap(one, other):
                    assert other.name in chain(one, by_name) or one.name in chain(other, by_name)


@given(plans())
def test_every_alias_lies_in_its_targets_scratch_or_has_its_own_storage(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    for toy in toys(root):
        layout = registry.layout(toy)
        by_name = {buffer.name: buffer for buffer in layout.placed}
        for alias in layout.placed:
            if alias.inside is None:
                continue
            target = by_name[alias.inside]
            scratch = target.placement.size
            if target.child is not None:
                scratch = registry.layout(toy.children[target.child]).shared.scratch
            assert alias.inside == alias.aliases
            assert alias.placement.pool == target.placement.pool == "shared"
            assert not alias.placement.kept
            assert target.placement.start <= alias.placement.start
            assert alias.placement.start + alias.placement.size <= target.placement.start + scratch


@given(plans())
def test_an_alias_of_shared_scratch_has_its_own_storage_only_when_too_little_is_left(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    for toy in toys(root):
        layout = registry.layout(toy)
        by_name = {buffer.name: buffer for buffer in layout.placed}
        taken: dict[str, int] = dict.fromkeys(by_name, 0)
        for alias in layout.placed:
            if alias.aliases is None or by_name[alias.aliases].placement.pool != "shared":
                continue
            target = by_name[alias.aliases]
            if target.child is not None and target.placement.size == 0:  # the child has nothing to be aliased
                assert alias.inside is None
                continue
            scratch = 0 if target.placement.kept else target.placement.size
            if target.child is not None:
                scratch = registry.layout(toy.children[target.child]).shared.scratch
            fits = taken[target.name] + alias.placement.size <= scratch and not alias.placement.kept
            assert alias.placement.pool == "shared"
            assert (alias.inside is not None) == fits
            taken[target.name] += alias.placement.size if fits else 0


@given(plans())
def test_nothing_overlaps_a_kept_buffer_at_any_depth(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    everything = list(leaves(registry, root))
    for kept in everything:
        if kept.kept:
            others = [leaf for leaf in everything if leaf is not kept and leaf.pool == kept.pool]
            assert not any(kept.elements & other.elements for other in others)


@given(plans())
def test_totals_are_the_ends_of_the_last_slices(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    for toy in toys(root):
        layout = registry.layout(toy)
        assert registry.shared_buffer_size(toy) == max((part.stop for part in layout.shared_slices.values()), default=0)
        assert registry.persistent_local_buffer_size(toy) == max(
            (part.stop for part in layout.persistent_local_slices.values()), default=0
        )


@given(plans())
def test_the_local_total_counts_at_least_one_element_for_each_entry(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    for (_, node), toy in zip(nodes(plan), toys(root), strict=True):
        local = registry.layout(toy).local_sizes
        sizes = {entry.name: entry.size for entry in node.entries}
        assert registry.local_buffer_size(toy) == sum(max(sizes[name], 1) for name in local)


@given(plans())
def test_scratch_comes_first_then_parts_that_begin_with_it_then_what_is_kept(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    for toy in toys(root):
        for pool in BANKS:
            own = [buffer for buffer in registry.layout(toy).placed if buffer.inside is None]
            in_pool = [buffer for buffer in own if buffer.placement.pool == pool]
            scratch = [buffer.placement for buffer in in_pool if not buffer.placement.kept]
            kept = [buffer for buffer in in_pool if buffer.placement.kept]
            mixed = [buffer for buffer in kept if pool == "shared" and begins_with_scratch(registry, toy, buffer)]
            behind = [buffer for buffer in kept if buffer not in mixed]
            position = 0
            for placement in [*scratch, *(buffer.placement for buffer in [*mixed, *behind])]:
                assert placement.start == position
                position += placement.size


def begins_with_scratch(registry: ToyRegistry, toy: Toy, region: PlacedBuffer) -> bool:
    """Tell whether a buffer is the region of a child that has scratch."""
    return region.child is not None and registry.layout(toy.children[region.child]).shared.scratch > 0


@given(edits())
def test_a_change_and_its_reverse_give_the_same_layout(drawn: tuple[Plan, Edit]) -> None:
    plan, edit = drawn
    registry = ToyRegistry()
    root = make(registry, plan)
    before = [registry.layout(toy) for toy in toys(root)]
    entry = next(node for path, node in nodes(plan) if path == edit.path).entries[edit.entry]
    registry.update_buffer(entry.name, at(root, edit.path), **edit.changes)
    registry.layout(root)
    registry.update_buffer(
        entry.name,
        at(root, edit.path),
        size=entry.size,
        location=entry.location,
        persistent=entry.persistent,
        aliases=entry.aliases,
    )
    assert [registry.layout(toy) for toy in toys(root)] == before


@given(edits())
def test_a_change_at_any_depth_gives_the_layout_of_a_tree_made_that_way(drawn: tuple[Plan, Edit]) -> None:
    plan, edit = drawn
    registry, afresh = ToyRegistry(), ToyRegistry()
    root, expected = make(registry, plan), make(afresh, edited(plan, edit))
    registry.layout(root)
    registry.update_buffer(f"b{edit.entry}", at(root, edit.path), **edit.changes)
    assert [registry.layout(toy) for toy in toys(root)] == [afresh.layout(toy) for toy in toys(expected)]


@given(st.tuples(edits(), st.sampled_from(range(5))))
def test_a_failed_change_leaves_every_layout_as_it_was(drawn: tuple[tuple[Plan, Edit], int]) -> None:
    (plan, edit), fault = drawn
    registry = ToyRegistry()
    root = make(registry, plan)
    before = [registry.layout(toy) for toy in toys(root)]
    name, toy = f"b{edit.entry}", at(root, edit.path)
    faults: tuple[BufferChanges, ...] = (
        {"size": -1},
        {"size": 3, "aliases": "nowhere"},
        {"size": 3, "aliases": name},
        {"location": "shared", "size": -2},
        {"persistent": True, "aliases": "b9"},
    )
    try:
        registry.update_buffer(name, toy, **faults[fault])
    except BufferRegistrationError:
        assert all(registry.layout(toy) is old for toy, old in zip(toys(root), before, strict=True))
    else:
        raise AssertionError("the faulty change was taken")


@given(st.tuples(plans(), st.randoms(use_true_random=False).map(lambda random: random.random())))
def test_layouts_do_not_depend_on_what_is_asked_first(drawn: tuple[Plan, float]) -> None:
    plan, turn = drawn
    one, other = ToyRegistry(), ToyRegistry()
    root, twin = make(one, plan), make(other, plan)
    there, everywhere = list(toys(twin)), list(toys(root))
    first = int(turn * len(there))
    for toy in there[first:] + there[:first]:
        other.layout(toy)
    assert [one.layout(toy) for toy in everywhere] == [other.layout(toy) for toy in there]


@given(plans())
def test_an_unchanged_tree_answers_with_the_same_objects(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    first = [registry.layout(toy) for toy in toys(root)]
    assert all(registry.layout(toy) is layout for toy, layout in zip(toys(root), first, strict=True))


@given(plans())
def test_dropped_factories_leave_no_context(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    layouts = [registry.layout(toy) for toy in toys(root)]
    allocators = [registry.get_allocator("b0", toy) for toy in toys(root)]
    assert len(registry) == len(layouts) == len(allocators)
    del root
    assert len(registry) == 0


def hand_out(
    registry: ToyRegistry, toy: Toy, shared: ToySharedBank, persistent: ToyPersistentBank
) -> Iterator[tuple[PlacedBuffer, Vector]]:
    """Run the allocators of a tree, as device code would; yield its buffers."""
    layout = registry.layout(toy)
    for placed in layout.placed:
        if placed.child is None:
            yield placed, registry.get_allocator(placed.name, toy)(shared, persistent)
    for name, child in toy.children.items():
        take_shared, take_persistent = registry.get_child_allocators(name, toy, child)
        below = take_shared(shared, persistent), take_persistent(shared, persistent)
        yield from hand_out(registry, child, ToySharedBank(values_of(below[0])), ToyPersistentBank(values_of(below[1])))


@given(plans())
def test_what_is_written_through_one_allocator_is_not_clobbered_through_others(plan: Plan) -> None:
    registry = ToyRegistry()
    root = make(registry, plan)
    handed = list(hand_out(registry, root, *banks_for(registry, root)))
    owners = [(placed, vector) for placed, vector in handed if placed.inside is None]
    for number, (_, vector) in enumerate(owners, 1):
        values_of(vector)[:] = number
    for number, (placed, vector) in enumerate(owners, 1):
        assert values_of(vector).shape == (placed.placement.size,)
        assert bool((values_of(vector) == number).all())
    for placed, vector in handed:
        if placed.inside is not None:
            values_of(vector)[:] = -1
    for number, (placed, vector) in enumerate(owners, 1):
        if placed.placement.kept:
            assert bool((values_of(vector) == number).all())
