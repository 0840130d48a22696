"""`solve_ivp`: one sweep, in SciPy's words."""

from typing import Literal, overload

from typing_extensions import Unpack

from cubie.batchsolving.arrays import InputsLike
from cubie.batchsolving.device_solution import DeviceSolution
from cubie.batchsolving.solution import Solution
from cubie.batchsolving.solver import Solver
from cubie.batchsolving.solver_settings import SolverOptions, Times
from cubie.batchsolving.system_interface import system_of
from cubie.odesystems.create import Equations
from cubie.odesystems.ode_system import ODESystem


@overload
def solve_ivp(
    system: ODESystem | Equations,
    t_span: Times,
    y0: InputsLike | None = None,
    parameters: InputsLike | None = None,
    *,
    t_eval: Times | None = None,
    save_every: float | None = None,
    progress: bool = False,
    on_device: Literal[False] = False,
    **settings: Unpack[SolverOptions],
) -> Solution: ...


@overload
def solve_ivp(
    system: ODESystem | Equations,
    t_span: Times,
    y0: InputsLike | None = None,
    parameters: InputsLike | None = None,
    *,
    t_eval: Times | None = None,
    save_every: float | None = None,
    progress: bool = False,
    on_device: Literal[True],
    **settings: Unpack[SolverOptions],
) -> DeviceSolution: ...


def solve_ivp(
    system: ODESystem | Equations,
    t_span: Times,
    y0: InputsLike | None = None,
    parameters: InputsLike | None = None,
    *,
    t_eval: Times | None = None,
    save_every: float | None = None,
    progress: bool = False,
    on_device: bool = False,
    **settings: Unpack[SolverOptions],
) -> Solution | DeviceSolution:
    """Integrate an initial value problem for every run of a sweep.

    Parameters
    ----------
    system : an `ODESystem`, or what `create_ode_system` makes one of (equations, or a Python function): then the names
        in `y0` are its states
        and those in `parameters` its parameters.
    t_span : start and end, in the model's unit of time; backwards if the end is before the start.
    y0, parameters : by name, one number for all runs or an array of shape (n_runs,); also a table with a column for
        each name, or arrays by
        position, shape (n,) or (n, n_runs). What is left out takes the system's default.
    method : a name of `cubie.methods()`, a tableau, or "auto": a few runs are tried, and "tsit5" or, if the problem is
        stiff, "radau" takes the batch; a run that "tsit5" can't finish is integrated again by "radau".
    t_eval : times to save at, in the order of integration; or `save_every`, their distance. Neither: start and end.
    rtol, atol : the error of a step may be ``atol + rtol*abs(y)`` in the root mean square over the states; numbers,
        arrays of shape
        (n_states,), or by the states' names.
    first_step, max_step : lengths in the units of t. A method of fixed steps needs `first_step`, and shortens it evenly
        so that a whole
        number of steps fills the span.
    max_steps : attempts after which a run is given up.
    controller : how steps follow the error: "pi" (the default), "gustafsson" (that of implicit methods), "i",
        "pid", "h211pi", "h312pid", "pi42", "pi33", "pi34", "fixed", or a `GainLaw`.
    precision : "float64" or "float32", of all arithmetic.
    sweep : "paired": arrays go together, as NumPy broadcasts; "product": every combination.
    save : names of states and observables to save; all states if left out.
    linear_solver : of the linear systems in steps of implicit methods: "auto", "direct" (by elimination, generated), or
        "bicgstab", "gmres", "minimal-residual", which need no matrix: for large models.
    preconditioner : of the last three: "jacobi" (if left out), "neumann" or "none".
    buffers : locations of working arrays, by path, as in ``{"step.stage_rates": "shared"}``.
    device : "auto" (a GPU if one is usable), "cpu", "cuda", "cuda:1".
    lanes : how many runs a CPU core advances side by side, 1 to 64; chosen if left out.
    block_size, max_registers : threads of a block on a GPU, 32 to 512, and registers of a thread, 16 to 255; chosen if
        left out. `Solver.tune` finds the best of all three.
    poison : fill working arrays with NaN before each use, so that a read of what nobody wrote shows (slower; it is for
        those who write methods).
    progress : show a bar, and a clock while a kernel is compiled.
    on_device : leave the results in the GPU's memory, for other libraries to work on. Arrays in its memory, in `y0` and
        `parameters`, are taken there in any case, unless `method` is "auto".

    Returns
    -------
    A `Solution`, or with `on_device` a `DeviceSolution`. A run that fails raises nothing: see `Solution.status`.

    Raises
    ------
    TypeError, ValueError, LookupError: if something makes no sense; the text says what to do.

    Examples
    --------
    >>> import cubie
    >>> decay = cubie.create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0})
    >>> cubie.solve_ivp(decay, (0.0, 1.0), parameters={"k": [1.0, 2.0]}, device="cpu")["x"][-1].round(4)
    array([0.3679, 0.1353])
    """
    if not isinstance(system, ODESystem):
        system = system_of(system, y0, parameters)
    solver = Solver(system, **settings)
    if on_device:
        return solver.solve(t_span, y0, parameters, t_eval=t_eval, save_every=save_every, on_device=True)
    return solver.solve(t_span, y0, parameters, t_eval=t_eval, save_every=save_every, progress=progress)
