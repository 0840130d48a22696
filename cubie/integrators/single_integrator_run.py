"""One run's integrator: the tree of factories that a method, a controller and a system make."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from cubie._types import FloatPrecision
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory
from cubie.integrators.algorithms.methods import (
    Method,
    StepSettings,
    checks_dense,
    configured,
    error_order,
    make_step,
    shared_vectors,
    step_settings,
    weighs_errors,
)
from cubie.integrators.loops.ode_loop import IVPLoop
from cubie.integrators.loops.ode_loop_config import LoopSettings
from cubie.integrators.matrix_free_solvers.linear_choice import AS_SUITS, LinearChoice
from cubie.integrators.step_control.controller import ControllerSettings, StepController
from cubie.integrators.step_control.gain_laws import GainLaw
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.rate_function import ObservablesFunction, RateFunction, SystemSettings
from cubie.outputhandling.output_functions import OutputFunctions, OutputSettings
from cubie.targets.base import SolveRunsFn, Target


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What shapes the device code of one run; `saved` holds indices into the states and then the observables."""

    system: ODESystem
    method: Method
    controller: GainLaw
    precision: FloatPrecision
    saved: tuple[int, ...]
    dense: bool
    scalar_tolerances: bool
    linear: LinearChoice = AS_SUITS

    @property
    def error_order(self) -> int:
        """The p of an error that shrinks as ``dt**(p + 1)``; the method's order where it has no estimate."""
        return error_order(self.method) or self.method.order

    @property
    def output(self) -> OutputSettings:
        """Settings of the saves."""
        system = self.system
        return OutputSettings(
            n_states=system.n_states, n_observables=system.n_observables, saved=self.saved, precision=self.precision
        )

    @property
    def step(self) -> StepSettings:
        """Settings of the method."""
        return step_settings(
            self.method,
            self.system,
            self.precision,
            estimates_error=self.controller.is_adaptive,
            linear=self.linear,
        )

    @property
    def control(self) -> ControllerSettings:
        """Settings of the controller."""
        return ControllerSettings(law=self.controller, error_order=self.error_order, precision=self.precision)

    @property
    def loop(self) -> LoopSettings:
        """Settings of the loop."""
        step = self.step
        return LoopSettings(
            n_states=self.system.n_states,
            n_parameters=self.system.n_parameters,
            precision=self.precision,
            adaptive=self.controller.is_adaptive,
            dense=self.dense,
            scalar_tolerances=self.scalar_tolerances,
            n_errors=step.n_errors,
            error_order=self.error_order,
            weighs_errors=weighs_errors(step),
            checks_dense=self.dense and self.controller.is_adaptive and checks_dense(step),
            shared_vectors=shared_vectors(step),
        )


@final
class SingleIntegratorRun(CUDAFactory[RunSettings, SolveRunsFn]):
    """Wires system, method, controller, output and loop together."""

    def __init__(self, settings: RunSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)
        system = SystemSettings(system=settings.system, precision=settings.precision)
        self.rate = RateFunction(system, target=target)
        self.observables = ObservablesFunction(system, target=target)
        self.step = make_step(settings.step, self.rate)
        self.controller = StepController(settings.control, target=target)
        self.output = OutputFunctions(settings.output, self.observables)
        self.loop = self.adopt("loop", IVPLoop(settings.loop, self.rate, self.step, self.controller, self.output))

    @staticmethod
    @override
    def buffers(settings: RunSettings) -> tuple[BufferEntry, ...]:
        """None of its own: all memory is the parts'."""
        return ()

    def configure_run(self, settings: RunSettings) -> None:
        """Go by `settings` and hand each part its own, all or nothing; only parts that change are built again."""
        step, control, output, loop = settings.step, settings.control, settings.output, settings.loop
        system = SystemSettings(system=settings.system, precision=settings.precision)
        self.configure(settings)
        self.rate.configure(system)
        self.observables.configure(system)
        if not configured(self.step, step):
            self.step = make_step(step, self.rate)
            self.loop.step = self.loop.adopt("step", self.step)
        self.controller.configure(control)
        self.output.configure(output)
        self.loop.configure(loop)

    @override
    def build(self) -> SolveRunsFn:
        return self.loop.device_function
