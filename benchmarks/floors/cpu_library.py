"""`lorenz_cpu.cpp`, compiled here and now for this machine, and called."""

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Protocol, TypeAlias, final

import numpy as np
import numpy.typing as npt

from benchmarks.floors.steering import steering
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.solver_settings import DEFAULT_CONTROLLER

FOLDER: Final = Path(__file__).resolve().parent
SOURCE: Final = FOLDER / "lorenz_cpu.cpp"
COMMON: Final = ("-std=c++17", "-O3", "-march=native", "-fPIC")
FLAGS: Final[Mapping[str, str]] = MappingProxyType({"ours": "-ffp-contract=fast", "fast-math": "-ffast-math"})

Precision: TypeAlias = Literal["float32", "float64"]
Method: TypeAlias = Literal["classical-rk4", "tsit5", "adaptive"]
METHODS: Final[tuple[Method, ...]] = ("classical-rk4", "tsit5", "adaptive")
Reals: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class SolveFn(Protocol):
    """The C function, by position; 0 is success."""

    def __call__(
        self,
        method: int,
        width: int,
        n_threads: int,
        rho: int,
        n_runs: int,
        t_end: float,
        n_steps: int,
        rtol: float,
        atol: float,
        law: "ctypes.Array[ctypes.c_double]",
        end: int,
        counts: int,
        /,
    ) -> int: ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A sweep of Lorenz over `rho`; steps of one length are `n_steps`, adaptive ones follow the tolerances."""

    method: Method
    precision: Precision
    rho: FloatArray
    t_end: float
    n_steps: int = 0
    rtol: float
    atol: float


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ends:
    """What a sweep came to: states (3, n_runs), and status, steps and rejected steps (3, n_runs)."""

    states: Reals
    counts: npt.NDArray[np.int32]

    @property
    def n_steps(self) -> int:
        """Steps tried in all runs together."""
        return int(self.counts[1].sum(dtype=np.int64))


class FloorLibrary:
    """The compiled floor.

    Parameters
    ----------
    flags : a key of `FLAGS`.
    folder : where to compile; it may go once the library is loaded.

    Raises
    ------
    FileNotFoundError: if there is no g++.
    """

    def __init__(self, flags: str, folder: Path) -> None:
        compiler = shutil.which("g++")
        if compiler is None:
            raise FileNotFoundError("g++ must be on the PATH to compile the floor, got none. Install GCC.")
        compiled, library = folder / f"{flags}.o", folder / f"{flags}.so"
        # Linked without -ffast-math: with it, loading the library would make this whole process flush subnormals.
        for command in (
            (compiler, *COMMON, FLAGS[flags], "-c", str(SOURCE), "-o", str(compiled)),
            (compiler, "-shared", "-pthread", str(compiled), "-o", str(library)),
        ):
            subprocess.run(command, check=True)
        loaded = ctypes.CDLL(str(library))
        self.register_bytes: Final[int] = loaded["bytes_of_a_register"]()
        self._solve: Final[dict[Precision, SolveFn]] = {
            "float32": _function(loaded, "float32"),
            "float64": _function(loaded, "float64"),
        }

    def solve(self, task: Task, *, width: int, n_threads: int) -> Ends:
        """Integrate all runs, `width` in a group.

        Raises
        ------
        ValueError: if the library was not made for groups of this width.
        """
        rho = np.ascontiguousarray(task.rho, dtype=task.precision)
        states = np.empty((3, rho.size), rho.dtype)
        counts = np.empty((3, rho.size), np.int32)
        failed = self._solve[task.precision](
            METHODS.index(task.method),
            width,
            n_threads,
            rho.ctypes.data,
            rho.size,
            task.t_end,
            task.n_steps,
            task.rtol,
            task.atol,
            (ctypes.c_double * 3)(*steering(DEFAULT_CONTROLLER)),
            states.ctypes.data,
            counts.ctypes.data,
        )
        if failed:
            raise ValueError(f"width must fill 1, 2 or 4 vector registers, got {width}. Choose another.")
        return Ends(states=states, counts=counts)


def _function(library: ctypes.CDLL, precision: Precision) -> SolveFn:
    function = library[f"solve_{precision}"]
    pointer, whole, real = ctypes.c_void_p, ctypes.c_long, ctypes.c_double
    number, law = ctypes.c_int, ctypes.POINTER(ctypes.c_double)
    function.argtypes = [number, number, number, pointer, whole, real, whole, real, real, law, pointer, pointer]
    function.restype = number
    solve: SolveFn = function
    return solve
