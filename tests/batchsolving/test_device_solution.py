"""Results that stay on the GPU: refused where there is none, and on one, what other libraries see of them."""

from importlib.util import find_spec
from typing import Final, NoReturn

import numpy as np
import pytest

from cubie import DeviceSolution, Solver, create_ode_system, solve_ivp
from cubie.batchsolving.arrays import Values
from cubie.batchsolving.solver_settings import PrecisionName
from cubie.targets.device_array import DeviceArray

DECAY: Final = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0}, name="decay")
BLOW_UP: Final = create_ode_system("dx = a*x**2", states={"x": 1.0}, parameters={"a": 1.0}, name="blow-up")
RATES: Final = np.linspace(0.5, 2.0, 1000)


def test_results_stay_on_a_gpu_only() -> None:
    with pytest.raises(ValueError, match="on_device=True must go with a GPU, got the CPU"):
        solve_ivp(DECAY, (0.0, 1.0), device="cpu", on_device=True)


def test_one_method_must_be_named() -> None:
    with pytest.raises(ValueError, match="on_device=True must go with one method, got 'auto'"):
        Solver(DECAY, method="auto", device="cpu").solve((0.0, 1.0), on_device=True)


@pytest.mark.simulator
def test_a_simulated_gpu_keeps_nothing() -> None:
    with pytest.raises(ValueError, match="results can't stay on a simulated GPU"):
        solve_ivp(DECAY, (0.0, 1.0), device="cuda", on_device=True)


def solved() -> DeviceSolution:
    return solve_ivp(DECAY, (0.0, 1.0), parameters={"k": RATES}, t_eval=[0.5, 1.0], device="cuda", on_device=True)


@pytest.mark.gpu
def test_what_stays_is_what_comes_home_and_no_later_solve_touches_it() -> None:
    solver = Solver(DECAY, device="cuda")
    here = solver.solve((0.0, 1.0), parameters={"k": RATES}, t_eval=[0.5, 1.0])
    there = solver.solve((0.0, 1.0), parameters={"k": RATES}, t_eval=[0.5, 1.0], on_device=True)
    for _ in range(3):
        solver.solve((0.0, 1.0), parameters={"k": 2 * RATES}, t_eval=[0.5, 1.0], on_device=True)
    home = there.to_host()
    np.testing.assert_array_equal(home.y, here.y)
    np.testing.assert_array_equal(home.status, here.status)
    np.testing.assert_array_equal(home.n_steps, here.n_steps)
    np.testing.assert_array_equal(home.t_final, here.t_final)


@pytest.mark.gpu
def test_memory_of_dropped_results_is_used_again_once_nobody_looks_at_it() -> None:
    first = solved()
    address, held = first.y.address, first.y[1]
    expected = held.copy_to_host()
    del first
    second = solved()
    assert second.y.address != address
    np.testing.assert_array_equal(held.copy_to_host(), expected)
    addresses = {address, second.y.address}
    del held, second
    assert solved().y.address in addresses


@pytest.mark.gpu
def test_a_run_that_fails_says_when() -> None:
    solver = Solver(BLOW_UP, device="cuda", max_steps=500)
    here = solver.solve((0.0, 1.0), parameters={"a": [0.1, 2.0]})
    there = solver.solve((0.0, 1.0), parameters={"a": [0.1, 2.0]}, on_device=True).to_host()
    assert here.status.tolist()[0] == 0 and here.status.tolist()[1] != 0
    np.testing.assert_array_equal(there.status, here.status)
    np.testing.assert_array_equal(there.t_final, here.t_final)


