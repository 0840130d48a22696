"""Device functions keep the signature of their body: what mypy must say of them, line by line.

Nothing here is run. Each ignore stands for an error that must be found: `warn_unused_ignores` fails when one goes away.
"""

from typing import assert_type

import numba
from numba import cuda

from cubie._types import AllocateFn, AllocateSharedFn, DeviceFunction, Mask, PersistentBank, Real, SharedBank, Vector
from cubie.targets.base import Target


def body(t: Real, y: Vector, n: int) -> Real:
    return t + y[n]


def jit_keeps_the_signature(t: Real, y: Vector) -> None:
    on_gpu = cuda.jit(device=True, inline="always")(body)
    assert_type(on_gpu(t, y, 1), Real)
    on_gpu(y, t, 1)  # type: ignore[arg-type]  # swapped
    on_gpu(t, y)  # type: ignore[call-arg]  # too few
    on_gpu(t, y, "1")  # type: ignore[arg-type]  # not an index
    on_cpu = numba.njit(inline="always", error_model="numpy")(body)
    assert_type(on_cpu(t, y, 1), Real)
    on_cpu(y, t, 1)  # type: ignore[arg-type]  # swapped


def jit_knows_its_options() -> None:
    cuda.jit(device=True, inlined=True)  # type: ignore[call-overload]  # no such option
    cuda.jit(device=True, inline="sometimes")  # type: ignore[call-overload]  # no such choice
    numba.njit(inlined=True)  # type: ignore[call-arg]  # no such option
    numba.njit(error_model="fortran")  # type: ignore[arg-type]  # no such model
    numba.njit(fastmath={"contract", "nnans"})  # type: ignore[arg-type]  # no such flag


def targets_keep_the_signature(target: Target, t: Real, y: Vector) -> None:
    @target.device
    def decorated(t: Real, y: Vector) -> Real:
        return t * y[0]

    assert_type(decorated(t, y), Real)
    decorated(y, t)  # type: ignore[arg-type]  # swapped
    kept: DeviceFunction[[Real, Vector, int], Real] = target.device(body)
    kept(t, y, 1)
    lost: DeviceFunction[[Vector, Real, int], Real] = target.device(body)  # type: ignore[arg-type]  # another signature
    lost(y, t, 1)


def banks_are_not_mixed_up(
    allocate: AllocateFn, child: AllocateSharedFn, shared: SharedBank, persistent: PersistentBank
) -> None:
    assert_type(allocate(shared, persistent), Vector)
    assert_type(child(shared, persistent), SharedBank)
    allocate(persistent, shared)  # type: ignore[arg-type]  # the other way round
    allocate(shared, shared)  # type: ignore[arg-type]  # the shared bank twice
    child(persistent, persistent)  # type: ignore[arg-type]  # the persistent bank twice


def masks_do_not_steer(target: Target, mask: Mask, a: Real, b: Real) -> Real:
    if mask:  # type: ignore[truthy-bool]  # an `if` on a per-run value
        return a
    while target.any_run(mask):
        mask = mask & (a < b)
    return assert_type(target.select(mask, a, b), Real)
