"""The base of everything that is compiled: frozen settings in, a device function out, built when it is fetched."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import Field, dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Final, Generic, NoReturn, Protocol, SupportsIndex, TypeVar, final

from typing_extensions import override

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    Location,
    PersistentBank,
    Precision,
    SharedBank,
    Vector,
    nearest,
)
from cubie.buffer_registry import BufferEntry, BufferLayout, UnknownBufferError, buffer_registry
from cubie.targets.base import Target
from cubie.targets.cache import spelled
from cubie.targets.unroll import nothing


class SettingsInstance(Protocol):
    """An object of any frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


SettingsT = TypeVar("SettingsT", bound=SettingsInstance)
FunctionT_co = TypeVar("FunctionT_co", covariant=True)


class UnknownSettingError(LookupError):
    """A factory's settings have no field of that name."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Values that a probed factory keeps of each call, for tests: `n_rows` vectors of `size` numbers."""

    name: str
    n_rows: int
    size: int
    precision: Precision

    @property
    def entry(self) -> BufferEntry:
        """The buffer that holds them until the next call."""
        return buffer(f"{self.name}_recorded", self.n_rows * self.size, self.precision, persistent=True)


class RecordFn(Protocol):
    """Keep `values` as row number `row` of a recording; compiled to nothing where nobody probes."""

    def __call__(self, row: int, values: Vector, shared: SharedBank, persistent: PersistentBank) -> None: ...


class ChildFactory(Protocol):
    """What a factory knows of the factories it is made from."""

    @property
    def target(self) -> Target: ...
    @property
    def device_function(self) -> object: ...
    @property
    def shape(self) -> str: ...


ChildT = TypeVar("ChildT", bound=ChildFactory)


def buffer(
    name: str,
    size: int,
    precision: Precision,
    *,
    location: Location = "local",
    persistent: bool = False,
    aliases: str | None = None,
) -> BufferEntry:
    """Describe one working array of `size` elements: scratch in local memory, unless told otherwise."""
    return BufferEntry(
        name=name, size=size, precision=precision, location=location, persistent=persistent, aliases=aliases
    )


@final
@dataclass(frozen=True, slots=True)
class Build(Generic[FunctionT_co]):
    """A device function and what it was made from."""

    function: FunctionT_co
    layout: BufferLayout
    parts: tuple[object, ...]
    """The children's device functions."""

    def is_of(self, layout: BufferLayout, parts: tuple[object, ...]) -> bool:
        """Tell whether these very objects were used."""
        return self.layout is layout and all(new is old for new, old in zip(parts, self.parts, strict=True))


