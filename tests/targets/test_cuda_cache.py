"""Kernels of a GPU that are kept between processes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Final

import numpy as np
import pytest
from cuda.core import Linker, LinkerOptions, ObjectCode
from numba import types

from cubie import Solver, create_ode_system
from cubie.targets import cache
from cubie.targets.base import Argument, KernelLayout
from tests.batches import assert_same_bits
from tests.conftest import IN_SIMULATOR
from tests.ptx import compile_ptx

DECAY: Final = create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0})
NAME: Final = "fedcba9876543210" * 4


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn the cache on, in an empty folder of its own."""
    monkeypatch.setenv("CUBIE_CACHE", "1")
    monkeypatch.setenv("CUBIE_CACHE_DIR", str(tmp_path))


def doubled(start: int, stop: int, first_run: int, n_slots: int, factor: float, values: list[float]) -> None:
    values[0] = 2 * factor


LAYOUT: Final = KernelLayout(
    name="doubled",
    group=tuple,
    arguments=(Argument("factor", np.float64, False), Argument("values", np.float64, True)),
    n_outputs=1,
    n_shared=0,
    shared_precision=np.float64,
    n_persistent=0,
    persistent_precision=np.float64,
)


@pytest.mark.skipif(IN_SIMULATOR, reason="the simulator has no machine code")
def test_a_kept_kernel_takes_what_its_layout_says_and_never_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from cubie.targets import cuda_cache

    array = types.CPointer(types.float64)
    ptx = compile_ptx(doubled, types.void(*[types.int64] * 4, types.float64, array), (9, 0))
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=LinkerOptions(arch="sm_90"))
    assert cuda_cache.kept(NAME, LAYOUT, (9, 0)) is None
    code = linker.link("cubin").code
    cache.store(NAME, b"doubled\n" + code)
    launcher = cuda_cache.kept(NAME, LAYOUT, (9, 0))
    gpu = SimpleNamespace(device=SimpleNamespace(compute_capability=(9, 0)))
    monkeypatch.setattr("numba.cuda.codegen.devices.get_context", lambda: gpu)
    (kernel,) = launcher.overloads.values()
    assert kernel._codelibrary.get_cubin().code == code
    assert launcher.signatures == [(*[types.int64] * 4, types.float64, array)]
    with pytest.raises(RuntimeError, match="Compilation disabled"):
        launcher.compile((types.int64,) * 6)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_second_solver_loads_what_the_first_has_compiled(precision: str) -> None:
    def solver() -> Solver:
        return Solver(DECAY, device="cuda", precision="float32" if precision == "float32" else "float64")

    k, times = np.linspace(0.1, 2.0, 1000), np.linspace(0.0, 1.0, 5)
    first, second = solver(), solver()
    expected = first.solve((0.0, 1.0), parameters={"k": k}, t_eval=times)
    assert first.n_compilations == 1
    assert_same_bits(second.solve((0.0, 1.0), parameters={"k": k}, t_eval=times), expected)
    assert second.n_compilations == 0
    assert len(cache.entries()) == 1
