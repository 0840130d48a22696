"""Compare `typings/` with the installed packages: `python -m tests.stubs`.

Names that a stub leaves out are no fault: `typings/` holds what is used. What a stub says must be true at run time, or
stand with its reason in `typings/allowlist.txt`; an entry that is no longer needed fails too.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TYPINGS: Final = ROOT / "typings"


def main() -> int:
    """Run stubtest over all of them; return its exit code."""
    roots = ("numba", "llvmlite", "cuda.core", "sympy")
    command = [sys.executable, "-m", "mypy.stubtest", *roots]
    options = [
        "--ignore-missing-stub",
        "--ignore-disjoint-bases",
        "--concise",
        "--allowlist",
        str(TYPINGS / "allowlist.txt"),
    ]
    settings = {"MYPYPATH": str(TYPINGS), "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run([*command, *options], cwd=ROOT, env={**os.environ, **settings}, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
