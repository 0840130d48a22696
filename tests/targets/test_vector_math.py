"""The CPU target's functions of all lanes at once: how exact they are, at their edges, and in every lane alike."""

import itertools
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest
from llvmlite import ir

from benchmarks.fit_polynomials import CONSTANTS, FITS, parts, rounded
from cubie._types import FLOAT_PRECISIONS, FloatPrecision
from cubie.targets import polynomials
from cubie.targets.vector_math import BEYOND, FORMULAS, FORMULAS_OF_TWO, PERIODIC_FORMULAS, ROUGH_FORMULAS, function_in
from tests.seed import ACCURACY_SEED
from tests.targets.function_errors import ROWS, Sampler, worst_error
from tests.targets.function_kernels import Floats, in_precision, results_of

NAMES: Final = tuple(row.name for row in ROWS)
ALLOWED_ULPS: Final = 4.0
WIDTHS: Final = (1, 4, 8, 16)
INF, NAN = math.inf, math.nan
ODD, EVEN, FRACTION = 3.0, 4.0, 2.5
PRECISIONS: Final = pytest.mark.parametrize("precision", FLOAT_PRECISIONS.values(), ids=FLOAT_PRECISIONS.keys())

EXCEPTIONS: Final[dict[str, list[tuple[float, float]]]] = {
    "exp": [(-INF, 0.0), (INF, INF), (0.0, 1.0), (-0.0, 1.0), (1e30, INF), (-1e30, 0.0)],
    "exp2": [(-INF, 0.0), (INF, INF), (0.0, 1.0), (-0.0, 1.0), (1e30, INF), (-1e30, 0.0), (10.0, 1024.0), (-1.0, 0.5)],
    "expm1": [(-INF, -1.0), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (1e30, INF), (-1e30, -1.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (-1.0, NAN), (1.0, 0.0)],
    "log2": [(0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (-1e-30, NAN), (1.0, 0.0), (0.125, -3.0)],
    "log10": [(0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (-1.0, NAN), (1.0, 0.0)],
    "log1p": [(-1.0, -INF), (-2.0, NAN), (INF, INF), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e30, INF), (-1e30, -INF)],
    "cosh": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, INF), (1e30, INF)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (30.0, 1.0), (-30.0, -1.0)],
    "cbrt": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (27.0, 3.0), (-8.0, -2.0), (2.0**-126, 2.0**-42)],
}
"""Arguments and results; NaN gives NaN everywhere."""

POWERS: Final[list[tuple[float, float, float]]] = [
    *[(x, y, 1.0) for x in (NAN, 0.0, -0.0, INF, -INF, -2.0) for y in (0.0, -0.0)],
    *[(1.0, y, 1.0) for y in (NAN, INF, -INF, FRACTION, -ODD)],
    *[(-1.0, y, 1.0) for y in (INF, -INF, EVEN)],
    *[(0.0, -ODD, INF), (-0.0, -ODD, -INF), (0.0, -EVEN, INF), (-0.0, -EVEN, INF), (-0.0, -FRACTION, INF)],
    *[(0.0, ODD, 0.0), (-0.0, ODD, -0.0), (0.0, EVEN, 0.0), (-0.0, EVEN, 0.0), (-0.0, FRACTION, 0.0)],
    *[(x, -INF, INF) for x in (0.5, -0.5, 0.0, -0.0)],
    *[(x, INF, 0.0) for x in (0.5, -0.5, 0.0, -0.0)],
    *[(x, -INF, 0.0) for x in (2.0, -2.0, INF, -INF)],
    *[(x, INF, INF) for x in (2.0, -2.0, INF, -INF)],
    *[(-INF, -ODD, -0.0), (-INF, -EVEN, 0.0), (-INF, ODD, -INF), (-INF, EVEN, INF), (-INF, FRACTION, INF)],
    *[(INF, -FRACTION, 0.0), (INF, FRACTION, INF), (NAN, 2.0, NAN), (2.0, NAN, NAN), (-1.0, NAN, NAN)],
    *[(-2.0, FRACTION, NAN), (-1e-30, 0.5, NAN), (-2.0, ODD, -8.0), (-2.0, EVEN, 16.0), (-2.0, -1.0, -0.5)],
    *[(-10.0, 1001.0, -INF), (-10.0, 1000.0, INF), (-0.1, 1001.0, -0.0), (10.0, -1001.0, 0.0), (2.0, 10.0, 1024.0)],
]
"""Bases, exponents and powers, after C's Annex F."""


