"""All tables of one kind of device, each in a process of its own: ``python -m benchmarks cpu``, ``... cuda``.

Options that this command does not know go to every benchmark (``--save --repeats 3``). A benchmark that fails or
runs out of time leaves its old table; the others still run.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

TABLES: Final = {
    "cpu": (
        "first_answer",
        "cpu_vs_scipy",
        "cpu_floors",
        "cpu_lanes",
        "stiff_vs_scipy",
        "accuracy",
        "stiff_accuracy",
        "work_precision",
    ),
    "cuda": ("gpu_floors", "gpu_large", "gpu_stiff", "gpu_vs_diffrax"),
}

PEERED: Final = frozenset({"cpu_vs_scipy", "stiff_vs_scipy", "gpu_vs_diffrax"})
"""Those that take an interpreter with numbalsoda, or with diffrax."""


def main() -> None:
    """Run them, say how long each took, and exit with the number of those that failed."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("device", choices=list(TABLES))
    made.add_argument("--limit", type=float, default=None, help="seconds a table (default: no limit)")
    made.add_argument(
        "--tables", nargs="*", choices=[name for names in TABLES.values() for name in names], metavar="NAME"
    )
    made.add_argument("--peer", default=None, metavar="PYTHON", help="an interpreter with numbalsoda, or with diffrax")
    arguments, others = made.parse_known_args()
    peer = ("--peer", arguments.peer) if arguments.peer else ()
    outcomes = [
        (name, outcome(name, (*others, *peer) if name in PEERED else others, arguments.limit))
        for name in TABLES[arguments.device]
        if not arguments.tables or name in arguments.tables
    ]
    print("\n".join(f"{name}: {said}" for name, (_, said) in outcomes))
    sys.exit(sum(failed for _, (failed, _) in outcomes))


def outcome(name: str, options: Sequence[str], limit: float | None) -> tuple[bool, str]:
    """Run one benchmark; return whether it failed, and what became of it in words."""
    print(f"== {name}", flush=True)
    begin = time.perf_counter()
    try:
        code = subprocess.run(
            (sys.executable, "-m", f"benchmarks.{name}", *options), timeout=limit, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return True, f"stopped at {limit:g} s"
    return code != 0, f"{'failed' if code else 'done'} in {time.perf_counter() - begin:.0f} s"


if __name__ == "__main__":
    main()
