"""The fastest of several ways to build and launch a kernel, found by timing them, and kept for later processes.

A plan changes no result beyond rounding: how many runs a CPU core advances side by side; on a GPU the threads of a
block, the registers of a thread, and which large buffers stand in shared memory. One thing is varied after the other,
from the plan that the rules give.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final, TypeAlias, final

from typing_extensions import override

from cubie._types import Location
from cubie.buffer_report import BufferReport
from cubie.integrators.single_integrator_run import RunSettings
from cubie.targets import cache
from cubie.targets.base import BlockTooLargeError, Target

MARGIN: Final = 0.98
"""Another plan must take less than this part of the best one's time: smaller gains are noise."""
LANES: Final = (1, 2, 4, 8, 16, 32, 64)
BLOCK_SIZES: Final = (32, 64, 128, 256, 512)
REGISTERS: Final = range(16, 256)
"""A thread on a GPU has at most 255."""
REGISTER_CAPS: Final = (64, 96, 128, 168)
"""Of 65,536 registers of a multiprocessor, for 1,024, 640, 512 and 384 threads on it."""
MOST_BUFFERS: Final = 3
PACKAGES: Final = ("numba", "llvmlite", "numba-cuda")
LARGE: Final = 8
"""Elements of a buffer that is worth a trial in shared memory."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a kernel is built and launched; None is what the target's own rules say.

    Parameters
    ----------
    lanes : runs side by side on a CPU core.
    block_size : threads of a block on a GPU.
    max_registers : the most registers that a thread on a GPU may take.
    buffers : locations by path.
    """

    lanes: int | None = None
    block_size: int | None = None
    max_registers: int | None = None
    buffers: Mapping[str, Location] = field(default_factory=dict)

    def under(self, wanted: "Plan") -> "Plan":
        """Return this plan where the user has left a choice, else what is `wanted`."""
        return Plan(
            lanes=wanted.lanes or self.lanes,
            block_size=wanted.block_size or self.block_size,
            max_registers=wanted.max_registers or self.max_registers,
            buffers={**self.buffers, **wanted.buffers},
        )

    @override
    def __str__(self) -> str:
        said = {"lanes": self.lanes, "block_size": self.block_size, "max_registers": self.max_registers}
        words = [f"{name} {value}" for name, value in said.items() if value is not None]
        return ", ".join([*words, *(f"{path} {location}" for path, location in self.buffers.items())]) or "by rule"


