"""The kernel of a batch: compiled once for a run's code, launched for any values, times and number of runs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from cubie._types import BufferOwner, FloatPrecision, Location
from cubie.batchsolving.arrays import FloatArray
from cubie.batchsolving.batch_flow import BatchFlow
from cubie.batchsolving.schedule import Schedule
from cubie.batchsolving.sweep import Inputs
from cubie.batchsolving.tolerances import Tolerances
from cubie.buffer_registry import BufferEntry, BufferLayout, buffer_registry
from cubie.cuda_factory import Build, CUDAFactory
from cubie.integrators.loops.ode_loop_config import N_OUTPUTS, LoopArguments, loop_arguments
from cubie.integrators.single_integrator_run import RunSettings, SingleIntegratorRun
from cubie.memory.mem_manager import OutputTooLargeError, check_output_fits, plan_chunks
from cubie.targets.base import Kernel, KernelLayout, LaunchStatistics, Target
from cubie.targets.device_array import DeviceArray, InPlace


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimits:
    """Bounds on the steps of every run: lengths in the units of t, None for what the loop finds itself."""

    first_step: float | None
    max_step: float | None
    max_steps: int


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchResult:
    """What a launch wrote: `saved` (n_saves, n_saved, n_runs), `t_final` (n_runs,), `counts` (3, n_runs)."""

    saved: FloatArray
    t_final: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int32]
    launch: LaunchStatistics


@final
class BatchSizes(NamedTuple):
    """What a batch takes of a device's memory, in bytes."""

    n_runs: int
    inputs: int
    outputs: int


class Shapes(NamedTuple):
    """Shape and type of what a launch writes."""

    saved: tuple[tuple[int, int, int], FloatPrecision]
    final_time: tuple[tuple[int, int], FloatPrecision]
    counts: tuple[tuple[int, int], type[np.int32]]


def repeated(number: float, n: int) -> npt.NDArray[np.float64]:
    """Return one number `n` times, in the memory of one; not to be written."""
    array: npt.NDArray[np.float64] = np.ndarray((n,), np.float64, np.float64(number).tobytes(), strides=(0,))
    return array


