"""The primitives that a GPU has from LLVM's instructions and CUDA's libdevice, as numba-cuda lowers them."""

from functools import lru_cache
from typing import Any, Final

from numba import types
from numba.core import config

from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS, UnaryFn
from cubie.targets.llvm import (
    EXTREMA,
    INSTRUCTIONS,
    ROUGH_FUNCTIONS,
    approximation,
    extremum,
    libdevice_function,
    packing,
    primitives,
)

SIMULATED: Final = bool(config.ENABLE_CUDASIM)
NAMES: Final = (*UNARY_FUNCTIONS, *BINARY_FUNCTIONS)


def shared_primitives() -> dict[str, Any]:
    """Return the primitives that the CPU has too; the simulator compiles nothing and takes the reference target's."""
    if SIMULATED:
        from cubie.targets import reference

        return {name: reference.FUNCTIONS[name] for name in ("fma", "select", "increment", *ROUGH_FUNCTIONS, *NAMES)}
    from numba.core.targetconfig import ConfigStack
    from numba.cuda.extending import intrinsic

    def has_extrema() -> bool:
        flags: Any = ConfigStack().top()  # type: ignore[no-untyped-call]  # numba's own
        return bool(flags.compute_capability >= (8, 0))

    spellings = INSTRUCTIONS | {"cbrt": "cbrt"}
    exact = {name: libdevice_function(intrinsic, spelling) for name, spelling in spellings.items()}
    rough = {name: approximation(intrinsic, *spellings) for name, spellings in ROUGH_FUNCTIONS.items()}
    extrema = {name: extremum(intrinsic, name, has_extrema) for name in EXTREMA}
    return primitives(intrinsic, types.int32) | exact | rough | extrema


@lru_cache(maxsize=1)
def packs() -> tuple[UnaryFn, UnaryFn]:
    """Return what `remember` and `recall` are where a controller's reals are singles and a run's doubles."""
    from numba.cuda.extending import intrinsic

    pack, unpack = packing(intrinsic, types.float32, types.float64)
    return pack, unpack
