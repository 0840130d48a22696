"""The command line: `cubie demo`, `cubie info` and `cubie cache`."""

import argparse
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

OK: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130
PACKAGES: Final = ("numpy", "numba", "llvmlite", "numba-cuda", "xarray", "pandas", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    command: str = options.command
    try:
        if command == "info":
            for line in info():
                print(line)
        elif command == "cache":
            print(_cleared() if options.clear else _cache())
        else:
            from cubie.demo import run_demo

            run_demo(options.runs, options.device, options.output, _say)
    except (ValueError, LookupError, OSError, ImportError) as error:
        print(f"cubie {command}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"cubie {command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return OK


def info() -> Iterator[str]:
    """Yield lines that tell versions, devices, threads and the cache folder."""
    from cubie.targets.devices import devices
    from cubie.targets.thread_pool import n_threads

    yield f"cubie      {_version('cubie')}"
    yield f"Python     {platform.python_version()} on {platform.platform()}"
    yield f"packages   {', '.join(f'{name} {_version(name)}' for name in PACKAGES)}"
    for number, device in enumerate(devices()):
        state = device.description if device.usable else f"can't be used: {device.reason}"
        yield f"{'devices' if number == 0 else '':<11}{device.name:<7} {state}"
    yield f"threads    {n_threads()}"
    yield f"cache      {_cache()}"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cache() -> str:
    from cubie.targets import cache

    if not cache.is_on():
        return f"{cache.folder()} (off)"
    reason = cache.refusal()
    if reason:
        return f"{cache.folder()} (not used: {reason})"
    entries = cache.entries()
    n_bytes = sum(entry.stat().st_size for entry in entries)
    return f"{cache.folder()} ({_kernels(len(entries))}, {n_bytes / 1024:,.0f} KiB)"


def _cleared() -> str:
    from cubie.targets import cache

    return f"deleted {_kernels(cache.clear())} in {cache.folder()}"


def _kernels(n: int) -> str:
    return f"{n} kernel{'' if n == 1 else 's'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cubie", description="Integrate huge batches of ODE systems on GPUs and on every core of a CPU."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="sweep the Lorenz system, time it, and draw what it shows",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument("--runs", type=_positive, default=100_000, metavar="N", help="number of values of rho")
    demo.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    demo.add_argument(
        "--output", type=Path, default=Path("cubie-demo.png"), metavar="PNG", help="where the picture goes"
    )
    commands.add_parser("info", help="print versions, devices, threads and the cache folder")
    kept = commands.add_parser("cache", help="print where compiled kernels are kept, and how many")
    kept.add_argument("--clear", action="store_true", help="delete them")
    return parser


def _positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _say(line: str) -> None:
    print(line, flush=True)