TimePlan: TypeAlias = Callable[[Plan], float]
Axis: TypeAlias = Callable[[Plan], Iterator[Plan]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A plan and the seconds that its kernel took, infinite where the device has no room for it."""

    plan: Plan
    seconds: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """All plans that were tried, the one before first, and the one that was taken."""

    trials: tuple[Trial, ...]
    best: Plan

    @property
    def gain(self) -> float:
        """Seconds of the plan before by those of the best one."""
        return self.trials[0].seconds / next(trial.seconds for trial in self.trials if trial.plan == self.best)

    @override
    def __str__(self) -> str:
        width = max(len(str(trial.plan)) for trial in self.trials)
        lines = [
            f"{trial.plan!s:<{width}}  {trial.seconds * 1e3:10.3f} ms{'  <- taken' * (trial.plan == self.best)}"
            for trial in self.trials
        ]
        return "\n".join(lines)


def best_plan(start: Plan, axes: Sequence[Axis], time_plan: TimePlan) -> Tuning:
    """Time `start` and its variations, those along each axis from the best plan so far."""
    trials = [Trial(plan=start, seconds=time_plan(start))]
    best = trials[0]
    for axis in axes:
        for plan in axis(best.plan):
            if all(plan != trial.plan for trial in trials):
                trials.append(Trial(plan=plan, seconds=time_plan(plan)))
        fastest = min(trials, key=lambda trial: trial.seconds)
        if fastest.seconds < MARGIN * best.seconds:
            best = fastest
    return Tuning(trials=tuple(trials), best=best.plan)


def median_seconds(run: Callable[[], float], repeats: int) -> float:
    """Return the median of what `run` tells, warm; infinite if the plan asks for more than the device has."""
    try:
        run()
    except BlockTooLargeError:
        return math.inf
    return median(run() for _ in range(repeats))


def variations(kind: str, report: BufferReport, wanted: Plan) -> list[Axis]:
    """List what can be varied on a target of a `kind`, in buffers as in `report`, but for what is `wanted`."""
    if kind == "cpu":
        return [] if wanted.lanes else [_widths]
    axes: list[tuple[object, Axis]] = [
        (wanted.block_size, _blocks),
        (wanted.buffers, lambda best: _placements(best, report)),
        (wanted.max_registers, _caps),
    ]
    return [axis for said, axis in axes if not said]


def _widths(best: Plan) -> Iterator[Plan]:
    around = best.lanes or 1
    for lanes in LANES:
        if around // 4 <= lanes <= 4 * around:
            yield replace(best, lanes=lanes)


def _blocks(best: Plan) -> Iterator[Plan]:
    for block_size in BLOCK_SIZES:
        yield replace(best, block_size=block_size)


def _caps(best: Plan) -> Iterator[Plan]:
    for cap in REGISTER_CAPS:
        yield replace(best, max_registers=cap)


def _placements(best: Plan, report: BufferReport) -> Iterator[Plan]:
    """Move the largest local buffers to shared memory, one more each time."""
    moved: dict[str, Location] = dict(best.buffers)
    for _, path in sorted(_local_buffers(report), key=lambda found: -found[0])[:MOST_BUFFERS]:
        moved = {**moved, path: "shared"}
        yield replace(best, buffers=moved)


def _local_buffers(report: BufferReport, path: str = "") -> Iterator[tuple[int, str]]:
    for row in report.rows:
        if row.child is None and row.pool != "shared" and row.size >= LARGE:
            yield row.size, f"{path}{row.name}"
    for child in report.children:
        yield from _local_buffers(child, f"{path}{child.name}.")


def plan_name(settings: RunSettings, wanted: Plan, target: Target) -> str:
    """Return the name under which the best plan for such runs on this processor is kept; empty if it isn't."""
    return cache.name(("plan", cache.spelled(settings), cache.spelled(wanted), *target.identity), PACKAGES)


def keep_plan(name: str, plan: Plan) -> None:
    """Keep the best plan of the kernel that `name` tells."""
    said = {"lanes": plan.lanes, "block_size": plan.block_size, "max_registers": plan.max_registers}
    cache.store(name, json.dumps({**said, "buffers": dict(plan.buffers)}).encode())


def kept_plan(name: str) -> Plan | None:
    """Return the plan that was kept under a name; None if there is none, or it isn't what it should be."""
    entry = cache.load(name)
    if entry is None:
        return None
    try:
        return _plan_of(json.loads(entry))
    except ValueError as error:
        cache.log.debug("plan %.8s is not used: %s", name, error)
        return None


def _plan_of(said: object) -> Plan:
    """Read a plan, trusting nothing.

    Raises
    ------
    ValueError: if it is none.
    """
    match said:
        case {"lanes": lanes, "block_size": block_size, "max_registers": cap, "buffers": {**buffers}}:
            return Plan(
                lanes=_one_of(lanes, LANES),
                block_size=_one_of(block_size, BLOCK_SIZES),
                max_registers=_one_of(cap, REGISTERS),
                buffers={
                    str(path): "shared" if location == "shared" else "local" for path, location in buffers.items()
                },
            )
        case _:
            raise ValueError("it is no plan")


def _one_of(value: object, allowed: Sequence[int]) -> int | None:
    """Return a number of the list, or None.

    Raises
    ------
    ValueError: if it is neither.
    """
    for number in allowed:
        if value == number:
            return number
    if value is not None:
        raise ValueError(f"a plan must have one of {allowed}, got {value!r}")
    return None