def every_argument(precision: FloatPrecision, seed: int, n: int) -> tuple[Floats, Floats, list[int]]:
    """Return arguments for every function, one after the other, and where each one's end."""
    drawn = [row.draw(Sampler(precision, seed, n)) for row in ROWS]
    x, y = (in_precision(np.concatenate([pair[k] for pair in drawn]), precision) for k in (0, 1))
    return x, y, list(itertools.accumulate(pair[0].size for pair in drawn))


@PRECISIONS
@pytest.mark.parametrize("seed", [0, ACCURACY_SEED])
def test_no_error_exceeds_what_is_stated(precision: FloatPrecision, seed: int) -> None:
    x, y, stops = every_argument(precision, seed, 250)
    results = results_of(NAMES, x, y, width=8)
    print(f"largest errors, units in the last place of {precision.__name__}, seed {seed}")
    for row, start, stop in zip(ROWS, [0, *stops[:-1]], stops, strict=True):
        place = slice(start, stop)
        worst = worst_error(row, x[place], y[place], results[row.name][place], precision)
        print(f"  {row.name:6} {worst.ulps:.2f} at {worst.x!r}" + (f", {worst.y!r}" if row.name == "pow" else ""))
        assert worst.ulps <= row.bounds[precision is np.float64] <= ALLOWED_ULPS, row.name


@PRECISIONS
def test_neither_width_nor_place_nor_neighbours_change_a_bit(precision: FloatPrecision) -> None:
    x, y, _ = every_argument(precision, ACCURACY_SEED, 40)
    edges = in_precision([0.0, -0.0, INF, -INF, NAN, 1e10, -1e30, 1.0, -1.0, 2.0**20, 2.0**20 + 1], precision)
    x, y = np.concatenate([x, edges, edges]), np.concatenate([y, np.flip(edges), np.ones_like(edges)])
    order = np.random.default_rng(0).permutation(x.size)
    x, y = np.concatenate([x, x[order]]), np.concatenate([y, y[order]])
    names = (*NAMES, *(formula.__name__ for formula in ROUGH_FORMULAS))
    one_by_one = results_of(names, x, y, width=1)
    for width in WIDTHS:
        side_by_side = results_of(names, x, y, width=width) if width > 1 else one_by_one
        for name in names:
            assert_same_bits(side_by_side[name], one_by_one[name], f"{name}, width {width}")
            in_order, shuffled = np.split(side_by_side[name], 2)
            assert_same_bits(shuffled, in_order[order], f"{name}, width {width}, shuffled")


def assert_same_bits(ours: Floats, others: Floats, what: str) -> None:
    """Require the same bits but for those of a NaN."""
    unsigned = np.uint32 if ours.dtype == np.float32 else np.uint64
    a, b = (np.where(np.isnan(array), 0, np.ascontiguousarray(array).view(unsigned)) for array in (ours, others))
    np.testing.assert_array_equal(a, b, err_msg=what)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(others), err_msg=what)


def assert_exactly(results: Floats, expected: Sequence[float], what: str) -> None:
    """Require values and signs of zeros."""
    np.testing.assert_array_equal(results, expected, err_msg=what)
    zeros = results == 0
    np.testing.assert_array_equal(np.signbit(results[zeros]), np.signbit(np.array(expected)[zeros]), err_msg=what)


@PRECISIONS
def test_exceptional_arguments_give_what_c_says(precision: FloatPrecision) -> None:
    names = tuple(EXCEPTIONS)
    x = in_precision([x for name in names for x, _ in (*EXCEPTIONS[name], (NAN, NAN))], precision)
    found = results_of(names, x, x, width=4)
    start = 0
    for name in names:
        expected = [value for _, value in (*EXCEPTIONS[name], (NAN, NAN))]
        assert_exactly(found[name][start : start + len(expected)], expected, name)
        start += len(expected)


@PRECISIONS
def test_exceptional_powers_are_what_c_says(precision: FloatPrecision) -> None:
    bases, exponents, expected = (in_precision(column, precision) for column in zip(*POWERS, strict=True))
    found = results_of(("pow",), bases, exponents, width=8)["pow"]
    assert_exactly(found, expected.tolist(), "pow")


@PRECISIONS
def test_small_numbers_and_whole_powers_come_out_exactly(precision: FloatPrecision) -> None:
    limits = np.finfo(precision)
    tiny = in_precision(
        [limits.smallest_subnormal, limits.tiny, limits.tiny / 4, -limits.smallest_subnormal], precision
    )
    odd_functions = ("expm1", "log1p", "sin", "tan", "sinh", "tanh")
    for name, values in results_of(odd_functions, tiny, tiny, width=4).items():
        assert_same_bits(values, tiny, name)
    whole = np.arange(limits.minexp - limits.nmant, limits.maxexp)
    exponents, powers = in_precision(whole, precision), in_precision(np.ldexp(1.0, whole), precision)
    assert_same_bits(results_of(("exp2",), exponents, exponents, width=8)["exp2"], powers, "exp2")
    assert_same_bits(results_of(("log2",), powers, powers, width=8)["log2"], exponents, "log2")


