"""The examples run, and print what they promise."""

import runpy
from pathlib import Path
from typing import Final

import pytest

EXAMPLES: Final = Path(__file__).resolve().parent.parent / "examples"
PROMISES: Final = {
    "fit_by_simulation.py": "draws a second",
    "lorenz_sweep.py": "The last run stopped at t =",
    "parameter_grid.py": "spots where the start decides",
    "stiff_kinetics.py": "A + B + C stays 1 within",
}


def test_every_example_is_tested() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_an_example_prints_what_it_promises(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert PROMISES[name] in capsys.readouterr().out
