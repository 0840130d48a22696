"""How far functions of one or two numbers are from the exact results, by mpmath, in units in the last place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import mpmath
import numpy as np
from mpmath import mpf
from numpy.typing import NDArray

from cubie._types import FloatPrecision
from tests.targets.function_kernels import Floats, in_precision

Numbers: TypeAlias = NDArray[np.float64]
DIGITS: Final = 160
"""Binary digits of the exact results: enough for 1 - tanh(20) and the sine of 2**20."""
N: Final = 400
TRIGONOMETRIC: Final = 2.0**20


@final
@dataclass(frozen=True, slots=True)
class Range:
    """What numbers of a precision there are: from 2**least (normal ones) to 2**most."""

    digits: int
    least: int
    most: int

    @property
    def smallest(self) -> int:
        """The exponent of the smallest subnormal number."""
        return self.least - self.digits + 1


RANGES: Final[Mapping[FloatPrecision, Range]] = {np.float32: Range(24, -126, 128), np.float64: Range(53, -1022, 1024)}


class Sampler:
    """Draws arguments, some of them next to numbers of interest."""

    def __init__(self, precision: FloatPrecision, seed: int, n: int = N) -> None:
        self.range: Final = RANGES[precision]
        self._precision: Final = precision
        self._random: Final = np.random.default_rng(seed)
        self._n: Final = n

    def rounded(self, numbers: Numbers) -> Numbers:
        """The nearest numbers of the precision."""
        return in_precision(numbers, self._precision).astype(np.float64)

    def uniform(self, low: float, high: float) -> Numbers:
        """Numbers between two."""
        return self._random.uniform(low, high, self._n)

    def powers(self, low: float, high: float) -> Numbers:
        """Positive numbers, evenly in their logarithms, between powers of two."""
        return np.exp2(self._random.uniform(low, high, self._n))

    def around(self, *places: float) -> Numbers:
        """The nearest numbers of the precision, and their neighbours on both sides."""
        found: list[float] = []
        for place in places:
            number = self._precision(place)
            below, above = self._precision(-np.inf), self._precision(np.inf)
            found += [float(np.nextafter(number, below)), float(number), float(np.nextafter(number, above))]
        return np.array(found)

    def everywhere(self, most: float) -> Numbers:
        """Numbers of either sign and any size up to a power of two, subnormal ones too."""
        sizes = self.powers(self.range.smallest, most)
        return np.concatenate([sizes, -sizes])

    def multiples(self, unit: float, most: float) -> Numbers:
        """Numbers next to multiples of a unit."""
        return np.rint(self._random.uniform(-most / unit, most / unit, self._n)) * unit


Pair: TypeAlias = tuple[Numbers, Numbers]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A function: its exact values, where to look, and the largest errors there are, in float32 and in float64."""

    name: str
    exact: Callable[[mpf, mpf], mpf]
    draw: Callable[[Sampler], Pair]
    bounds: tuple[float, float]


def _alone(*pieces: Numbers) -> Pair:
    x = np.concatenate(pieces)
    return x, np.ones(x.size)


def _exponential(s: Sampler) -> Pair:
    low, high = s.range.smallest * np.log(2), s.range.most * np.log(2)
    edges = s.around(low, s.range.least * np.log(2), high, 0.0, 0.5 * np.log(2), -0.5 * np.log(2))
    return _alone(s.uniform(low - 2, high + 1), s.uniform(-1, 1), s.everywhere(2), edges)


def _power_of_two(s: Sampler) -> Pair:
    edges = s.around(s.range.smallest, s.range.smallest - 1, s.range.least, s.range.most, 0.5, -0.5)
    return _alone(s.uniform(s.range.smallest - 2, s.range.most + 1), s.uniform(-1, 1), s.everywhere(2), edges)


def _hyperbolic(s: Sampler) -> Pair:
    high = (s.range.most + 1) * np.log(2)
    return _alone(s.uniform(-high - 1, high + 1), s.uniform(-3, 3), s.everywhere(4), s.around(0.0, high, -high))


def _logarithm(s: Sampler) -> Pair:
    edges = s.around(1.0, 0.5**0.5, 2.0**0.5, 0.5, 2.0, 10.0, 2.0**s.range.least)
    near_one = 1 + np.concatenate([s.powers(-s.range.digits, -1), -s.powers(-s.range.digits, -1)])
    return _alone(s.powers(s.range.smallest, s.range.most), s.uniform(0.5, 2), near_one, edges)


def _logarithm_of_more(s: Sampler) -> Pair:
    edges = s.around(1.0, 2.0**0.5 - 1, 0.5**0.5 - 1, 2.0**s.range.digits)
    near_pole = s.powers(-s.range.digits + 1, -1) - 1
    return _alone(s.powers(s.range.smallest, s.range.most), -s.powers(s.range.smallest, -0.01), near_pole, edges)


