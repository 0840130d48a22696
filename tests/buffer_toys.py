"""Toy factories, and a toy target that runs the mission's allocator pattern on NumPy arrays."""

from typing import Final, Literal, TypeAlias, final, overload

import numpy as np
from numpy.typing import NDArray

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    PersistentBank,
    Placement,
    Real,
    Scalar,
    SharedBank,
    Span,
    Vector,
    span,
)
from cubie.buffer_registry import Registry

Values: TypeAlias = NDArray[np.float32 | np.float64 | np.int32]


class ToyBank:
    """Storage for one run; a slice of it is a view."""

    def __init__(self, values: Values) -> None:
        self.values: Final = values

    def __getitem__(self, part: Span, /) -> "ToyVector":
        return ToyVector(self.values[part])


@final
class ToySharedBank(ToyBank):
    shared_pool: Literal[True] = True


@final
class ToyPersistentBank(ToyBank):
    persistent_pool: Literal[True] = True


@final
class ToyVector:
    """What an allocator hands out."""

    def __init__(self, values: Values) -> None:
        self.values: Final = values

    @overload
    def __getitem__(self, index: int, /) -> Real: ...
    @overload
    def __getitem__(self, index: Span, /) -> "ToyVector": ...
    def __getitem__(self, index: "int | Span", /) -> "Real | ToyVector":
        if isinstance(index, slice):
            return ToyVector(self.values[index])
        value: Real = self.values[index]
        return value

    def __setitem__(self, index: int, value: Real | Scalar, /) -> None:
        self.values[index] = value  # type: ignore[assignment]  # a toy's reals are numbers


def values_of(part: object) -> Values:
    """Return the array behind what an allocator of the toy target handed out."""
    assert isinstance(part, ToyVector | ToyBank)
    return part.values


@final
class ToyTarget:
    """Builds allocators that are plain Python."""

    def allocator(self, placement: Placement, /) -> AllocateFn:
        _shared = placement.pool == "shared"
        _persistent = placement.pool == "persistent_local"
        part, local_size, precision = span(placement.start, placement.size), placement.size, placement.precision

        def allocate_buffer(shared_parent: SharedBank, persistent_parent: PersistentBank, /) -> Vector:
            if _shared:
                array = shared_parent[part]
            elif _persistent:
                array = persistent_parent[part]
            else:
                array = ToyVector(np.zeros(local_size, precision))
            return array

        return allocate_buffer

    def shared_allocator(self, placement: Placement, /) -> AllocateSharedFn:
        part = span(placement.start, placement.size)

        def allocate_shared(shared_parent: SharedBank, persistent_parent: PersistentBank, /) -> SharedBank:
            return ToySharedBank(values_of(shared_parent)[part])

        return allocate_shared

    def persistent_allocator(self, placement: Placement, /) -> AllocatePersistentFn:
        part = span(placement.start, placement.size)

        def allocate_persistent(shared_parent: SharedBank, persistent_parent: PersistentBank, /) -> PersistentBank:
            return ToyPersistentBank(values_of(persistent_parent)[part])

        return allocate_persistent


class Toy:
    """A factory that only owns buffers; it holds its children, as factories do."""

    def __init__(self) -> None:
        self.target: Final = ToyTarget()
        self.children: Final[dict[str, Toy]] = {}

    def adopt(self, registry: "ToyRegistry", name: str, child: "Toy", *, persistent: bool = True) -> "Toy":
        """Hold a child and register its part."""
        registry.register_child(name, self, child, persistent=persistent)
        self.children[name] = child
        return child


ToyRegistry: TypeAlias = Registry[Toy]


def banks_for(registry: ToyRegistry, root: Toy) -> tuple[ToySharedBank, ToyPersistentBank]:
    """Return zeroed pools of the sizes that a factory asks for."""
    layout = registry.layout(root)
    return (
        ToySharedBank(np.zeros(layout.shared.size, layout.shared.precision or np.float64)),
        ToyPersistentBank(np.zeros(layout.persistent_local.size, layout.persistent_local.precision or np.float64)),
    )
