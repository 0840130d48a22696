"""Every run's initial values and parameters, from what the user gave."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import Final, Literal, NamedTuple, TypeAlias, final, get_args

import numpy as np
import numpy.typing as npt

from cubie._types import FloatPrecision
from cubie.batchsolving.arrays import (
    FloatArray,
    InputsLike,
    Table,
    check_finite,
    float_array,
    in_precision,
    not_finite,
    values_of,
)
from cubie.batchsolving.system_interface import SystemInterface, canonical, unknown_name
from cubie.memory.mem_manager import check_fits
from cubie.memory.passes import holds_everywhere
from cubie.targets.base import HostArrayFn, Target
from cubie.targets.device_array import DeviceArray, DeviceView, Gathers, copied_from_device

Sweep: TypeAlias = Literal["paired", "product"]
SWEEPS: Final[tuple[str, ...]] = get_args(Sweep)
LATE: Final = 1 << 16
"""More values are worth being written while a GPU is busy with those before them."""


@final
class Pending(NamedTuple):
    """A row of values, and what is to be written to it, both of shape (n_runs,)."""

    label: str
    values: FloatArray
    given: FloatArray


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inputs:
    """Initial values and parameters of all runs; input i of run r is ``values[offsets[i] + strides[i] * r]``.

    Inputs are the states, then the parameters, as declared. Only those that differ between runs take a value per run.
    """

    n_runs: int
    values: FloatArray
    """Shape (n_values,), in the precision of the solve: first `n_rows` rows of a value per run, then shared values."""
    n_rows: int
    offsets: npt.NDArray[np.int64]
    """Shape (n_inputs,): where each input's values start."""
    strides: npt.NDArray[np.int64]
    """Shape (n_inputs,): 0 for one value shared by all runs, 1 for a value per run."""
    swept: dict[str, FloatArray | DeviceArray]
    """What was given as an array, shape (n_runs,) each, as declared. The initial values of x are named ``"x(t0)"``."""
    there: tuple[DeviceArray, ...] = ()
    """Rows that stand in a GPU's memory, after `values`."""
    pending: tuple["Pending", ...] = ()
    """Rows that are neither written nor checked yet."""

    def subset(self, runs: npt.NDArray[np.int64]) -> "Inputs":
        """Return the inputs of some runs, in the order of their numbers."""
        swept = self.strides.astype(np.bool_)
        layout = _layout(tuple(swept.tolist()), runs.size)
        values = np.empty(layout.n_values, self.values.dtype)
        for offset, there, varies in zip(self.offsets.tolist(), layout.offsets.tolist(), swept.tolist(), strict=True):
            values[there : there + (runs.size if varies else 1)] = self.values[offset + runs if varies else offset]
        return Inputs(
            n_runs=runs.size,
            values=values,
            n_rows=self.n_rows,
            offsets=layout.offsets,
            strides=layout.strides,
            swept={name: given[runs] for name, given in self.coordinates.items()},
        )

    @property
    def n_bytes(self) -> int:
        """How much memory they take on a device."""
        return self.values.nbytes + sum(row.n_bytes for row in self.there)

    @property
    def coordinates(self) -> dict[str, FloatArray]:
        """What was swept, as NumPy's arrays."""
        return coordinates_here(self.swept)

    def completed(self) -> "Inputs":
        """Return the same inputs, all written and checked."""
        self.write(0, self.n_runs)
        self.check(0, self.n_runs)
        return replace(self, pending=())

    def write(self, start: int, stop: int) -> None:
        """Write what is pending of some runs."""
        with np.errstate(over="ignore", invalid="ignore"):
            for row in self.pending:
                row.values[start:stop] = row.given[start:stop]

    def check(self, start: int, stop: int) -> None:
        """Raise if what was pending of some runs holds a NaN or an infinity; all runs before them must be written."""
        for row in self.pending:
            if not bool(np.isfinite(row.values[start:stop]).all()):
                check_finite(row.values[:stop], row.given[:stop], row.label)


def coordinates_here(
    coordinates: Mapping[str, FloatArray | DeviceArray], empty: HostArrayFn = np.empty
) -> dict[str, FloatArray]:
    """Return what was swept as NumPy's arrays, copied where it is in a GPU's memory."""
    return {
        name: given.copy_to_host(empty(given.shape, given.precision)) if isinstance(given, DeviceArray) else given
        for name, given in coordinates.items()
    }


class _Layout(NamedTuple):
    """Where the values of a sweep stand."""

    offsets: npt.NDArray[np.int64]
    strides: npt.NDArray[np.int64]
    n_values: int


