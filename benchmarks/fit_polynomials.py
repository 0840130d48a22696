"""Fit the polynomials of vector mathematics anew: `python -m benchmarks.fit_polynomials` writes
`cubie/targets/polynomials.py`.

Each is the best in the largest weighted error (Remez's exchange), in 60 digits; then its coefficients are rounded one
by one, lowest first, and those above fitted again to what is left.

References
----------
Remez (1934), Comptes rendus 198, 2063-2065.
Muller (2016), Elementary Functions, 3rd ed., chapter 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, final

import mpmath
import numpy as np
from mpmath import mpf

DESTINATION: Final = Path(__file__).resolve().parent.parent / "cubie" / "targets" / "polynomials.py"
mpmath.mp.dps = 60
ROUNDS: Final = 12
SLACK: Final = mpf("1.0005")
"""Arguments are reduced in rounded arithmetic, so that some lie a little outside the interval."""
Function: TypeAlias = Callable[[mpf], mpf]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What is to be fitted: `weight` times the error of the polynomial is the relative error of the result."""

    name: str
    meaning: str
    function: Function
    weight: Function
    interval: tuple[mpf, mpf]
    n_single: int
    n_double: int = 0
    """How many coefficients; none where float32 is all that is wanted."""


def _near_zero(limit: mpf | float, function: Function) -> Function:
    """Give a function its limit at 0, where its formula says 0/0."""
    return lambda x: mpf(limit) if abs(x) < mpf(10) ** -18 else function(x)


def _of_square(function: Function) -> Function:
    return lambda square: function(mpmath.sqrt(square))


