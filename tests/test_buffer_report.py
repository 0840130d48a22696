"""The report of a tree's memory, as values and as a table."""

import numpy as np

from cubie._types import Precision
from cubie.buffer_registry import BufferReport
from cubie.buffer_report import POOLS, BufferRow
from tests.buffer_toys import Toy, ToyRegistry

F64: Precision = np.float64


class Loop(Toy):
    """The root of the example."""


class Step(Toy):
    """Its child."""


class Solver(Toy):
    """Its child's child."""


def example(registry: ToyRegistry) -> Loop:
    """Return a loop with every kind of buffer below it."""
    loop, step, solver = Loop(), Step(), Solver()
    registry.register("state", loop, 3, "local", persistent=True, precision=F64)
    registry.register("error", loop, 3, "shared", precision=F64)
    loop.adopt(registry, "step", step)
    registry.register("rates", step, 9, "shared", persistent=True, precision=F64)
    step.adopt(registry, "solver", solver)
    registry.register("cache", step, 3, "local", aliases="solver_shared", precision=F64)
    registry.register("too_large", step, 30, "local", aliases="solver_shared", precision=F64)
    registry.register("residual", solver, 6, "shared", precision=F64)
    registry.register("counts", solver, 2, "local", precision=np.int32)
    return loop


def row(report: BufferReport, name: str) -> BufferRow:
    return next(row for row in report.rows if row.name == name)


def test_a_report_is_the_tree_with_offsets_from_the_roots_pools() -> None:
    registry = ToyRegistry()
    report = registry.report(example(registry))
    (step,) = report.children
    (solver,) = step.children
    assert (report.name, step.name, solver.name) == ("Loop", "step", "solver")
    assert (report.factory, step.factory, solver.factory) == ("Loop", "Step", "Solver")
    assert row(step, "rates") == BufferRow(
        name="rates",
        pool="shared",
        start=39,
        size=9,
        precision=F64,
        kept=True,
        aliases=None,
        inside=None,
        child=None,
    )
    residual, cache = row(solver, "residual"), row(step, "cache")
    assert (residual.start, residual.size) == (3, 6)
    assert (cache.start, cache.size, cache.inside, cache.bytes_per_run) == (3, 3, "solver_shared", 0)
    assert (row(step, "too_large").inside, row(step, "too_large").aliases) == (None, "solver_shared")


def test_bytes_per_run_count_every_element_once() -> None:
    registry = ToyRegistry()
    loop = example(registry)
    report = registry.report(loop)
    assert [report.pool_size(pool) for pool in POOLS] == [
        registry.shared_buffer_size(loop),
        registry.persistent_local_buffer_size(loop),
        2,
    ]
    assert [report.pool_bytes(pool) for pool in POOLS] == [48 * 8, 3 * 8, 2 * 4]
    assert report.bytes_per_run == 48 * 8 + 3 * 8 + 2 * 4
    assert row(report, "step_shared").bytes_per_run == 0


def test_the_table_is_aligned_and_ends_with_the_totals() -> None:
    registry = ToyRegistry()
    table = str(registry.report(example(registry)))
    expected = """
buffer               pool              elements   size  type     bytes
-------------------------------------------------------------------------------------------------------------
Loop
  state              persistent_local  [0:3]         3  float64     24  kept
  error              shared            [0:3]         3  float64     24
  step_shared        shared            [3:48]       45  float64      -  for step, parts of it kept
  step (Step)
    rates            shared            [39:48]       9  float64     72  kept
    solver_shared    shared            [3:9]         6  float64      -  for solver
    cache            shared            [3:6]         3  float64      -  inside solver_shared
    too_large        shared            [9:39]       30  float64    240  own storage, not inside solver_shared
    solver (Solver)
      residual       shared            [3:9]         6  float64     48
      counts         local             own array     2  int32        8
-------------------------------------------------------------------------------------------------------------
Loop: 416 bytes per run (shared 384, persistent_local 24, local 8)
"""
    assert table == expected.strip()


def test_a_factory_without_buffers_has_a_report_too() -> None:
    report = ToyRegistry().report(Toy())
    assert report.bytes_per_run == 0
    assert str(report).endswith("Toy: 0 bytes per run (shared 0, persistent_local 0, local 0)")


def test_a_report_is_a_value_that_holds_no_factory() -> None:
    registry = ToyRegistry()
    loop = example(registry)
    report = registry.report(loop)
    assert report == registry.report(loop)
    registry.relocate(loop, "error", "local")
    assert report != registry.report(loop)
    del loop
    assert len(registry) == 0
