"""Inputs that are written while a device is busy, and looked at only where runs failed."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from cubie._types import FloatPrecision, Precision
from cubie.batchsolving.batch_flow import BatchFlow
from cubie.batchsolving.sweep import LATE, Inputs, Sweep, make_inputs
from cubie.status import Status
from cubie.targets.device_array import DeviceArray, DeviceView
from cubie.targets.reference import ReferenceTarget
from tests.batchsolving.models import INTERFACE

N_RUNS: Final = 3 * LATE + 5
RHO: Final = np.linspace(0.0, 21.0, N_RUNS)


class Fetching(ReferenceTarget):  # type: ignore[misc]  # stands for a GPU, whose inputs travel
    fetches = True


def late_inputs(rho: npt.NDArray[np.float64], precision: FloatPrecision = np.float64) -> Inputs:
    return make_inputs(INTERFACE, {"x": RHO}, {"rho": rho}, "paired", precision, Fetching())


def test_large_inputs_of_a_gpu_are_written_when_they_are_wanted() -> None:
    inputs = late_inputs(RHO, np.float32)
    assert [row.label for row in inputs.pending] == ["y0['x']", "parameters['rho']"]
    flow = BatchFlow(inputs)
    assert flow.n_rows == 2
    for stop in (1, LATE, LATE, N_RUNS):
        flow.reach(stop)
        np.testing.assert_array_equal(inputs.coordinates["rho"][:stop], RHO[:stop].astype(np.float32))
        np.testing.assert_array_equal(inputs.coordinates["x(t0)"][:stop], RHO[:stop].astype(np.float32))
    here = make_inputs(INTERFACE, {"x": RHO}, {"rho": RHO}, "paired", np.float32)
    np.testing.assert_array_equal(inputs.values, here.values)
    np.testing.assert_array_equal(inputs.offsets, here.offsets)


@pytest.mark.parametrize("place", [0, LATE, 2 * LATE + 3, N_RUNS - 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_wherever_it_stands(place: int, bad: float) -> None:
    rho = RHO.copy()
    rho[place] = bad
    where = rf"parameters\['rho'\]\[{place}\] must be finite, got {bad}"
    flow = BatchFlow(late_inputs(rho))
    flow.reach(N_RUNS)
    flow.status = np.zeros(N_RUNS, np.int32)
    assert not flow.landed(0, N_RUNS)
    flow.status[place] = Status.non_finite
    before = place // 100 * 100
    assert before == 0 or not flow.landed(0, before)
    with pytest.raises(ValueError, match=where):
        flow.landed(before, N_RUNS)
    idle = BatchFlow(late_inputs(rho))
    with pytest.raises(ValueError, match=where):
        while not idle.check():
            pass
    with pytest.raises(ValueError, match=where):
        late_inputs(rho).completed()


def test_a_value_too_large_for_float32_is_refused_as_such() -> None:
    rho = RHO.copy()
    rho[-1] = 1e300
    with pytest.raises(ValueError, match=rf"\['rho'\]\[{N_RUNS - 1}\] must fit in float32, got 1e\+300"):
        late_inputs(rho, np.float32).completed()


def test_failed_runs_with_finite_inputs_want_their_last_times() -> None:
    flow = BatchFlow(late_inputs(RHO))
    flow.reach(N_RUNS)
    flow.status = np.zeros(N_RUNS, np.int32)
    flow.status[-1] = Status.max_steps
    seen = [(flow.landed(start, stop), flow.all_succeeded) for start, stop in ((0, N_RUNS - 1), (N_RUNS - 1, N_RUNS))]
    assert seen == [(False, True), (True, False)]
    while not flow.check():
        pass


def test_a_product_and_small_inputs_are_not_late() -> None:
    axis = np.linspace(0.0, 1.0, 400)
    crossed = make_inputs(INTERFACE, {"x": axis}, {"rho": axis}, "product", np.float64, Fetching())
    assert not crossed.pending
    assert not make_inputs(INTERFACE, None, {"rho": axis}, "paired", np.float64, Fetching()).pending


class Gathering:
    """Stands for a GPU: keeps what it is asked for, and gives rows of which nothing is read."""

    def __init__(self, place: int | None = None) -> None:
        self.asked: list[tuple[int, int]] = []
        self.place = place

    def takes(self, view: DeviceView, /) -> bool:
        return view.dtype == np.float32

    def gather(
        self, view: DeviceView, repeats: int, n_runs: int, precision: Precision, /
    ) -> tuple[DeviceArray, int | None]:
        self.asked.append((repeats, n_runs))
        return DeviceArray(self, 4096, (n_runs,), precision, 0), self.place


def view(n: int) -> DeviceView:
    return DeviceView(None, 8192, (n,), np.dtype(np.float32), (4,))


@pytest.mark.parametrize(("sweep", "n_runs", "repeats"), [("paired", 3, 1), ("product", 12, 4)])
def test_rows_on_a_device_stand_behind_those_of_the_host(sweep: Sweep, n_runs: int, repeats: int) -> None:
    gathering, beta = Gathering(), np.arange(3.0) if sweep == "paired" else np.arange(4.0)
    made = make_inputs(INTERFACE, None, {"rho": view(3), "beta": beta}, sweep, np.float64, None, gathering)
    assert gathering.asked == [(repeats, n_runs)]
    assert (made.n_rows, made.values.size, len(made.there)) == (1, n_runs + 4, 1)
    assert made.offsets.tolist() == [n_runs, n_runs + 1, n_runs + 2, n_runs + 3, n_runs + 4, 0]
    assert made.strides.tolist() == [0, 0, 0, 0, 1, 1]
    assert made.values[n_runs:].tolist() == [1.0, 2.0, 3.0, 10.0]
    assert made.n_bytes == 8 * (2 * n_runs + 4)
    assert BatchFlow(made).there == made.there
    assert list(made.swept) == ["rho", "beta"]
