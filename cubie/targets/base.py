"""What every target offers: a decorator for device code, allocators, the primitives of the dialect, kernels and their
launch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, ParamSpec, Protocol, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    Count,
    DeviceFunction,
    FloatPrecision,
    GlobalCounts,
    GlobalReals,
    Mask,
    PersistentBank,
    Placement,
    Precision,
    Real,
    Scalar,
    SharedBank,
)
from cubie.targets.flow import STILL, Flow

if TYPE_CHECKING:
    from cubie.targets.device_array import Gathers

P = ParamSpec("P")
R = TypeVar("R")
FunctionT = TypeVar("FunctionT")
Uniform = Scalar | Real


class SelectFn(Protocol):
    """`select(mask, a, b)`: per run, `a` where the mask holds, else `b`."""

    @overload
    def __call__(self, mask: Mask, a: Real | Scalar, b: Real | Scalar, /) -> Real: ...
    @overload
    def __call__(self, mask: Mask, a: Count, b: Count | int, /) -> Count: ...
    @overload
    def __call__(self, mask: Mask, a: Mask, b: Mask, /) -> Mask: ...


class AnyRunFn(Protocol):
    """`any_run(mask)`: whether the mask holds for any of the runs advanced together; the one mask that may steer a
    loop.
    """

    def __call__(self, mask: Mask, /) -> bool: ...


class SeldomFn(Protocol):
    """`seldom(truth)`: the truth itself, of which the compiler learns that it hardly ever holds: what an `if` on it
    guards is kept out of the way of the rest.
    """

    def __call__(self, truth: bool, /) -> bool: ...


class SplatFn(Protocol):
    """`splat(value)`: one value for every run."""

    @overload
    def __call__(self, value: Scalar | Real, /) -> Real: ...
    @overload
    def __call__(self, value: np.int32, /) -> Count: ...


class FmaFn(Protocol):
    """`fma(a, b, c)`: `a*b + c`, rounded once where the hardware can."""

    def __call__(self, a: Real | Scalar, b: Real | Scalar, c: Real | Scalar, /) -> Real: ...


class LoadAtFn(Protocol):
    """`load_at(array, index)`: read a global array at a per-run index."""

    @overload
    def __call__(self, array: GlobalReals, index: Count | int, /) -> Real: ...
    @overload
    def __call__(self, array: GlobalCounts, index: Count | int, /) -> Count: ...


class StoreAtFn(Protocol):
    """`store_at(array, index, value, mask)`: write a global array at a per-run index, for the runs of the mask."""

    @overload
    def __call__(self, array: GlobalReals, index: Count | int, value: Real | Scalar, mask: Mask, /) -> None: ...
    @overload
    def __call__(self, array: GlobalCounts, index: Count | int, value: Count, mask: Mask, /) -> None: ...


class IncrementFn(Protocol):
    """`increment(counter, mask)`: add one to a 32-bit counter of the runs of the mask."""

    def __call__(self, counter: Count, mask: Mask, /) -> Count: ...


class SideBySideFn(Protocol):
    """`side_by_side(first)`: the runs that are advanced together, from `first` on."""

    def __call__(self, first: int, /) -> Count: ...


class RankFn(Protocol):
    """`rank(mask)`: for each run, how many of the runs before it, of those advanced together, the mask holds for."""

    def __call__(self, mask: Mask, /) -> Count: ...


class CountFn(Protocol):
    """`count(mask)`: for how many of the runs advanced together the mask holds."""

    def __call__(self, mask: Mask, /) -> int: ...


class NegateFn(Protocol):
    """`negate(mask)`: the runs outside the mask."""

    def __call__(self, mask: Mask, /) -> Mask: ...


class UnaryFn(Protocol):
    """A function of one real per run."""

    def __call__(self, x: Real | Scalar, /) -> Real: ...


class BinaryFn(Protocol):
    """A function of two reals per run."""

    def __call__(self, a: Real | Scalar, b: Real | Scalar, /) -> Real: ...


class ToRealFn(Protocol):
    """`to_real(count)`: a per-run integer as a real of the build's precision."""

    def __call__(self, count: Count, /) -> Real: ...


