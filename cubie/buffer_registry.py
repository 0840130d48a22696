"""The one room in which it is decided where every working array stands.

Factories register what they need under their own instance; the registry lays it out when somebody asks, and hands out
allocators. Nothing is told when something changes: a layout sits in a slot that a change empties, and a fetch remakes
it when the slot is empty or when a child's layout is not the one it was made from.
"""

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Final, Generic, NoReturn, SupportsIndex, TypeAlias, TypedDict, TypeVar, final

from typing_extensions import Unpack, override

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    BufferOwner,
    Location,
    Placement,
    Precision,
    nearest,
)
from cubie.buffer_layout import (
    EMPTY_LAYOUT,
    BankPool,
    BufferEntry,
    BufferLayout,
    BufferLayoutError,
    BufferRegistrationError,
    ChildRegion,
    PlacedBuffer,
    PoolLayout,
    lay_out,
)

__all__ = [
    "BufferContext",
    "BufferEntry",
    "BufferLayout",
    "BufferLayoutError",
    "BufferRegistrationError",
    "BufferRegistry",
    "PlacedBuffer",
    "PoolLayout",
    "Registry",
    "UnknownBufferError",
    "buffer_registry",
]

FactoryT = TypeVar("FactoryT", bound=BufferOwner)


class UnknownBufferError(LookupError):
    """A factory has no buffer, or no child, of that name."""


class BufferChanges(TypedDict, total=False):
    """What `Registry.update_buffer` may change of an entry."""

    size: int
    location: Location
    persistent: bool
    aliases: str | None
    precision: Precision


CHANGEABLE: Final[tuple[str, ...]] = ("size", "location", "persistent", "aliases", "precision")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPart(Generic[FactoryT]):
    """A child's share in one pool: whose it is, not how large. The child is held weakly."""

    name: str
    child: str
    factory: weakref.ref[FactoryT]
    factory_type: str
    pool: BankPool
    granted: bool


@final
@dataclass(slots=True, eq=False)
class BufferContext(Generic[FactoryT]):
    """What one factory has registered. It refers to no factory, but weakly to the children."""

    owner: str
    items: dict[str, BufferEntry | ChildPart[FactoryT]] = field(default_factory=dict)
    """In order of registration."""
    moved: dict[str, Location] = field(default_factory=dict)
    """Locations that were chosen after registration; they outlive the entries, by name."""
    layout: BufferLayout | None = None
    """The slot: None after any change."""
    measured: tuple[BufferLayout, ...] = ()
    """The children's layouts that `layout` was made from."""

    def replace_items(self, items: Mapping[str, BufferEntry | ChildPart[FactoryT]]) -> None:
        """Take `items` instead of what was registered, and empty the slot."""
        self.items = dict(items)
        self.layout = None

    def parts(self) -> tuple[ChildPart[FactoryT], ...]:
        """Return the shares of all children, in order of registration."""
        return tuple(item for item in self.items.values() if isinstance(item, ChildPart))


