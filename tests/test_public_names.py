"""`import cubie`: what it offers, and what it does not load."""

import subprocess
import sys
from typing import Final

import pytest

import cubie

HEAVY: Final = ("numba", "llvmlite", "sympy", "xarray", "pandas", "matplotlib", "numpy", "scipy", "tqdm")


@pytest.mark.parametrize("name", cubie.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(cubie, name) is getattr(cubie, name)
    assert name in dir(cubie)


def test_every_lazy_name_is_public() -> None:
    lazy = [name for names in cubie._HOMES.values() for name in names]
    assert sorted(lazy) == sorted(set(cubie.__all__) - {"__version__"})


def test_an_unknown_name_is_an_attribute_error_that_offers_the_nearest() -> None:
    with pytest.raises(AttributeError, match="module 'cubie' has no attribute 'solve_ipv'") as caught:
        cubie.solve_ipv  # type: ignore[attr-defined]  # noqa: B018  # a misspelling, for types too
    assert caught.value.obj is cubie


def test_importing_loads_nothing_heavy() -> None:
    code = f"import sys, cubie; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_checkout_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def not_found(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", not_found)
    assert cubie._version() == "unknown: not installed"
