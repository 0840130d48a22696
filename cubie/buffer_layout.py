"""Entries in, offsets and sizes out: the one computation that decides where every working array stands.

Everything here is a frozen value or a pure function of such values; `cubie.buffer_registry` holds what changes.

The rules, pool by pool (`docs/buffer_registry.md` tells them at length):

- shared -> shared pool; local and persistent -> persistent_local pool; local and not persistent -> an array of its own.
- Within a pool scratch comes first, in order of registration, and kept entries (`persistent=True`) last.
- An alias of a shared entry takes the next free part of that entry's scratch, or, when that doesn't reach or one of the
  two is kept, shared storage of its own. An alias of a local entry, or of a child that uses no shared memory, has
  storage of its own, as if it named no alias.
- A child's part of a pool is one slice of the child's total; as soon as it holds kept entries it counts as kept, and
  its leading scratch can still be aliased. Such parts stand before all else that is kept, so that the first one's
  scratch follows the pool's own, and counts as the pool's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

import numpy as np

from cubie._types import Location, Placement, Pool, Precision, Span, span

PRECISIONS: Final[tuple[Precision, ...]] = (np.float32, np.float64, np.int32)
LOCATIONS: Final[tuple[str, ...]] = ("shared", "local")

BankPool: TypeAlias = Literal["shared", "persistent_local"]
"""The pools that a parent hands to its children; plain locals are arrays of their own."""


class BufferRegistrationError(ValueError):
    """An entry, or a change of one, breaks a rule that can be checked at once."""


class BufferLayoutError(ValueError):
    """Entries that are right one by one can't be laid out together."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BufferEntry:
    """One working array that a factory asks for."""

    name: str
    size: int
    """Elements; 0 is allowed."""
    location: Location
    persistent: bool = False
    """Contents survive between calls of the factory's function, in either location."""
    aliases: str | None = None
    """An entry of the same factory, registered before, whose scratch this one may use."""
    precision: Precision

    def __post_init__(self) -> None:
        """Check each field by itself.

        Raises
        ------
        BufferRegistrationError: naming the field, its rule and the value.
        """
        name, size, aliases = self.name, self.size, self.aliases
        known = any(self.precision is precision for precision in PRECISIONS)
        location_remedy = "For storage that lives from call to call, add persistent=True."
        rules: tuple[tuple[str, object, bool, str, str], ...] = (
            ("name", name, type(name) is str and name.isidentifier(), "be an identifier", "Rename it."),
            ("size", size, type(size) is int and size >= 0, "be an int of at least 0", "Sizes count elements."),
            ("location", self.location, self.location in LOCATIONS, "be 'shared' or 'local'", location_remedy),
            ("persistent flag", self.persistent, type(self.persistent) is bool, "be True or False", "Give a bool."),
            ("alias", aliases, aliases is None or type(aliases) is str, "be a name or None", "Name another buffer."),
            ("alias", aliases, aliases != name, "be another buffer", "Name one registered before, or None."),
            ("precision", self.precision, known, "be numpy.float32, float64 or int32", "Give the scalar type itself."),
        )
        for field, value, holds, rule, remedy in rules:
            if not holds:
                raise BufferRegistrationError(f"the {field} of buffer {name!r} must {rule}, got {value!r}. {remedy}")

    @property
    def pool(self) -> Pool:
        """The pool that this entry's own storage is in."""
        if self.location == "shared":
            return "shared"
        return "persistent_local" if self.persistent else "local"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRegion:
    """A child's part of one of its parent's pools, as measured when the layout is computed."""

    name: str
    child: str
    pool: BankPool
    size: int
    scratch: int
    """Leading elements that needn't survive between calls."""
    precision: Precision | None
    """None: the child's pool is empty and goes with any."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLayout:
    """Totals of one pool."""

    size: int = 0
    scratch: int = 0
    """Leading elements that needn't survive between calls."""
    precision: Precision | None = None
    """Element type of the whole pool; None while it is empty."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBuffer:
    """Where one buffer, or one child's region, stands."""

    name: str
    placement: Placement
    aliases: str | None = None
    """The buffer that the entry named as its alias."""
    inside: str | None = None
    """The buffer of whose slice this one's is a part: an alias that fitted."""
    child: str | None = None
    """The child whose region this is."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BufferLayout:
    """Every slice and every total of one factory, from one computation."""

    shared: PoolLayout = PoolLayout()
    persistent_local: PoolLayout = PoolLayout()
    local_size: int = 0
    placed: tuple[PlacedBuffer, ...] = ()
    """In order of registration."""

    def find(self, name: str) -> PlacedBuffer | None:
        """Return where `name` stands, or None."""
        return next((buffer for buffer in self.placed if buffer.name == name), None)

    @property
    def shared_slices(self) -> dict[str, Span]:
        """Slices into this factory's part of the shared pool, by name."""
        return self._slices("shared")

    @property
    def persistent_local_slices(self) -> dict[str, Span]:
        """Slices into this factory's part of the persistent pool, by name."""
        return self._slices("persistent_local")

    @property
    def local_sizes(self) -> dict[str, int]:
        """Lengths of the arrays that are allocated one by one, at least 1 each, by name."""
        return {buffer.name: buffer.placement.size for buffer in self.placed if buffer.placement.pool == "local"}

    def _slices(self, pool: BankPool) -> dict[str, Span]:
        return {
            buffer.name: span(buffer.placement.start, buffer.placement.size)
            for buffer in self.placed
            if buffer.placement.pool == pool
        }


