"""The reference target: device functions stay plain Python over NumPy arrays of runs, with no compiler.

It interprets the one source. An `if` on a mask raises here, lines of device bodies are counted by coverage, and what a
body does to a group of runs is what lanes will do.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from cubie._types import (
    AllocateFn,
    AllocatePersistentFn,
    AllocateSharedFn,
    DeviceFunction,
    FloatPrecision,
    Placement,
    Precision,
    span,
)
from cubie.targets.base import (
    BINARY_FUNCTIONS,
    UNARY_FUNCTIONS,
    KernelLayout,
    LaunchStatistics,
    SolveRunsFn,
    Target,
    ToRealFn,
    poison_value,
)
from cubie.targets.flow import STILL, Flow

P = ParamSpec("P")
R = TypeVar("R")

SINGLE: Final = np.dtype(np.float32)


class ReferenceBank:
    """Storage of a group of runs: `bank[i]` is a copy of row i, one number per run; a slice is a view."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows: Final = rows

    def __getitem__(self, index: Any) -> Any:
        return ReferenceBank(self.rows[index]) if isinstance(index, slice) else self.rows[index].copy()

    def __setitem__(self, index: int, value: Any) -> None:
        self.rows[index] = value


def increment(counter: Any, mask: Any) -> Any:
    return np.where(mask, np.int32(counter + np.int32(1)), counter)


def fma(a: Any, b: Any, c: Any) -> Any:
    rounded_twice = a * b + c
    if getattr(rounded_twice, "dtype", None) != SINGLE:
        return rounded_twice
    return (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)  # a product is exact there: clocks count on it


def erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[np.float64])(x).astype(np.result_type(x))


def rough_log2(x: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(x)


def load_at(array: Any, index: Any) -> Any:
    return array[index]


def store_at(array: Any, index: Any, value: Any, mask: Any) -> None:
    index, value, mask = np.broadcast_arrays(index, value, mask)
    array[index[mask]] = value[mask]


SPELLINGS: Final = {
    **{f"a{name}": f"arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "atan2": "arctan2",
    "pow": "power",
}
FUNCTIONS: Final[dict[str, Any]] = {
    **{name: getattr(np, SPELLINGS.get(name, name)) for name in (*UNARY_FUNCTIONS, *BINARY_FUNCTIONS) if name != "erf"},
    "erf": erf,
    "minimum": lambda a, b: np.where(a < b, a, b),
    "maximum": lambda a, b: np.where(a > b, a, b),
    "select": np.where,
    "any_run": lambda mask: bool(np.any(mask)),
    "seldom": bool,
    "negate": np.logical_not,
    "rank": lambda mask: np.cumsum(mask) - mask,
    "count": lambda mask: int(np.sum(mask)),
    "fma": fma,
    "rough_log2": rough_log2,
    "rough_exp2": np.exp2,
    "rough_reciprocal": lambda x: 1 / x,
    "load_at": load_at,
    "store_at": store_at,
    "increment": increment,
}


@final
class ReferenceTarget(Target):
    """Interprets device functions for `width` runs at once.

    Parameters
    ----------
    width : how many runs stand in a per-run value.
    """

    kind = "reference"
    refills = True

    def __init__(self, *, width: int = 5, poison: bool = False) -> None:
        super().__init__(width=width, poison=poison)
        for name, function in self.functions.items():
            setattr(self, name, function)

    @property
    @override
    def functions(self) -> Mapping[str, Any]:
        width = self.width
        return FUNCTIONS | {
            "splat": lambda value: np.full(width, value),
            "side_by_side": lambda first: first + np.arange(width),
        }

    @override
    def device(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return function

    @override
    def inlined(self, function: Callable[P, R], /) -> DeviceFunction[P, R]:
        return function

    @override
    def to_real(self, precision: FloatPrecision) -> ToRealFn:
        return cast(ToRealFn, lambda count: np.asarray(count).astype(precision))

    def _allocate(self, placement: Placement) -> Any:
        part, poison, width = span(placement.start, placement.size), poison_value(placement.precision), self.width
        in_pool, is_shared, poisons = (
            placement.pool != "local",
            placement.pool == "shared",
            self.poison and not placement.kept,
        )

        def allocate_buffer(shared_parent: Any, persistent_parent: Any) -> Any:
            if in_pool:
                array = (shared_parent if is_shared else persistent_parent)[part]
            else:
                array = ReferenceBank(np.zeros((max(placement.size, 1), width), placement.precision))
            if poisons:
                array.rows[:] = poison
            return array

        return allocate_buffer

    @override
    def allocator(self, placement: Placement, /) -> AllocateFn:
        return cast(AllocateFn, self._allocate(placement))

    @override
    def shared_allocator(self, placement: Placement, /) -> AllocateSharedFn:
        return cast(AllocateSharedFn, self._allocate(placement))

    @override
    def persistent_allocator(self, placement: Placement, /) -> AllocatePersistentFn:
        return cast(AllocatePersistentFn, self._allocate(placement))

    @override
    def kernel(self, solve_runs: SolveRunsFn, layout: KernelLayout, /) -> "ReferenceKernel":
        return ReferenceKernel(solve_runs, layout, self)


@final
class ReferenceKernel:
    """Integrates a batch, one group of runs after the other."""

    free_bytes: Final = None

    def __init__(self, solve_runs: SolveRunsFn, layout: KernelLayout, target: ReferenceTarget) -> None:
        self._solve_runs: Final = cast(Callable[..., None], solve_runs)
        self._layout: Final = layout
        self._target: Final = target

    def _bank(self, size: int, precision: Any) -> ReferenceBank:
        fill = poison_value(precision) if self._target.poison else 0
        return ReferenceBank(np.full((size, self._target.width), fill, precision))

    def host_array(self, shape: tuple[int, ...], precision: Precision, /) -> NDArray[Any]:
        """Return an uninitialised array for results."""
        return np.empty(shape, precision)

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        progress: Callable[[int], None] | None,
        flow: Flow = STILL,
    ) -> LaunchStatistics:
        """Integrate all runs, `width` at a time; one that has ended makes way for the next."""
        begin, n_runs, layout = time.perf_counter(), chunks[-1][1], self._layout
        flow.reach(n_runs)
        numbers = [
            value if argument.is_array else argument.precision(value)
            for argument, value in zip(
                layout.arguments, (*inputs, *(array.reshape(-1) for array in outputs)), strict=True
            )
        ]
        group = layout.group(0, n_runs, *numbers)
        with np.errstate(all="ignore"):
            shared = self._bank(layout.n_shared, layout.shared_precision)
            persistent = self._bank(layout.n_persistent, layout.persistent_precision)
            self._solve_runs(0, n_runs, group, shared, persistent)
        flow.landed(0, n_runs)
        if progress is not None:
            progress(n_runs)
        return LaunchStatistics(kernel=time.perf_counter() - begin, chunks=1)
