"""The registry: whose buffers, whose children, who is kept alive, and the faults that systems of this kind have had."""

import copy
import gc
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import assert_type
from weakref import ref

import numpy as np
import pytest

from cubie._types import Location, Precision
from cubie.buffer_registry import (
    BufferEntry,
    BufferLayoutError,
    BufferRegistrationError,
    BufferRegistry,
    Registry,
    UnknownBufferError,
    buffer_registry,
)
from tests.buffer_toys import Toy, ToyPersistentBank, ToyRegistry, ToySharedBank, ToyTarget, banks_for, values_of

F64: Precision = np.float64


@pytest.fixture
def registry() -> ToyRegistry:
    return ToyRegistry()


def tree(registry: ToyRegistry) -> tuple[Toy, Toy, Toy]:
    """Return a loop, its step and the step's solver, each with a shared scratch and a kept local buffer."""
    loop, step, solver = Toy(), Toy(), Toy()
    for toy, size in ((loop, 3), (step, 5), (solver, 7)):
        registry.register("scratch", toy, size, "shared", precision=F64)
        registry.register("history", toy, size - 2, "local", persistent=True, precision=F64)
    loop.adopt(registry, "step", step)
    step.adopt(registry, "solver", solver)
    return loop, step, solver


def test_the_singleton_is_the_public_type() -> None:
    assert isinstance(buffer_registry, Registry)
    assert_type(buffer_registry, BufferRegistry)


def test_factories_are_told_apart_by_identity(registry: ToyRegistry) -> None:
    one, other = Toy(), Toy()
    registry.register("a", one, 3, "shared", precision=F64)
    registry.register("a", other, 4, "shared", precision=F64)
    assert (registry.shared_buffer_size(one), registry.shared_buffer_size(other)) == (3, 4)
    assert one in registry
    assert Toy() not in registry


def test_a_factory_that_defines_equality_is_refused() -> None:
    @dataclass(frozen=True)
    class Equal:
        target: ToyTarget

    registry: Registry[Equal] = Registry()
    with pytest.raises(BufferRegistrationError, match="must be equal to itself only, got Equal"):
        registry.register("a", Equal(ToyTarget()), 3, "shared", precision=F64)
    assert len(registry) == 0


def test_a_registry_can_be_neither_copied_nor_pickled(registry: ToyRegistry) -> None:
    for refuse in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="must stay one object"):
            refuse(registry)


def test_dropped_factories_leave_no_context_whatever_was_fetched(registry: ToyRegistry) -> None:
    """PITFALL 4: the registry and the memory pool kept dropped solvers and their device memory alive."""
    loop, step, solver = tree(registry)
    kept = (
        registry.layout(loop),
        registry.report(loop),
        registry.get_allocator("scratch", loop),
        registry.get_child_allocators("step", loop, step),
    )
    watch = [ref(toy) for toy in (loop, step, solver)]
    del loop, step, solver
    gc.collect()
    assert [dead() for dead in watch] == [None, None, None]
    assert len(registry) == 0
    assert len(kept) == 4


def test_a_child_that_only_the_registry_knows_is_reported_dropped(registry: ToyRegistry) -> None:
    loop = Toy()
    registry.register_child("step", loop, Toy())
    gc.collect()
    with pytest.raises(BufferLayoutError, match="child 'step' of Toy must live as long as its parent"):
        registry.layout(loop)


def test_clearing_a_factory_forgets_its_buffers_and_chosen_locations(registry: ToyRegistry) -> None:
    toy = Toy()
    registry.clear(toy)
    registry.register("a", toy, 3, "shared", precision=F64)
    registry.update_buffer("a", toy, location="local")
    registry.clear(toy)
    assert toy not in registry
    registry.register("a", toy, 3, "shared", precision=F64)
    assert registry.shared_buffer_size(toy) == 3


def test_registration_from_many_threads_loses_nothing(registry: ToyRegistry) -> None:
    toy, barrier = Toy(), Barrier(8)

    def work(thread: int) -> None:
        mine = Toy()
        barrier.wait()
        for number in range(50):
            registry.register(f"b{thread}_{number}", toy, 1, "shared", precision=F64)
            registry.register(f"b{number}", mine, 1, "local", precision=F64)
            registry.update_buffer(f"b{thread}_{number}", toy, size=2)
            registry.layout(toy)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, thread) for thread in range(8)]:
            done.result()
    layout = registry.layout(toy)
    assert layout.shared.size == 800
    assert sorted(part.start for part in layout.shared_slices.values()) == list(range(0, 800, 2))


