"""The source of a system's device functions, from its expressions through all passes."""

from cubie._types import FloatPrecision
from cubie.odesystems.ode_system import ODESystem
from cubie.odesystems.symbolic.differentiate import jacobian_vector_product, time_derivative
from cubie.odesystems.symbolic.emit import ARGUMENTS, DeviceSource, emit
from cubie.odesystems.symbolic.passes import Expressions, optimised


def rate_source(system: ODESystem, precision: FloatPrecision) -> DeviceSource:
    """Return the source of `rate(t, y, parameters, drivers, out)`, which stores f(t, y) in `out`, shape (n_states,).

    Raises
    ------
    InvalidValueError: if `precision` can't hold one of the model's numbers.
    """
    return _source("rate", system, system.rates, precision)


def observables_source(system: ODESystem, precision: FloatPrecision) -> DeviceSource:
    """Return the source of `observables(t, y, parameters, drivers, out)`, with `out` of shape (n_observables,).

    Raises
    ------
    InvalidValueError: if `precision` can't hold one of the model's numbers.
    """
    return _source("observables", system, system.expressions.observables(system.observables), precision)


def jacobian_source(system: ODESystem, precision: FloatPrecision) -> DeviceSource:
    """Return the source of `jacobian(t, y, parameters, drivers, out)`: the values of `system.jacobian`, a slot each.

    Raises
    ------
    InvalidValueError: if `precision` can't hold one of the model's numbers.
    """
    return _source("jacobian", system, system.jacobian.values, precision)


def jacobian_diagonal_source(system: ODESystem, precision: FloatPrecision) -> DeviceSource:
    """Return the source of `jacobian_diagonal(t, y, parameters, drivers, out)`: its diagonal, shape (n_states,).

    Raises
    ------
    InvalidValueError: if `precision` can't hold one of the model's numbers.
    """
    return _source("jacobian_diagonal", system, system.jacobian.diagonal(system.n_states), precision)


def time_derivative_source(system: ODESystem, precision: FloatPrecision) -> DeviceSource:
    """Return the source of `time_derivative(t, y, parameters, drivers, out)`: df/dt, shape (n_states,).

    Raises
    ------
    InvalidValueError: if `precision` can't hold one of the model's numbers.
    """
    derivative = time_derivative(system.rates, system.constant_values)
    return _source("time_derivative", system, derivative, precision)


def jacobian_vector_product_source(system: ODESystem, precision: FloatPrecision) -> DeviceSource:
    """Return the source of `jvp(t, y, parameters, drivers, vector, out)`: the Jacobian times `vector`.

    Raises
    ------
    InvalidValueError: if `precision` can't hold one of the model's numbers.
    """
    product = jacobian_vector_product(system.rates, system.constant_values)
    arguments = ARGUMENTS.replace("out", "vector, out")
    return _source("jvp", system, product, precision, arguments)


def _source(
    name: str, system: ODESystem, expressions: Expressions, precision: FloatPrecision, arguments: str = ARGUMENTS
) -> DeviceSource:
    return emit(name, optimised(expressions, system.constant_values), precision, arguments=arguments)