@pytest.mark.gpu
@pytest.mark.parametrize("library", ["numba", "cupy", "torch", "jax"])
def test_other_libraries_take_the_memory_and_give_theirs(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    solution = solved()
    expected = solution.to_host().y
    theirs, on_gpu = taken(library, solution)
    del solution
    np.testing.assert_array_equal(theirs, expected)
    again = solve_ivp(DECAY, (0.0, 1.0), parameters={"k": on_gpu}, t_eval=[0.5, 1.0], device="cuda")
    np.testing.assert_array_equal(again.y, expected)


def refused_copy(value: object) -> NoReturn:
    raise AssertionError("numbers in the GPU's memory must not come to the host")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_inputs_on_the_gpu_are_taken_there(
    precision: PrecisionName, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba import cuda

    monkeypatch.setattr("cubie.batchsolving.arrays.copied_from_device", refused_copy)
    solver = Solver(DECAY, device="cuda", precision=precision)
    rates = (np.arange(1, 201_000) % 977 + 1).astype(dtype)
    there = cuda.to_device(rates)
    here = solver.solve((0.0, 1.0), y0={"x": 2.0}, parameters={"k": rates})
    got = solver.solve((0.0, 1.0), y0={"x": 2.0}, parameters={"k": there})
    there.copy_to_device(np.zeros_like(rates))  # type: ignore[attr-defined]  # not in the stubs
    np.testing.assert_array_equal(got.y, here.y)
    np.testing.assert_array_equal(got.coordinates["k"], here.coordinates["k"])
    every_other: Values = cuda.to_device(rates)[::2]  # type: ignore[index]  # as above
    kept = solver.solve((0.0, 1.0), y0={"x": 2.0}, parameters={"k": every_other}, on_device=True)
    assert isinstance(kept.coordinates["k"], DeviceArray)
    home = kept.to_host()
    np.testing.assert_array_equal(home.y, here.y[..., ::2])
    np.testing.assert_array_equal(home.coordinates["k"], here.coordinates["k"][::2])


@pytest.mark.gpu
def test_a_batch_goes_on_where_another_has_stopped_without_leaving_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = Solver(DECAY, device="cuda")
    first = solver.solve((0.0, 1.0), parameters={"k": RATES}, on_device=True)
    with monkeypatch.context() as patch:
        patch.setattr("cubie.batchsolving.arrays.copied_from_device", refused_copy)
        second = solver.solve((1.0, 2.0), y0=first.y[-1], parameters={"k": first.coordinates["k"]})
    on_host = solver.solve((1.0, 2.0), y0=first.to_host().y[-1], parameters={"k": RATES})
    np.testing.assert_array_equal(second.y, on_host.y)


@pytest.mark.gpu
def test_a_product_takes_axes_from_the_gpu_and_the_host() -> None:
    from numba import cuda

    solver, starts = Solver(DECAY, device="cuda", sweep="product"), np.linspace(1.0, 2.0, 7)
    here = solver.solve((0.0, 1.0), y0={"x": starts}, parameters={"k": RATES})
    for x, k in ((cuda.to_device(starts), RATES), (starts, cuda.to_device(RATES))):
        got = solver.solve((0.0, 1.0), y0={"x": x}, parameters={"k": k})
        np.testing.assert_array_equal(got.y, here.y)
        np.testing.assert_array_equal(got.coordinates["k"], here.coordinates["k"])


@pytest.mark.gpu
@pytest.mark.parametrize("on_device", [False, True])
def test_a_value_on_the_gpu_that_is_not_finite_is_refused_with_its_place(on_device: bool) -> None:
    from numba import cuda

    solver, rates = Solver(DECAY, device="cuda", precision="float32"), RATES.copy()
    for bad, what in ((np.nan, "must be finite, got nan"), (1e300, r"must fit in float32, got 1e\+300")):
        rates[777] = rates[900] = bad
        with pytest.raises(ValueError, match=rf"parameters\['k'\]\[777\] {what}"):
            if on_device:
                solver.solve((0.0, 1.0), parameters={"k": cuda.to_device(rates)}, on_device=True)
            else:
                solver.solve((0.0, 1.0), parameters={"k": cuda.to_device(rates)})


@pytest.mark.gpu
@pytest.mark.parametrize("on_device", [False, True])
def test_a_value_of_a_large_batch_that_is_not_finite_is_refused_with_its_place(on_device: bool) -> None:
    solver, rates = Solver(DECAY, device="cuda"), np.linspace(0.5, 2.0, 700_000)
    expected = solver.solve((0.0, 1.0), parameters={"k": rates})
    for place in (0, 131_073, 699_999):
        wrong = rates.copy()
        wrong[place] = np.inf
        with pytest.raises(ValueError, match=rf"parameters\['k'\]\[{place}\] must be finite, got inf"):
            if on_device:
                solver.solve((0.0, 1.0), parameters={"k": wrong}, on_device=True)
            else:
                solver.solve((0.0, 1.0), parameters={"k": wrong})
    np.testing.assert_array_equal(solver.solve((0.0, 1.0), parameters={"k": rates}).y, expected.y)


@pytest.mark.gpu
def test_a_gpu_takes_what_is_in_its_own_memory_and_copies_what_is_in_anothers() -> None:
    from numba import cuda

    if len(cuda.gpus) < 2:
        pytest.skip("needs two GPUs")
    solvers = [Solver(DECAY, device=f"cuda:{number}") for number in (0, 1)]
    expected = solvers[0].solve((0.0, 1.0), parameters={"k": RATES}).y
    for theirs in (0, 1):
        with cuda.gpus[theirs]:
            rates = cuda.to_device(RATES)
        for number in (1, 0, 1):
            there = solvers[number].solve((0.0, 1.0), parameters={"k": rates}, on_device=True)
            assert isinstance(there.coordinates["k"], DeviceArray) == (number == theirs)
            assert there.y.__dlpack_device__()[1] == number
            np.testing.assert_array_equal(there.y.copy_to_host(), expected)
            here = solvers[number].solve((0.0, 1.0), parameters={"k": rates})
            np.testing.assert_array_equal(here.y, expected)


def taken(library: str, solution: DeviceSolution) -> tuple[object, Values]:
    """Return the results as the library copies them to the host, and the rates in the library's own GPU memory."""
    if library == "numba":
        from numba import cuda

        return cuda.as_cuda_array(solution.y).copy_to_host(), cuda.to_device(RATES)
    if library == "cupy":
        import cupy  # type: ignore[import-not-found]  # on GPU machines only

        return cupy.asnumpy(cupy.from_dlpack(solution.y)), cupy.asarray(RATES)
    if library == "torch":
        import torch  # type: ignore[import-not-found]  # as above

        return torch.from_dlpack(solution.y).cpu().numpy(), torch.from_numpy(RATES).cuda()
    import jax  # type: ignore[import-not-found]  # as above

    jax.config.update("jax_enable_x64", True)
    return np.asarray(jax.dlpack.from_dlpack(solution.y)), jax.numpy.asarray(RATES)