class BatchSolverKernel(CUDAFactory[RunSettings, Kernel]):
    """Integrates batches of one system with one method.

    Parameters
    ----------
    buffers : locations by path below the loop, such as ``{"step.stage_rates": "shared"}``.
    """

    def __init__(self, settings: RunSettings, *, target: Target, buffers: dict[str, Location]) -> None:
        super().__init__(settings, target=target)
        self.run = self.adopt("run", SingleIntegratorRun(settings, target=target))
        for path, location in buffers.items():
            buffer_registry.relocate(self.run.loop, path, location)
        self.n_compilations = 0
        self._layouts: list[tuple[BufferOwner, BufferLayout]] = []
        self._held: tuple[Kernel, BatchSizes] | None = None

    @staticmethod
    @override
    def buffers(settings: RunSettings) -> tuple[BufferEntry, ...]:
        """None of its own: all memory is the run's."""
        return ()

    def configure_run(self, settings: RunSettings) -> None:
        """Go by `settings`, the run's parts too."""
        self.run.configure_run(settings)
        self.configure(settings)

    @property
    @override
    def device_function(self) -> Kernel:
        """The kernel: one that was kept, or compiled; its parts are built in the second case only."""
        build = self._build
        # Layouts fall with the settings, too.
        if build is None or not buffer_registry.stands([(self, build.layout), *self._layouts]):
            layout = buffer_registry.layout(self)
            self._layouts = buffer_registry.layouts_below(self)
            build = self._build = Build(self.build(), layout, ())
        return build.function

    @override
    def build(self) -> Kernel:
        precision = self.settings.precision
        layout = KernelLayout(
            name=self.settings.system.name,
            group=LoopArguments,
            arguments=loop_arguments(precision),
            n_outputs=N_OUTPUTS,
            n_shared=self.shared_buffer_size,
            shared_precision=precision,
            n_persistent=self.persistent_local_buffer_size,
            persistent_precision=precision,
            shape=self.shape,
        )
        kept = self.target.kept_kernel(layout)
        if kept is not None:
            return kept
        self.n_compilations += 1
        return self.target.kernel(self.run.device_function, layout)

    def compile(self) -> None:
        """Build what the next launch needs."""
        _ = self.device_function

    def solve(
        self,
        inputs: Inputs,
        schedule: Schedule,
        tolerances: Tolerances,
        limits: StepLimits,
        progress: Callable[[int], None] | None,
    ) -> BatchResult:
        """Integrate all runs.

        Raises
        ------
        OutputTooLargeError: if the output exceeds the free memory.
        ValueError: if steps of fixed length are more than `max_steps`.
        """
        arguments = self._arguments(inputs, schedule, tolerances, limits)
        n_runs, shapes = inputs.n_runs, self._shapes(inputs, schedule)
        check_output_fits(*shapes.saved, self.target.lends)
        kernel, flow = self.device_function, BatchFlow(inputs)
        saved, final_time, counts = (kernel.host_array(*shape) for shape in shapes)
        flow.status = counts[0]
        sizes = BatchSizes(n_runs, inputs.n_bytes, saved.nbytes + final_time.nbytes + counts.nbytes)
        chunks = self._chunks(kernel, sizes)
        launch = kernel.launch(arguments, [saved, final_time, counts], chunks, progress, flow)
        self._held = (kernel, sizes) if len(chunks) == 1 else None
        t_final = repeated(schedule.t_end, n_runs)
        if not flow.all_succeeded:
            failed, t_final = np.flatnonzero(counts[0]), t_final.copy()
            t_final[failed] = final_time[:, failed].sum(axis=0, dtype=np.float64)
        return BatchResult(saved=saved, t_final=t_final, counts=counts, launch=launch)

    def solve_in_place(
        self, inputs: Inputs, schedule: Schedule, tolerances: Tolerances, limits: StepLimits
    ) -> tuple[list[DeviceArray], LaunchStatistics]:
        """Integrate all runs, and leave on the device what `BatchResult` has: saves, last times, counts.

        Raises
        ------
        OutputTooLargeError: if the batch does not fit the device's free memory at once.
        ValueError: if there is no device to leave it on.
        """
        arguments, shapes = self._arguments(inputs, schedule, tolerances, limits), self._shapes(inputs, schedule)
        kernel = self.device_function
        if not isinstance(kernel, InPlace):
            raise ValueError("on_device=True must go with a GPU, got the CPU. Leave it out, or name device='cuda'.")
        n_bytes = sum(math.prod(shape) * np.dtype(precision).itemsize for shape, precision in shapes)
        free = None if kernel.has_room(shapes) else kernel.free_bytes
        if free is not None and n_bytes + inputs.n_bytes > free:
            raise OutputTooLargeError(
                f"results must fit in {free:,} bytes of free device memory to stay there, got {n_bytes:,}. "
                "Leave on_device out, or solve fewer runs at once."
            )
        return kernel.launch_in_place(arguments, shapes, BatchFlow(inputs))

    def _shapes(self, inputs: Inputs, schedule: Schedule) -> Shapes:
        n_runs, precision, n_saved = inputs.n_runs, self.settings.precision, len(self.settings.saved)
        n_parts = 1 + self.run.loop.settings.compensated
        saved = schedule.save_times.size, n_saved, n_runs
        return Shapes((saved, precision), ((n_parts, n_runs), precision), ((3, n_runs), np.int32))

    def _arguments(
        self, inputs: Inputs, schedule: Schedule, tolerances: Tolerances, limits: StepLimits
    ) -> list[FloatArray | npt.NDArray[np.int64] | int | float]:
        """Return what the kernel takes before its outputs."""
        return [
            inputs.values,
            inputs.offsets,
            inputs.strides,
            schedule.saves,
            tolerances.both,
            *tolerances.first,
            *schedule.ends,
            schedule.save_times.size,
            schedule.n_initial,
            *self._steps(schedule, limits),
        ]

    def _chunks(self, kernel: Kernel, sizes: BatchSizes) -> list[tuple[int, int]]:
        """Cut a batch to fit the device; memory that took the last batch whole takes one of its sizes unasked, since
        asking a GPU costs more than a small launch.
        """
        held = self._held
        if held is None or held[0] is not kernel or held[1] != sizes:
            free = kernel.free_bytes
            if free is not None:
                return plan_chunks(sizes.n_runs, sizes.outputs // sizes.n_runs, free - sizes.inputs)
        return [(0, sizes.n_runs)]

    def _steps(self, schedule: Schedule, limits: StepLimits) -> tuple[int, float, float, float, float]:
        """Return max_steps, direction, the first step and what its rounding left, and the longest step.

        Steps of fixed length are shortened evenly, so that a whole number of them fills the span.
        """
        span, first, rest, n_steps = abs(schedule.t_end - schedule.t0), limits.first_step or 0.0, 0.0, limits.max_steps
        longest = limits.max_step or math.inf
        if not self.settings.controller.is_adaptive:
            needed = span / min(first, longest) * (1 - 1e-12)
            if needed > limits.max_steps:
                raise ValueError(
                    f"steps of fixed length must be at most max_steps, {limits.max_steps:,}, got {needed:,.6g} to fill "
                    "t_span. Raise max_steps, or give a longer first_step."
                )
            n_steps = max(1, math.ceil(needed))
            first = span / n_steps
            rest = first - float(self.settings.precision(first))
        return n_steps, float(schedule.direction), first, rest, longest
