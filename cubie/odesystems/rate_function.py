"""A system's right-hand side and observables as device functions."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from cubie._types import FloatPrecision, RateFn
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.sources import observables_source, rate_source
from cubie.targets.base import Target


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSettings:
    """What shapes the device code of a system."""

    system: ODESystem
    precision: FloatPrecision


class SystemFunction(CUDAFactory[SystemSettings, RateFn]):
    """A device function generated from a system; its temporaries are local variables, so it needs no buffer."""

    def __init__(self, settings: SystemSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)

    @staticmethod
    @override
    def buffers(settings: SystemSettings) -> tuple[BufferEntry, ...]:
        """None."""
        return ()


@final
class RateFunction(SystemFunction):
    """The right-hand side f(t, y)."""

    @override
    def build(self) -> RateFn:
        source = rate_source(self.settings.system, self.settings.precision)
        return self.target.from_source(source.name, source.text, source.constants, self.settings.precision)


@final
class ObservablesFunction(SystemFunction):
    """The observables at (t, y)."""

    @override
    def build(self) -> RateFn:
        source = observables_source(self.settings.system, self.settings.precision)
        return self.target.from_source(source.name, source.text, source.constants, self.settings.precision)
