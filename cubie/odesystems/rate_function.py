"""A system's right-hand side and observables as device functions."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from cubie._types import FloatPrecision, RateFn
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, FunctionT_co
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.sources import observables_source, rate_source
from cubie.odesystems.symbolic.emit import DeviceSource
from cubie.targets.base import Target


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSettings:
    """What shapes the device code of a system."""

    system: ODESystem
    precision: FloatPrecision


class SystemFunction(CUDAFactory[SystemSettings, FunctionT_co]):
    """A device function generated from a system; its temporaries are local variables, so it needs no buffer."""

    def __init__(self, settings: SystemSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)

    @staticmethod
    @override
    def buffers(settings: SystemSettings) -> tuple[BufferEntry, ...]:
        """None."""
        return ()

    @staticmethod
    @abstractmethod
    def source(system: ODESystem, precision: FloatPrecision) -> DeviceSource:
        """Write the text of the function."""

    @override
    def build(self) -> FunctionT_co:
        source = self.source(self.settings.system, self.settings.precision)
        return self.target.from_source(source.name, source.text, source.constants, self.settings.precision)


@final
class RateFunction(SystemFunction[RateFn]):
    """The right-hand side f(t, y)."""

    source = staticmethod(rate_source)


@final
class ObservablesFunction(SystemFunction[RateFn]):
    """The observables at (t, y)."""

    source = staticmethod(observables_source)
