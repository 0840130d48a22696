"""Compiled kernels kept between processes, in the user's cache folder.

A kernel's name is a hash of everything that shapes its code, known before a compiler is loaded. An entry is a line that
says what it is, a checksum, and code; nothing in it is ever run before it is found whole, and ours. Whatever is wrong
with an entry or with the folder, the kernel is compiled again. `CUBIE_CACHE_DIR` names another folder,
``CUBIE_CACHE=0`` keeps nothing.
"""

import hashlib
import logging
import os
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import numpy as np

from cubie.targets.base import KernelLayout

log: Final = logging.getLogger("cubie.cache")
log.addHandler(logging.NullHandler())  # else Python prints warnings of those who have not asked for logging
MAGIC: Final = b"cubie kernel, format 1\n"
HEAD_BYTES: Final = len(MAGIC) + 64 + 1 + 64 + 1
SUFFIX: Final = ".kernel"
SWITCHES: Final = ("NUMBA_", "CUDA_HOME", "CUDA_PATH")
NUMBA_FILE: Final = ".numba_config.yaml"
MAX_ENTRIES: Final = 1000
MAX_BYTES: Final = 1 << 26
"""No kernel is as large."""
PLAIN: Final = (bool, int, float, str, bytes, slice, Fraction, np.generic)


@runtime_checkable
class Digested(Protocol):
    """A value that has a hash of what matters of it, the same in every process."""

    @property
    def digest(self) -> str: ...


def spelled(value: object) -> str:
    """Return plain data as text that tells any two values apart.

    Raises
    ------
    TypeError: if it is, or holds, anything else, such as a function.
    """
    if value is None or isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(spelled, value))}]"
    if isinstance(value, Digested):  # to ask a protocol takes longer than all other questions
        return f"{type(value).__name__} {value.digest}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if is_dataclass(value):
        inner = ", ".join(f"{field.name}={spelled(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__qualname__}({inner})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{spelled(name)}: {spelled(item)}' for name, item in value.items())}}}"
    raise TypeError(f"settings must be plain data, got a {type(value).__name__}. Keep it out of the settings.")


def is_on() -> bool:
    """Whether kernels are kept."""
    return os.environ.get("CUBIE_CACHE", "1").lower() not in ("0", "off", "no", "false")


def folder() -> Path:
    """Return the folder in which kernels are kept, whether it exists or not."""
    wanted = os.environ.get("CUBIE_CACHE_DIR", "")
    if wanted:
        return Path(os.path.expanduser(wanted)).absolute() / "kernels"  # Path.expanduser raises where there is no home
    from platformdirs import user_cache_path

    return user_cache_path("cubie") / "kernels"


def refusal() -> str:
    """Return why the folder isn't used, and what to do; nothing if it is, or is yet to be made."""
    place = folder()
    try:
        _check(place.lstat(), stat.S_ISDIR)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{error.strerror or error}. Run 'chmod 700 {place}' if it is yours, or set CUBIE_CACHE_DIR."
    return ""


def key(target: tuple[object, ...], layout: KernelLayout, packages: tuple[str, ...]) -> str:
    """Return the name of a kernel: of its shape, of what it is built for, and of all that builds it."""
    return name((target, layout[2:]), packages)


def name(shaping: tuple[object, ...], packages: tuple[str, ...]) -> str:
    """Return the name of an entry that follows from `shaping`, these packages and this one; empty if none is kept."""
    if not is_on():
        return ""
    versions = [_version(package) for package in packages]
    whole = (shaping, versions, _sources(), sys.version, _switches())
    return hashlib.sha256(repr(whole).encode()).hexdigest()


def load(name: str) -> bytes | None:
    """Return a kernel's code, or None if there is no such entry, or it isn't what it should be."""
    if not name:
        return None
    try:
        whole = _read(folder() / (name + SUFFIX))
    except OSError as error:
        log.debug("no kernel %.8s: %s", name, error)
        _warn(refusal())
        return None
    code = whole[HEAD_BYTES:]
    if whole[:HEAD_BYTES] != _head(name, code):
        log.debug("kernel %.8s is damaged, or was put there under another's name", name)
        return None
    return code


def store(name: str, code: bytes) -> None:
    """Keep a kernel's code. Other processes see all of it or nothing."""
    if not name:
        return
    place = folder()
    temporary = place / f"{name}.{secrets.token_hex(8)}.part"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check(place.lstat(), stat.S_ISDIR)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_head(name, code) + code)
        temporary.replace(place / (name + SUFFIX))
        _drop_oldest()
    except OSError as error:
        log.debug("kernel %.8s is not kept: %s", name, error)
        _warn(refusal() or f"{error.strerror or error}.")
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def entries() -> list[Path]:
    """List the kept kernels, and what broken processes left of others."""
    with suppress(OSError):
        return sorted(path for path in folder().iterdir() if path.suffix in (SUFFIX, ".part") and path.is_file())
    return []


def clear() -> int:
    """Delete all kept kernels; return how many there were."""
    found = entries()
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


@cache
def _warn(reason: str) -> None:
    """Say once why kernels are not kept; nothing, if there is no reason."""
    if reason:
        log.warning("kernels are not kept in %s: %s", folder(), reason)


def _head(name: str, code: bytes) -> bytes:
    checksum = hashlib.sha256(name.encode() + code).hexdigest()
    return MAGIC + f"{name} {checksum}\n".encode()


def _read(path: Path) -> bytes:
    """Return a file's bytes.

    Raises
    ------
    OSError: if there is none, it is no plain file, or others than this user could have written it or its folder.
    """
    _check(path.parent.lstat(), stat.S_ISDIR)
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        _check(os.fstat(file.fileno()), stat.S_ISREG)
        return file.read(MAX_BYTES)


def _check(status: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(status.st_mode):
        raise PermissionError("it is a link, or of another kind")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise PermissionError("it is another user's")
    if hasattr(os, "getuid") and status.st_mode & 0o077:
        raise PermissionError("others may write or read it")


def _drop_oldest() -> None:
    """Keep the number of entries within bounds."""
    found = entries()
    if len(found) > MAX_ENTRIES:
        for path in sorted(found, key=lambda path: path.stat().st_mtime)[: len(found) - MAX_ENTRIES // 2]:
            path.unlink(missing_ok=True)


@cache
def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _sources() -> str:
    """Return a hash of this package's own source: whoever changes it must not meet yesterday's kernels."""
    total = hashlib.sha256()
    root = Path(__file__).parent.parent
    for path in sorted(root.rglob("*.py")):
        text = path.read_bytes()
        total.update(f"{path.relative_to(root)} {len(text)}\n".encode() + text)
    return total.hexdigest()


def _switches() -> list[tuple[str, str]]:
    """Return what compilers are told by the environment, and numba by its file in the current folder: some of it
    changes code.
    """
    switches = sorted((name, value) for name, value in os.environ.items() if name.startswith(SWITCHES))
    with suppress(OSError):
        switches.append((NUMBA_FILE, Path(NUMBA_FILE).read_text(errors="replace")))
    return switches