def test_a_failed_registration_leaves_no_context(registry: ToyRegistry) -> None:
    toy = Toy()
    with pytest.raises(BufferRegistrationError, match="size of buffer 'a'"):
        registry.register("a", toy, -1, "shared", precision=F64)
    with pytest.raises(BufferRegistrationError, match="aliases 'b'"):
        registry.register("a", toy, 1, "shared", aliases="b", precision=F64)
    with pytest.raises(BufferRegistrationError, match="must not contain it"):
        registry.register_child("self", toy, toy)
    assert toy not in registry


def test_a_change_of_an_unregistered_factory_is_ignored(registry: ToyRegistry) -> None:
    toy = Toy()
    registry.update_buffer("a", toy, size=-3)
    assert toy not in registry


def test_a_change_of_an_unknown_name_is_an_error(registry: ToyRegistry) -> None:
    loop, _, _ = tree(registry)
    with pytest.raises(UnknownBufferError, match=r"Toy has no buffer 'scratsh'\. Did you mean 'scratch'"):
        registry.update_buffer("scratsh", loop, size=3)


def test_a_layout_is_remade_after_a_change_only(registry: ToyRegistry) -> None:
    loop, step, _ = tree(registry)
    first, of_step = registry.layout(loop), registry.layout(step)
    assert registry.layout(loop) is first
    registry.update_buffer("scratch", loop, size=3)
    assert registry.layout(loop) is first
    registry.update_buffer("scratch", loop, size=4)
    assert registry.layout(loop) is not first
    assert registry.layout(step) is of_step


def test_a_factory_without_buffers_needs_no_memory(registry: ToyRegistry) -> None:
    toy = Toy()
    sizes = registry.shared_buffer_size, registry.local_buffer_size, registry.persistent_local_buffer_size
    assert [size(toy) for size in sizes] == [0, 0, 0]
    assert registry.layout(toy) is registry.layout(Toy())


def test_the_alias_follows_when_its_target_moves(registry: ToyRegistry) -> None:
    toy = Toy()
    registry.register("work", toy, 5, "shared", precision=F64)
    registry.register("cache", toy, 3, "local", aliases="work", precision=F64)
    assert registry.layout(toy).shared_slices == {"work": slice(0, 5), "cache": slice(0, 3)}
    registry.update_buffer("work", toy, location="local")
    assert registry.layout(toy).local_sizes == {"work": 5, "cache": 3}
    registry.update_buffer("work", toy, location="shared", persistent=True)
    assert registry.layout(toy).shared_slices == {"work": slice(3, 8), "cache": slice(0, 3)}


def test_a_buffer_is_moved_by_its_path(registry: ToyRegistry) -> None:
    loop, _, solver = tree(registry)
    registry.relocate(loop, "step.solver.history", "shared")
    registry.relocate(loop, "scratch", "local")
    assert registry.layout(solver).shared_slices == {"scratch": slice(0, 7), "history": slice(7, 12)}
    assert registry.persistent_local_buffer_size(loop) == 1 + 3
    assert registry.local_buffer_size(loop) == 3


def test_a_chosen_place_survives_new_entries_by_name(registry: ToyRegistry) -> None:
    loop, step, _ = tree(registry)
    registry.relocate(loop, "step.scratch", "local")
    registry.declare(step, [])
    assert registry.local_buffer_size(step) == 0
    registry.declare(step, [BufferEntry(name="scratch", size=8, location="shared", precision=F64)])
    assert registry.layout(step).local_sizes == {"scratch": 8}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("step.solvers.history", r"Toy has no child 'solvers'\. Did you mean 'solver'"),
        ("step.solver.histori", r"Toy has no buffer 'histori'\. Did you mean 'history'"),
        ("step", r"Toy has no buffer 'step'\."),
        ("step.solver.scratch.x", r"Toy has no child 'scratch'\."),
        ("", r"Toy has no buffer ''\."),
        ("bare.work", r"Toy has no buffer 'work'\."),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_with_the_nearest_name(
    registry: ToyRegistry, path: str, message: str
) -> None:
    loop, _, _ = tree(registry)
    loop.adopt(registry, "bare", Toy())
    with pytest.raises(UnknownBufferError, match=message):
        registry.relocate(loop, path, "shared")


def test_a_childs_region_cannot_be_moved(registry: ToyRegistry) -> None:
    loop, _, _ = tree(registry)
    with pytest.raises(BufferRegistrationError, match="must be its own, got the region of child 'step'"):
        registry.relocate(loop, "step_shared", "local")


def test_a_childs_regions_have_exactly_its_totals(registry: ToyRegistry) -> None:
    loop, step, solver = tree(registry)
    assert registry.layout(loop).shared_slices == {"scratch": slice(0, 3), "step_shared": slice(3, 15)}
    assert registry.layout(loop).persistent_local_slices == {"history": slice(0, 1), "step_persistent": slice(1, 9)}
    assert registry.shared_buffer_size(step) == 5 + registry.shared_buffer_size(solver) == 12
    assert registry.local_buffer_size(loop) == 0


