"""What all benchmarks share: options, timing, where they ran, the columns of every table, and what they leave."""

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeAlias, TypeVar, final

from cubie.targets.devices import DeviceError, find_device

FOLDER: Final = Path(__file__).resolve().parent
README: Final = FOLDER / "README.md"
PACKAGES: Final = ("numpy", "numba", "llvmlite", "scipy", "numba-cuda")

WRONG_USAGE: Final = 2

ROW_HEADERS: Final = (
    "problem, states x runs",
    "precision",
    "method",
    "rtol, atol",
    "error",
    "cold, s",
    "warm, ms",
    "kernel, ms",
)

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | int | bool | None"
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Work: TypeAlias = Callable[[], object]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every benchmark takes from its command line."""

    device: str
    repeats: int
    save: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of one thing, over several repeats."""

    median: float
    fastest: float
    slowest: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a benchmark shows: cells are text, formatted already."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table with columns drawn to one width; numbers stand to the right."""
        columns = list(zip(self.headers, *self.rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
        is_number = [all(cell[:1].isdigit() or cell in ("", "-") for cell in column[1:]) for column in columns]
        rule = ["-" * (width - 1) + (":" if number else "-") for width, number in zip(widths, is_number, strict=True)]
        lines = [self.headers, tuple(rule), *self.rows]
        return "\n".join(f"| {' | '.join(_padded(line, widths, is_number))} |" for line in lines)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What every table says of one batch and whoever integrated it; None is what nobody measured.

    Parameters
    ----------
    tolerances : rtol and atol in words, or the length of the steps where it is fixed.
    steps : attempted by a run, on average.
    error : the largest of a few runs at the end, in units of rtol*|y| + atol.
    cold : seconds of the first solve, compilation included, imports not.
    compiling : how many of them went into compiling.
    warm, kernel : milliseconds of a later solve, NumPy in and NumPy out, and of the integration alone.
    """

    problem: str
    n_states: int
    n_runs: int
    precision: str
    method: str
    tolerances: str
    error: float | None = None
    cold: float | None = None
    warm: float
    kernel: float | None = None
    compiling: float | None = None
    steps: float | None = None

    @property
    def rate(self) -> float:
        """Runs a second, warm, from end to end."""
        return 1e3 * self.n_runs / self.warm

    def cells(self) -> tuple[str, ...]:
        """Return what stands below `ROW_HEADERS`."""
        return (
            *(f"{self.problem}, {self.n_states} x {self.n_runs:,}", self.precision, self.method, self.tolerances),
            *map(shown, (self.error, self.cold, self.warm, self.kernel)),
        )


def shown(figure: float | None) -> str:
    """Return a figure with three digits, or with all before the point up to a million; a dash if there is none."""
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if 100 <= abs(figure) < 1e6 else f"{figure:.3g}"


def said(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Say a row as soon as it is measured: of a benchmark that is cut off, what it knew is left."""
    print(*cells, sep=" | ", file=sys.stderr, flush=True)
    return cells


def parser(purpose: str | None, device: str = "cpu") -> argparse.ArgumentParser:
    """Return a parser of the options that all benchmarks have, by default for this `device`."""
    made = argparse.ArgumentParser(description=purpose, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", default=device, help=f"'cpu', 'cuda', 'cuda:1' or 'auto' (default: {device})")
    made.add_argument("--repeats", type=int, default=5, help="how often each thing is measured (default: 5)")
    made.add_argument("--save", action="store_true", help="keep the figures in benchmarks/results and in the README")
    return made


def common(arguments: argparse.Namespace, only: Literal["cpu", "cuda"] | None = None) -> Options:
    """Return the options that all benchmarks have; refuse a device that is not there, or not of the `only` kind."""
    wanted: str = arguments.device
    repeats: int = arguments.repeats
    if repeats < 1:
        refuse(f"--repeats must be at least 1, got {repeats}. Once is enough to see that it runs.")
    try:
        device = find_device(wanted)
    except DeviceError as error:
        refuse(str(error))
    if only is not None and device.kind != only:
        refuse(f"--device must be '{only}', which alone is measured here, got '{wanted}'. Leave it out.")
    return Options(device=device.name, repeats=repeats, save=arguments.save)


def refuse(reason: str) -> NoReturn:
    """End with one line, and the exit code of wrong usage."""
    print(f"{Path(sys.argv[0]).stem}: {reason}", file=sys.stderr)
    sys.exit(WRONG_USAGE)


@contextmanager
def needing(what: str) -> Iterator[None]:
    """Refuse to go on where a compiler is missing, or it fails, or what it made."""
    try:
        yield
    except FileNotFoundError as error:
        refuse(str(error))
    except subprocess.CalledProcessError:
        refuse(f"the floor must compile and run here, which failed as said above. It needs {what}.")


def require_package(python: str, package: str) -> None:
    """Refuse to go on where an interpreter lacks a package."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    try:
        is_there = subprocess.run((python, "-c", look), check=False).returncode == 0
    except OSError:
        is_there = False
    if not is_there:
        refuse(f"--peer must be an interpreter with {package}, got '{python}'. Install {package} there.")


def seconds(work: Work) -> float:
    """Return how long one call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def untimed(work: Callable[[ItemT], Sequence[ResultT]], items: Sequence[ItemT]) -> list[ResultT]:
    """Return the results of work that nobody times, item by item, done in as many processes as there are cores."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return [result for results in pool.map(work, items) for result in results]


def timing(taken: Sequence[float]) -> Timing:
    """Sum up several repeats."""
    return Timing(median=statistics.median(taken), fastest=min(taken), slowest=max(taken))


def machine() -> dict[str, Json]:
    """Tell on what, with what and when something was measured."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "load_before": load,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def describe(where: Mapping[str, Json]) -> str:
    """Return one line for people: where and when."""
    packages = where["packages"]
    scipy = packages["scipy"] if isinstance(packages, Mapping) else None
    return (
        f"{where['processor']}, {where['cores']} cores (load {where['load_before']:.1f} before the start); "
        f"Python {where['python']}, SciPy {scipy}; commit {where['commit']}, {where['date']}."
    )


def finish(name: str, table: Table, notes: str, figures: Json, where: Mapping[str, Json], *, save: bool) -> None:
    """Print the table; on request keep the figures in results/NAME.json and the table in the README."""
    text = f"{table.markdown()}\n\n{notes}\n\n{describe(where)}"
    print(text)
    if save:
        results = FOLDER / "results"
        results.mkdir(exist_ok=True)
        content = json.dumps({"machine": where, "figures": _finite(figures)}, indent=1, allow_nan=False)
        (results / f"{name}.json").write_text(content + "\n", encoding="utf-8")
        README.write_text(_with_section(README.read_text(encoding="utf-8"), name, text), encoding="utf-8")


def _finite(figures: Json) -> Json:
    """Return figures with words for what JSON has no numbers for: the error of a run that failed is infinite."""
    match figures:
        case float():
            return figures if math.isfinite(figures) else str(figures)
        case Mapping():
            return {name: _finite(each) for name, each in figures.items()}
        case list() | tuple():
            return [_finite(each) for each in figures]
        case _:
            return figures


def _with_section(page: str, name: str, text: str) -> str:
    """Return the page with what stands between the marks of `name` replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"{README.name} must hold the marks {begin!r} and {end!r}, got neither. Add them.")
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}"


def _padded(cells: Sequence[str], widths: Sequence[int], to_right: Sequence[bool]) -> list[str]:
    return [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, to_right, strict=True)
    ]


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    """Return the commit of the checkout, with a plus where code differs from it."""
    named = _git("rev-parse", "--short=8", "HEAD")
    return f"{named}{'+' if _git('status', '--porcelain', '--', '../cubie', '*.py') else ''}" if named else "unknown"


def _git(*command: str) -> str:
    """Return what Git prints in this folder; nothing outside a checkout."""
    return subprocess.run(("git", *command), cwd=FOLDER, capture_output=True, text=True, check=False).stdout.strip()
