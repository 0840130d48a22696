"""Functions of the CPU target by themselves, on arrays: for tests of their values and for timing them."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cubie._types import FloatPrecision, GlobalReals
from cubie.targets.base import Argument, KernelLayout, SolveRunsFn
from cubie.targets.cpu import CpuTarget
from cubie.targets.thread_pool import CpuKernel

Floats: TypeAlias = NDArray[np.float32 | np.float64]
TWO_OPERANDS: Final = ("pow", "fmod")
ONCE: Final = "value = {f}(x{y})"


class FunctionArguments(NamedTuple):
    """What a kernel of functions takes; `results` has shape (n_functions, n_slots)."""

    first_run: int
    n_slots: int
    x: GlobalReals
    y: GlobalReals
    results: GlobalReals


def in_precision(values: ArrayLike, precision: FloatPrecision) -> Floats:
    """Return values as an array of a precision."""
    return np.asarray(values, np.float32) if precision is np.float32 else np.asarray(values, np.float64)


def results_of(names: Sequence[str], x: Floats, y: Floats, *, width: int) -> dict[str, Floats]:
    """Return what functions make of the elements of `x`, and of `y` if they take two, `width` side by side."""
    precision = np.float32 if x.dtype == np.float32 else np.float64
    full = -(-x.size // width) * width
    filled = [np.concatenate([array, np.ones(full - x.size, precision)]) for array in (x, y)]
    results = np.empty((len(names), full), precision)
    kernel_of(names, precision, CpuTarget(width=width)).launch(filled, [results], [(0, full)], None)
    return {name: row[: x.size] for name, row in zip(names, results, strict=True)}


def kernel_of(
    names: Sequence[str],
    precision: FloatPrecision,
    target: CpuTarget,
    others: Mapping[str, object] | None = None,
    statement: str = ONCE,
) -> CpuKernel:
    """Compile a kernel that stores, for every function, the `value` that a statement computes by calling it.

    Its runs are elements; their number must be a multiple of the width. `others` are functions beside the target's.
    """
    lines = [
        "def solve_runs(first, stop, arguments, shared, persistent):",
        f"    for start in range(first, stop, {target.width}):",
        "        runs = side_by_side(start)",
        "        x, y = load_at(arguments.x, runs), load_at(arguments.y, runs)",
    ]
    for place, name in enumerate(names):
        written = statement.format(f=name, y=", y" if name in TWO_OPERANDS else "")
        lines += [f"        {line}" for line in written.splitlines()]
        lines.append(f"        store_at(arguments.results, runs + {place}*arguments.n_slots, value, runs >= first)")
    namespace: dict[str, object] = {**target.functions, **(others or {})}
    built: dict[str, SolveRunsFn] = {}
    exec("\n".join(lines), namespace, built)
    layout = KernelLayout(
        name="functions",
        group=FunctionArguments,
        arguments=tuple(Argument(name, precision, True) for name in FunctionArguments._fields[2:]),
        n_outputs=1,
        n_shared=0,
        shared_precision=precision,
        n_persistent=0,
        persistent_precision=precision,
    )
    return target.kernel(target.device(built["solve_runs"]), layout)