class CUDAFactory(ABC, Generic[SettingsT, FunctionT_co]):
    """Makes one device function from frozen settings and from the functions of its children.

    A subclass says in `buffers` what memory it works in, adopts its children in `__init__`, and builds in `build`. It
    never holds a parent. Its typed `update` is one line, with a `TypedDict(total=False)` of its settings::

        def update(self, **changes: Unpack[ErkChanges]) -> None:
            self._update(changes)

    Parameters
    ----------
    settings : a frozen dataclass.
    target : what to build for; children must share it.
    """

    def __init__(self, settings: SettingsT, *, target: Target) -> None:
        self._settings = settings
        self._target: Final = target
        self._children: Final[dict[str, ChildFactory]] = {}
        self._build: Build[FunctionT_co] | None = None
        self._is_probed = False
        buffer_registry.declare(self, self.buffers(settings))

    @override
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        """Refuse to be copied or pickled: the copy would have no buffers."""
        raise TypeError(
            f"a {type(self).__name__} can't be copied or pickled: its buffers are registered under this very object. "
            "Make another from its settings."
        )

    @staticmethod
    @abstractmethod
    def buffers(settings: SettingsT) -> tuple[BufferEntry, ...]:
        """Say what working arrays the device function needs: a pure function of the settings."""

    @staticmethod
    def recordings(settings: SettingsT) -> tuple[Recording, ...]:
        """Say what a probe can record: a pure function of the settings."""
        return ()

    @abstractmethod
    def build(self) -> FunctionT_co:
        """Make the device function, whose closure holds numbers, tuples, slices and device functions only."""

    @property
    def settings(self) -> SettingsT:
        """The settings that the next build goes by."""
        return self._settings

    @property
    def target(self) -> Target:
        """What is built for."""
        return self._target

    @property
    def children(self) -> Mapping[str, ChildFactory]:
        """The factories that this one is made from, by name."""
        return MappingProxyType(self._children)

    @property
    def device_function(self) -> FunctionT_co:
        """The device function, built anew if the settings, the layout or a child's function have changed.

        Raises
        ------
        BufferLayoutError: if the buffers can't be laid out.
        """
        layout = buffer_registry.layout(self)
        parts = tuple(child.device_function for child in self._children.values())
        build = self._build
        if build is None or not build.is_of(layout, parts):
            build = self._build = Build(self.build(), layout, parts)
        return build.function

    @property
    def shape(self) -> str:
        """All that shapes the device function, as text: the settings and layouts of the whole tree.

        Raises
        ------
        TypeError: if settings hold more than plain data.
        """
        own = (type(self).__qualname__, spelled(self._settings), spelled(buffer_registry.layout(self)))
        return "\n".join([*own, *(f"{name}: {child.shape}" for name, child in self._children.items())])

    @property
    def shared_buffer_size(self) -> int:
        """Elements of shared memory per run, children included."""
        return buffer_registry.shared_buffer_size(self)

    @property
    def local_buffer_size(self) -> int:
        """Elements of this factory's own plain local arrays."""
        return buffer_registry.local_buffer_size(self)

    @property
    def persistent_local_buffer_size(self) -> int:
        """Elements that live from step to step outside shared memory, per run, children included."""
        return buffer_registry.persistent_local_buffer_size(self)

    def adopt(self, name: str, child: ChildT, *, persistent: bool = True) -> ChildT:
        """Take `child` as the part called `name`, in the place of an earlier one of that name, and return it.

        Parameters
        ----------
        persistent : False grants it no persistent storage.

        Raises
        ------
        ValueError: if the child was made for another target.
        BufferRegistrationError: if the name is a buffer's, or the child contains this factory.
        """
        if child.target is not self._target:
            raise ValueError(
                f"child '{name}' of {type(self).__name__} must share its target, got one made for another "
                f"{type(child.target).__name__}. Make all factories of a tree with one target."
            )
        if name in self._children:
            buffer_registry.replace_child(name, self, child, persistent=persistent)
        else:
            buffer_registry.register_child(name, self, child, persistent=persistent)
        self._children[name] = child
        self._build = None
        return child

    def allocator(self, name: str) -> AllocateFn:
        """Return the device function that hands out the buffer `name`."""
        return buffer_registry.get_allocator(name, self)

    def child_allocators(self, name: str) -> tuple[AllocateSharedFn, AllocatePersistentFn]:
        """Return the device functions that hand out a child's parts of both pools."""
        if name not in self._children:
            raise UnknownBufferError(f"{type(self).__name__} has no child '{name}'.{nearest(name, self._children)}")
        return buffer_registry.get_child_allocators(name, self, self._children[name])

    def probe(self) -> None:
        """Keep what `recordings` names, of each call, in buffers of this factory: for tests of single steps."""
        self._is_probed = True
        buffer_registry.declare(self, self._entries(self._settings))
        self._build = None

    @property
    def recorded(self) -> tuple[Recording, ...]:
        """What is recorded of each call: nothing, unless probed."""
        return self.recordings(self._settings) if self._is_probed else ()

    def recorder(self, name: str) -> RecordFn:
        """Return the device function that keeps vectors of the recording `name`; it does nothing unless probed."""
        recording = next((recording for recording in self.recorded if recording.name == name), None)
        if recording is None:
            return nothing
        size, allocate = recording.size, self.allocator(recording.entry.name)

        @self._target.device
        def record(row: int, values: Vector, shared: SharedBank, persistent: PersistentBank) -> None:
            kept = allocate(shared, persistent)
            for i in range(size):
                kept[row * size + i] = values[i]

        return record

    def configure(self, settings: SettingsT) -> None:
        """Go by `settings` from now on and register the buffers they need, all or nothing; equal ones do nothing."""
        if settings != self._settings:
            buffer_registry.declare(self, self._entries(settings))
            self._settings = settings
            self._build = None

    def _entries(self, settings: SettingsT) -> tuple[BufferEntry, ...]:
        recorded = self.recordings(settings) if self._is_probed else ()
        return (*self.buffers(settings), *(recording.entry for recording in recorded))

    def _update(self, changes: Mapping[str, object]) -> None:
        """Replace some settings, all or nothing.

        Raises
        ------
        UnknownSettingError: it offers the nearest name.
        """
        known = list(self._settings.__dataclass_fields__)
        for name in changes:
            if name not in known:
                offer = nearest(name, known) or f" It has {', '.join(known)}."
                raise UnknownSettingError(f"{type(self).__name__} has no setting '{name}'.{offer}")
        self.configure(replace(self._settings, **changes))