def test_a_child_may_serve_two_parents(registry: ToyRegistry) -> None:
    step, loop, rhs = Toy(), Toy(), Toy()
    registry.register("terms", rhs, 4, "shared", precision=F64)
    step.adopt(registry, "rhs", rhs)
    loop.adopt(registry, "rhs", rhs)
    loop.adopt(registry, "step", step)
    assert registry.layout(loop).shared_slices == {"rhs_shared": slice(0, 4), "step_shared": slice(4, 8)}


def test_a_parent_cannot_stand_below_its_child(registry: ToyRegistry) -> None:
    loop, _, solver = tree(registry)
    with pytest.raises(BufferRegistrationError, match="child 'loop' of Toy must not contain it, got the Toy above it"):
        registry.register_child("loop", solver, loop)
    with pytest.raises(BufferRegistrationError, match="must not contain it"):
        registry.replace_child("step", loop, loop)
    assert registry.shared_buffer_size(loop) == 15


def test_a_child_without_a_grant_needs_no_persistent_storage_or_is_refused(registry: ToyRegistry) -> None:
    loop, step = Toy(), Toy()
    registry.register("rates", step, 3, "local", persistent=True, precision=F64)
    loop.adopt(registry, "step", step, persistent=False)
    with pytest.raises(BufferLayoutError, match="child 'step' of Toy must do without persistent storage, got a Toy"):
        registry.layout(loop)
    registry.update_buffer("rates", step, persistent=False)
    assert registry.layout(loop).persistent_local_slices == {"step_persistent": slice(0, 0)}


def test_child_allocators_are_for_the_registered_child_only(registry: ToyRegistry) -> None:
    loop, step, solver = tree(registry)
    with pytest.raises(BufferRegistrationError, match="child 'step' of Toy must be the factory registered under"):
        registry.get_child_allocators("step", loop, solver)
    with pytest.raises(UnknownBufferError, match=r"no child 'stop'\. Did you mean 'step'"):
        registry.get_child_allocators("stop", loop, step)


def test_allocators_hand_out_the_slices_of_the_layout(registry: ToyRegistry) -> None:
    loop, step, solver = tree(registry)
    registry.register("plain", solver, 0, "local", precision=np.int32)
    shared, persistent = banks_for(registry, loop)
    values_of(shared)[:], values_of(persistent)[:] = np.arange(15), np.arange(9)
    for parent, name, child in ((loop, "step", step), (step, "solver", solver)):
        take_shared, take_persistent = registry.get_child_allocators(name, parent, child)
        below = take_shared(shared, persistent), take_persistent(shared, persistent)
        shared, persistent = ToySharedBank(values_of(below[0])), ToyPersistentBank(values_of(below[1]))
    handed = [
        values_of(registry.get_allocator(name, solver)(shared, persistent)) for name in ("scratch", "history", "plain")
    ]
    assert handed[0].tolist() == [8, 9, 10, 11, 12, 13, 14]
    assert handed[1].tolist() == [4, 5, 6, 7, 8]
    assert (handed[2].shape, handed[2].dtype) == ((1,), np.dtype(np.int32))


def test_allocators_of_unknown_buffers_are_refused(registry: ToyRegistry) -> None:
    loop, _, _ = tree(registry)
    with pytest.raises(UnknownBufferError, match="Did you mean 'scratch'"):
        registry.get_allocator("scrath", loop)
    with pytest.raises(UnknownBufferError, match="Toy has no buffer 'scratch'"):
        registry.get_allocator("scratch", Toy())
    with pytest.raises(BufferRegistrationError, match="fetch its region by get_child_allocators"):
        registry.get_allocator("step_shared", loop)


def test_a_parent_that_measured_before_the_grandchild_registered_measures_again(registry: ToyRegistry) -> None:
    """PITFALL 1: a parent measured its child before the grandchild had registered: zero-size slices on hardware."""
    loop, step, solver = Toy(), Toy(), Toy()
    loop.adopt(registry, "step", step)
    assert registry.shared_buffer_size(loop) == 0
    step.adopt(registry, "solver", solver)
    assert registry.shared_buffer_size(loop) == 0
    registry.register("krylov", solver, 6, "shared", precision=F64)
    assert registry.layout(loop).shared_slices == {"step_shared": slice(0, 6)}
    registry.update_buffer("krylov", solver, size=9)
    assert registry.layout(loop).shared_slices == {"step_shared": slice(0, 9)}


