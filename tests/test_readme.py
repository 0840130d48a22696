"""The README's example works as pasted."""

import subprocess
import sys
from pathlib import Path

from tests.readme import README, example


def test_example_runs_as_pasted(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(example(), encoding="utf-8")
    command = [sys.executable, "-W", "error", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(11, 100000)")
    assert "rho" in done.stdout


def test_example_has_twelve_lines() -> None:
    assert len([line for line in example().splitlines() if line]) == 12


def test_pictures_and_files_that_the_readme_names_are_there() -> None:
    text = README.read_text(encoding="utf-8")
    for name in ("docs/images/demo.png", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks"):
        assert name in text
        assert (README.parent / name).exists(), f"the README names {name}, which is not there"
