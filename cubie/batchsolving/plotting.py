"""Pictures of solutions; matplotlib is loaded when the first one is drawn."""

from typing import TYPE_CHECKING, Final

import numpy as np

from cubie.batchsolving.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cubie.batchsolving.solution import Solution

MAX_LINES: Final = 64
"""More runs than this are drawn as bands."""
BANDS: Final = ((5.0, 95.0, 0.18, "middle 90 % of runs"), (25.0, 75.0, 0.35, "middle 50 % of runs"))
"""Lower and upper percentile, opacity and legend."""
COLOUR: Final = "#2f5d8a"


def plot(solution: "Solution", names: tuple[str, ...]) -> "Figure":
    """Draw each of the variables in a panel of its own."""
    panels = [(name, solution[name]) for name in names]
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Solution.plot needs matplotlib, which is not installed. Install it with: pip install matplotlib"
        ) from error
    figure, grid = plt.subplots(
        len(panels), 1, sharex=True, squeeze=False, layout="constrained", figsize=(7.5, 1.0 + 2.1 * len(panels))
    )
    axes: list[Axes] = grid[:, 0].tolist()
    for axis, (name, _) in zip(axes, panels, strict=True):
        axis.set_ylabel(name)
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.01)
    n_runs = f"{solution.n_runs:,} run{'s' if solution.n_runs > 1 else ''}"
    title = f"{solution.system}: {n_runs}"
    xlabel = "t"
    if solution.t.size <= 2 and solution.n_runs > 1:
        title, xlabel = f"{title} at t = {solution.t[-1]:g}", _draw_final_values(axes, solution, panels)
    elif solution.n_runs <= MAX_LINES:
        _draw_lines(figure, axes, solution, panels)
    else:
        _draw_bands(axes, solution, panels)
    axes[0].set_title(title)
    axes[-1].set_xlabel(xlabel)
    return figure


def _draw_final_values(axes: "list[Axes]", solution: "Solution", panels: list[tuple[str, FloatArray]]) -> str:
    """Draw the last saved values over the one swept input, or over the run; return what the abscissa is."""
    label, swept = _abscissa(solution)
    for axis, (_, values) in zip(axes, panels, strict=True):
        axis.plot(swept, values[-1], ".", color=COLOUR, markersize=3, alpha=0.7, markeredgewidth=0, rasterized=True)
    return label


def _draw_lines(
    figure: "Figure", axes: "list[Axes]", solution: "Solution", panels: list[tuple[str, FloatArray]]
) -> None:
    """Draw each run over time, coloured by the one swept input or by its number."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    label, swept = _abscissa(solution)
    scale = ScalarMappable(Normalize(float(swept.min()), float(swept.max())), colormaps["viridis"])
    colours = scale.to_rgba(swept) if solution.n_runs > 1 else [COLOUR]
    for axis, (_, values) in zip(axes, panels, strict=True):
        for colour, run in zip(colours, values.T, strict=True):
            axis.plot(solution.t, run, color=colour, linewidth=1.1)
    if solution.n_runs > 1:
        figure.colorbar(scale, ax=axes, label=label)


def _draw_bands(axes: "list[Axes]", solution: "Solution", panels: list[tuple[str, FloatArray]]) -> None:
    """Draw the runs' median over time, and what the middle of them spans; failed runs count while they last."""
    percentiles = [50.0, *(edge for low, high, _, _ in BANDS for edge in (low, high))]
    for axis, (_, values) in zip(axes, panels, strict=True):
        kept = [row[np.isfinite(row)] for row in values]
        curves = np.array([np.percentile(row, percentiles) if row.size else [np.nan] * 5 for row in kept]).T
        for index, (_, _, opacity, text) in enumerate(BANDS):
            low, high = curves[1 + 2 * index], curves[2 + 2 * index]
            axis.fill_between(solution.t, low, high, color=COLOUR, alpha=opacity, linewidth=0, label=text)
        axis.plot(solution.t, curves[0], color=COLOUR, linewidth=1.6, label="median")
    axes[0].legend(loc="upper right", fontsize="small", frameon=False)


def _abscissa(solution: "Solution") -> tuple[str, FloatArray]:
    """Return the one swept input with its name, or the number of the run."""
    if len(solution.coordinates) == 1:
        return next(iter(solution.coordinates.items()))
    return "run", np.arange(solution.n_runs, dtype=np.float64)
