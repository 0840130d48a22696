"""`lorenz_cuda.cu`, compiled here and now for this GPU, and run."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict, final

import numpy as np
import numpy.typing as npt

from benchmarks.floors.cpu_library import Precision, Reals
from benchmarks.floors.steering import Steering

SOURCE: Final = Path(__file__).resolve().parent / "lorenz_cuda.cu"
FLAGS: Final = ("-std=c++17", "-O3", "-arch=native")
LINK_BYTES: Final = 1 << 28
VARIANTS: Final = ("nested", "chained")
"""Two ways to form the sums of an adaptive step's stages; the faster one is the floor."""


class Launches(TypedDict):
    """What the program prints of a kernel."""

    milliseconds: list[float]


class Copies(TypedDict):
    """What the program prints of the link."""

    seconds: list[float]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CudaTask:
    """One kernel over one batch; an adaptive one follows tolerances and `steering`."""

    kernel: str
    precision: Precision
    n_runs: int
    rtol: float
    atol: float
    steering: Steering

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the program takes."""
        numbers = (self.rtol, self.atol, *self.steering)
        return (self.kernel, self.precision, str(self.n_runs), *(repr(number) for number in numbers))


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CudaEnds:
    """What a batch came to: states (3, n_runs), and status, steps and rejected steps (3, n_runs)."""

    states: Reals
    counts: npt.NDArray[np.int32]


@final
class CudaProgram:
    """The compiled floor.

    Parameters
    ----------
    folder : where to compile, and where results pass; it must outlive the program.

    Raises
    ------
    FileNotFoundError: if there is no nvcc.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
        if compiler is None:
            raise FileNotFoundError("nvcc must be on the PATH to compile the floor, got none. Install a CUDA toolkit.")
        self._folder: Final = folder
        self._program: Final = folder / "lorenz_cuda"
        subprocess.run((compiler, *FLAGS, "-o", str(self._program), str(SOURCE)), check=True)

    def milliseconds(self, task: CudaTask, n_launches: int) -> list[float]:
        """Return what each launch took on the device."""
        launches: Launches = json.loads(self._run(*task.arguments, str(n_launches)))
        return launches["milliseconds"]

    def ends(self, task: CudaTask) -> CudaEnds:
        """Return what a batch comes to."""
        states, counts = self._folder / "states", self._folder / "counts"
        self._run(*task.arguments, "1", str(states), str(counts))
        return CudaEnds(
            states=np.fromfile(states, dtype=task.precision).reshape(3, task.n_runs),
            counts=np.fromfile(counts, dtype=np.int32).reshape(3, task.n_runs),
        )

    def link_bytes_per_second(self) -> float:
        """Return how fast the GPU's memory is copied to pinned memory of the host."""
        copies: Copies = json.loads(self._run("link", str(LINK_BYTES), "5"))
        return LINK_BYTES / min(copies["seconds"])

    def _run(self, *arguments: str) -> str:
        return subprocess.run((str(self._program), *arguments), check=True, stdout=subprocess.PIPE, text=True).stdout