LONGEST_COPIED: Final = 600
"""Lines of generated code that are still copied into each of its callers."""
UNARY_FUNCTIONS: Final = (
    *("sqrt", "exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "cbrt", "floor", "ceil", "absolute", "sign"),
)
BINARY_FUNCTIONS: Final = ("pow", "atan2", "minimum", "maximum", "hypot", "fmod")


class BlockTooLargeError(ValueError):
    """A block of runs asks for more memory or registers than a multiprocessor has."""


class LaunchStatistics(NamedTuple):
    """Where the time of a launch went, in seconds (on a CPU the kernel is all of it)."""

    kernel: float
    chunks: int


class HostArrayFn(Protocol):
    """Return an uninitialised array."""

    def __call__(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]: ...


class Kernel(Protocol):
    """A compiled batch kernel, ready to be launched."""

    @property
    def free_bytes(self) -> int | None:
        """The memory that chunks of runs must fit in; None where the host's own arrays are used."""

    def host_array(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]:
        """Return an uninitialised array for results, in the memory that this kernel's device copies to fastest."""

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
        flow: Flow = STILL,
    ) -> LaunchStatistics: ...


def address_of(array: NDArray[Any]) -> int:
    """Return where an array starts."""
    address: int = array.__array_interface__["data"][0]  # in a quarter of the time that array.ctypes takes
    return address


def _same(x: Real | Scalar, /) -> Real:
    return x  # type: ignore[return-value]  # numbers come as they are


