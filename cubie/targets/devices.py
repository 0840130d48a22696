"""The processors of this machine, and the target for the one that is asked for."""

import ctypes
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Final, Literal, final

from cubie._types import FloatPrecision
from cubie.targets.base import Target

ADVICE: Final = "Use device='cpu', or device='auto', which takes a GPU only where one is usable."

DRIVERS: Final = (
    ("nvcuda.dll",)
    if os.name == "nt"
    else ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/lib64/libcuda.so", "/usr/lib/libcuda.so")
)
"""Where numba looks for the CUDA driver."""

WORKING_SET_BYTES: Final = 32 * 1024
"""What a core's working arrays may take: a first-level cache. With 128 states, half a register at a time, which takes
two of them, was 1.4 times as fast as a whole one, which takes four.
"""


class DeviceError(ValueError):
    """The device that was asked for is not there, or can't be used."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One processor: its `name` is what `device=` takes; `reason` says why it is not `usable`."""

    name: str
    kind: Literal["cpu", "cuda"]
    description: str
    usable: bool
    reason: str = ""


def devices() -> list[Device]:
    """List this machine's processors, those that can't be used with the reason; the first usable GPU is what ``"auto"``
    takes.
    """
    gpus, reason = _gpus()
    if not gpus:
        gpus = [Device(name="cuda", kind="cuda", description="no usable GPU", usable=False, reason=reason)]
    return [*gpus, _cpu()]


def _cpu() -> Device:
    from cubie.targets.thread_pool import n_threads

    processor = platform.processor() or platform.machine()
    return Device(name="cpu", kind="cpu", description=f"{processor}, {n_threads()} threads", usable=True)


def _gpus() -> tuple[list[Device], str]:
    """Return the usable GPUs, or the reason why there is none."""
    if find_spec("numba_cuda") is None:
        return [], "numba-cuda is not installed: install cubie with its 'cuda' extra"
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        return [Device(name="cuda:0", kind="cuda", description="numba's CUDA simulator", usable=True)], ""
    if not _has_driver():
        return [], f"the CUDA driver can't be used (none of {', '.join(DRIVERS)} is there)"
    from numba import cuda

    try:
        gpus = [gpu for gpu in cuda.gpus]
        names = [str(gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name) for gpu in gpus]
    except Exception as error:  # the driver's errors have no common base, and any of them means: no GPU
        cause = " ".join(str(error).split()).rstrip(":. ") or type(error).__name__
        return [], f"the CUDA driver can't be used ({cause})"
    if not names:
        return [], "the CUDA driver sees no GPU"
    return [Device(name=f"cuda:{i}", kind="cuda", description=name, usable=True) for i, name in enumerate(names)], ""


def _has_driver() -> bool:
    """Look for the driver's library, which is quicker than to load a compiler and let it look."""
    if os.environ.get("NUMBA_CUDA_DRIVER"):
        return True
    for library in DRIVERS:
        with suppress(OSError):
            ctypes.CDLL(library)
            return True
    return False


def find_device(name: str) -> Device:
    """Return the processor that ``device=name`` means.

    Raises
    ------
    DeviceError: if there is none of that name, or it can't be used; the text says why.
    """
    if name == "cpu":
        return _cpu()  # without a look at the GPUs: a process that has woken their driver can't be forked safely
    kind, _, number = str(name).partition(":")
    if name != "auto" and (kind != "cuda" or not (number.isdecimal() or name == "cuda")):
        close = get_close_matches(str(name), ["auto", "cpu", "cuda", "cuda:0"], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise DeviceError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:1', got {name!r}.{hint}")
    known = devices()
    if name == "auto":
        return next(device for device in known if device.usable)
    wanted = f"cuda:{int(number or 0)}"
    for device in known:
        if device.name == wanted:
            return device
    gpu = known[0]
    reason = gpu.reason if not gpu.usable else f"the last GPU is {[d.name for d in known if d.kind == 'cuda'][-1]!r}"
    raise DeviceError(f"device {name!r} can't be used: {reason}. {ADVICE}")


def lane_width(device: Device, n_numbers: int, precision: FloatPrecision) -> int:
    """Return how many runs of `n_numbers` working numbers each a CPU core should advance side by side.

    Two registers' worth hide the latency of arithmetic; one, or half of one, where the working set would leave the
    cache; 1 on a GPU.
    """
    if device.kind != "cpu":
        return 1
    from cubie.targets.cpu import register_bytes

    n_bytes = precision(0).itemsize
    register = register_bytes() // n_bytes
    width = max(register // 2, 2)
    while width < 2 * register and 2 * width * n_numbers * n_bytes <= WORKING_SET_BYTES:
        width *= 2
    return width


def make_target(
    device: Device,
    *,
    width: int = 1,
    poison: bool = False,
    block_size: int | None = None,
    max_registers: int | None = None,
) -> Target:
    """Return the target that builds for a processor: a CPU's goes by `width`, a GPU's by the last two."""
    if device.kind == "cpu":
        from cubie.targets.cpu import CpuTarget

        return CpuTarget(width=width, poison=poison)
    from cubie.targets.cuda import CudaTarget

    device_id = int(device.name.partition(":")[2])
    return CudaTarget(device_id=device_id, poison=poison, block_size=block_size, max_registers=max_registers)
