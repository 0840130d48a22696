"""What all tests share: where they run, and what chooses their samples."""

import os
from functools import cache

import pytest
from hypothesis import settings

from tests.seed import ACCURACY_SEED

os.environ["CUBIE_CACHE"] = "0"  # tests that are about the cache turn it on, in a folder of their own

IN_SIMULATOR = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

# Two shared cores make no promise about the time of one example.
settings.register_profile("cubie", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("cubie")


def pytest_report_header() -> str:
    """Print the seed with which a failing sample can be drawn again."""
    return f"CUBIE_ACCURACY_SEED={ACCURACY_SEED}"


@cache
def has_gpu() -> bool:
    """Return whether numba-cuda finds a GPU that it can use."""
    from numba import cuda

    return not IN_SIMULATOR and cuda.is_available()


def reason_to_skip(item: pytest.Item) -> str | None:
    """Return why a test can't run here; one that is marked for both runs in the simulator and on a GPU."""
    needs = {name for name in ("simulator", "gpu") if item.get_closest_marker(name)}
    if not needs or ("simulator" in needs and IN_SIMULATOR) or ("gpu" in needs and has_gpu()):
        return None
    return "no CUDA GPU" if needs == {"gpu"} else "set NUMBA_ENABLE_CUDASIM=1 and give -m simulator"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip simulator tests outside the simulator, and GPU tests where there is no GPU."""
    for item in items:
        reason = reason_to_skip(item)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