@PRECISIONS
def test_sines_and_cosines_stay_within_one(precision: FloatPrecision) -> None:
    x = in_precision(np.arange(-2000, 2000) * (np.pi / 2), precision)
    for values in results_of(("sin", "cos"), x, x, width=8).values():
        assert np.all(np.abs(values) <= 1)


def test_angles_too_far_for_the_formula_are_libms_and_leave_their_neighbours_alone() -> None:
    x = np.array([1.0, 2.0**20 + 0.5, -3e7, 2.0, 1e22, -0.5, 0.25, -1e300])
    far = np.abs(x) > 2.0**20
    near = np.where(far, 0.0, x)
    names = ("sin", "cos", "tan")
    mixed, alone = (results_of(names, at, at, width=8) for at in (x, near))
    for name, of_libm in zip(names, (math.sin, math.cos, math.tan), strict=True):
        assert mixed[name][far].tolist() == [of_libm(angle) for angle in x[far].tolist()]
        assert_same_bits(mixed[name][~far], alone[name][~far], name)


@pytest.mark.parametrize("width", [1, 8])
@PRECISIONS
def test_remainders_are_cs_to_the_last_bit(precision: FloatPrecision, width: int) -> None:
    limits = np.finfo(precision)
    random = np.random.default_rng(ACCURACY_SEED)
    least, most = float(limits.smallest_subnormal), float(limits.max)
    edges = np.array([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, least, -least, most, 0.1, -1 / 3])
    whole, real = random.integers(-60, 60, (2, 2000)), random.uniform(-1e6, 1e6, 2000)
    sizes = random.uniform(-1, 1, (2, 2000)) * 10.0 ** random.uniform(-36, 36, (2, 2000))
    x = in_precision(np.concatenate([np.repeat(edges, edges.size), whole[0], real, sizes[0]]), precision)
    y = in_precision(np.concatenate([np.tile(edges, edges.size), whole[1], sizes[1], sizes[1]]), precision)
    with np.errstate(all="ignore"):
        expected = np.fmod(x, y)
    assert_same_bits(results_of(("fmod",), x, y, width=width)["fmod"], expected, "fmod")


def test_no_formula_calls_libm_but_beyond_its_reach() -> None:
    for formula in (*FORMULAS, *PERIODIC_FORMULAS, *ROUGH_FORMULAS, *FORMULAS_OF_TWO):
        module = ir.Module()
        function_in(module, ir.VectorType(ir.DoubleType(), 8), formula, 2 if formula in FORMULAS_OF_TWO else 1)
        outside = {name for name in module.globals if not name.startswith(("cubie.", "llvm."))}
        assert outside == ({formula.__name__} if formula in BEYOND else set())


@PRECISIONS
def test_rough_functions_are_right_to_six_digits(precision: FloatPrecision) -> None:
    drawn = np.random.default_rng(ACCURACY_SEED).uniform(-8, 8, 1000)
    exponents, numbers = in_precision(drawn, precision), in_precision(np.exp2(drawn), precision)
    logarithms = results_of(("rough_log2",), numbers, numbers, width=8)["rough_log2"]
    np.testing.assert_allclose(logarithms, drawn, rtol=0, atol=1.5e-6)
    powers = results_of(("rough_exp2",), exponents, exponents, width=8)["rough_exp2"]
    np.testing.assert_allclose(powers, np.exp2(drawn), rtol=1e-6)
    edges = in_precision([0.0, INF, NAN, -INF], precision)
    rough = results_of(("rough_log2", "rough_exp2"), edges, edges, width=4)
    assert_exactly(rough["rough_log2"], [-INF, INF, NAN, -INF], "rough_log2")
    assert_exactly(rough["rough_exp2"], [1.0, INF, NAN, 2.0**-126], "rough_exp2")


def test_constants_and_coefficients_are_those_of_the_script() -> None:
    for constant in CONSTANTS:
        split = getattr(polynomials, constant.name)
        assert split.single == tuple(parts(constant, np.float32)), constant.name
        assert split.double == tuple(parts(constant, np.float64)), constant.name
    assert {fit.name for fit in FITS} <= set(vars(polynomials))
    rough = next(fit for fit in FITS if fit.name == "ROUGH_EXP2_BELOW_HALF")
    assert polynomials.ROUGH_EXP2_BELOW_HALF.single == tuple(rounded(rough, rough.n_single, np.float32)[0])
