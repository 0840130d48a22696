"""What users may give as numbers, made into float arrays or refused in plain words."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from cubie._types import FloatPrecision
from cubie.targets.device_array import DeviceView, Gathers, copied_from_device, device_view, is_on_device

FloatArray: TypeAlias = npt.NDArray[np.float32 | np.float64]


class SupportsArray(Protocol):
    """Anything NumPy can make an array of: arrays and NumPy scalars, pandas Series, xarray DataArrays."""

    def __array__(self) -> object: ...


class OnDevice(Protocol):
    """An array in a GPU's memory: of CuPy, PyTorch, JAX or Numba, or a `DeviceArray`."""

    @property
    def __cuda_array_interface__(self) -> object: ...


@runtime_checkable
class Table(Protocol):
    """A table with one named column per input: a pandas (or polars) DataFrame, known by its shape, not by an import."""

    @property
    def columns(self) -> Iterable[Hashable]: ...

    def __getitem__(self, name: str, /) -> SupportsArray: ...


Values: TypeAlias = float | SupportsArray | OnDevice | Sequence[float | SupportsArray]
"""One number for all runs, or a 1-D array of numbers over runs."""

ValueGrid: TypeAlias = Values | Sequence[Sequence[float | SupportsArray]]
"""Numbers by position: shape (n,) for all runs, or (n, n_runs)."""

InputsLike: TypeAlias = Mapping[str, Values] | Table | ValueGrid
"""What `y0` and `parameters` take: values by name, a table with named columns, or an array by position."""


def float_array(value: object, what: str) -> FloatArray:
    """Return `value` as an array of float32 (if it is one) or float64, without a copy where that is possible.

    Raises
    ------
    TypeError: if the values are not real numbers (booleans, strings, complex numbers and objects are refused).
    ValueError: if the values form no regular array, or some are masked.
    """
    if isinstance(value, np.ma.MaskedArray) and bool(np.ma.getmaskarray(value).any()):
        raise ValueError(f"{what} must have no masked values. Drop or fill them first.")
    try:
        array = copied_from_device(value) if is_on_device(value) else np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be a number or a regular array of numbers: {error}.") from error
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{what} must be a real number or an array of real numbers, got {_shown(value, str(array.dtype))}. "
            "Convert it with numpy.asarray(..., dtype=float)."
        )
    if array.dtype == np.float32:
        return array.astype(np.float32, copy=False)
    return array.astype(np.float64, copy=False)


def values_of(value: object, what: str, gathers: Gathers | None) -> FloatArray | DeviceView:
    """Return `value` as `float_array` does, or as what it is where it can be taken in a GPU's memory."""
    if gathers is not None and is_on_device(value):
        view = device_view(value)
        if view.size > 1 and gathers.takes(view):
            return view
    return float_array(value, what)


def in_precision(array: FloatArray, precision: FloatPrecision) -> FloatArray:
    """Return a copy of `array` in `precision`; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32) if precision is np.float32 else array.astype(np.float64)


def check_finite(array: FloatArray, source: FloatArray, what: str) -> None:
    """Raise if `array`, made from `source` by a change of precision, holds a NaN or an infinity."""
    finite = np.isfinite(array)
    if bool(finite.all()):
        return
    place = int(np.argmin(finite.ravel()))
    value = float(np.broadcast_to(source, array.shape).ravel()[place])
    raise not_finite(what if array.size == 1 else f"{what}[{place}]", value, array.dtype.name)


def not_finite(where: str, value: float, precision: str) -> ValueError:
    """Return the error for a value that is not finite, or isn't in a precision."""
    if np.isfinite(value):
        return ValueError(f"{where} must fit in {precision}, got {value!r}. Use precision='float64' or another unit.")
    return ValueError(f"{where} must be finite, got {value!r}. Drop or replace such values before the sweep.")


def _shown(value: object, dtype: str) -> str:
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} (dtype {dtype})"