class Registry(Generic[FactoryT]):
    """Buffers of factories, by factory instance.

    A factory is held weakly, and by identity: when it is dropped, its context goes. Any thread may call any method.
    """

    def __init__(self) -> None:
        self._contexts: weakref.WeakKeyDictionary[FactoryT, BufferContext[FactoryT]] = weakref.WeakKeyDictionary()
        self._lock = RLock()

    @override
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        """Refuse to be copied or pickled: a second registry would know nothing of what is registered later."""
        raise TypeError("a buffer registry must stay one object, got a request to copy or pickle it. Pass it by name.")

    def __contains__(self, factory: FactoryT) -> bool:
        """Tell whether this factory has a context."""
        return factory in self._contexts

    def __len__(self) -> int:
        """Count the factories that have a context."""
        return len(self._contexts)

    # Registration

    def register(
        self,
        name: str,
        factory: FactoryT,
        size: int,
        location: Location,
        *,
        persistent: bool = False,
        aliases: str | None = None,
        precision: Precision,
    ) -> None:
        """Register one buffer of `size` elements.

        Raises
        ------
        BufferRegistrationError: if a value is bad, the name is taken, or the alias names nothing registered before.
        """
        entry = BufferEntry(
            name=name, size=size, location=location, persistent=persistent, aliases=aliases, precision=precision
        )
        with self._lock:
            owner = _owner_name(factory)
            context = self._contexts.get(factory)
            items = {} if context is None else context.items
            _check_free(owner, (name,), items)
            _check_alias(owner, entry, items)
            self._context(factory).replace_items({**items, name: entry})

    def declare(self, factory: FactoryT, entries: Iterable[BufferEntry]) -> None:
        """Register all of a factory's own buffers at once, in place of those it had; children stay.

        A location that was changed by `update_buffer` or `relocate` goes over the entry's. An entry may alias
        `{child}_shared` of a child that is registered later.

        Raises
        ------
        BufferRegistrationError: if the entries don't go together; then nothing has changed.
        """
        with self._lock:
            owner = _owner_name(factory)
            context = self._contexts.get(factory)
            moved: Mapping[str, Location] = {} if context is None else context.moved
            parts = {} if context is None else {part.name: part for part in context.parts()}
            items: dict[str, BufferEntry | ChildPart[FactoryT]] = {}
            for entry in entries:
                _check_free(owner, (entry.name,), {**items, **parts})
                _check_alias(owner, entry, {**items, **parts}, awaits_children=True)
                items[entry.name] = replace(entry, location=moved.get(entry.name, entry.location))
            self._context(factory).replace_items({**items, **parts})

    def update_buffer(self, name: str, factory: FactoryT, **changes: Unpack[BufferChanges]) -> None:
        """Change a registered buffer; do nothing for a factory that has registered none.

        A changed location survives when the factory declares its buffers anew.

        Raises
        ------
        UnknownBufferError: if this factory has registered others, but not this one.
        BufferRegistrationError: if a value is bad, or the buffer is a child's region; then nothing has changed.
        """
        with self._lock:
            context = self._contexts.get(factory)
            if context is None:
                return
            for key in changes:
                if key not in CHANGEABLE:
                    raise BufferRegistrationError(
                        f"a change of buffer '{name}' must be one of {', '.join(CHANGEABLE)}, got '{key}'."
                        f"{nearest(key, CHANGEABLE) or ' Other fields are fixed.'}"
                    )
            entry = _own_entry(context, name)
            changed = replace(entry, **changes)
            if changed != entry:
                _check_alias(context.owner, changed, _registered_before(name, context), awaits_children=True)
                context.replace_items({**context.items, name: changed})
            if "location" in changes:
                context.moved[name] = changed.location

    def relocate(self, root: FactoryT, path: str, location: Location) -> None:
        """Move the buffer at `path` below `root`, such as "step.stage_rates": names of children, then the buffer's.

        Raises
        ------
        UnknownBufferError: if a part of the path is not there; it offers the nearest name.
        """
        *children, name = path.split(".")
        with self._lock:
            factory = root
            for child in children:
                factory = self._child(factory, child)
            if factory not in self._contexts:
                raise UnknownBufferError(f"{_owner_name(factory)} has no buffer '{name}'. It has registered none.")
            self.update_buffer(name, factory, location=location)

    def clear(self, factory: FactoryT) -> None:
        """Forget all that a factory has registered, and the locations chosen for it."""
        with self._lock:
            self._contexts.pop(factory, None)

    # Children

    def register_child(self, name: str, parent: FactoryT, child: FactoryT, *, persistent: bool = True) -> None:
        """Give `child` its part of both of `parent`'s pools, as `{name}_shared` and `{name}_persistent`.

        The parts are measured anew whenever they are fetched, at any depth. The parent keeps the child alive; the
        registry doesn't.

        Parameters
        ----------
        persistent : False grants no persistent storage: the parent can't be laid out if the child needs some.

        Raises
        ------
        BufferRegistrationError: if a name is taken, or the child already stands above the parent.
        """
        with self._lock:
            context = self._contexts.get(parent)
            items = {} if context is None else context.items
            parts = self._parts(name, parent, child, persistent)
            _check_free(_owner_name(parent), parts, items)
            self._context(parent).replace_items({**items, **parts})

    def replace_child(self, name: str, parent: FactoryT, child: FactoryT, *, persistent: bool = True) -> None:
        """Put another child in the place of one registered before; all else that the parent registered stays.

        Raises
        ------
        UnknownBufferError: if the parent has no child of that name.
        BufferRegistrationError: if the new child already stands above the parent.
        """
        with self._lock:
            self._child(parent, name)
            context = self._context(parent)
            context.replace_items({**context.items, **self._parts(name, parent, child, persistent)})

    def _parts(
        self, name: str, parent: FactoryT, child: FactoryT, persistent: bool
    ) -> dict[str, BufferEntry | ChildPart[FactoryT]]:
        """Make a child's two shares, once it is known not to stand above its parent."""
        if not name.isidentifier():
            raise BufferRegistrationError(f"the name of a child must be an identifier, got {name!r}. Rename it.")
        if self._stands_below(parent, child):
            raise BufferRegistrationError(
                f"child '{name}' of {_owner_name(parent)} must not contain it, got the {_owner_name(child)} above it. "
                "Register children below parents only."
            )
        shared = ChildPart(
            name=f"{name}_shared",
            child=name,
            factory=weakref.ref(child),
            factory_type=_owner_name(child),
            pool="shared",
            granted=True,
        )
        kept = replace(shared, name=f"{name}_persistent", pool="persistent_local", granted=persistent)
        return {shared.name: shared, kept.name: kept}

    def _stands_below(self, factory: FactoryT, root: FactoryT) -> bool:
        if factory is root:
            return True
        context = self._contexts.get(root)
        children = [] if context is None else [part.factory() for part in context.parts()]
        return any(child is not None and self._stands_below(factory, child) for child in children)

    def _child(self, factory: FactoryT, name: str) -> FactoryT:
        """Return the child of that name, alive."""
        context = self._contexts.get(factory)
        parts = () if context is None else context.parts()
        for part in parts:
            if part.child == name:
                return _alive(_owner_name(factory), part)
        known = [part.child for part in parts]
        raise UnknownBufferError(f"{_owner_name(factory)} has no child '{name}'.{nearest(name, known)}")

    # Layout

    def layout(self, factory: FactoryT) -> BufferLayout:
        """Return where everything stands; the same object until something changes here or below.

        Raises
        ------
        BufferLayoutError: if the entries can't be laid out, or a child needs what it is not granted.
        """
        with self._lock:
            context = self._contexts.get(factory)
            if context is None:
                return EMPTY_LAYOUT
            measured = tuple(self.layout(_alive(context.owner, part)) for part in context.parts())
            layout = context.layout
            if layout is None or any(new is not old for new, old in zip(measured, context.measured, strict=True)):
                layouts = iter(measured)
                layout = lay_out(
                    context.owner,
                    [
                        item if isinstance(item, BufferEntry) else _region(context.owner, item, next(layouts))
                        for item in context.items.values()
                    ],
                )
                context.layout, context.measured = layout, measured
            return layout

    def shared_buffer_size(self, factory: FactoryT) -> int:
        """Elements of the shared pool that a factory and all below it need."""
        return self.layout(factory).shared.size

    def local_buffer_size(self, factory: FactoryT) -> int:
        """Elements of the factory's own plain local arrays."""
        return self.layout(factory).local_size

    def persistent_local_buffer_size(self, factory: FactoryT) -> int:
        """Elements of the persistent pool that a factory and all below it need."""
        return self.layout(factory).persistent_local.size

    # Allocators

    def get_allocator(self, name: str, factory: FactoryT) -> AllocateFn:
        """Return the device function that hands out a buffer, made by the factory's target.

        Raises
        ------
        UnknownBufferError: if this factory has not registered it.
        """
        with self._lock:
            layout, context = self.layout(factory), self._contexts.get(factory)
            entry = _own_entry(context, name) if context is not None else None
            placed = layout.find(name)
        if entry is None or placed is None:
            raise UnknownBufferError(f"{_owner_name(factory)} has no buffer '{name}'. It has registered none.")
        return factory.target.allocator(placed.placement)

    def get_child_allocators(
        self, name: str, parent: FactoryT, child: FactoryT
    ) -> tuple[AllocateSharedFn, AllocatePersistentFn]:
        """Return the device functions that hand out a child's parts of the shared and of the persistent pool.

        Raises
        ------
        UnknownBufferError: if the parent has no child of that name.
        BufferRegistrationError: if another factory is registered under it.
        """
        with self._lock:
            registered = self._child(parent, name)
            if registered is not child:
                raise BufferRegistrationError(
                    f"child '{name}' of {_owner_name(parent)} must be the factory registered under that name, "
                    f"got another {_owner_name(child)}. Ask for the child that the parent holds."
                )
            layout = self.layout(parent)
        target = parent.target
        return (
            target.shared_allocator(_placement(layout, f"{name}_shared")),
            target.persistent_allocator(_placement(layout, f"{name}_persistent")),
        )

    def _context(self, factory: FactoryT) -> BufferContext[FactoryT]:
        """Return the context of a factory, made if there is none yet."""
        context = self._contexts.get(factory)
        if context is None:
            owner = _owner_name(factory)
            if type(factory).__eq__ is not object.__eq__:
                raise BufferRegistrationError(
                    f"a factory must be equal to itself only, got {owner}, which defines equality. "
                    "Make it a plain class, or a dataclass with eq=False."
                )
            context = self._contexts[factory] = BufferContext(owner)
        return context


