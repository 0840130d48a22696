"""What users give for y0 and parameters, laid out for every run."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr

from cubie._types import FloatPrecision
from cubie.batchsolving.arrays import InputsLike
from cubie.batchsolving.sweep import Inputs, Sweep, make_inputs
from cubie.batchsolving.system_interface import SystemInterface, UnknownNameError
from cubie.memory.mem_manager import OutputTooLargeError
from cubie.odesystems.create import create_ode_system
from tests.batchsolving.models import DECAY, INTERFACE, NO_DEFAULTS


def inputs(
    y0: InputsLike | None = None,
    parameters: InputsLike | None = None,
    sweep: Sweep = "paired",
    precision: FloatPrecision = np.float64,
) -> Inputs:
    return make_inputs(INTERFACE, y0, parameters, sweep, precision)


def table(made: Inputs) -> npt.NDArray[np.float64]:
    """Return every input of every run, shape (n_inputs, n_runs), as a kernel reads them."""
    runs = np.arange(made.n_runs)
    return np.array(
        [made.values[offset + stride * runs] for offset, stride in zip(made.offsets, made.strides, strict=True)],
        dtype=np.float64,
    )


def test_without_values_one_run_takes_the_defaults() -> None:
    made = inputs()
    assert made.n_runs == 1
    assert table(made)[:, 0].tolist() == [1.0, 2.0, 3.0, 10.0, 21.0, 2.5]
    assert made.strides.tolist() == [0] * 6
    assert made.coordinates == {}


def test_only_swept_inputs_take_a_value_per_run() -> None:
    rho = np.linspace(0.0, 21.0, 1000)
    made = inputs({"x": 5.0}, {"rho": rho, "beta": 3})
    assert made.values.size == 1000 + 5
    assert made.strides.tolist() == [0, 0, 0, 0, 1, 0]
    assert np.array_equal(table(made)[4], rho)
    assert table(made)[:, 7].tolist() == [5.0, 2.0, 3.0, 10.0, rho[7], 3.0]


def test_values_are_mapped_by_name_whatever_their_order() -> None:
    """PITFALL 19: mappings were read by position."""
    one = inputs({"z": [1, 2], "x": [3, 4]}, {"beta": [5, 6], "sigma": [7, 8]})
    other = inputs({"x": [3, 4], "z": [1, 2]}, {"sigma": [7, 8], "beta": [5, 6]})
    assert np.array_equal(table(one), table(other))
    assert table(one)[[0, 2, 3, 5]].tolist() == [[3, 4], [1, 2], [7, 8], [5, 6]]
    assert list(one.coordinates) == list(other.coordinates) == ["x(t0)", "z(t0)", "sigma", "beta"]


def test_duplicate_values_are_kept_as_runs_of_their_own() -> None:
    """PITFALL 19: duplicate values of a sweep were dropped."""
    made = inputs(None, {"rho": [1.0, 1.0, 2.0, 1.0]})
    assert made.coordinates["rho"].tolist() == [1.0, 1.0, 2.0, 1.0]


def test_paired_arrays_of_one_length_broadcast_as_in_numpy() -> None:
    made = inputs({"x": [9.0]}, {"rho": range(3), "sigma": (4, 5, 6), "beta": np.float32(2.0)})
    assert table(made)[[0, 3, 4, 5]].tolist() == [[9, 9, 9], [4, 5, 6], [0, 1, 2], [2, 2, 2]]
    assert made.strides.tolist() == [0, 0, 0, 1, 1, 0]
    assert made.coordinates["x(t0)"].tolist() == [9, 9, 9]


def test_paired_arrays_of_two_lengths_are_refused_with_both_names() -> None:
    with pytest.raises(ValueError, match=r"got 3 values in y0\['x'\] and 2 in parameters\['rho'\].*sweep='product'"):
        inputs({"x": [1, 2, 3]}, {"rho": [1, 2]})


def test_a_product_is_a_grid_in_declared_order_with_the_last_fastest() -> None:
    made = inputs({"y": [1, 2]}, {"beta": [5, 6, 7], "sigma": [3, 4]}, "product")
    assert made.n_runs == 12
    expected = np.array(np.meshgrid([1, 2], [3, 4], [5, 6, 7], indexing="ij")).reshape(3, -1)
    assert np.array_equal(table(made)[[1, 3, 5]], expected)
    assert np.array_equal(made.coordinates["beta"].reshape(2, 2, 3)[1, 0], [5, 6, 7])


def test_single_values_add_no_axis_to_a_product() -> None:
    made = inputs(None, {"beta": 5.0, "sigma": [3, 4], "rho": [1]}, "product")
    assert made.n_runs == 2
    assert made.strides.tolist() == [0, 0, 0, 1, 0, 0]
    assert made.coordinates["rho"].tolist() == [1, 1]


def test_a_table_is_one_axis_of_a_product() -> None:
    starts = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    made = inputs(starts, {"rho": [10, 20, 30]}, "product")
    assert made.n_runs == 6
    assert table(made)[[0, 2, 4]].tolist() == [[1, 1, 1, 2, 2, 2], [5, 5, 5, 6, 6, 6], [10, 20, 30] * 2]


def test_initial_values_by_position_hold_for_all_runs_or_for_each() -> None:
    assert table(inputs([7, 8, 9]))[:3, 0].tolist() == [7, 8, 9]
    made = inputs([[1, 2], [3, 4], [5, 6]])
    assert table(made)[:3].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert list(made.coordinates) == ["x(t0)", "y(t0)", "z(t0)"]


def test_parameters_by_position_hold_for_all_runs_or_for_each() -> None:
    assert table(inputs(None, np.array([1.0, 2.0, 3.0])))[3:, 0].tolist() == [1, 2, 3]
    assert table(inputs(None, np.ones((3, 4)))).shape == (6, 4)


def test_a_data_frame_gives_a_run_per_row() -> None:
    frame = pd.DataFrame({"rho": [1.0, 2.0, 3.0], "sigma": [4, 5, 6]})
    made = inputs(None, frame)
    assert table(made)[[3, 4]].tolist() == [[4, 5, 6], [1, 2, 3]]
    assert table(inputs(None, frame, "product"))[[3, 4]].tolist() == [[4, 5, 6], [1, 2, 3]]


def test_series_and_labelled_arrays_are_arrays() -> None:
    made = inputs({"x": xr.DataArray([1.0, 2.0])}, {"rho": pd.Series([3.0, 4.0], index=[7, 5])})
    assert table(made)[[0, 4]].tolist() == [[1, 2], [3, 4]]


def test_values_are_laid_out_in_the_precision_of_the_solve() -> None:
    made = inputs(None, {"rho": [0.1, 0.2]}, precision=np.float32)
    assert made.values.dtype == np.float32
    assert made.coordinates["rho"].dtype == np.float32


def test_the_users_array_is_copied() -> None:
    rho = np.array([1.0, 2.0])
    made = inputs(None, {"rho": rho})
    rho[:] = 99.0
    assert made.coordinates["rho"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(bad: float) -> None:
    with pytest.raises(ValueError, match=r"parameters\['rho'\]\[2\] must be finite, got"):
        inputs(None, {"rho": [0.0, 1.0, bad]})
    with pytest.raises(ValueError, match=r"y0\['x'\] must be finite, got"):
        inputs({"x": bad})
    with pytest.raises(ValueError, match=r"parameters\['rho'\]\[1\] must be finite, got"):
        inputs({"x": [1, 2, 3]}, {"rho": [0.0, bad]}, "product")


def test_values_too_large_for_float32_are_refused() -> None:
    with pytest.raises(ValueError, match=r"parameters\['rho'\]\[1\] must fit in float32, got 1e\+300"):
        inputs(None, {"rho": [1.0, 1e300]}, precision=np.float32)


@pytest.mark.parametrize(
    "bad",
    [
        np.array([1j]),
        np.array(["1"]),
        np.array([True]),
        np.array([None, 1.0]),
        np.array(["2020-01-01"], "datetime64[D]"),
    ],
    ids=lambda bad: str(bad.dtype),
)
def test_values_that_are_not_real_numbers_are_refused(bad: npt.NDArray[np.float64]) -> None:
    with pytest.raises(TypeError, match=r"parameters\['rho'\] must be a real number or an array of real numbers"):
        inputs(None, {"rho": bad})


def test_masked_values_are_refused_and_a_full_mask_free_array_is_not() -> None:
    with pytest.raises(ValueError, match="must have no masked values"):
        inputs(None, {"rho": np.ma.masked_less(np.array([1.0, 2.0]), 1.5)})
    assert inputs(None, {"rho": np.ma.array([1.0, 2.0])}).n_runs == 2


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="y0 must be a number or a regular array of numbers"):
        inputs([[1, 2], [3], [4, 5]])


def test_an_array_of_two_axes_for_one_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be a number or a 1-D array over runs, got shape \(2, 2\)"):
        inputs(None, {"rho": np.ones((2, 2))})


@pytest.mark.parametrize("sweep", ["paired", "product"])
def test_an_empty_batch_is_refused(sweep: Sweep) -> None:
    with pytest.raises(ValueError, match=r"parameters\['rho'\] must hold at least one value"):
        inputs(None, {"rho": [], "sigma": [1, 2]}, sweep)
    with pytest.raises(ValueError, match="must hold at least one value"):
        inputs(None, pd.DataFrame({"rho": np.zeros(0)}), sweep)


def test_arrays_by_position_of_a_wrong_shape_say_how_to_give_them() -> None:
    with pytest.raises(ValueError, match=r"y0 must have shape \(3,\) or \(3, n_runs\), got \(2,\).*y0=\{'x'"):
        inputs([1, 2])
    with pytest.raises(ValueError, match="Transpose it: runs come last"):
        inputs(np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"y0 must have shape .* got \(\)"):
        inputs(1.0)
    with pytest.raises(ValueError, match=r"parameters must have shape.*The system has none"):
        make_inputs(DECAY, None, [1.0], "paired", np.float64)


@pytest.mark.parametrize("sweep", ["paired", "product"])
def test_unknown_names_are_refused_not_made_parameters(sweep: Sweep) -> None:
    """PITFALL 19: misspelt names became parameters equal to zero."""
    with pytest.raises(UnknownNameError, match="Did you mean 'sigma'"):
        inputs(None, {"sigme": 1.0}, sweep)
    with pytest.raises(UnknownNameError, match="Did you mean 'rho'"):
        inputs(None, pd.DataFrame({"rhos": [1.0]}), sweep)
    with pytest.raises(UnknownNameError, match="unknown parameter: '0'"):
        inputs(None, pd.DataFrame([[1.0]]), sweep)


def test_a_constant_is_told_from_a_misspelt_parameter() -> None:
    with pytest.raises(UnknownNameError, match="'gravity' is a constant, compiled in: declare it as a parameter"):
        inputs(None, {"gravity": 1.0})


def test_names_are_read_as_python_reads_them() -> None:
    micro, mu = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"
    names = SystemInterface(create_ode_system(f"d{mu} = -{mu}", states={mu: 0.0}))
    assert table(make_inputs(names, {micro: 3.0}, None, "paired", np.float64)).tolist() == [[3.0]]
    assert table(make_inputs(names, pd.DataFrame({micro: [3.0]}), None, "paired", np.float64)).tolist() == [[3.0]]
    with pytest.raises(ValueError, match="must be given once"):
        make_inputs(names, {micro: 3.0, mu: 4.0}, None, "paired", np.float64)


def test_an_input_without_a_default_must_be_given() -> None:
    with pytest.raises(ValueError, match=r"y0 must give 'x', which has no default\. Pass y0=\{'x'"):
        make_inputs(NO_DEFAULTS, None, {"k": 1.0}, "paired", np.float64)
    with pytest.raises(ValueError, match=r"parameters must give 'k', which has no default"):
        make_inputs(NO_DEFAULTS, [1.0], None, "paired", np.float64)
    assert make_inputs(NO_DEFAULTS, [1.0], [2.0], "paired", np.float64).values.tolist() == [1.0, 2.0]


def test_an_unknown_kind_of_sweep_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown sweep: 'products'\. Did you mean 'product'"):
        inputs(sweep="products")  # type: ignore[arg-type]  # what a user without a type checker might write


def test_a_product_larger_than_memory_is_refused_before_it_is_made() -> None:
    axis = np.arange(1e5)
    with pytest.raises(OutputTooLargeError, match="the values of the sweep must fit in"):
        inputs({"x": axis}, {"rho": axis, "sigma": axis, "beta": axis}, "product")
