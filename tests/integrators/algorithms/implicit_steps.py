"""Equal steps of implicit methods in NumPy and in decimals, on the two problems of ``implicit_orders.json``."""

import decimal
import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau
from cubie.integrators.algorithms.exact_matrices import ExactMatrix, inverse, padded, product
from cubie.integrators.algorithms.rosenbrock_tableau import RosenbrockTableau
from tests.integrators.algorithms.rooted_trees import decimals

Array: TypeAlias = npt.NDArray[np.float64]


class Measured(TypedDict):
    n_first: int
    nonstiff: list[float]
    stiff: list[float]
    nonstiff_slope: float
    stiff_slope: float


class ImplicitOrders(TypedDict):
    z_end: list[float]
    methods: dict[str, Measured]


ORDERS: ImplicitOrders = json.loads(Path(__file__).with_name("implicit_orders.json").read_text(encoding="utf-8"))


def rate(t: float, z: Array) -> Array:
    return np.array([z[1] * np.cos(t / 2), -np.sin(z[0]) * (1 + 0.3 * np.sin(t)) - 0.1 * z[1] ** 2])


def jacobian(t: float, z: Array) -> Array:
    return np.array([[0.0, np.cos(t / 2)], [-np.cos(z[0]) * (1 + 0.3 * np.sin(t)), -0.2 * z[1]]])


def time_derivative(t: float, z: Array) -> Array:
    return np.array([-z[1] * np.sin(t / 2) / 2, -np.sin(z[0]) * 0.3 * np.cos(t)])


def nonstiff_error(row: ButcherTableau | RosenbrockTableau, n_steps: int) -> float:
    """The largest error at t = 2 of ``n_steps`` equal steps."""
    step = runge_kutta_step if isinstance(row, ButcherTableau) else rosenbrock_step
    dt, z = 2.0 / n_steps, np.array([1.0, 0.5])
    for i in range(n_steps):
        z = step(row, i * dt, dt, z)  # type: ignore[arg-type]  # which of both is decided above
    return float(np.abs(z - np.array(ORDERS["z_end"])).max())


def runge_kutta_step(row: ButcherTableau, t: float, dt: float, z: Array) -> Array:
    """All stages at once, by Newton's method."""
    rounded, n = row.in_precision(np.float64), row.n_stages
    a, b, c = np.array(rounded.a, np.float64), np.array(rounded.b, np.float64), np.array(rounded.c, np.float64)
    k = np.tile(rate(t, z), (n, 1))
    for _ in range(20):
        stages = z + dt * (a @ k)
        times = [t + float(node) * dt for node in c]
        misses = k - np.array([rate(time, stage) for time, stage in zip(times, stages, strict=True)])
        slopes = [jacobian(time, stage) for time, stage in zip(times, stages, strict=True)]
        blocks = np.eye(2 * n) - dt * np.block([[a[i, j] * slopes[i] for j in range(n)] for i in range(n)])
        correction = np.linalg.solve(blocks, misses.ravel()).reshape(n, 2)
        k = k - correction
        if float(np.abs(correction).max()) < 1e-13:
            return z + dt * (b @ k)
    raise AssertionError("Newton's method must converge in 20 iterations")


def rosenbrock_step(row: RosenbrockTableau, t: float, dt: float, z: Array) -> Array:
    """Stage by stage, in the transformed form that programs run on."""
    rounded, n = row.in_precision(np.float64), row.n_stages
    a, c = np.array(rounded.a, np.float64), np.array(rounded.c, np.float64)
    slope, drift, u = jacobian(t, z), time_derivative(t, z), np.zeros((len(a), 2))
    matrix = np.eye(2) / (dt * float(rounded.gamma)) - slope
    for i in range(n):
        load = rate(t + float(rounded.nodes[i]) * dt, z + a[i] @ u) + (c[i] @ u) / dt
        u[i] = np.linalg.solve(matrix, load + float(rounded.time_weights[i]) * dt * drift)
    return z + np.array(rounded.m, np.float64) @ u[:n]


LAMBDA = -(10**6)
_CONTEXT = decimal.Context(prec=50)


def stiff_error(row: ButcherTableau | RosenbrockTableau, n_steps: int) -> float:
    """The error at t = 1 of ``n_steps`` equal steps on Prothero and Robinson's problem."""
    with decimal.localcontext(_CONTEXT):
        if isinstance(row, ButcherTableau):
            y = _stiff_runge_kutta(row, n_steps)
        else:
            y = _stiff_rosenbrock(row, n_steps)
        return float(abs(y - cosine_and_sine(Decimal(1))[0]))


def _stiff_runge_kutta(row: ButcherTableau, n_steps: int) -> Decimal:
    n, z = row.n_stages, Fraction(LAMBDA, n_steps)
    a = padded(row.a, n)
    system = [[int(i == j) - z * a[i][j] for j in range(n)] for i in range(n)]
    to_stages = _decimal_rows(inverse(system))  # stages Y from y + dt*a @ load
    loads_to_stages = _decimal_rows(product(inverse(system), a))
    b, dt, y = decimals(row.b), 1 / Decimal(n_steps), Decimal(1)
    for step in range(n_steps):
        targets = [cosine_and_sine((step + node) * dt) for node in decimals(row.c)]
        loads = [-LAMBDA * cosine - sine for cosine, sine in targets]
        stages = [
            y * sum(given) + dt * _dot(from_loads, loads)
            for given, from_loads in zip(to_stages, loads_to_stages, strict=True)
        ]
        y += dt * _dot(b, [LAMBDA * stage + load for stage, load in zip(stages, loads, strict=True)])
    return y


def _stiff_rosenbrock(row: RosenbrockTableau, n_steps: int) -> Decimal:
    a, c = [decimals(entries) for entries in row.a], [decimals(entries) for entries in row.c]
    nodes, time_weights, m = decimals(row.nodes), decimals(row.time_weights), decimals(row.m)
    dt, y = 1 / Decimal(n_steps), Decimal(1)
    matrix = 1 / (dt * decimals([row.gamma])[0]) - LAMBDA
    for step in range(n_steps):
        cosine, sine = cosine_and_sine(step * dt)
        drift, u = LAMBDA * sine - cosine, list[Decimal]()
        for i, node in enumerate(nodes):
            stage_cosine, stage_sine = cosine_and_sine((step + node) * dt)
            load = LAMBDA * (y + _dot(a[i], u) - stage_cosine) - stage_sine
            u.append((load + _dot(c[i], u) / dt + time_weights[i] * dt * drift) / matrix)
        y += _dot(m, u)
    return y


def _decimal_rows(matrix: ExactMatrix) -> list[list[Decimal]]:
    return [decimals(row) for row in matrix]


def _dot(left: Sequence[Decimal], right: Sequence[Decimal]) -> Decimal:
    return sum((x * y for x, y in zip(left, right, strict=True)), Decimal(0))


def cosine_and_sine(x: Decimal) -> tuple[Decimal, Decimal]:
    """By their series, for x of the size of 1."""
    sums, term, power = [Decimal(0), Decimal(0)], Decimal(1), 0
    while abs(term) > Decimal(10) ** -48:
        sums[power % 2] += term if power % 4 < 2 else -term
        power += 1
        term *= x / power
    return sums[0], sums[1]