class Target(ABC):
    """A kind of processor (or none: the reference) for which factories build device functions.

    Parameters
    ----------
    width : how many runs are advanced together.
    poison : fill scratch with NaN at every hand-out, and everything before the first step, so that a read of what
        nobody wrote shows.
    """

    kind: ClassVar[str]
    refills: ClassVar[bool]
    """A run that has ended makes way for the next one, so that those beside it don't wait for each other."""
    sums_early: ClassVar[bool] = False
    """In large systems few vectors at a time matter more than few loads and stores of them."""
    gathers: "Gathers | None" = None
    fetches: ClassVar[bool] = False
    """Inputs and results travel, piece by piece, while others are integrated."""
    select: SelectFn
    any_run: AnyRunFn
    seldom: SeldomFn
    splat: SplatFn
    fma: FmaFn
    load_at: LoadAtFn
    store_at: StoreAtFn
    increment: IncrementFn
    negate: NegateFn
    side_by_side: SideBySideFn
    rank: RankFn
    count: CountFn
    minimum: BinaryFn
    maximum: BinaryFn
    absolute: UnaryFn
    sqrt: UnaryFn
    rough_log2: UnaryFn
    rough_exp2: UnaryFn
    rough_reciprocal: UnaryFn
    """To single precision at best and at the hardware's speed: for norms and controllers, never for a state."""

    def __init__(self, *, width: int, poison: bool) -> None:
        self.width: Final = width
        self.poison: Final = poison

    @abstractmethod
    def device(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        """Compile a device body, lazily, keeping its signature."""

    def apart(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        """Compile a device body that stays one function with many callers: for code so long that copies would cost more
        than calls.
        """
        return self.device(function)

    @abstractmethod
    def inlined(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        """Compile a device body into its callers: the only kind of function that may return arrays it has allocated.

        A local array dies with the function that it stands in. A compiler that inlines later than this (as LLVM does,
        where `device` asks for it) marks it dead at the callee's end, and may give its place to another.
        """

    @abstractmethod
    def allocator(self, placement: Placement, /) -> AllocateFn:
        """Build the device function that hands out one buffer."""

    @abstractmethod
    def shared_allocator(self, placement: Placement, /) -> AllocateSharedFn:
        """Build the device function that hands out a child's part of the shared pool."""

    @abstractmethod
    def persistent_allocator(self, placement: Placement, /) -> AllocatePersistentFn:
        """Build the device function that hands out a child's part of the persistent pool."""

    @abstractmethod
    def to_real(self, precision: FloatPrecision) -> ToRealFn:
        """Return the conversion of per-run integers to `precision`."""

    def host_array(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]:
        """Return an uninitialised array for inputs, in memory from which they are copied to the device fastest."""
        return np.empty(shape, precision)

    def lends(self, n_bytes: int) -> bool:
        """Whether `host_array` has memory for so many bytes, lent before, and takes none of the system's."""
        return False

    def rough_precision(self, precision: FloatPrecision) -> FloatPrecision:
        """Return the precision of controllers where that of states is `precision`."""
        return precision

    def to_rough(self, precision: FloatPrecision) -> UnaryFn:
        """Return the rounding of a real of `precision` to the precision of controllers."""
        return self.device(_same)

    def from_rough(self, precision: FloatPrecision) -> UnaryFn:
        """Return the conversion of a controller's real to `precision`."""
        return self.device(_same)

    def remember(self, precision: FloatPrecision) -> UnaryFn:
        """Return what puts a controller's real into a buffer of `precision`, for `recall` alone to take out."""
        return self.device(_same)

    def recall(self, precision: FloatPrecision) -> UnaryFn:
        """Return what takes a controller's real out of a buffer of `precision`."""
        return self.device(_same)

    def larger_magnitude(self, precision: FloatPrecision) -> BinaryFn:
        """Return the function that answers ``max(|a|, |b|)``, and NaN if `b` is NaN."""
        absolute, maximum = self.absolute, self.maximum

        @self.device
        def larger(a: Real | Scalar, b: Real | Scalar) -> Real:
            return maximum(absolute(a), absolute(b))

        return larger

    @property
    @abstractmethod
    def functions(self) -> Mapping[str, object]:
        """The primitives and mathematical functions by name, for generated code."""

    @abstractmethod
    def kernel(self, solve_runs: "SolveRunsFn", layout: "KernelLayout", /) -> Kernel:
        """Build the batch kernel around the device function that integrates runs."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What the speed of a kernel depends on besides its code: the processor."""
        return (self.kind,)

    def kept_kernel(self, layout: "KernelLayout", /) -> Kernel | None:
        """Return the kernel of this layout and shape that an earlier process has kept, if there is one."""
        return None

    def from_source(
        self, name: str, text: str, constants: Sequence[tuple[str, float]], precision: FloatPrecision
    ) -> FunctionT:  # type: ignore[type-var]  # the caller names the role of the function that the text defines
        """Compile generated straight-line code; its constants become numbers of `precision`, its functions this
        target's.
        """
        import linecache

        file_name = f"<cubie {name} {abs(hash(text)):x}>"
        linecache.cache[file_name] = (len(text), None, text.splitlines(keepends=True), file_name)
        namespace: dict[str, Any] = {**self.functions, **{key: precision(value) for key, value in constants}}
        exec(compile(text, file_name, "exec"), namespace)
        is_long = text.count("\n") > LONGEST_COPIED
        compiled: Any = self.apart(namespace[name]) if is_long else self.device(namespace[name])
        function: FunctionT = compiled
        return function


@final
class Argument(NamedTuple):
    """One argument of a kernel: an array or a number, and its element type."""

    name: str
    precision: Precision | type[np.int64]
    is_array: bool


@final
class KernelLayout(NamedTuple):
    """All that a target needs to know to wrap a run's device function in a kernel."""

    name: str
    group: type[Any]
    """The named tuple in which the device function takes `first_run` and `n_slots`, then the arguments: outputs hold
    runs from `first_run` on.
    """
    arguments: tuple[Argument, ...]
    n_outputs: int
    """How many of the arguments, the last ones, are written; each is an array whose last axis is the run."""
    n_shared: int
    shared_precision: Precision
    n_persistent: int
    persistent_precision: Precision
    shape: str = ""
    """All that shapes the device function, as text; the kernel is kept for other processes, unless it is empty."""


class SolveRunsFn(Protocol):
    """Integrates the runs from `first` to before `stop`, and stores what was asked for."""

    def __call__(
        self, first: int, stop: int, arguments: Any, shared: SharedBank, persistent: PersistentBank, /
    ) -> None: ...


def poison_value(precision: Precision) -> Any:
    """Return what nobody should ever read: NaN, or the smallest 32-bit integer."""
    return precision(np.iinfo(np.int32).min) if precision is np.int32 else precision(np.nan)