EMPTY_LAYOUT: Final = BufferLayout()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What one item asks of which pool, before anything has an offset."""

    name: str
    pool: Pool
    size: int
    scratch: int
    """Leading elements of which aliases may take parts."""
    kept: bool
    precision: Precision | None
    aliases: str | None = None
    inside: str | None = None
    offset: int = 0
    """Elements from the start of the slice it is `inside`."""
    child: str | None = None


def lay_out(owner: str, items: Sequence[BufferEntry | ChildRegion]) -> BufferLayout:
    """Give every item its place.

    Parameters
    ----------
    owner : what error messages call the factory.
    items : in order of registration.

    Raises
    ------
    BufferLayoutError: if a pool mixes element types, or an alias names nothing that stands before it.
    """
    claims = _claims(owner, items)
    starts = _starts(claims.values())
    precisions: dict[Pool, Precision | None] = {
        "shared": _pool_precision(owner, "shared", claims.values()),
        "persistent_local": _pool_precision(owner, "persistent_local", claims.values()),
    }
    return BufferLayout(
        shared=_totals("shared", claims.values(), precisions["shared"]),
        persistent_local=_totals("persistent_local", claims.values(), precisions["persistent_local"]),
        local_size=sum(claim.size for claim in claims.values() if claim.pool == "local"),
        placed=tuple(
            PlacedBuffer(
                name=claim.name,
                placement=Placement(
                    pool=claim.pool,
                    start=starts[claim.name],
                    size=claim.size,
                    precision=claim.precision or precisions[claim.pool] or np.float32,
                    kept=claim.kept,
                ),
                aliases=claim.aliases,
                inside=claim.inside,
                child=claim.child,
            )
            for claim in claims.values()
        ),
    )


def _claims(owner: str, items: Sequence[BufferEntry | ChildRegion]) -> dict[str, _Claim]:
    """Decide for each item, in order of registration, whose storage it gets."""
    claims = {item.name: _region_claim(item) for item in items if isinstance(item, ChildRegion)}
    taken: dict[str, int] = {}
    for item in items:
        if isinstance(item, ChildRegion):
            continue
        target = None
        if item.aliases is not None:
            target = claims.get(item.aliases)
            if target is None:
                raise BufferLayoutError(
                    f"buffer '{item.name}' of {owner} aliases '{item.aliases}', which this factory has not registered. "
                    f"Register '{item.aliases}', or adopt the child whose region it is."
                )
        claim = _entry_claim(item, target, taken)
        if claim.inside is not None:
            taken[claim.inside] = claim.offset + claim.size
        claims[claim.name] = claim
    return {item.name: claims[item.name] for item in items}


def _region_claim(region: ChildRegion) -> _Claim:
    return _Claim(
        name=region.name,
        pool=region.pool,
        size=region.size,
        scratch=region.scratch,
        kept=region.scratch < region.size,
        precision=region.precision,
        child=region.child,
    )


def _entry_claim(entry: BufferEntry, target: _Claim | None, taken: Mapping[str, int]) -> _Claim:
    """Let an alias of shared scratch have the next part of it, if enough is left; all else has its own storage.

    A child that uses no shared memory has nothing to be aliased: then the entry stands where it says.
    """
    pool, inside, offset = entry.pool, None, 0
    if target is not None and target.pool == "shared" and (target.child is None or target.size > 0):
        pool, offset = "shared", taken.get(target.name, 0)
        if not entry.persistent and offset + entry.size <= target.scratch:
            inside = target.name
    return _Claim(
        name=entry.name,
        pool=pool,
        size=max(entry.size, 1) if pool == "local" else entry.size,
        scratch=0 if entry.persistent or pool != "shared" else entry.size,
        kept=entry.persistent,
        precision=entry.precision,
        aliases=entry.aliases,
        inside=inside,
        offset=0 if inside is None else offset,
    )


def _starts(claims: Collection[_Claim]) -> dict[str, int]:
    """Place what has its own storage end to end, scratch before kept; then what lies inside."""
    ends: dict[Pool, int] = {"shared": 0, "persistent_local": 0, "local": 0}
    starts: dict[str, int] = {}
    for claim in _in_order(claims):
        starts[claim.name] = ends[claim.pool]
        if claim.pool != "local":  # each an array of its own, from 0
            ends[claim.pool] += claim.size
    for claim in claims:
        if claim.inside is not None:
            starts[claim.name] = starts[claim.inside] + claim.offset
    return starts


def _in_order(claims: Collection[_Claim]) -> list[_Claim]:
    """Return what has its own storage: scratch, then children's parts that begin with scratch, then what is kept."""
    own = [claim for claim in claims if claim.inside is None]
    scratch, kept = [claim for claim in own if not claim.kept], [claim for claim in own if claim.kept]
    return [*scratch, *(claim for claim in kept if claim.scratch > 0), *(claim for claim in kept if not claim.scratch)]


def _totals(pool: BankPool, claims: Collection[_Claim], precision: Precision | None) -> PoolLayout:
    own = [claim for claim in _in_order(claims) if claim.pool == pool]
    before = sum(claim.size for claim in own if not claim.kept)
    behind = next((claim.scratch for claim in own if claim.kept), 0)
    return PoolLayout(size=sum(claim.size for claim in own), scratch=before + behind, precision=precision)


def _pool_precision(owner: str, pool: BankPool, claims: Collection[_Claim]) -> Precision | None:
    """Return the one element type of a pool.

    Raises
    ------
    BufferLayoutError: naming two entries of different types.
    """
    first: _Claim | None = None
    for claim in claims:
        if claim.pool != pool or claim.precision is None:
            continue
        if first is None or first.precision is None:
            first = claim
        elif claim.precision is not first.precision:
            raise BufferLayoutError(
                f"the {pool} pool of {owner} must hold one element type, got {first.precision.__name__} for "
                f"'{first.name}' and {claim.precision.__name__} for '{claim.name}'. "
                f"Make '{claim.name}' a plain local buffer, or give both the same precision."
            )
    return None if first is None else first.precision
