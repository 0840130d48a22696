"""What `device=` takes, and what it says where that can't be had."""

import os
import subprocess
import sys
from typing import Final

import pytest

from cubie import DeviceError, Solver, create_ode_system
from cubie import devices as list_devices
from cubie.targets import devices as module
from cubie.targets.base import Target
from cubie.targets.devices import Device, find_device, lane_width, make_target

CPU: Final = Device(name="cpu", kind="cpu", description="a processor", usable=True)
GPUS: Final = [
    Device(name=f"cuda:{number}", kind="cuda", description="a graphics card", usable=True) for number in range(2)
]


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have a driver that fails."""
    monkeypatch.setattr(module, "_gpus", lambda: ([], "the CUDA driver can't be used (no driver)"))


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_gpus", lambda: (GPUS, ""))


def message(name: str) -> str:
    """Return what is said of a device that can't be had."""
    with pytest.raises(DeviceError) as raised:
        find_device(name)
    return str(raised.value)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_without_a_gpu_one_line_says_why_and_what_to_do(name: str) -> None:
    """PITFALL 26: without a GPU a ten-frame traceback did not say what to do."""
    text = message(name)
    assert text == (
        f"device '{name}' can't be used: the CUDA driver can't be used (no driver). "
        "Use device='cpu', or device='auto', which takes a GPU only where one is usable."
    )
    assert "\n" not in text


@pytest.mark.usefixtures("no_gpu")
def test_auto_takes_the_cpu_where_there_is_no_gpu() -> None:
    assert find_device("auto").name == "cpu"
    assert [(device.name, device.usable) for device in list_devices()] == [("cuda", False), ("cpu", True)]
    assert "no driver" in list_devices()[0].reason


@pytest.mark.usefixtures("two_gpus")
def test_auto_takes_the_first_gpu_and_numbers_take_theirs() -> None:
    assert find_device("auto").name == "cuda:0"
    assert find_device("cuda").name == "cuda:0"
    assert find_device("cuda:1").name == "cuda:1"
    assert find_device("cpu").name == "cpu"
    assert "the last GPU is 'cuda:1'" in message("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cuda1", "cuda:", "cuda:x", "cuda:-1", "CPU", "", "cuda:1:2", "cuda: 1"])
def test_a_name_that_is_no_devices_is_refused_with_those_there_are(name: str) -> None:
    assert message(name).startswith(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:1', got {name!r}.")


def test_a_typing_error_is_answered_with_the_nearest_name() -> None:
    assert message("cdua").endswith("Did you mean 'cuda'?")
    assert message("cpus").endswith("Did you mean 'cpu'?")


def test_what_is_no_name_is_refused_too() -> None:
    with pytest.raises(DeviceError, match="device must be 'auto', 'cpu', 'cuda' or 'cuda:1', got 0"):
        find_device(0)  # type: ignore[arg-type]  # the mistake


def test_a_missing_package_is_the_reason_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "numba-cuda is not installed: install cubie with its 'cuda' extra" in message("cuda")


ASKS_FOR_THE_CPU: Final = """
import sys
import cubie
solver = cubie.Solver(cubie.create_ode_system("dx = -x", states={"x": 1.0}), device="cpu")
print(sorted(name for name in sys.modules if name == "numba.cuda" or name.startswith("numba_cuda")))
"""


def test_asking_for_the_cpu_wakes_no_gpu() -> None:
    """Neither the driver nor its package: a process that has touched CUDA can't be forked safely."""
    done = subprocess.run([sys.executable, "-c", ASKS_FOR_THE_CPU], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ASKS_FOR_ANY: Final = """
import sys
from cubie.targets.devices import find_device
print(find_device("auto").name, "numba" in sys.modules)
"""


@pytest.mark.skipif(module._has_driver(), reason="there is a CUDA driver to ask")
def test_without_a_driver_no_compiler_is_loaded_to_find_that_out() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [sys.executable, "-c", ASKS_FOR_ANY], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["cpu", "False"]


NO_GPU: Final = """
import cubie
cubie.Solver(cubie.create_ode_system("dx = -x", states={"x": 1.0}), device="cuda:7")
"""


def test_on_this_machine_a_gpu_that_is_not_there_is_refused_in_one_line() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run([sys.executable, "-c", NO_GPU], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("cubie.targets.devices.DeviceError: device 'cuda:7' can't be used: ")
    assert "Use device='cpu'" in last
    assert done.stderr.count("Traceback") == 1


def kinds(device: Device) -> Target:
    return make_target(device, width=4)


def test_a_target_is_made_for_its_device() -> None:
    target = make_target(CPU, width=4, poison=True)
    assert (target.kind, target.width, target.poison) == ("cpu", 4, True)
    assert (kinds(GPUS[1]).kind, kinds(GPUS[1]).width) == ("cuda", 1)


def test_lanes_fill_two_registers_of_a_cpu_or_less_where_the_cache_would_overflow() -> None:
    import numpy as np

    from cubie.targets.cpu import register_bytes

    small, large = lane_width(CPU, 30, np.float64), lane_width(CPU, 100_000, np.float64)
    assert small == 2 * register_bytes() // 8
    assert large == max(small // 4, 2)
    assert lane_width(CPU, 30, np.float32) == 2 * small
    assert lane_width(GPUS[0], 30, np.float64) == 1


def test_a_solver_says_on_what_it_runs() -> None:
    solver = Solver(create_ode_system("dx = -x", states={"x": 1.0}), device="cpu")
    assert solver.device.name == "cpu"
    assert solver.device.usable
    assert "threads" in solver.device.description