def _cube(s: Sampler) -> Pair:
    thirds = s.around(1.0, 1.5, 0.5**0.5, 2.0**0.5, 2.0**s.range.least, 2.0**s.range.smallest, 8.0, 27.0, -64.0)
    return _alone(s.everywhere(s.range.most), s.uniform(-8, 8), thirds)


def _angle(s: Sampler) -> Pair:
    quarter = np.pi / 4
    hardest = s.around(252.89820861816406, 52516.43359375, 45.553093477052, 91.106186954104)
    edges = s.around(0.0, quarter, -quarter, 2 * quarter, 3 * quarter, TRIGONOMETRIC, -TRIGONOMETRIC, 2.0**21, 1e22)
    near = s.multiples(quarter, TRIGONOMETRIC)
    return _alone(s.uniform(-8, 8), s.uniform(-TRIGONOMETRIC, TRIGONOMETRIC), s.everywhere(0), near, hardest, edges)


def _base_and_exponent(s: Sampler) -> Pair:
    """Powers of every size, with bases of every size; then ordinary ones; then whole exponents of either base."""
    base = np.concatenate([s.powers(s.range.least, s.range.most), s.uniform(0.5, 2), 1 + s.powers(-20, -4)])
    base = s.rounded(base)
    exponent = np.concatenate([s.uniform(s.range.smallest - 1, s.range.most + 1) for _ in range(3)]) / np.log2(base)
    whole = np.rint(s.uniform(-20, 20))
    x = np.concatenate([base, s.uniform(0, 10), s.uniform(-10, 10)])
    return x, np.concatenate([exponent, s.uniform(-5, 5), whole])


ROWS: Final = (
    Row(name="exp", exact=lambda x, y: mpmath.exp(x), draw=_exponential, bounds=(1.15, 1.15)),
    Row(name="exp2", exact=lambda x, y: mpmath.power(2, x), draw=_power_of_two, bounds=(1.2, 1.2)),
    Row(name="expm1", exact=lambda x, y: mpmath.expm1(x), draw=_exponential, bounds=(1.8, 2.5)),
    Row(name="log", exact=lambda x, y: mpmath.log(x), draw=_logarithm, bounds=(1.0, 1.0)),
    Row(name="log2", exact=lambda x, y: mpmath.log(x, 2), draw=_logarithm, bounds=(1.2, 1.2)),
    Row(name="log10", exact=lambda x, y: mpmath.log10(x), draw=_logarithm, bounds=(1.25, 1.25)),
    Row(name="log1p", exact=lambda x, y: mpmath.log1p(x), draw=_logarithm_of_more, bounds=(1.6, 1.4)),
    Row(name="pow", exact=lambda x, y: mpmath.power(x, y), draw=_base_and_exponent, bounds=(1.4, 1.4)),
    Row(name="sin", exact=lambda x, y: mpmath.sin(x), draw=_angle, bounds=(2.1, 1.6)),
    Row(name="cos", exact=lambda x, y: mpmath.cos(x), draw=_angle, bounds=(2.1, 1.6)),
    Row(name="tan", exact=lambda x, y: mpmath.tan(x), draw=_angle, bounds=(2.5, 2.5)),
    Row(name="sinh", exact=lambda x, y: mpmath.sinh(x), draw=_hyperbolic, bounds=(2.4, 2.6)),
    Row(name="cosh", exact=lambda x, y: mpmath.cosh(x), draw=_hyperbolic, bounds=(1.6, 1.6)),
    Row(name="tanh", exact=lambda x, y: mpmath.tanh(x), draw=_hyperbolic, bounds=(2.7, 2.7)),
    Row(
        name="cbrt",
        exact=lambda x, y: mpmath.power(abs(x), mpf(1) / 3) * (-1 if x < 0 else 1),
        draw=_cube,
        bounds=(0.51, 0.51),
    ),
)


@final
@dataclass(frozen=True, slots=True)
class Worst:
    """The largest error of a function and where it is."""

    ulps: float
    x: float
    y: float


def worst_error(row: Row, x: Floats, y: Floats, results: Floats, precision: FloatPrecision) -> Worst:
    """Return the largest error among results; one that overflows must be infinite, and only such a one."""
    limits = RANGES[precision]
    worst = Worst(0.0, float(x[0]), float(y[0]))
    with mpmath.workprec(DIGITS):
        for a, b, result in zip(x.tolist(), y.tolist(), results.tolist(), strict=True):
            ulps = _error(row.exact(mpf(a), mpf(b)), float(result), limits)
            if ulps > worst.ulps:
                worst = Worst(ulps, float(a), float(b))
    return worst


def _error(exact: mpf, result: float, limits: Range) -> float:
    """Return the error in units of the last place of the exact result."""
    unit = mpf(2) ** max(mpmath.frexp(exact)[1] - limits.digits, limits.smallest)
    if abs(exact) >= mpf(2) ** limits.most - unit / 2:
        return 0.0 if np.isinf(result) and (result > 0) == (exact > 0) else float("inf")
    return float(abs(mpf(result) - exact) / unit) if np.isfinite(result) else float("inf")