@lru_cache(maxsize=64)
def _layout(swept: tuple[bool, ...], n_runs: int, is_there: tuple[bool, ...] = ()) -> _Layout:
    """Lay out rows of values for each run, values that runs share, and rows on a device; the same arrays for all sweeps
    of a kind.
    """
    is_there = is_there or (False,) * len(swept)
    n_rows, n_there = sum(swept) - sum(is_there), sum(is_there)
    n_values = n_rows * n_runs + len(swept) - n_rows - n_there
    row, shared, there = count(0, n_runs), count(n_rows * n_runs), count(n_values, n_runs)
    offsets = [next(there if far else row if varies else shared) for varies, far in zip(swept, is_there, strict=True)]
    layout = _Layout(np.array(offsets, dtype=np.int64), np.array(swept, dtype=np.int64), n_values)
    layout.offsets.flags.writeable = layout.strides.flags.writeable = False
    return layout


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """The values one input was given: shape () for all runs, or (n,)."""

    label: str
    array: FloatArray | DeviceView
    axis: str
    """Columns of one axis are paired; different axes are crossed."""


def make_inputs(
    interface: SystemInterface,
    y0: InputsLike | None,
    parameters: InputsLike | None,
    sweep: Sweep,
    precision: FloatPrecision,
    target: Target | None = None,
    gathers: Gathers | None = None,
) -> Inputs:
    """Lay out the inputs of all runs; large ones are pending if the `target` copies inputs while it integrates.

    ``"paired"`` follows NumPy's broadcasting: arrays of one length, or of length 1, or single numbers. ``"product"``
    crosses all arrays, in declared order whatever the order of the mapping, the last one varying fastest; a table or a
    2-D array is one axis of the product.

    Raises
    ------
    UnknownNameError: if a name is none of the system's.
    TypeError: if values are not real numbers.
    ValueError: if shapes do not fit, a value is not finite, or there is no run.
    """
    if sweep not in SWEEPS:
        raise unknown_name(sweep, SWEEPS, "sweep")
    given = _columns(interface, "y0", y0, sweep, gathers)
    given |= _columns(interface, "parameters", parameters, sweep, gathers)
    defaults = _defaults(interface, given, precision)
    lengths = _axis_lengths(given)
    n_runs = math.prod(lengths.values())
    swept = tuple(position in given and given[position].array.size > 1 for position in range(len(interface.inputs)))
    is_there = tuple(varies and isinstance(given[position].array, DeviceView) for position, varies in enumerate(swept))
    n_values = sum((n_runs if varies else 1) * (not far) for varies, far in zip(swept, is_there, strict=True))
    values = _empty(n_values, precision, target)
    layout = _layout(swept, n_runs, is_there)
    here = ~np.array(is_there) if any(is_there) else slice(None)
    values[layout.offsets[here]] = defaults[here]
    is_late, pending = target is not None and target.fetches and values.size > LATE, list[Pending]()
    coordinates: dict[str, FloatArray | DeviceArray] = {}
    for (position, column), start in zip(given.items(), layout.offsets[[*given]].tolist(), strict=True):
        name, array = _coordinate_name(interface, position), column.array
        if not isinstance(array, DeviceView):
            part = values[start : start + (n_runs if swept[position] else 1)]
            if is_late and array.size == n_runs:
                pending.append(Pending(column.label, part, array.reshape(-1)))
            else:
                _fill(part, array, column, lengths if swept[position] else {})
            if array.ndim == 1:
                coordinates[name] = _unwritable(part, n_runs)
        elif gathers is not None:
            coordinates[name] = _gathered(column, array, lengths, precision, gathers)
    return Inputs(
        n_runs=n_runs,
        values=values,
        n_rows=sum(swept) - sum(is_there),
        offsets=layout.offsets,
        strides=layout.strides,
        swept=coordinates,
        there=tuple(row for row in coordinates.values() if isinstance(row, DeviceArray)),
        pending=tuple(pending),
    )


def _gathered(
    column: _Column, view: DeviceView, lengths: Mapping[str, int], precision: FloatPrecision, gathers: Gathers
) -> DeviceArray:
    """Return a column's value for each run, in a GPU's memory."""
    axes = [*lengths]
    repeats = math.prod(lengths[axis] for axis in axes[axes.index(column.axis) + 1 :])
    row, place = gathers.gather(view, repeats, math.prod(lengths.values()), precision)
    if place is not None:
        value = float(copied_from_device(view.element(place))[0])
        raise not_finite(f"{column.label}[{place}]", value, np.dtype(precision).name)
    return row


def _empty(n_values: int, precision: FloatPrecision, target: Target | None) -> FloatArray:
    """Return where values are to stand."""
    what = "the values of the sweep"
    if target is None:
        check_fits((n_values,), precision, what)
        return np.empty(n_values, precision)
    check_fits((n_values,), precision, what, lends=target.lends)
    values: FloatArray = target.host_array((n_values,), precision)
    return values


def _unwritable(part: FloatArray, n_runs: int) -> FloatArray:
    """Return a view of a value of every run, or of one for all of them."""
    if part.size != n_runs:
        return np.broadcast_to(part, n_runs)
    view = part[:]
    view.flags.writeable = False
    return view