@pytest.mark.parametrize("moved", ["scratch", "history", "step.scratch", "step.history", "step.solver.history"])
def test_offsets_and_totals_agree_wherever_a_buffer_is_moved(registry: ToyRegistry, moved: str) -> None:
    """PITFALL 2: array length came from one total, offsets from another: writes past the end if a buffer moved."""
    loop, step, solver = tree(registry)
    locations: tuple[Location, ...] = ("local", "shared")
    for location in locations:
        registry.relocate(loop, moved, location)
        for toy in (loop, step, solver):
            layout = registry.layout(toy)
            for total, slices in (
                (registry.shared_buffer_size(toy), layout.shared_slices),
                (registry.persistent_local_buffer_size(toy), layout.persistent_local_slices),
            ):
                covered = sorted(index for part in slices.values() for index in range(part.start, part.stop))
                assert covered == list(range(total))


def test_layouts_stand_until_something_changes_at_any_depth(registry: ToyRegistry) -> None:
    loop, step, grandchild = tree(registry)

    changes: tuple[Callable[[], object], ...] = (
        lambda: registry.update_buffer("scratch", grandchild, size=9),
        lambda: registry.declare(step, []),
        lambda: registry.register("late", loop, 2, "local", precision=F64),
        lambda: registry.clear(grandchild),
    )
    for change in changes:
        layouts = [(loop, registry.layout(loop)), *registry.layouts_below(loop)]
        assert registry.stands(layouts)
        assert [factory for factory, _ in layouts] == [loop, step, grandchild]
        change()
        assert not registry.stands(layouts)


def test_swapping_a_child_keeps_all_other_registrations(registry: ToyRegistry) -> None:
    """PITFALL 3: swapping a component wiped other components' registrations; or a refresh lost the child's."""
    loop, step, _ = tree(registry)
    controller, other = Toy(), Toy()
    registry.register("errors", controller, 2, "shared", precision=F64)
    registry.register("stages", other, 20, "shared", precision=F64)
    loop.adopt(registry, "controller", controller)
    registry.replace_child("step", loop, other)
    loop.children["step"] = other
    assert registry.layout(loop).shared_slices == {
        "scratch": slice(0, 3),
        "step_shared": slice(3, 23),
        "controller_shared": slice(23, 25),
    }
    assert registry.shared_buffer_size(step) == 12
    assert registry.layout(loop).persistent_local_slices["history"] == slice(0, 1)
    registry.declare(loop, [])
    assert registry.layout(loop).shared_slices == {"step_shared": slice(0, 20), "controller_shared": slice(20, 22)}


def test_no_alias_lies_over_what_must_survive_the_step(registry: ToyRegistry) -> None:
    """PITFALL 5: an alias over storage that had to survive the step: state clobbered across steps."""
    loop, step = Toy(), Toy()
    registry.register("stages", step, 4, "shared", precision=F64)
    registry.register("last_rate", step, 3, "shared", persistent=True, precision=F64)
    loop.adopt(registry, "step", step)
    registry.register("dense", loop, 5, "shared", aliases="step_shared", precision=F64)
    registry.register("error", loop, 4, "shared", aliases="step_shared", precision=F64)
    shared, persistent = banks_for(registry, loop)
    take_shared, _ = registry.get_child_allocators("step", loop, step)
    below = ToySharedBank(values_of(take_shared(shared, persistent)))
    values_of(registry.get_allocator("last_rate", step)(below, persistent))[:] = 1.0
    for name in ("dense", "error"):
        values_of(registry.get_allocator(name, loop)(shared, persistent))[:] = -1.0
    assert values_of(registry.get_allocator("last_rate", step)(below, persistent)).tolist() == [1.0, 1.0, 1.0]
    assert registry.layout(loop).shared_slices == {
        "step_shared": slice(5, 12),
        "dense": slice(0, 5),
        "error": slice(5, 9),
    }


def test_an_int32_buffer_cannot_slip_into_a_pool_of_floats(registry: ToyRegistry) -> None:
    """PITFALL 6: int32 buffers typed as float in shared pools."""
    loop, step = Toy(), Toy()
    registry.register("rates", loop, 4, "shared", precision=F64)
    registry.register("counts", step, 2, "local", precision=np.int32)
    loop.adopt(registry, "step", step)
    registry.layout(loop)
    registry.relocate(loop, "step.counts", "shared")
    with pytest.raises(BufferLayoutError, match="float64 for 'rates' and int32 for 'step_shared'"):
        registry.layout(loop)
    registry.relocate(loop, "rates", "local")
    placed = registry.layout(step).find("counts")
    assert placed is not None
    assert placed.placement.precision is np.int32
    assert registry.layout(loop).shared.precision is np.int32