def _owner_name(factory: BufferOwner) -> str:
    return type(factory).__name__


def _check_free(owner: str, names: Iterable[str], items: Iterable[str]) -> None:
    taken = next((name for name in names if name in items), None)
    if taken is not None:
        raise BufferRegistrationError(
            f"a buffer of {owner} must have a name of its own, got '{taken}' twice. "
            "Rename one; to change a registered buffer, use update_buffer."
        )


def _check_alias(
    owner: str,
    entry: BufferEntry,
    before: Mapping[str, BufferEntry | ChildPart[FactoryT]],
    *,
    awaits_children: bool = False,
) -> None:
    """Check that an alias names what is registered before it, or the region of a child that may still come."""
    target = entry.aliases
    if target is None or target in before or (awaits_children and target.endswith("_shared")):
        return
    raise BufferRegistrationError(
        f"buffer '{entry.name}' of {owner} aliases '{target}', which this factory has not registered before it. "
        f"Register '{target}' first.{nearest(target, before)}"
    )


def _registered_before(name: str, context: BufferContext[FactoryT]) -> dict[str, BufferEntry | ChildPart[FactoryT]]:
    """Return what an entry may alias: the entries before it, and the regions of all children."""
    names = list(context.items)
    earlier = names[: names.index(name)]
    return {key: item for key, item in context.items.items() if key in earlier or isinstance(item, ChildPart)}


