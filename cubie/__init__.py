"""Integrate huge batches of ODE systems on CUDA GPUs and on every core of a CPU."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cubie.batchsolving.device_solution import DeviceSolution
    from cubie.batchsolving.run_result import RunResult
    from cubie.batchsolving.solution import BatchStats, IntegrationError, Solution
    from cubie.batchsolving.solve_ivp import solve_ivp
    from cubie.batchsolving.solver import Solver
    from cubie.batchsolving.solver_settings import SolverSettings, methods
    from cubie.batchsolving.system_interface import UnknownNameError
    from cubie.batchsolving.tolerances import CubieWarning
    from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
    from cubie.memory.mem_manager import OutputTooLargeError
    from cubie.odesystems.create import create_ode_system
    from cubie.odesystems.errors import ModelError
    from cubie.odesystems.ode_system import ODESystem
    from cubie.status import Status
    from cubie.targets.device_array import DeviceArray
    from cubie.targets.devices import Device, DeviceError, devices

    __version__: str

__all__ = [
    # what a sweep needs
    "create_ode_system",
    "solve_ivp",
    "Solver",
    "Solution",
    "Status",
    # what there is
    "methods",
    "devices",
    "__version__",
    # what these take and give
    "ODESystem",
    "ButcherTableau",
    "SolverSettings",
    "RunResult",
    "DeviceSolution",
    "DeviceArray",
    "BatchStats",
    "Device",
    # what can go wrong
    "ModelError",
    "UnknownNameError",
    "DeviceError",
    "OutputTooLargeError",
    "IntegrationError",
    "CubieWarning",
]

# Where each name lives: loaded when it is first asked for, so that `import cubie` costs next to nothing.
_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "cubie.batchsolving.device_solution": ("DeviceSolution",),
    "cubie.batchsolving.run_result": ("RunResult",),
    "cubie.batchsolving.solution": ("BatchStats", "IntegrationError", "Solution"),
    "cubie.batchsolving.solve_ivp": ("solve_ivp",),
    "cubie.batchsolving.solver": ("Solver",),
    "cubie.batchsolving.solver_settings": ("SolverSettings", "methods"),
    "cubie.batchsolving.system_interface": ("UnknownNameError",),
    "cubie.batchsolving.tolerances": ("CubieWarning",),
    "cubie.integrators.algorithms.butcher_tableau": ("ButcherTableau",),
    "cubie.memory.mem_manager": ("OutputTooLargeError",),
    "cubie.odesystems.create": ("create_ode_system",),
    "cubie.odesystems.errors": ("ModelError",),
    "cubie.odesystems.ode_system": ("ODESystem",),
    "cubie.status": ("Status",),
    "cubie.targets.device_array": ("DeviceArray",),
    "cubie.targets.devices": ("Device", "DeviceError", "devices"),
}

# Type checkers see the imports above, and so tell a misspelt name from a lazy one.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name when it is first asked for."""
        if name == "__version__":
            value: object = _version()
        else:
            home = next((module for module, names in _HOMES.items() if name in names), None)
            if home is None:
                raise AttributeError(
                    f"module 'cubie' has no attribute {name!r}", name=name, obj=import_module(__name__)
                )
            value = getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cubie")
    except PackageNotFoundError:
        return "unknown: not installed"
