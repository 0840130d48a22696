"""Factories: what is built, when it is built anew, and when it is not."""

import copy
import gc
import pickle
from dataclasses import dataclass
from typing import Final, TypedDict, final
from weakref import ref

import numpy as np
import pytest
from typing_extensions import Unpack, override

from cubie._types import Precision
from cubie.buffer_registry import (
    BufferEntry,
    BufferLayoutError,
    BufferRegistrationError,
    UnknownBufferError,
    buffer_registry,
)
from cubie.cuda_factory import CUDAFactory, UnknownSettingError, buffer
from cubie.targets.reference import ReferenceTarget

TARGET: Final = ReferenceTarget(width=1)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSettings:
    """Settings of a toy that multiplies."""

    factor: float
    n: int
    precision: Precision = np.float64

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"n must be at least 0, got {self.n}.")


class ScaleChanges(TypedDict, total=False):
    """Any of `ScaleSettings`."""

    factor: float
    n: int
    precision: Precision


class ScaleFn:
    """What the toys build: an object of its own for every build, which knows what it was made from."""

    def __init__(self, factor: float, parts: tuple["ScaleFn", ...] = ()) -> None:
        self.factor: Final = factor
        self.parts: Final = parts

    def __call__(self) -> float:
        """Return the product of all factors."""
        product = self.factor
        for part in self.parts:
            product *= part()
        return product


class Scale(CUDAFactory[ScaleSettings, ScaleFn]):
    """Builds a number, and counts how often."""

    def __init__(self, factor: float, n: int, **parts: "Scale") -> None:
        super().__init__(ScaleSettings(factor=factor, n=n), target=TARGET)
        self.builds = 0
        self.parts: Final = {name: self.adopt(name, part) for name, part in parts.items()}

    @staticmethod
    @override
    def buffers(settings: ScaleSettings) -> tuple[BufferEntry, ...]:
        return (
            buffer("work", settings.n, settings.precision),
            buffer("history", settings.n, settings.precision, persistent=True),
            buffer("cache", settings.n, settings.precision, aliases="work"),
        )

    @override
    def build(self) -> ScaleFn:
        self.builds += 1
        return ScaleFn(self.settings.factor, tuple(part.device_function for part in self.parts.values()))

    def update(self, **changes: Unpack[ScaleChanges]) -> None:
        self._update(changes)

    def swap(self, name: str, part: "Scale") -> None:
        self.parts[name] = self.adopt(name, part)


def tree() -> tuple[Scale, Scale, Scale]:
    solver = Scale(5.0, 7)
    step = Scale(3.0, 5, solver=solver)
    return Scale(2.0, 3, step=step), step, solver


def builds(*factories: Scale) -> list[int]:
    return [factory.builds for factory in factories]


def test_nothing_is_built_before_it_is_fetched() -> None:
    loop, step, solver = tree()
    assert builds(loop, step, solver) == [0, 0, 0]
    assert loop.device_function() == 30.0
    assert builds(loop, step, solver) == [1, 1, 1]


def test_fetching_again_answers_with_the_same_function() -> None:
    loop, step, solver = tree()
    function = loop.device_function
    assert loop.device_function is function
    assert step.device_function is function.parts[0]
    assert builds(loop, step, solver) == [1, 1, 1]


def test_a_changed_setting_rebuilds_the_factory_and_all_above_it_only() -> None:
    loop, step, solver = tree()
    assert loop.device_function() == 30.0
    step.update(factor=4.0)
    assert builds(loop, step, solver) == [1, 1, 1], "nothing is told of a change"
    assert loop.device_function() == 40.0
    assert builds(loop, step, solver) == [2, 2, 1]


def test_a_child_that_was_fetched_between_does_not_hide_the_change_from_its_parent() -> None:
    loop, step, solver = tree()
    assert loop.device_function() == 30.0
    solver.update(factor=6.0)
    assert solver.device_function() == 6.0
    assert step.device_function() == 18.0
    assert loop.device_function() == 36.0
    assert builds(loop, step, solver) == [2, 2, 2]


def test_a_moved_buffer_rebuilds_whoever_uses_or_contains_it() -> None:
    loop, step, solver = tree()
    old = loop.device_function
    buffer_registry.relocate(loop, "step.work", "shared")
    assert loop.device_function is not old
    assert builds(loop, step, solver) == [2, 2, 1]
    buffer_registry.relocate(loop, "step.work", "shared")
    assert loop.device_function is not old
    assert builds(loop, step, solver) == [2, 2, 1]


def test_an_equal_setting_changes_nothing() -> None:
    loop, _, solver = tree()
    function = loop.device_function
    solver.update(factor=5.0, n=7)
    assert loop.device_function is function


def test_a_swapped_child_is_built_in() -> None:
    loop, step, _ = tree()
    assert loop.device_function() == 30.0
    loop.swap("step", Scale(10.0, 2))
    assert loop.device_function() == 20.0
    assert builds(loop, step) == [2, 1]
    assert buffer_registry.layout(loop).persistent_local_slices == {
        "history": slice(0, 3),
        "step_persistent": slice(3, 5),
    }


