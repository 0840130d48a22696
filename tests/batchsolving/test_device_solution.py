"""Results that stay on the GPU: refused where there is none, and on one, what other libraries see of them."""

from importlib.util import find_spec
from typing import Final

import numpy as np
import pytest

from cubie import DeviceSolution, Solver, create_ode_system, solve_ivp
from cubie.batchsolving.arrays import Values

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
