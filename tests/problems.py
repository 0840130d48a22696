"""Initial value problems with trusted answers, frozen, for tests and benchmarks alike.

`problems.json` holds the problems, `references.npz` their answers: states at eleven times for the defaults and for
eight points of a sweep, computed by two independent solvers to about 1e-14 (they agree with the published values of the
IVP Test Set and of DETEST), with the difference of the two as uncertainty.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, TypedDict, final

import numpy as np
import numpy.typing as npt

from cubie.odesystems import ODESystem, create_ode_system

FOLDER: Final = Path(__file__).resolve().parent
N_ROWS: Final = 9
"""The defaults, then eight points of a sweep."""

Stiffness: TypeAlias = Literal["no", "mild", "stiff", "very"]


class ProblemText(TypedDict):
    """A problem as the file holds it."""

    title: str
    equations: list[str]
    states: list[str]
    params: list[str]
    defaults: list[float]
    y0: list[float]
    t_span: tuple[float, float]
    t_eval: list[float]
    sweep: list[dict[str, float]]
    rtol: float
    atol: float
    stiff: Stiffness
    scipy_error: dict[str, dict[str, float]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Trusted answers to one problem.

    Parameters
    ----------
    y : shape (9, 11, n_states): rows are the defaults and the sweep, then times.
    uncertainty : like `y`, the difference of two independent solvers.
    """

    y: npt.NDArray[np.float64]
    uncertainty: npt.NDArray[np.float32]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One initial value problem.

    Parameters
    ----------
    sweep : eight points; a key is a parameter, or `y0:<state>`.
    rtol, atol : at which to score by default.
    scipy_error : by "rtol/atol" and method, SciPy's largest error over all rows and times, in units of rtol*|y| + atol.
    """

    name: str
    title: str
    equations: tuple[str, ...]
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    defaults: tuple[float, ...]
    y0: tuple[float, ...]
    t_span: tuple[float, float]
    t_eval: tuple[float, ...]
    sweep: tuple[Mapping[str, float], ...]
    rtol: float
    atol: float
    stiff: Stiffness
    scipy_error: Mapping[str, Mapping[str, float]]

    @property
    def rows(self) -> tuple[Mapping[str, float], ...]:
        """What each row of the references changes: nothing, then the points of the sweep."""
        return ({}, *self.sweep)

    def initial_values(self) -> npt.NDArray[np.float64]:
        """Return the initial states of all rows, shape (9, n_states)."""
        return np.array(
            [[row.get(f"y0:{state}", y0) for state, y0 in zip(self.states, self.y0, strict=True)] for row in self.rows]
        )

    def parameter_values(self) -> npt.NDArray[np.float64]:
        """Return the parameters of all rows, shape (9, n_parameters)."""
        return np.array(
            [
                [row.get(name, default) for name, default in zip(self.parameters, self.defaults, strict=True)]
                for row in self.rows
            ]
        )

    def references(self) -> References:
        """Return the trusted answers."""
        arrays = _arrays()
        return References(
            y=arrays[f"{self.name}/y"].astype(np.float64, copy=False),
            uncertainty=arrays[f"{self.name}/uncertainty"].astype(np.float32, copy=False),
        )

    def system(self) -> ODESystem:
        """Return the equations as a system, every parameter swept."""
        return create_ode_system(
            self.equations,
            states=dict(zip(self.states, self.y0, strict=True)),
            parameters=dict(zip(self.parameters, self.defaults, strict=True)),
            name=self.name,
        )


@cache
def _arrays() -> Mapping[str, npt.NDArray[np.float64] | npt.NDArray[np.float32]]:
    """Return all references, read-only."""
    with np.load(FOLDER / "references.npz") as archive:
        arrays: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.float32]] = {name: archive[name] for name in archive}
    for array in arrays.values():
        array.flags.writeable = False
    return MappingProxyType(arrays)


def _load() -> dict[str, Problem]:
    texts: dict[str, ProblemText] = json.loads((FOLDER / "problems.json").read_text(encoding="utf-8"))
    return {name: _problem(name, text) for name, text in texts.items()}


def _problem(name: str, text: ProblemText) -> Problem:
    start, end = text["t_span"]
    return Problem(
        name=name,
        title=text["title"],
        equations=tuple(text["equations"]),
        states=tuple(text["states"]),
        parameters=tuple(text["params"]),
        defaults=tuple(text["defaults"]),
        y0=tuple(text["y0"]),
        t_span=(start, end),
        t_eval=tuple(text["t_eval"]),
        sweep=tuple(MappingProxyType(point) for point in text["sweep"]),
        rtol=text["rtol"],
        atol=text["atol"],
        stiff=text["stiff"],
        scipy_error=MappingProxyType(text["scipy_error"]),
    )


PROBLEMS: Final[Mapping[str, Problem]] = MappingProxyType(_load())