def test_a_failed_build_is_tried_again() -> None:
    loop, step, _ = tree()
    loop.adopt("step", step, persistent=False)
    for _ in range(2):
        with pytest.raises(BufferLayoutError, match="child 'step' of Scale must do without persistent storage"):
            loop.device_function  # noqa: B018  # the fetch is the point
    loop.adopt("step", step)
    assert loop.device_function() == 30.0


def test_settings_are_replaced_all_or_nothing() -> None:
    scale = Scale(2.0, 3)
    function, settings, layout = scale.device_function, scale.settings, buffer_registry.layout(scale)
    with pytest.raises(ValueError, match="n must be at least 0"):
        scale.update(factor=3.0, n=-1)
    with pytest.raises(BufferRegistrationError, match="precision of buffer 'work'"):
        scale.update(factor=3.0, precision=np.float16)  # type: ignore[arg-type]  # that is the point
    assert scale.settings is settings
    assert scale.device_function is function
    assert buffer_registry.layout(scale) is layout


def test_settings_can_be_given_whole() -> None:
    scale = Scale(2.0, 3)
    function = scale.device_function
    scale.configure(ScaleSettings(factor=2.0, n=3))
    assert scale.device_function is function
    scale.configure(ScaleSettings(factor=4.0, n=2))
    assert scale.device_function() == 4.0
    assert scale.persistent_local_buffer_size == 2


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    scale = Scale(2.0, 3)
    with pytest.raises(UnknownSettingError, match=r"Scale has no setting 'facto'\. Did you mean 'factor'"):
        scale.update(facto=3.0)  # type: ignore[call-arg]  # that is the point
    with pytest.raises(UnknownSettingError, match=r"Scale has no setting 'rtol'\. It has factor, n, precision\."):
        scale.update(rtol=3.0)  # type: ignore[call-arg]  # that is the point
    assert issubclass(UnknownSettingError, LookupError)


def test_sizes_are_read_only_and_follow_the_settings() -> None:
    loop, step, _ = tree()
    assert (loop.shared_buffer_size, loop.local_buffer_size, loop.persistent_local_buffer_size) == (0, 6, 15)
    step.update(n=6)
    assert (loop.local_buffer_size, loop.persistent_local_buffer_size) == (6, 16)
    with pytest.raises(AttributeError):
        loop.shared_buffer_size = 3  # type: ignore[misc]  # read-only: that is the point


def test_a_chosen_place_survives_an_update() -> None:
    loop, step, _ = tree()
    buffer_registry.relocate(loop, "step.work", "shared")
    step.update(n=8)
    assert (step.shared_buffer_size, step.local_buffer_size) == (8, 0), "the cache lies inside the work"


def test_children_are_known_by_name_and_share_the_target() -> None:
    loop, step, solver = tree()
    assert dict(loop.children) == {"step": step}
    assert dict(step.children) == {"solver": solver}
    assert loop.target is step.target is TARGET
    other = Scale(1.0, 1)
    other._target = ReferenceTarget(width=1)  # type: ignore[misc]  # as if it had been made for another
    with pytest.raises(ValueError, match="child 'other' of Scale must share its target, got one made for another"):
        loop.adopt("other", other)
    assert dict(loop.children) == {"step": step}


def test_a_refused_child_is_not_adopted() -> None:
    loop, step, _ = tree()
    with pytest.raises(BufferRegistrationError, match="must not contain it"):
        step.adopt("loop", loop)
    assert "loop" not in step.children
    assert loop.device_function() == 30.0


def test_child_allocators_are_had_by_name() -> None:
    loop, _, _ = tree()
    take_shared, take_persistent = loop.child_allocators("step")
    assert callable(take_shared)
    assert callable(take_persistent)
    with pytest.raises(UnknownBufferError, match="Scale has no child 'stop'"):
        loop.child_allocators("stop")
    with pytest.raises(UnknownBufferError, match="Scale has no buffer 'wrok'"):
        loop.allocator("wrok")


def test_a_factory_can_be_neither_copied_nor_pickled() -> None:
    scale = Scale(2.0, 3)
    for refuse in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="a Scale can't be copied or pickled"):
            refuse(scale)


def test_a_dropped_tree_is_freed_with_its_contexts_after_a_build() -> None:
    gc.collect()
    before = len(buffer_registry)
    loop, step, solver = tree()
    function = loop.device_function
    watch = [ref(factory) for factory in (loop, step, solver)]
    assert len(buffer_registry) == before + 3
    del loop, step, solver
    gc.collect()
    assert [dead() for dead in watch] == [None, None, None]
    assert len(buffer_registry) == before
    assert function() == 30.0


def test_the_helper_describes_scratch_in_local_memory_unless_told_otherwise() -> None:
    assert buffer("a", 3, np.float32) == BufferEntry(name="a", size=3, location="local", precision=np.float32)
    assert buffer("a", 3, np.float32, location="shared", persistent=True, aliases="b") == BufferEntry(
        name="a", size=3, location="shared", persistent=True, aliases="b", precision=np.float32
    )
