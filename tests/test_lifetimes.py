"""What is dropped is gone: factories, their buffers' contexts, compiled kernels and arrays (pitfall 4)."""

import gc
import time
import weakref
from collections.abc import Iterator
from types import CellType, FunctionType
from typing import Final

import numpy as np
import pytest

from cubie import Solver, create_ode_system
from cubie.buffer_registry import buffer_registry
from cubie.cuda_factory import CUDAFactory
from cubie.integrators.matrix_free_solvers.krylov_settings import KrylovSettings
from cubie.integrators.matrix_free_solvers.krylov_solver import KrylovPairSolver, KrylovSolver
from cubie.targets.base import Target
from cubie.targets.cpu import CpuTarget
from cubie.targets.reference import ReferenceTarget
from tests.batches import building_for

SYSTEM: Final = create_ode_system(
    ["dx = -k*x", "double = 2*x"], states={"x": 1.0}, parameters={"k": 1.0}, observables=["double"]
)


def factories_of(solver: Solver) -> list[object]:
    """Return every factory below a solver."""
    found: list[object] = []
    waiting: list[object] = list(solver._kernels.values())
    while waiting:
        factory = waiting.pop()
        assert isinstance(factory, CUDAFactory)
        found.append(factory)
        waiting.extend(factory.children.values())
    return found


METHODS: Final = ("tsit5", "rodas5p", "kvaerno-3", "radau-iia-5")
"""One of each family."""


def kinds(base: type[object] = CUDAFactory) -> set[type[object]]:
    """Return every kind of factory that the package has."""
    below: list[type[object]] = [kind for kind in base.__subclasses__() if kind.__module__.startswith("cubie.")]
    return {found for kind in below for found in kinds(kind)} if below else {base}


def used(target: Target, method: str = "tsit5") -> Solver:
    """Return a solver that has built and solved with every part there is, saves between steps included."""
    with building_for(target):
        solver = Solver(SYSTEM, device="cpu", save=["x", "double"], method=method)
        solver.solve((0.0, 1.0), parameters={"k": np.ones(3)}, t_eval=[0.5, 1.0])
    return solver


@pytest.mark.parametrize(
    ("target", "method"),
    [*((ReferenceTarget(), method) for method in METHODS), (CpuTarget(width=2), "tsit5")],
    ids=lambda each: each if isinstance(each, str) else each.kind,
)
def test_a_dropped_solver_frees_every_factory_and_its_context(target: Target, method: str) -> None:
    gc.collect()
    before = len(buffer_registry)
    solver = used(target, method)
    factories = factories_of(solver)
    assert len(buffer_registry) == before + len({id(factory) for factory in factories})
    references = [weakref.ref(factory) for factory in factories]
    del solver, factories
    gc.collect()
    alive = [type(factory()).__name__ for factory in references if factory() is not None]
    assert alive == []
    assert len(buffer_registry) == before


def test_every_kind_of_factory_is_part_of_some_solver_or_dropped_by_itself() -> None:
    found = {type(factory) for method in METHODS for factory in factories_of(used(ReferenceTarget(), method))}
    gc.collect()
    before, system = len(buffer_registry), create_ode_system("dx = -x", states={"x": 1.0})
    settings, target = KrylovSettings(system=system, precision=np.float64), ReferenceTarget()
    krylov, pair = KrylovSolver(settings, target=target), KrylovPairSolver(settings, target=target)
    assert callable(krylov.device_function.solve)
    assert callable(pair.device_function.solve)
    found |= {type(part) for solver in (krylov, pair) for part in (solver, *solver.children.values())}
    assert found == kinds()
    contexts = weakref.ref(krylov), weakref.ref(pair)
    del krylov, pair
    gc.collect()
    assert [context() for context in contexts] == [None, None] and len(buffer_registry) == before


def reachable(function: FunctionType, seen: set[int]) -> Iterator[object]:
    """Yield what a function's closure holds, and what the functions in it hold."""
    if id(function) in seen:
        return
    seen.add(id(function))
    cells: tuple[CellType, ...] = function.__closure__ or ()
    for cell in cells:
        yield from held(cell.cell_contents, seen)


def held(value: object, seen: set[int]) -> Iterator[object]:
    yield value
    if isinstance(value, FunctionType):
        yield from reachable(value, seen)
    elif isinstance(value, tuple):
        for item in value:
            yield from held(item, seen)


def test_closures_of_device_code_hold_no_factory_and_no_target() -> None:
    """Numbers, tuples, slices and device functions only: in the reference target these are the functions as written."""
    solver = used(ReferenceTarget())
    n_functions = 0
    for factory in factories_of(solver):
        assert isinstance(factory, CUDAFactory)
        function: object = factory.device_function
        for value in held(function, set()):
            n_functions += isinstance(value, FunctionType)
            assert not isinstance(value, CUDAFactory), f"{type(factory).__name__} holds {value!r}"
    assert n_functions > 20


def test_an_update_frees_what_it_replaces() -> None:
    solver = Solver(SYSTEM, device="cpu", method="euler", first_step=0.5, lanes=1)
    solver.compile()
    (kernel,) = solver._kernels.values()
    built = weakref.ref(kernel.device_function)
    solver.update(save="double")
    solver.compile()
    del kernel
    gc.collect()
    assert built() is None


def test_a_moved_buffer_drops_the_old_kernels() -> None:
    gc.collect()
    solver = Solver(SYSTEM, device="cpu", method="euler", first_step=0.5, lanes=1)
    solver.report()
    before = len(buffer_registry)
    for location in ("shared", "local", "shared"):
        solver.update(buffers={"y": "shared" if location == "shared" else "local"})
        solver.report()
        gc.collect()
        assert len(buffer_registry) == before


def test_threads_that_wait_keep_no_arrays() -> None:
    """A pool's idle thread that still referred to its last batch would keep gigabytes."""
    solver = Solver(SYSTEM, device="cpu", method="euler", first_step=0.5, lanes=1)
    solution = solver.solve((0.0, 1.0), parameters={"k": np.ones(1000)})
    array, result = weakref.ref(solution.y), weakref.ref(solution.status.base)
    del solution
    for _ in range(100):  # another thread may be a moment late
        gc.collect()
        if array() is None and result() is None:
            return
        time.sleep(0.02)
    pytest.fail("results of the last batch are still there")
