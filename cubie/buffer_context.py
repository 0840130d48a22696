"""What one factory has registered, and the checks that every change of it must pass."""

import weakref
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeAlias, TypedDict, TypeVar, final

from cubie._types import BufferOwner, Location, Precision, nearest
from cubie.buffer_layout import (
    BankPool,
    BufferEntry,
    BufferLayout,
    BufferLayoutError,
    BufferRegistrationError,
    ChildRegion,
)

FactoryT = TypeVar("FactoryT", bound=BufferOwner)


class UnknownBufferError(LookupError):
    """A factory has no buffer, or no child, of that name."""


class BufferChanges(TypedDict, total=False):
    """What may be changed of a registered entry."""

    size: int
    location: Location
    persistent: bool
    aliases: str | None
    precision: Precision


CHANGEABLE: Final[tuple[str, ...]] = ("size", "location", "persistent", "aliases", "precision")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPart(Generic[FactoryT]):
    """A child's share in one pool of its parent: whose it is, not how large. The child is held weakly."""

    name: str
    child: str
    factory: weakref.ref[FactoryT]
    factory_type: str
    pool: BankPool
    granted: bool

    def alive(self, owner: str) -> FactoryT:
        """Return the child.

        Raises
        ------
        BufferLayoutError: if nothing held it.
        """
        child = self.factory()
        if child is None:
            raise BufferLayoutError(
                f"child '{self.child}' of {owner} must live as long as its parent, got a dropped {self.factory_type}. "
                "Keep it as an attribute of the parent."
            )
        return child

    def measure(self, owner: str, layout: BufferLayout) -> ChildRegion:
        """Return the region that the child's layout asks for.

        Raises
        ------
        BufferLayoutError: if it asks for persistent storage that it was not granted.
        """
        pool = layout.shared if self.pool == "shared" else layout.persistent_local
        if pool.size > 0 and not self.granted:
            raise BufferLayoutError(
                f"child '{self.child}' of {owner} must do without persistent storage, got a {self.factory_type} that "
                f"needs {pool.size} elements. Register it with persistent=True, or make its buffers shared."
            )
        return ChildRegion(
            name=self.name,
            child=self.child,
            pool=self.pool,
            size=pool.size,
            scratch=pool.scratch,
            precision=pool.precision if pool.size > 0 else None,
        )


@final
@dataclass(slots=True, eq=False)
class BufferContext(Generic[FactoryT]):
    """What one factory has registered. It holds no factory, and its children only weakly.

    Every change is checked whole before anything is stored, and empties the layout's slot.
    """

    owner: str
    """What error messages call the factory."""
    items: "dict[str, Item[FactoryT]]" = field(default_factory=dict)
    """In order of registration."""
    moved: dict[str, Location] = field(default_factory=dict)
    """Locations chosen after registration; they outlive the entries, by name."""
    layout: BufferLayout | None = None
    """The slot: None after any change."""
    measured: tuple[BufferLayout, ...] = ()
    """The children's layouts that `layout` was made from."""

    @property
    def parts(self) -> tuple[ChildPart[FactoryT], ...]:
        """The shares of all children, two each, in order of registration."""
        return tuple(item for item in self.items.values() if isinstance(item, ChildPart))

    def part(self, child: str) -> ChildPart[FactoryT]:
        """Return a child's share in the shared pool.

        Raises
        ------
        UnknownBufferError: it offers the nearest name.
        """
        for part in self.parts:
            if part.child == child:
                return part
        known = [part.child for part in self.parts]
        raise UnknownBufferError(f"{self.owner} has no child '{child}'.{nearest(child, known)}")

    def entry(self, name: str) -> BufferEntry:
        """Return one of the factory's own entries.

        Raises
        ------
        UnknownBufferError: if there is none of that name; it offers the nearest.
        BufferRegistrationError: if the name is that of a child's region.
        """
        item = self.items.get(name)
        if item is None:
            raise UnknownBufferError(f"{self.owner} has no buffer '{name}'.{nearest(name, self.items)}")
        if isinstance(item, ChildPart):
            raise BufferRegistrationError(
                f"buffer '{name}' of {self.owner} must be its own, got the region of child '{item.child}'. "
                "Change the child's buffers; fetch its region by get_child_allocators."
            )
        return item

    def add(self, entry: BufferEntry) -> None:
        """Register one more buffer."""
        self._check_free(entry.name, self.items)
        self._check_alias(entry, self.items)
        self._take({**self.items, entry.name: entry})

    def declare(self, entries: Iterable[BufferEntry]) -> None:
        """Register `entries` in place of all own ones, in the locations chosen for their names; children stay."""
        parts: dict[str, Item[FactoryT]] = {part.name: part for part in self.parts}
        items: dict[str, Item[FactoryT]] = {}
        for entry in entries:
            self._check_free(entry.name, {*items, *parts})
            self._check_alias(entry, {*items, *parts}, awaits_children=True)
            items[entry.name] = replace(entry, location=self.moved.get(entry.name, entry.location))
        self._take({**items, **parts})

    def change(self, name: str, changes: BufferChanges) -> None:
        """Change an own entry; a location chosen here goes over those declared later."""
        for key in changes:
            if key not in CHANGEABLE:
                raise BufferRegistrationError(
                    f"a change of buffer '{name}' must be of {', '.join(CHANGEABLE)}, got '{key}'."
                    f"{nearest(key, CHANGEABLE) or ' Nothing else can be changed.'}"
                )
        entry = self.entry(name)
        changed = replace(entry, **changes)
        if changed != entry:
            earlier = list(self.items)[: list(self.items).index(name)]
            self._check_alias(changed, {*earlier, *(part.name for part in self.parts)}, awaits_children=True)
            self._take({**self.items, name: changed})
        if "location" in changes:
            self.moved[name] = changed.location

    def add_child(self, name: str, child: FactoryT, *, persistent: bool, replaces: bool) -> None:
        """Register a child's two shares, in the place of those of the same name if `replaces`."""
        if not name.isidentifier():
            raise BufferRegistrationError(f"the name of a child must be an identifier, got {name!r}. Rename it.")
        shared = ChildPart(
            name=f"{name}_shared",
            child=name,
            factory=weakref.ref(child),
            factory_type=type(child).__name__,
            pool="shared",
            granted=True,
        )
        kept = replace(shared, name=f"{name}_persistent", pool="persistent_local", granted=persistent)
        if replaces:
            self.part(name)
        else:
            self._check_free(shared.name, self.items)
            self._check_free(kept.name, self.items)
        self._take({**self.items, shared.name: shared, kept.name: kept})

    def _take(self, items: "Mapping[str, Item[FactoryT]]") -> None:
        self.items = dict(items)
        self.layout = None

    def _check_free(self, name: str, taken: Collection[str]) -> None:
        if name in taken:
            raise BufferRegistrationError(
                f"a buffer of {self.owner} must have a name of its own, got '{name}' twice. "
                "Rename one; to change a registered buffer, use update_buffer."
            )

    def _check_alias(self, entry: BufferEntry, before: Collection[str], *, awaits_children: bool = False) -> None:
        """Check that an alias names what is registered before it, or the region of a child that may still come."""
        target = entry.aliases
        if target is None or target in before or (awaits_children and target.endswith("_shared")):
            return
        raise BufferRegistrationError(
            f"buffer '{entry.name}' of {self.owner} aliases '{target}', which this factory has not registered before "
            f"it. Register '{target}' first.{nearest(target, before)}"
        )


Item: TypeAlias = "BufferEntry | ChildPart[FactoryT]"