LN2: Final = mpmath.log(2)
LARGEST_LOG_ARGUMENT: Final = SLACK * (3 - 2 * mpmath.sqrt(2)) ** 2
QUARTER_PI: Final = mpmath.pi / 4
COARSE: Final = mpf("1.06")
"""In float32, multiples of pi/2 up to 2**20 are told apart less finely."""
FITS: Final = (
    Fit(
        name="EXP2_BELOW_HALF",
        meaning="(2**x - 1)/x for abs(x) < 1/2",
        function=_near_zero(LN2, lambda x: mpmath.expm1(x * LN2) / x),
        weight=lambda x: abs(x) * mpf(2) ** -x,
        interval=(-SLACK / 2, SLACK / 2),
        n_single=6,
        n_double=11,
    ),
    Fit(
        name="EXPM1_OVER_ARGUMENT",
        meaning="(exp(x) - 1 - x)/x**2 for abs(x) < log(2)/2",
        function=_near_zero(mpf(1) / 2, lambda x: (mpmath.expm1(x) - x) / x**2),
        weight=_near_zero(0, lambda x: abs(x**2 / mpmath.expm1(x))),
        interval=(-SLACK * LN2 / 2, SLACK * LN2 / 2),
        n_single=5,
        n_double=10,
    ),
    Fit(
        name="LOG_BEYOND_2S",
        meaning="(log((1 + s)/(1 - s)) - 2*s)/s**3 in powers of s**2, for (1 + s)/(1 - s) from sqrt(1/2) to sqrt(2)",
        function=_near_zero(mpf(2) / 3, _of_square(lambda s: 2 * (mpmath.atanh(s) - s) / s**3)),
        weight=lambda square: square / 2,
        interval=(mpf(0), LARGEST_LOG_ARGUMENT),
        n_single=3,
        n_double=7,
    ),
    Fit(
        name="LOG_BEYOND_CUBE",
        meaning="(log((1 + s)/(1 - s)) - 2*s - 2*s**3/3)/s**5 in powers of s**2, for the same s",
        function=_near_zero(mpf(2) / 5, _of_square(lambda s: 2 * (mpmath.atanh(s) - s - s**3 / 3) / s**5)),
        weight=lambda square: square**2 / 2,
        interval=(mpf(0), LARGEST_LOG_ARGUMENT),
        n_single=3,
        n_double=7,
    ),
    Fit(
        name="SIN_BEYOND_ARGUMENT",
        meaning="(sin(x) - x)/x**3 in powers of x**2, for abs(x) < pi/4",
        function=_near_zero(-mpf(1) / 6, _of_square(lambda x: (mpmath.sin(x) - x) / x**3)),
        weight=_near_zero(0, _of_square(lambda x: x**3 / mpmath.sin(x))),
        interval=(mpf(0), (COARSE * QUARTER_PI) ** 2),
        n_single=3,
        n_double=6,
    ),
    Fit(
        name="COS_BEYOND_SQUARE",
        meaning="(cos(x) - 1 + x**2/2)/x**4 in powers of x**2, for abs(x) < pi/4",
        function=_near_zero(mpf(1) / 24, _of_square(lambda x: (mpmath.cos(x) - 1 + x**2 / 2) / x**4)),
        weight=_of_square(lambda x: x**4 / mpmath.cos(x)),
        interval=(mpf(0), (COARSE * QUARTER_PI) ** 2),
        n_single=3,
        n_double=6,
    ),
    Fit(
        name="ROUGH_EXP2_BELOW_HALF",
        meaning="(2**x - 1)/x for abs(x) < 1/2, roughly",
        function=_near_zero(LN2, lambda x: mpmath.expm1(x * LN2) / x),
        weight=lambda x: abs(x) * mpf(2) ** -x,
        interval=(-SLACK / 2, SLACK / 2),
        n_single=5,
    ),
    Fit(
        name="ROUGH_LOG2",
        meaning="log2(1 + x)/x for 1 + x from sqrt(1/2) to sqrt(2), roughly; the error is absolute",
        function=_near_zero(1 / LN2, lambda x: mpmath.log1p(x) / x / LN2),
        weight=lambda x: abs(x),
        interval=(SLACK * (1 / mpmath.sqrt(2) - 1), SLACK * (mpmath.sqrt(2) - 1)),
        n_single=7,
    ),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A constant to be written as a sum of numbers of each precision; the first may be rounded to fewer digits."""

    name: str
    value: mpf
    n_parts: int
    first_digits: tuple[int, int] = (24, 53)
    all_positive: bool = False
    """Take from -0, any multiple of the parts by 0 leaves -0."""


CONSTANTS: Final = (
    Parts(name="LN2", value=LN2, n_parts=2),
    Parts(name="LN2_SHORT", value=LN2, n_parts=2, first_digits=(16, 42)),
    Parts(name="LOG2_E", value=1 / LN2, n_parts=2),
    Parts(name="LOG10_2", value=mpmath.log10(2), n_parts=2),
    Parts(name="LOG10_E", value=mpmath.log10(mpmath.e), n_parts=2),
    Parts(name="TWO_THIRDS", value=mpf(2) / 3, n_parts=2),
    Parts(name="HALF_PI", value=mpmath.pi / 2, n_parts=3, all_positive=True),
    Parts(name="TWO_OVER_PI", value=2 / mpmath.pi, n_parts=1),
)


def best(fit: Fit, fixed: Sequence[mpf], n: int) -> list[mpf]:
    """Return `n` coefficients, lowest first, of least largest weighted error; the first of them are fixed."""
    low, high = fit.interval
    grid = [low + (high - low) * (1 - mpmath.cos(mpmath.pi * k / (40 * n))) / 2 for k in range(40 * n + 1)]
    weights = [fit.weight(x) for x in grid]
    targets = [
        weight * (fit.function(x) - mpmath.polyval(fixed[::-1], x)) for weight, x in zip(weights, grid, strict=True)
    ]
    powers = range(len(fixed), n)
    count = len(powers) + 1
    reference = [min(40 * n * k // (count - 1) + 3, 40 * n - 1) for k in range(count)]
    coefficients: list[mpf] = []
    for _ in range(ROUNDS):
        matrix, right = mpmath.matrix(count, count), mpmath.matrix(count, 1)
        for row, point in enumerate(reference):
            for column, power in enumerate(powers):
                matrix[row, column] = weights[point] * grid[point] ** power
            matrix[row, count - 1], right[row] = (-1) ** row, targets[point]
        solved = mpmath.lu_solve(matrix, right)
        coefficients = [*[mpf(0)] * len(fixed), *[solved[k] for k in range(count - 1)]]
        errors = [
            target - weight * mpmath.polyval(coefficients[::-1], x)
            for target, weight, x in zip(targets, weights, grid, strict=True)
        ]
        found = _extrema(errors, count)
        if len(found) < count or found == reference:
            break
        reference = found
    return [*fixed, *coefficients[len(fixed) :]]


def _extrema(errors: Sequence[mpf], n: int) -> list[int]:
    """Return where the largest errors of alternating sign stand, `n` of them."""
    found: list[int] = []
    for k, error in enumerate(errors):
        if not found or (error > 0) != (errors[found[-1]] > 0):
            found.append(k)
        elif abs(error) > abs(errors[found[-1]]):
            found[-1] = k
    while len(found) > n:
        found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
    return found


def rounded(fit: Fit, n: int, precision: type[np.float32] | type[np.float64]) -> tuple[list[float], mpf]:
    """Return a fit's coefficients as numbers of a precision, and the largest weighted error they leave."""
    low, high = fit.interval
    points = [low + (high - low) * (2 * k + 1) / 1001 / 2 for k in range(1001)]

    def largest(coefficients: Sequence[float]) -> mpf:
        return max(abs(fit.weight(x) * (fit.function(x) - mpmath.polyval(coefficients[::-1], x))) for x in points)

    at_once = [float(precision(float(coefficient))) for coefficient in best(fit, (), n)]
    one_by_one: list[float] = []
    for k in range(n):
        one_by_one.append(float(precision(float(best(fit, [mpf(c) for c in one_by_one], n)[k]))))
    chosen = min(at_once, one_by_one, key=largest)
    return chosen, largest(chosen)


def parts(constant: Parts, precision: type[np.float32] | type[np.float64]) -> list[float]:
    """Return the numbers of a precision whose sum is a constant, largest first."""
    full_digits = 53 if precision is np.float64 else 24
    found: list[float] = []
    while len(found) < constant.n_parts:
        rest = constant.value - mpmath.fsum(found)
        digits = full_digits if found else constant.first_digits[precision is np.float64]
        unit = mpf(2) ** (mpmath.frexp(rest)[1] - digits)
        whole = mpmath.floor(rest / unit) if constant.all_positive else mpmath.nint(rest / unit)
        found.append(float(whole * unit))
    return found


def module_text() -> str:
    """Write all fits as a module of data."""
    lines = [
        '"""The constants and polynomials of vector mathematics, for float32 and for float64.',
        "",
        "Written by `python -m benchmarks.fit_polynomials`, which says how they were found. Parts of a constant stand",
        "largest first, coefficients lowest first.",
        '"""',
        "",
        "from typing import Final",
        "",
        "from cubie.targets.vector_expressions import Polynomial, Split",
        "",
    ]
    for constant in CONSTANTS:
        single, double = tuple(parts(constant, np.float32)), tuple(parts(constant, np.float64))
        lines += [f"{constant.name}: Final = Split(", f"    single={single},", f"    double={double},", ")"]
    for fit in FITS:
        lines += ["", f"{fit.name}: Final = Polynomial("]
        for name, n, precision in (("single", fit.n_single, np.float32), ("double", fit.n_double, np.float64)):
            if n == 0:
                continue
            coefficients, error = rounded(fit, n, precision)
            lines.append(f"    {name}=(  # to 2**{mpmath.nstr(mpmath.log(error, 2), 4)}")
            lines += [f"        {coefficient!r}," for coefficient in coefficients]
            lines.append("    ),")
        lines += [")", f'"""{fit.meaning}"""']
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the module."""
    DESTINATION.write_text(module_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
