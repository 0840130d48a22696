"""Compare `typings/` with the installed packages: `python -m tests.stubs`.

Names that a stub leaves out are no fault: `typings/` holds what is used. What a stub says must be true at run time, or stand with its reason
in `typings/allowlist.txt`; an entry that is no longer needed fails too.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TYPINGS: Final = ROOT / "typings"


def stubbed_modules() -> list[str]:
    """Return the dotted names of all modules that `typings/` describes."""
    found = (path.relative_to(TYPINGS).with_suffix("").parts for path in TYPINGS.rglob("*.pyi"))
    return sorted(".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in found)


def main() -> int:
    """Run stubtest over all of them; return its exit code."""
    command = [sys.executable, "-m", "mypy.stubtest", *stubbed_modules()]
    options = ["--ignore-missing-stub", "--concise", "--allowlist", str(TYPINGS / "allowlist.txt")]
    settings = {"MYPYPATH": str(TYPINGS), "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run([*command, *options], cwd=ROOT, env={**os.environ, **settings}, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
