"""A system's derivatives as device functions."""

from typing import Protocol, final

from typing_extensions import override

from cubie._types import RateFn, Real, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory
from cubie.odesystems.rate_function import SystemFunction, SystemSettings
from cubie.odesystems.sources import (
    jacobian_diagonal_source,
    jacobian_source,
    jacobian_vector_product_source,
    time_derivative_source,
)
from cubie.targets.base import Target


class JvpFn(Protocol):
    """Write the product of the Jacobian at (t, y) and `vector`, shape (n_states,), which `out` must not overlap."""

    def __call__(
        self, t: Real, y: Vector, parameters: Vector, drivers: Vector, vector: Vector, out: Vector
    ) -> None: ...


@final
class JacobianFunction(SystemFunction):
    """The values that the Jacobian is made of, as `system.jacobian` says: ``out[slot]``, shape (n_slots,)."""

    @override
    def build(self) -> RateFn:
        source = jacobian_source(self.settings.system, self.settings.precision)
        return self.target.from_source(source.name, source.text, source.constants, self.settings.precision)


@final
class JacobianDiagonal(SystemFunction):
    """The diagonal of the Jacobian, shape (n_states,)."""

    @override
    def build(self) -> RateFn:
        source = jacobian_diagonal_source(self.settings.system, self.settings.precision)
        return self.target.from_source(source.name, source.text, source.constants, self.settings.precision)


@final
class TimeDerivativeFunction(SystemFunction):
    """The partial derivatives df/dt, shape (n_states,)."""

    @override
    def build(self) -> RateFn:
        source = time_derivative_source(self.settings.system, self.settings.precision)
        return self.target.from_source(source.name, source.text, source.constants, self.settings.precision)


@final
class JacobianVectorProduct(CUDAFactory[SystemSettings, JvpFn]):
    """The product of the Jacobian and a vector, without the Jacobian."""

    def __init__(self, settings: SystemSettings, *, target: Target) -> None:
        super().__init__(settings, target=target)

    @staticmethod
    @override
    def buffers(settings: SystemSettings) -> tuple[BufferEntry, ...]:
        """None."""
        return ()

    @override
    def build(self) -> JvpFn:
        source = jacobian_vector_product_source(self.settings.system, self.settings.precision)
        return self.target.from_source(source.name, source.text, source.constants, self.settings.precision)
