"""The one room in which it is decided where every working array stands.

Factories register what they need under their own instance; the registry lays it out when somebody asks, and hands out
allocators. Nothing is told when something changes: a layout sits in a slot that a change empties, and a fetch remakes
it when the slot is empty or when a child's layout is not the one it was made from.
"""

from collections.abc import Iterable
from threading import RLock
from typing import Final, Generic, NoReturn, SupportsIndex, TypeAlias, final
from weakref import WeakKeyDictionary

from typing_extensions import Unpack, override

from cubie._types import AllocateFn, AllocatePersistentFn, AllocateSharedFn, BufferOwner, Location, Placement, Precision
from cubie.buffer_context import BufferChanges, BufferContext, FactoryT, UnknownBufferError
from cubie.buffer_layout import (
    EMPTY_LAYOUT,
    BufferEntry,
    BufferLayout,
    BufferLayoutError,
    BufferRegistrationError,
    PlacedBuffer,
    PoolLayout,
    lay_out,
)
from cubie.buffer_report import BufferReport

__all__ = [
    "BufferChanges",
    "BufferContext",
    "BufferEntry",
    "BufferLayout",
    "BufferLayoutError",
    "BufferRegistrationError",
    "BufferRegistry",
    "BufferReport",
    "PlacedBuffer",
    "PoolLayout",
    "Registry",
    "UnknownBufferError",
    "buffer_registry",
]


