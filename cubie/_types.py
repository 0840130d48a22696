"""The words in which the rooms of cubie speak to each other.

A *per-run value* (`Real`, `Count`, `Mask`) is one number for each run that a piece of device code advances at once: a
scalar in a CUDA thread, a vector in SIMD lanes, a NumPy array in the reference target. Device code is written once
against these protocols.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral
from typing import Final, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, final, overload

import numpy as np

Location: TypeAlias = Literal["shared", "local"]
Pool: TypeAlias = Literal["shared", "persistent_local", "local"]

FloatPrecision: TypeAlias = type[np.float32] | type[np.float64]
Precision: TypeAlias = FloatPrecision | type[np.int32]
Scalar: TypeAlias = np.float32 | np.float64

Span: TypeAlias = "slice[int, int, None]"

FLOAT_PRECISIONS: Final[dict[str, FloatPrecision]] = {"float32": np.float32, "float64": np.float64}

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Mask(Protocol):
    """A truth value per run. It has no `__bool__`: an `if` on one is a type error; use `select` or `any_run`."""

    def __and__(self, other: "Mask", /) -> "Mask": ...
    def __or__(self, other: "Mask", /) -> "Mask": ...


class Real(Protocol):
    """A floating-point number per run, of the build's precision."""

    def __add__(self, other: "Real | Scalar", /) -> "Real": ...
    def __radd__(self, other: "Real | Scalar", /) -> "Real": ...
    def __sub__(self, other: "Real | Scalar", /) -> "Real": ...
    def __rsub__(self, other: "Real | Scalar", /) -> "Real": ...
    def __mul__(self, other: "Real | Scalar", /) -> "Real": ...
    def __rmul__(self, other: "Real | Scalar", /) -> "Real": ...
    def __truediv__(self, other: "Real | Scalar", /) -> "Real": ...
    def __rtruediv__(self, other: "Real | Scalar", /) -> "Real": ...
    def __neg__(self) -> "Real": ...
    def __abs__(self) -> "Real": ...
    def __lt__(self, other: "Real | Scalar", /) -> Mask: ...
    def __le__(self, other: "Real | Scalar", /) -> Mask: ...
    def __gt__(self, other: "Real | Scalar", /) -> Mask: ...
    def __ge__(self, other: "Real | Scalar", /) -> Mask: ...


class Count(Protocol):
    """A 32-bit or 64-bit integer per run: counters, indices, status codes."""

    def __add__(self, other: "Count | int", /) -> "Count": ...
    def __radd__(self, other: "Count | int", /) -> "Count": ...
    def __sub__(self, other: "Count | int", /) -> "Count": ...
    def __mul__(self, other: "Count | int", /) -> "Count": ...
    def __rmul__(self, other: "Count | int", /) -> "Count": ...
    def __or__(self, other: "Count | int", /) -> "Count": ...
    def __lt__(self, other: "Count | int", /) -> Mask: ...
    def __le__(self, other: "Count | int", /) -> Mask: ...
    def __gt__(self, other: "Count | int", /) -> Mask: ...
    def __ge__(self, other: "Count | int", /) -> Mask: ...


StatusBits: TypeAlias = Count
"""What a step answers: 0, or a code of `cubie.status`, per run."""


class Vector(Protocol):
    """A small array of per-run values: `v[i]` is the i-th value of every run at once; `i` is never itself per-run."""

    @overload
    def __getitem__(self, index: int, /) -> Real: ...
    @overload
    def __getitem__(self, part: Span, /) -> "Vector": ...
    def __setitem__(self, index: int, value: "Real | Scalar", /) -> None: ...


class Bank(Protocol):
    """A pool of storage, of which an allocator hands out parts."""

    def __getitem__(self, part: Span, /) -> Vector: ...


class SharedBank(Bank, Protocol):
    """A run's part of the memory that threads of a block share (on a CPU: its core's stack)."""

    @property
    def shared_pool(self) -> Literal[True]: ...


class PersistentBank(Bank, Protocol):
    """A run's own storage whose contents live from step to step."""

    @property
    def persistent_pool(self) -> Literal[True]: ...


class GlobalReals(Protocol):
    """Numbers in the device's main memory, read by `load_at` and written by `store_at` with a per-run index."""

    def __getitem__(self, index: int, /) -> Real: ...


class GlobalCounts(Protocol):
    """Integers in the device's main memory."""

    def __getitem__(self, index: int, /) -> Count: ...


class DeviceFunction(Protocol[P, R_co]):
    """A compiled (in the reference target, plain) function with the signature of the one it was made from."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class RateFn(Protocol):
    """Write a system's rates ``out = f(t, y)``, or its observables, for the given parameters and drivers."""

    def __call__(self, t: Real, y: Vector, parameters: Vector, drivers: Vector, out: Vector) -> None: ...


class AllocateFn(Protocol):
    """Hands out one buffer, given the factory's own part of both pools."""

    def __call__(self, shared_parent: SharedBank, persistent_parent: PersistentBank, /) -> Vector: ...


class AllocateSharedFn(Protocol):
    """Hands out a child's part of the shared pool."""

    def __call__(self, shared_parent: SharedBank, persistent_parent: PersistentBank, /) -> SharedBank: ...


class AllocatePersistentFn(Protocol):
    """Hands out a child's part of the persistent pool."""

    def __call__(self, shared_parent: SharedBank, persistent_parent: PersistentBank, /) -> PersistentBank: ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one buffer stands: all that a target needs to build its allocator."""

    pool: Pool
    start: int
    size: int
    precision: Precision
    kept: bool
    """Contents survive between calls: a poison build leaves them alone at hand-out."""


class AllocatorBuilder(Protocol):
    """What the buffer registry knows of a target."""

    def allocator(self, placement: Placement, /) -> AllocateFn: ...
    def shared_allocator(self, placement: Placement, /) -> AllocateSharedFn: ...
    def persistent_allocator(self, placement: Placement, /) -> AllocatePersistentFn: ...


class BufferOwner(Protocol):
    """What the buffer registry knows of a factory."""

    @property
    def target(self) -> AllocatorBuilder: ...


def span(start: int, size: int) -> Span:
    """Return the slice of `size` elements from `start`."""
    return slice(start, start + size, None)  # type: ignore[misc]  # typeshed gives the step of any slice() call as Any


def whole_number(value: object) -> int | None:
    """Return a Python or NumPy integer as an int; None if it is anything else, as a bool or a float."""
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, Integral):
        return None
    return int(value)


def canonical_form(name: str) -> str:
    """Return a name without what people spell differently: letters and digits alone, in lower case."""
    return "".join(filter(str.isalnum, name.lower()))


NameT = TypeVar("NameT", bound=str)


def find_name(name: str, known: Iterable[NameT]) -> NameT | None:
    """Return the known name of the same canonical form, if there is one."""
    form = canonical_form(name)
    return next((candidate for candidate in known if canonical_form(candidate) == form), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean '...'?" with the known name closest to `name`, or nothing when none is close."""
    matches = get_close_matches(name, list(known), n=1)
    return f" Did you mean '{matches[0]}'?" if matches else ""