def _own_entry(context: BufferContext[FactoryT], name: str) -> BufferEntry:
    """Return a factory's own entry.

    Raises
    ------
    UnknownBufferError: if there is none of that name; it offers the nearest.
    BufferRegistrationError: if the name is that of a child's region.
    """
    item = context.items.get(name)
    if item is None:
        raise UnknownBufferError(f"{context.owner} has no buffer '{name}'.{nearest(name, context.items)}")
    if isinstance(item, ChildPart):
        raise BufferRegistrationError(
            f"buffer '{name}' of {context.owner} must be its own, got the region of child '{item.child}'. "
            "Change the child's buffers; fetch its region by get_child_allocators."
        )
    return item


def _alive(owner: str, part: ChildPart[FactoryT]) -> FactoryT:
    child = part.factory()
    if child is None:
        raise BufferLayoutError(
            f"child '{part.child}' of {owner} must live as long as its parent, got a dropped {part.factory_type}. "
            "Keep it as an attribute of the parent."
        )
    return child


def _region(owner: str, part: ChildPart[FactoryT], layout: BufferLayout) -> ChildRegion:
    """Measure a child's part of one pool."""
    pool = layout.shared if part.pool == "shared" else layout.persistent_local
    if pool.size > 0 and not part.granted:
        raise BufferLayoutError(
            f"child '{part.child}' of {owner} must do without persistent storage, got a {part.factory_type} that needs "
            f"{pool.size} elements. Register it with persistent=True, or make its buffers shared or not persistent."
        )
    return ChildRegion(
        name=part.name,
        child=part.child,
        pool=part.pool,
        size=pool.size,
        scratch=pool.scratch,
        precision=pool.precision if pool.size > 0 else None,
    )


def _placement(layout: BufferLayout, name: str) -> Placement:
    placed = layout.find(name)
    if placed is None:
        raise UnknownBufferError(f"no buffer '{name}' in this layout.")
    return placed.placement


BufferRegistry: TypeAlias = Registry[BufferOwner]

buffer_registry: Final[BufferRegistry] = Registry()
"""The package's one registry."""
