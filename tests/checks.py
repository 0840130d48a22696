"""Run every check there is: `python -m tests.checks`. All of them run, whatever fails; the exit code tells."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.seed import ACCURACY_SEED

ROOT: Final = Path(__file__).resolve().parent.parent

ON_EVERY_CORE: Final = ("-n", "auto", "--dist", "loadfile")

# Pytest stands last, so that its closing line, with coverage above it, is what a reader of the log sees at the end.
CHECKS: Final[tuple[tuple[str, tuple[str, ...], dict[str, str]], ...]] = (
    ("hooks", ("pre_commit", "run", "--all-files", "--color=never", "--show-diff-on-failure"), {}),
    (
        "tests in the CUDA simulator",
        ("pytest", *ON_EVERY_CORE, "-m", "simulator", "--cov", "--cov-report=", "--cov-fail-under=0"),
        {"NUMBA_ENABLE_CUDASIM": "1"},
    ),
    ("tests", ("pytest", *ON_EVERY_CORE, "--cov", "--cov-append", "--durations=15"), {}),
)


def run_check(name: str, module_and_options: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    """Run one check with this interpreter; return whether it passed."""
    settings = [f"{key}={value}" for key, value in environment.items()]
    print(f"\n== {name}: {' '.join([*settings, 'python -m', *module_and_options])}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *module_and_options],
        cwd=ROOT,
        env={**os.environ, "CUBIE_ACCURACY_SEED": str(ACCURACY_SEED), **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    print(f"== {name}: exit code {done.returncode} after {time.monotonic() - started:.0f} s", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run all checks in order; return 0 if every one passed, else 1."""
    print(f"CUBIE_ACCURACY_SEED={ACCURACY_SEED}", flush=True)
    failed = [name for name, command, environment in CHECKS if not run_check(name, command, environment)]
    if failed:
        print(f"\nFailed: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
