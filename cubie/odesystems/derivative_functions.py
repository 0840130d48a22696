"""A system's derivatives as device functions."""

from typing import Protocol, final

from cubie._types import RateFn, Real, Vector
from cubie.odesystems.rate_function import SystemFunction
from cubie.odesystems.sources import (
    jacobian_diagonal_source,
    jacobian_source,
    jacobian_vector_product_source,
    time_derivative_source,
)


class JvpFn(Protocol):
    """Write the product of the Jacobian at (t, y) and `vector`, shape (n_states,), which `out` must not overlap."""

    def __call__(
        self, t: Real, y: Vector, parameters: Vector, drivers: Vector, vector: Vector, out: Vector
    ) -> None: ...


@final
class JacobianFunction(SystemFunction[RateFn]):
    """The values that the Jacobian is made of, as `system.jacobian` says: ``out[slot]``, shape (n_slots,)."""

    source = staticmethod(jacobian_source)


@final
class JacobianDiagonal(SystemFunction[RateFn]):
    """The diagonal of the Jacobian, shape (n_states,)."""

    source = staticmethod(jacobian_diagonal_source)


@final
class TimeDerivativeFunction(SystemFunction[RateFn]):
    """The partial derivatives df/dt, shape (n_states,)."""

    source = staticmethod(time_derivative_source)


@final
class JacobianVectorProduct(SystemFunction[JvpFn]):
    """The product of the Jacobian and a vector, without the Jacobian."""

    source = staticmethod(jacobian_vector_product_source)