def _columns(
    interface: SystemInterface, argument: str, given: InputsLike | None, sweep: Sweep, gathers: Gathers | None
) -> dict[int, _Column]:
    """Return the values of each input that `given` names, by its position among the inputs, in that order."""
    columns: dict[int, _Column] = {}
    is_y0 = argument == "y0"
    index = interface.state_index if is_y0 else interface.parameter_index
    names = interface.states if is_y0 else interface.parameters
    for name, values in _named_values(given, names, argument, gathers):
        label = f"{argument}[{name!r}]"
        position = index(name)
        array = values_of(values, label, gathers)
        if array.ndim > 1:
            raise ValueError(f"{label} must be a number or a 1-D array over runs, got shape {array.shape}. Flatten it.")
        if array.size == 0:
            raise ValueError(f"{label} must hold at least one value, got none. A batch needs at least one run.")
        if position in columns:
            raise ValueError(f"{label} must be given once, got {columns[position].label} too. Remove one of them.")
        axis = "" if sweep == "paired" else label if isinstance(given, Mapping) else argument
        columns[position] = _Column(label, array, axis)
    return dict(sorted(columns.items()))


def _defaults(interface: SystemInterface, given: Mapping[int, _Column], precision: FloatPrecision) -> FloatArray:
    """Return what inputs are where nothing is given; raise if something must be."""
    defaults = interface.defaults_in(precision)
    for position in defaults.unfit:
        if position not in given:
            _refuse_default(interface, position, defaults.values)
    return defaults.values


def _refuse_default(interface: SystemInterface, position: int, rounded: FloatArray) -> None:
    """Say of an input that was not given what is wrong with its default."""
    argument = "y0" if position < len(interface.states) else "parameters"
    name, default = interface.inputs[position], interface.defaults[position : position + 1]
    if np.isnan(default[0]):
        raise ValueError(f"{argument} must give {name!r}, which has no default. Pass {argument}={{{name!r}: ...}}.")
    check_finite(rounded[position : position + 1], default, f"the default of {name!r}")


def _named_values(
    given: InputsLike | None, names: tuple[str, ...], argument: str, gathers: Gathers | None
) -> Iterator[tuple[str, object]]:
    """Yield what was given for each name; values by position get their names."""
    if given is None:
        return
    if isinstance(given, Mapping):
        yield from given.items()
    elif isinstance(given, Table):
        for column in given.columns:
            yield str(column), given[str(column)] if canonical(column) in names else None
    else:
        array = values_of(given, argument, gathers)
        if array.ndim == 1:  # of numbers for all runs, which are few
            array = float_array(given, argument)
        yield from zip(names, _rows(array, names, argument), strict=True)


def _rows(array: FloatArray | DeviceView, names: tuple[str, ...], argument: str) -> list[object]:
    """Split values by position, shape (n,) or (n, n_runs), into one array for each name."""
    n = len(names)
    if array.ndim in (1, 2) and array.shape[0] == n:
        rows = array.row if isinstance(array, DeviceView) else array.__getitem__
        return [rows(i) for i in range(n)]
    hint = f"Give values by name instead, as {argument}={{{names[0]!r}: ...}}." if names else "The system has none."
    if array.ndim == 2 and array.shape[1] == n:
        hint = "Transpose it: runs come last."
    raise ValueError(f"{argument} must have shape ({n},) or ({n}, n_runs), got {array.shape}. {hint}")


def _axis_lengths(given: Mapping[int, _Column]) -> dict[str, int]:
    """Return the number of values along each axis, in the order of its first input; no axis means one run."""
    lengths: dict[str, int] = {}
    longest: dict[str, str] = {}
    for column in given.values():
        n, axis = column.array.size, column.axis
        if column.array.ndim == 0:
            continue
        if n > 1 and lengths.get(axis, 1) not in (1, n):
            raise ValueError(
                f"arrays of a paired sweep must have one length, got {lengths[axis]} values in {longest[axis]} and "
                f"{n} in {column.label}. Use sweep='product' to combine every value with every other."
            )
        if n >= lengths.get(axis, 1):
            lengths[axis], longest[axis] = n, column.label
    return lengths


def _fill(part: FloatArray, array: FloatArray, column: _Column, lengths: Mapping[str, int]) -> None:
    """Write a column's values to its part of the packed values, repeated along the axes that are not its own."""
    rounded = part
    if part.size == array.size:
        if _copied(part, array.reshape(-1)):
            return
        rounded = part.reshape(array.shape)
    else:
        here = [length if axis == column.axis else 1 for axis, length in lengths.items()]
        rounded = in_precision(array, np.float32 if part.dtype == np.float32 else np.float64)
        part.reshape(tuple(lengths.values()))[...] = rounded.reshape(here)
    check_finite(rounded, array, column.label)


def _copied(part: FloatArray, array: FloatArray) -> bool:
    """Copy an array in its part's precision; tell whether it is finite, or may not be."""

    def copied(start: int, stop: int) -> bool:
        with np.errstate(over="ignore", invalid="ignore"):  # the sum may overflow where no number has
            part[start:stop] = array[start:stop]
            return math.isfinite(float(part[start:stop].sum()))

    return holds_everywhere(copied, part.size)


def _coordinate_name(interface: SystemInterface, position: int) -> str:
    name = interface.inputs[position]
    return f"{name}(t0)" if position < len(interface.states) else name