@final
class Registry(Generic[FactoryT]):
    """Buffers of factories, by factory instance.

    A factory is held weakly, and by identity: when it is dropped, its context goes. Any thread may call any method.
    """

    def __init__(self) -> None:
        self._contexts: WeakKeyDictionary[FactoryT, BufferContext[FactoryT]] = WeakKeyDictionary()
        self._lock: Final = RLock()

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
            context = self._context(factory)
            context.add(entry)
            self._contexts[factory] = context

    def declare(self, factory: FactoryT, entries: Iterable[BufferEntry]) -> None:
        """Register all of a factory's own buffers at once, in place of those it had; its children stay.

        A location that was chosen by `update_buffer` or `relocate` goes over the entry's. An entry may alias
        `{child}_shared` of a child that is registered later.

        Raises
        ------
        BufferRegistrationError: if the entries don't go together; then nothing has changed.
        """
        with self._lock:
            context = self._context(factory)
            context.declare(entries)
            self._contexts[factory] = context

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
            if context is not None:
                context.change(name, changes)

    def relocate(self, root: FactoryT, path: str, location: Location) -> None:
        """Move the buffer at `path` below `root`, such as "step.stage_rates": names of children, then the buffer's.

        Raises
        ------
        UnknownBufferError: if a part of the path is not there; it offers the nearest name.
        """
        *children, name = path.split(".")
        with self._lock:
            factory, context = root, self._context(root)
            for child in children:
                factory = context.part(child).alive(context.owner)
                context = self._context(factory)
            context.change(name, {"location": location})

    def clear(self, factory: FactoryT) -> None:
        """Forget all that a factory has registered, and the locations chosen for it."""
        with self._lock:
            self._contexts.pop(factory, None)

    def register_child(self, name: str, parent: FactoryT, child: FactoryT, *, persistent: bool = True) -> None:
        """Give `child` its part of both of `parent`'s pools, as `{name}_shared` and `{name}_persistent`.

        The parts are measured anew whenever they are fetched, at any depth. The parent keeps the child alive; the
        registry doesn't.

        Parameters
        ----------
        persistent : False grants no persistent storage: the parent can't be laid out if the child needs some.

        Raises
        ------
        BufferRegistrationError: if a name is taken, or the child already contains the parent.
        """
        self._add_child(name, parent, child, persistent=persistent, replaces=False)

    def replace_child(self, name: str, parent: FactoryT, child: FactoryT, *, persistent: bool = True) -> None:
        """Put another child in the place of one registered before; all else that the parent registered stays.

        Raises
        ------
        UnknownBufferError: if the parent has no child of that name.
        BufferRegistrationError: if the new child already contains the parent.
        """
        self._add_child(name, parent, child, persistent=persistent, replaces=True)

    def _add_child(self, name: str, parent: FactoryT, child: FactoryT, *, persistent: bool, replaces: bool) -> None:
        with self._lock:
            context = self._context(parent)
            if self._contains(child, parent):
                raise BufferRegistrationError(
                    f"child '{name}' of {context.owner} must not contain it, got the {type(child).__name__} above it. "
                    "Register children below parents only."
                )
            context.add_child(name, child, persistent=persistent, replaces=replaces)
            self._contexts[parent] = context

    def _contains(self, root: FactoryT, factory: FactoryT) -> bool:
        """Tell whether `factory` is `root` or stands anywhere below it."""
        if factory is root:
            return True
        children = (part.factory() for part in self._context(root).parts)
        return any(child is not None and self._contains(child, factory) for child in children)

    def layouts_below(self, factory: FactoryT) -> list[tuple[FactoryT, BufferLayout]]:
        """Return the layouts of all factories that this one is made from, at any depth, each once."""
        found: dict[FactoryT, BufferLayout] = {}
        waiting = [factory]
        with self._lock:
            while waiting:
                context = self._context(waiting.pop())
                for part in context.parts:
                    child = part.alive(context.owner)
                    if child not in found:
                        found[child] = self.layout(child)
                        waiting.append(child)
        return list(found.items())

    def stands(self, layouts: Iterable[tuple[FactoryT, BufferLayout]]) -> bool:
        """Tell whether `layout` would return these very objects; of a tree, every factory must be among them.

        It looks at each once, where `layout` looks at a shared child under each of its parents.
        """
        with self._lock:
            for factory, layout in layouts:
                context = self._contexts.get(factory)
                if context is None or context.layout is not layout:
                    return False
        return True

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
            parts, owner = context.parts, context.owner
            measured = tuple(self.layout(part.alive(owner)) for part in parts)
            layout = context.layout
            if layout is None or any(new is not old for new, old in zip(measured, context.measured, strict=True)):
                regions = {part.name: part.measure(owner, below) for part, below in zip(parts, measured, strict=True)}
                items = [
                    item if isinstance(item, BufferEntry) else regions[item.name] for item in context.items.values()
                ]
                layout = lay_out(owner, items)
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

    def report(self, factory: FactoryT) -> BufferReport:
        """Describe the memory of a factory and of all below it: `print()` it, or draw it by `.to_svg()`.

        Raises
        ------
        BufferLayoutError: if the buffers can't be laid out.
        """
        with self._lock:
            return self._report(factory, type(factory).__name__, 0, 0)

    def _report(self, factory: FactoryT, name: str, shared_start: int, persistent_start: int) -> BufferReport:
        layout, context = self.layout(factory), self._context(factory)
        children: list[BufferReport] = []
        for part in context.parts:
            if part.pool == "shared":
                shared = shared_start + _placement(layout, f"{part.child}_shared").start
                persistent = persistent_start + _placement(layout, f"{part.child}_persistent").start
                children.append(self._report(part.alive(context.owner), part.child, shared, persistent))
        return BufferReport.of(name, context.owner, layout, shared_start, persistent_start, children)

    def get_allocator(self, name: str, factory: FactoryT) -> AllocateFn:
        """Return the device function that hands out a buffer, made by the factory's target.

        Raises
        ------
        UnknownBufferError: if this factory has not registered it.
        BufferRegistrationError: if it is a child's region.
        """
        with self._lock:
            self._context(factory).entry(name)
            placement = _placement(self.layout(factory), name)
        return factory.target.allocator(placement)

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
            context = self._context(parent)
            if context.part(name).factory() is not child:
                raise BufferRegistrationError(
                    f"child '{name}' of {context.owner} must be the factory registered under that name, "
                    f"got another {type(child).__name__}. Ask for the child that the parent holds."
                )
            layout = self.layout(parent)
            shared, persistent = _placement(layout, f"{name}_shared"), _placement(layout, f"{name}_persistent")
        target = parent.target
        return target.shared_allocator(shared), target.persistent_allocator(persistent)

    def _context(self, factory: FactoryT) -> BufferContext[FactoryT]:
        """Return the context of a factory; for one that has registered nothing, an empty one that isn't stored."""
        context = self._contexts.get(factory)
        if context is not None:
            return context
        owner = type(factory).__name__
        if type(factory).__eq__ is not object.__eq__:
            raise BufferRegistrationError(
                f"a factory must be equal to itself only, got {owner}, which defines equality. "
                "Make it a plain class, or a dataclass with eq=False."
            )
        return BufferContext(owner)


def _placement(layout: BufferLayout, name: str) -> Placement:
    """Return where a registered buffer stands."""
    placements = {buffer.name: buffer.placement for buffer in layout.placed}
    return placements[name]


BufferRegistry: TypeAlias = Registry[BufferOwner]

buffer_registry: Final[BufferRegistry] = Registry()
"""The package's one registry."""
