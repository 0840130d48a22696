"""The public face: a `Solver` keeps what was compiled, and integrates sweep after sweep."""

import time
from dataclasses import replace
from typing import Final, Literal, NamedTuple, final, overload

from typing_extensions import Unpack, override

from cubie._types import whole_number
from cubie.batchsolving.arrays import InputsLike
from cubie.batchsolving.auto_method import Integrate, Integration, Tell, integrate_as_suits, is_stiff_batch
from cubie.batchsolving.batch_solver_kernel import BatchResult, BatchSolverKernel
from cubie.batchsolving.device_solution import DeviceSolution
from cubie.batchsolving.progress import clock, progress_bar
from cubie.batchsolving.schedule import Schedule, make_schedule
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver_settings import SolverOptions, SolverSettings, Times, changed, checked, refuse_idle
from cubie.batchsolving.sweep import Inputs, coordinates_here, make_inputs
from cubie.batchsolving.system_interface import SystemInterface
from cubie.batchsolving.tolerances import make_tolerances
from cubie.batchsolving.tuning import (
    Plan,
    Tuning,
    best_plan,
    keep_plan,
    kept_plan,
    median_seconds,
    plan_name,
    variations,
)
from cubie.buffer_registry import buffer_registry
from cubie.buffer_report import BufferReport
from cubie.integrators.algorithms.methods import require_mass
from cubie.integrators.single_integrator_run import RunSettings
from cubie.odesystems.ode_system import ODESystem
from cubie.targets.base import Target
from cubie.targets.cache import spelled
from cubie.targets.devices import Device, lane_width, make_target


class KernelKey(NamedTuple):
    """What a solver has a kernel of its own for."""

    stiff: bool
    """For the other method that ``method="auto"`` may take."""
    dense: bool
    scalar_tolerances: bool


