"""Models: equations in text or Python functions, checked, and turned into device code."""

from cubie.odesystems.create import create_ode_system
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.sources import observables_source, rate_source
from cubie.odesystems.symbolic.emit import DeviceSource

__all__ = ["DeviceSource", "ODESystem", "create_ode_system", "observables_source", "rate_source"]
