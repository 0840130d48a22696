"""Buffers and factories: what mypy must say of wrong literals, wrong owners and wrong settings. Nothing here is run."""

from typing import assert_type

import numpy as np

from cubie._types import AllocateFn, Precision
from cubie.buffer_registry import BufferEntry, BufferRegistry, buffer_registry
from cubie.cuda_factory import CUDAFactory, SettingsInstance


def locations_are_two(precision: Precision) -> None:
    BufferEntry(name="a", size=3, location="shared", precision=precision)
    BufferEntry(name="a", size=3, location="persistent_local", precision=precision)  # type: ignore[arg-type]  # a pool
    BufferEntry(name="a", size=3, location="global", precision=precision)  # type: ignore[arg-type]  # no such place
    BufferEntry("a", 3, "local", precision=precision)  # type: ignore[call-arg]  # by keyword only


def precisions_are_three() -> None:
    BufferEntry(name="a", size=3, location="local", precision=np.int32)
    BufferEntry(name="a", size=3, location="local", precision=np.float16)  # type: ignore[arg-type]  # none of the three
    BufferEntry(name="a", size=3, location="local", precision="float32")  # type: ignore[arg-type]  # a name, not the type


def entries_are_frozen(entry: BufferEntry) -> None:
    entry.size = 4  # type: ignore[misc]  # frozen


def the_registry_takes_factories(factory: CUDAFactory[SettingsInstance, object], precision: Precision) -> None:
    assert_type(buffer_registry, BufferRegistry)
    buffer_registry.register("a", factory, 3, "shared", precision=precision)
    buffer_registry.register("a", "factory", 3, "shared", precision=precision)  # type: ignore[arg-type]  # not a factory
    buffer_registry.register("a", factory, 3, "everywhere", precision=precision)  # type: ignore[arg-type]  # no such place
    buffer_registry.update_buffer("a", factory, size=4, location="local")
    buffer_registry.update_buffer("a", factory, length=4)  # type: ignore[call-arg]  # no such field
    assert_type(buffer_registry.get_allocator("a", factory), AllocateFn)