@final
class Solver:
    """Integrates sweeps of one system, and keeps what it has compiled.

    Other values, numbers of runs, and numbers for tolerances and times never compile anything; method, controller,
    precision, saved variables and device do, once. So do the first saves inside the span, which take a kernel of their
    own (``compile(dense=True)`` makes it ahead of time), and tolerances of each state. A solver pickles by its system
    and settings.

    Parameters
    ----------
    system : the model.
    settings : as in `solve_ivp`.

    Raises
    ------
    TypeError, ValueError, LookupError: if a setting is unknown or makes no sense; the text says what to do.
    """

    def __init__(self, system: ODESystem, **settings: Unpack[SolverOptions]) -> None:
        if not isinstance(system, ODESystem):
            raise TypeError(
                f"system must be an ODESystem, got {type(system).__name__}. Make one with cubie.create_ode_system(...)."
            )
        self.system: Final = system
        self._interface: Final = SystemInterface(system)
        self._kernels: dict[KernelKey, BatchSolverKernel] = {}
        self._plans: dict[KernelKey, Plan] = {}
        self._tuned: dict[tuple[str, str], Plan] = {}
        self._n_dropped = 0
        self._go_by(changed(SolverSettings(), settings), settings)

    @property
    def settings(self) -> SolverSettings:
        """The settings that the next solve goes by."""
        return self._settings

    @property
    def device(self) -> Device:
        """The processor that integrates."""
        return self._meant.device

    @property
    def lanes(self) -> int:
        """How many runs stand side by side in a CPU core's vector registers; 1 on a GPU."""
        return self._kernel(dense=False).target.width

    @property
    def n_compilations(self) -> int:
        """How many kernels have been compiled so far; those that were found in the cache don't count."""
        return self._n_dropped + sum(kernel.n_compilations for kernel in self._kernels.values())

    def update(self, **changes: Unpack[SolverOptions]) -> None:
        """Replace some settings, all or nothing; the next solve compiles only what they touch."""
        before, poison = self._meant, self._settings.poison
        self._go_by(changed(self._settings, changes), changes)
        now = self._meant
        if (before.device, before.stiff_method, poison) != (now.device, now.stiff_method, self._settings.poison):
            self._drop(*self._kernels)
        for key, kernel in [*self._kernels.items()]:
            settings = self._run_settings(key)
            may_differ = settings != kernel.settings or before.plan != now.plan
            if may_differ and self._plan(settings) != self._plans[key]:
                self._drop(key)
            else:
                kernel.configure_run(settings)

    def compile(self, *, dense: bool = False) -> None:
        """Build the kernel now, for saves at the ends of the span only, or `dense` for saves between them."""
        self._kernel(dense=dense).compile()

    def tune(
        self,
        t_span: Times,
        y0: InputsLike | None = None,
        parameters: InputsLike | None = None,
        *,
        t_eval: Times | None = None,
        save_every: float | None = None,
        repeats: int = 3,
    ) -> Tuning:
        """Time several ways to build and launch the kernel on a sweep, and go by the fastest from now on.

        On a CPU the number of `lanes` is varied; on a GPU `block_size`, what stands in shared memory, and
        `max_registers`; never what the settings name. The choice is kept in the cache folder: later processes find it
        for the same model, method, precision and processor. Answers agree with those before to rounding.

        Parameters
        ----------
        repeats : how often each is timed, after a first time that doesn't count; medians decide.

        Returns
        -------
        A `Tuning`: what was tried, with its seconds, and the `best`; `print` shows it.

        Raises
        ------
        ValueError: if `repeats` is no whole number of at least 1; and what `solve` raises.
        """
        n_repeats = whole_number(repeats)
        if n_repeats is None or n_repeats < 1:
            raise ValueError(f"repeats must be a whole number of at least 1, got {repeats!r}. Three are mostly enough.")
        schedule = make_schedule(t_span, t_eval, save_every, self._meant.precision)
        key, tolerances, limits = self._key(dense=schedule.dense), self._tolerances, self._meant.limits
        target = self._kernel_of(key).target
        inputs = make_inputs(self._interface, y0, parameters, self._settings.sweep, self._meant.precision, target)
        inputs = inputs.completed()
        if self._meant.stiff_method is not None:
            stiff = is_stiff_batch(self._integrator(schedule), inputs, schedule, limits.max_steps)
            key = key._replace(stiff=stiff)
        kernel, settings, wanted = self._kernel_of(key), self._run_settings(key), self._meant.plan

        def time_plan(plan: Plan) -> float:
            built = self._built(settings, plan)
            return median_seconds(
                lambda: built.solve(inputs, schedule, tolerances, limits, None).launch.kernel, n_repeats
            )

        axes = variations(kernel.target.kind, buffer_registry.report(kernel.run.loop), wanted)
        tuning = best_plan(self._plans[key], axes, time_plan)
        self._tuned[self._meant.device.name, spelled(settings)] = tuning.best
        keep_plan(plan_name(settings, wanted, kernel.target), tuning.best)
        if tuning.best != self._plans[key]:
            self._drop(key)
        return tuning

    def report(self, *, dense: bool = False) -> BufferReport:
        """Tell where every working array of a run stands; paths below "loop" are what `buffers` takes."""
        return buffer_registry.report(self._kernel(dense=dense).run.loop)

    @overload
    def solve(
        self,
        t_span: Times,
        y0: InputsLike | None = None,
        parameters: InputsLike | None = None,
        *,
        t_eval: Times | None = None,
        save_every: float | None = None,
        progress: bool = False,
        on_device: Literal[False] = False,
    ) -> Solution: ...

    @overload
    def solve(
        self,
        t_span: Times,
        y0: InputsLike | None = None,
        parameters: InputsLike | None = None,
        *,
        t_eval: Times | None = None,
        save_every: float | None = None,
        progress: bool = False,
        on_device: Literal[True],
    ) -> DeviceSolution: ...

    def solve(
        self,
        t_span: Times,
        y0: InputsLike | None = None,
        parameters: InputsLike | None = None,
        *,
        t_eval: Times | None = None,
        save_every: float | None = None,
        progress: bool = False,
        on_device: bool = False,
    ) -> Solution | DeviceSolution:
        """Integrate one sweep; see `solve_ivp`."""
        begin = time.perf_counter()
        settings, precision = self._settings, self._meant.precision
        schedule = make_schedule(t_span, t_eval, save_every, precision)
        kernel = self._kernel(dense=schedule.dense)
        target, looks_at_inputs = kernel.target, self._meant.stiff_method is not None
        gathers = None if looks_at_inputs else target.gathers
        inputs = make_inputs(self._interface, y0, parameters, settings.sweep, precision, target, gathers)
        if looks_at_inputs:
            inputs = inputs.completed()
        compiled = time.perf_counter()
        with clock(f"compiling {self.system.name}", shown=progress):
            kernel.compile()
        solving = time.perf_counter()
        if on_device:
            return self._solved_in_place(kernel, inputs, schedule, solving - compiled)
        with progress_bar(inputs.n_runs, self.system.name, shown=progress) as tell:
            integration = self._integrate(inputs, schedule, tell)
        end = time.perf_counter()
        result, stiff_method = integration.result, self._meant.stiff_method
        return Solution(
            system=self.system.name,
            t=schedule.save_times.copy(),  # schedules are kept
            y=result.saved,
            variables=self._saved.names,
            status=result.counts[0],
            t_final=result.t_final,
            n_steps=result.counts[1],
            n_rejected=result.counts[2],
            coordinates=coordinates_here(inputs.swept, target.host_array),
            method=((integration.stiffly and stiff_method) or self._meant.tableau).name,
            retried=integration.retried,
            retried_in_vain=integration.in_vain,
            retry_method=stiff_method.name if stiff_method and integration.n_retries else "",
            device=self._meant.device.name,
            timings={
                "total": end - begin,
                "compile": solving - compiled,
                "solve": end - solving,
                "kernel": result.launch.kernel,
            },
        )

    def _solved_in_place(
        self, kernel: BatchSolverKernel, inputs: Inputs, schedule: Schedule, compiling: float
    ) -> DeviceSolution:
        if self._meant.stiff_method is not None:
            raise ValueError("on_device=True must go with one method, got 'auto', which looks at results. Name one.")
        begin = time.perf_counter()
        (y, last_times, counts), launch = kernel.solve_in_place(inputs, schedule, self._tolerances, self._meant.limits)
        seconds = {"compile": compiling, "solve": time.perf_counter() - begin, "kernel": launch.kernel}
        return DeviceSolution(
            system=self.system.name,
            t=schedule.save_times.copy(),
            y=y,
            variables=self._saved.names,
            t_end=schedule.t_end,
            counts=counts,
            last_times=last_times,
            coordinates=inputs.swept,
            method=self._meant.tableau.name,
            device=self._meant.device.name,
            timings=seconds,
        )

    @override
    def __repr__(self) -> str:
        meant, precision = self._meant, self._settings.precision
        how = f"{meant.tableau.name}, {meant.law.name} control, {precision}, on {meant.device.name}"
        return f"<Solver of {self.system.name!r}: {how}>"

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.system, self._settings)

    def _go_by(self, settings: SolverSettings, named: SolverOptions) -> None:
        """Check the settings, some of which are named now, then go by them."""
        meant = checked(settings)
        if self.system.mass_matrix is not None and meant.stiff_method is not None:
            meant = replace(meant, tableau=meant.stiff_method, law=meant.stiff_law, stiff_method=None)
        require_mass(meant.tableau, self.system)
        refuse_idle(named, meant, self.system)
        saved = self._interface.saved_variables(settings.save)
        tolerances = make_tolerances(settings.rtol, settings.atol, self.system.states, meant.precision)
        self._settings, self._meant, self._saved, self._tolerances = settings, meant, saved, tolerances

    def _integrator(self, schedule: Schedule) -> Integrate:
        """Return what integrates some runs by one of two methods."""
        limits, tolerances = self._meant.limits, self._tolerances

        def integrate(some: Inputs, *, stiffly: bool, max_steps: int, tell: Tell = None) -> BatchResult:
            kernel = self._kernel(dense=schedule.dense, stiff=stiffly)
            bounds = limits if max_steps == limits.max_steps else replace(limits, max_steps=max_steps)
            return kernel.solve(some, schedule, tolerances, bounds, tell)

        return integrate

    def _integrate(self, inputs: Inputs, schedule: Schedule, tell: Tell) -> Integration:
        """Integrate by the method that was named, or by whichever suits."""
        integrate, max_steps = self._integrator(schedule), self._meant.limits.max_steps
        if self._meant.stiff_method is not None:
            return integrate_as_suits(integrate, inputs, schedule, max_steps, tell)
        return Integration(integrate(inputs, stiffly=False, max_steps=max_steps, tell=tell), False)

    def _run_settings(self, key: KernelKey) -> RunSettings:
        meant = self._meant
        return RunSettings(
            system=self.system,
            method=(key.stiff and meant.stiff_method) or meant.tableau,
            controller=meant.stiff_law if key.stiff else meant.law,
            precision=self._meant.precision,
            saved=self._saved.indices,
            dense=key.dense,
            scalar_tolerances=key.scalar_tolerances,
            linear=self._meant.linear,
        )

    def _key(self, *, dense: bool, stiff: bool = False) -> KernelKey:
        return KernelKey(stiff, dense, self._tolerances.scalar)

    def _kernel(self, *, dense: bool, stiff: bool = False) -> BatchSolverKernel:
        return self._kernel_of(self._key(dense=dense, stiff=stiff))

    def _kernel_of(self, key: KernelKey) -> BatchSolverKernel:
        if key not in self._kernels:
            settings = self._run_settings(key)
            plan = self._plan(settings)
            self._kernels[key], self._plans[key] = self._built(settings, plan), plan
        return self._kernels[key]

    def _built(self, settings: RunSettings, plan: Plan) -> BatchSolverKernel:
        target = self._target(plan)
        return BatchSolverKernel(settings, target=target, buffers=dict(plan.buffers))

    def _target(self, plan: Plan) -> Target:
        return make_target(
            self._meant.device,
            width=plan.lanes or 1,
            poison=self._settings.poison,
            block_size=plan.block_size,
            max_registers=plan.max_registers,
        )

    def _plan(self, settings: RunSettings) -> Plan:
        """Return how a kernel is to be built: as was said, else as it was tuned, else by rule."""
        wanted, system, method = self._meant.plan, self.system, settings.method
        n_numbers = system.n_states * (method.n_dense_stages + 8) + system.n_parameters
        rule = Plan(lanes=lane_width(self._meant.device, n_numbers, settings.precision))
        tuned = self._tuned.get((self._meant.device.name, spelled(settings)))
        tuned = tuned or kept_plan(plan_name(settings, wanted, self._target(rule)))
        return (tuned or rule).under(wanted)

    def _drop(self, *keys: KernelKey) -> None:
        for key in keys:
            self._n_dropped += self._kernels.pop(key).n_compilations
            del self._plans[key]


def _restore(system: ODESystem, settings: SolverSettings) -> Solver:
    """Make the solver that was pickled."""
    solver = Solver(system)
    solver._go_by(settings, {})
    return solver
