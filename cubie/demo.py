"""The demonstration of `cubie demo`: where the Lorenz system turns chaotic, seen in very many runs at once."""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.memory.mem_manager import check_output_fits
from cubie.odesystems.create import create_ode_system
from cubie.odesystems.ode_system import ODESystem

RHO: Final = (20.0, 250.0)
T_SPAN: Final = (0.0, 24.0)
T_SEEN: Final = 20.0
"""Maxima are looked for from here on, when the runs have come near their attractors."""
N_SAVES: Final = 201
RTOL: Final = 1e-5
ATOL: Final = 1e-5
HEIGHT: Final = (1.0, 1.66)
"""The range of max z / (rho - 1) that is drawn."""
PIXELS: Final = (1200, 700)
"""Columns and rows of the picture's density."""


def lorenz() -> ODESystem:
    """Return the Lorenz system, with dz/dt as an observable. Lorenz (1963), J. Atmos. Sci. 20, 130-141."""
    return create_ode_system(
        ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "rise = x*y - beta*z", "dz = rise"],
        states={"x": 1.0, "y": 1.0, "z": 1.0},
        parameters={"rho": 28.0},
        constants={"sigma": 10.0, "beta": 8 / 3},
        observables=["rise"],
        name="lorenz",
    )


def run_demo(n_runs: int, device: str, output: Path, say: Callable[[str], None]) -> Solution:
    """Sweep the Lorenz system over `n_runs` values of rho twice, `say` how that went, and write the picture.

    Raises
    ------
    ImportError: if matplotlib is missing.
    OSError: if the picture can't be written where it is wanted.
    OutputTooLargeError: if the results would not fit in memory; all of these before anything is computed.
    """
    _check_picture_can_be_drawn(output)
    check_output_fits((N_SAVES, 2, n_runs), np.float32)
    solver = Solver(
        lorenz(), method="tsit5", precision="float32", rtol=RTOL, atol=ATOL, save=("z", "rise"), device=device
    )
    say(f"sweep        Lorenz system, {n_runs:,} values of rho, {RHO[0]:g} to {RHO[1]:g}; t to {T_SPAN[1]:g}")
    first, first_seconds = _timed(lambda: sweep(solver, n_runs))
    say(f"device       {solver.device.name} ({solver.device.description})")
    say(f"method       {first.method}, float32, rtol {RTOL:g}, steps of its own for every run")
    say(f"first call   {first_seconds:.2f} s, compiling or loading the kernel included")
    solution, seconds = _timed(lambda: sweep(solver, n_runs))
    stats = solution.stats
    pace = f"{n_runs / seconds:,.0f} runs and {stats.n_steps / seconds:,.0f} steps a second"
    say(f"second call  {seconds:.2f} s: {pace}")
    say(f"failed runs  {stats.n_failed:,}" + (f" ({solution.message})" if stats.n_failed else ""))
    draw(solution, output)
    say(f"picture      {output}")
    return solution


def sweep(solver: Solver, n_runs: int) -> Solution:
    """Solve for `n_runs` values of rho, saving z and its rate at close times towards the end."""
    return solver.solve(
        T_SPAN, parameters={"rho": np.linspace(*RHO, n_runs)}, t_eval=np.linspace(T_SEEN, T_SPAN[1], N_SAVES)
    )


def maxima(solution: Solution) -> tuple[FloatArray, FloatArray]:
    """Return every local maximum of z between two saved times, and the rho of its run; shape (n_maxima,) both."""
    z, rise, step = solution["z"], solution["rise"], float(solution.t[1] - solution.t[0])
    found_rho, found_top = [], []
    for row in range(solution.t.size - 1):
        runs = np.flatnonzero((rise[row] > 0) & (rise[row + 1] <= 0))
        found_rho.append(solution.coordinates["rho"][runs])
        found_top.append(
            _hermite_maximum(z[row, runs], z[row + 1, runs], step * rise[row, runs], step * rise[row + 1, runs])
        )
    return np.concatenate(found_rho), np.concatenate(found_top)


def draw(solution: Solution, output: Path) -> None:
    """Write the bifurcation diagram of the sweep."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    rho, top = maxima(solution)
    image, _, _ = np.histogram2d(rho, top / (rho - 1), bins=PIXELS, range=(RHO, HEIGHT))
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(
        np.ma.masked_equal(image.T, 0),
        origin="lower",
        aspect="auto",
        extent=(*RHO, *HEIGHT),
        cmap="inferno",
        norm=LogNorm(0.4, max(1.0, float(image.max()))),  # below 1, so that a single maximum is seen
        interpolation="nearest",
    )
    axes.set_facecolor(colormaps["inferno"](0.0))
    axes.set_xlabel(r"$\rho$")
    axes.set_ylabel(r"local maxima of $z$, divided by $\rho - 1$")
    seen = f"maxima of $z$ for $t$ from {T_SEEN:g} to {T_SPAN[1]:g}"
    axes.set_title(
        f"Lorenz system, {solution.n_runs:,} values of $\\rho$: {seen}\n{solution.method} on {solution.device}"
    )
    scale = figure.colorbar(shown, ax=axes, label="maxima in a pixel", pad=0.01)
    scale.ax.set_ylim(bottom=1)
    figure.savefig(output, format="png", dpi=160)


def _hermite_maximum(z0: FloatArray, z1: FloatArray, d0: FloatArray, d1: FloatArray) -> FloatArray:
    """Return the maximum of each cubic with the values z0, z1 and the slopes d0 > 0 >= d1 at 0 and 1."""
    a, b = 2 * (z0 - z1) + d0 + d1, 3 * (z1 - z0) - 2 * d0 - d1
    # The root of 3a x^2 + 2b x + d0 where the slope falls through 0, in the form that does not cancel.
    x = np.clip(d0 / (np.sqrt(np.maximum(b * b - 3 * a * d0, 0)) - b), 0, 1)
    top: FloatArray = ((a * x + b) * x + d0) * x + z0
    return top


def _check_picture_can_be_drawn(output: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(
            "the picture needs matplotlib, which is not installed. Install it with: pip install matplotlib"
        )
    if not output.parent.is_dir():
        raise FileNotFoundError(f"the folder of {output} must exist. Create it, or choose another --output.")
    if output.is_dir():
        raise IsADirectoryError(f"--output must be a file, got the folder {output}. Name the picture in it.")


def _timed(solve: Callable[[], Solution]) -> tuple[Solution, float]:
    start = time.perf_counter()
    solution = solve()
    return solution, time.perf_counter() - start
