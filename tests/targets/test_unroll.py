"""Partial evaluation of device bodies: what is compiled computes what was written."""

import ast
import dis
import inspect
from collections.abc import Callable

import numpy as np
import pytest

from cubie.targets.unroll import expression, nothing, static, unrolled

A = ((2.0,), (0.0, 3.0))
GLOBAL_SIZE = 3


def names_in(function: Callable[[list[float]], float]) -> set[str]:
    """Return the global names that a function's code reads."""
    return {str(instruction.argval) for instruction in dis.get_instructions(function) if "GLOBAL" in instruction.opname}


def loops_in(function: Callable[[list[float]], float]) -> int:
    return sum(instruction.opname == "FOR_ITER" for instruction in dis.get_instructions(function))


def test_a_function_without_static_loops_comes_back_as_it_is() -> None:
    def plain(x: list[float]) -> float:
        return x[0]

    assert unrolled(plain) is plain


def test_a_static_loop_is_gone_and_computes_the_same() -> None:
    size = 4

    def total(x: list[float]) -> float:
        result = 0.0
        for i in static(range(size)):
            result = result + x[i] * (i + 1)
        return result

    straight = unrolled(total)
    assert loops_in(total) == 1
    assert loops_in(straight) == 0
    assert straight([1.0, 2.0, 3.0, 4.0]) == total([1.0, 2.0, 3.0, 4.0]) == 30.0


def test_branches_on_coefficients_are_decided_and_zeros_leave_nothing() -> None:
    a = A

    def product(x: list[float]) -> float:
        result = 0.0
        for s in static(range(2)):
            for j in static(range(s + 1)):
                if a[s][j] != 0:
                    result = result + a[s][j] * x[s + j]
        return result

    straight = unrolled(product)
    assert straight([1.0, 10.0, 100.0]) == product([1.0, 10.0, 100.0]) == 2.0 * 1.0 + 3.0 * 100.0
    n_products = sum("*" in instruction.argrepr for instruction in dis.get_instructions(straight))
    assert n_products == 2
    assert "a" not in names_in(straight) | set(straight.__code__.co_freevars)


def test_nested_loops_and_runtime_loops_keep_their_order() -> None:
    def places(x: list[float]) -> float:
        for i in range(2):
            for s in static((5, 7)):
                x.append(10 * s + i)
            for s in static(()):
                x.append(s)
        return 0.0

    straight, written = unrolled(places), places
    first: list[float] = []
    second: list[float] = []
    straight(first)
    written(second)
    assert first == second == [50, 70, 51, 71]
    assert loops_in(straight) == 1


def test_runtime_branches_and_loops_stay_with_what_is_known_inside_folded() -> None:
    n, wanted = 2, True

    def steps(x: list[float]) -> float:
        result, count = 0.0, 0
        while count < n:
            for i in static(range(n)):
                if x[i] > 0.5:
                    result = result + i + 1
                elif wanted:
                    result = result - 1
                else:
                    result = result + 1000
            count = count + 1
        return result

    assert unrolled(steps)([1.0, 0.0]) == steps([1.0, 0.0]) == 0.0
    assert unrolled(steps)([0.0, 1.0]) == steps([0.0, 1.0]) == 2.0


def test_slices_and_arithmetic_of_indices_are_folded() -> None:
    n = 3

    def parts(x: list[float]) -> float:
        result = 0.0
        for s in static(range(1, 3)):
            result = result + sum(x[(s - 1) * n : s * n]) * s
            for i in range(n):
                result = result + x[s * n - i - 1]
        return result

    values = [float(k * k) for k in range(6)]
    assert unrolled(parts)(values) == parts(values)


def test_numpy_scalars_keep_their_type() -> None:
    weights = (np.float32(0.1), np.float32(0.2))

    def weighed(x: np.float32) -> np.float32:
        total = np.float32(0)
        for j in static(range(2)):
            total = np.float32(total + weights[j] * x)
        return total

    straight = unrolled(weighed)
    assert straight(np.float32(3)) == weighed(np.float32(3))
    assert isinstance(straight(np.float32(3)), np.float32)


def test_a_loop_over_values_that_are_no_numbers_is_written_out() -> None:
    functions = (abs, float, int)

    def applied(x: float) -> float:
        total = 0.0
        for function in static(functions):
            total = total * 10 + function(x)  # type: ignore[operator]  # of three types, each a function
        return total

    assert unrolled(applied)(-2.5) == applied(-2.5)


def test_a_local_variable_hides_a_global_of_its_name() -> None:
    def hidden(x: list[float]) -> float:
        GLOBAL_SIZE = int(x[0])  # noqa: N806  # hides the module's on purpose
        total = 0.0
        for i in static(range(2)):
            if GLOBAL_SIZE == 3:
                total = total + 100.0
            total = total + GLOBAL_SIZE * i
        return total

    assert unrolled(hidden)([5.0]) == hidden([5.0]) == 5.0
    assert unrolled(hidden)([3.0]) == hidden([3.0]) == 203.0


def test_a_loops_variable_is_not_known_after_the_loop() -> None:
    def reused(x: list[float]) -> float:
        total = 0.0
        for i in static(range(2)):
            total = total + i
        for i in range(3):
            total = total + 10 * x[i]
        return total

    assert unrolled(reused)([1.0, 2.0, 3.0]) == reused([1.0, 2.0, 3.0]) == 61.0


def test_two_loops_of_one_body_may_share_a_variable() -> None:
    def twice(x: list[float]) -> float:
        total = 0.0
        for i in static((1, 2)):
            total = total * 10 + i
            for j in static((3,)):
                total = total + x[0] * j
        for i in static((4,)):
            total = total * 10 + i
        return total

    assert unrolled(twice)([0.5]) == twice([0.5])


def test_an_expression_is_written_out_where_it_is_called() -> None:
    n, end = 2, 2

    @expression
    def stage(number: int, i: int, first: list[float], others: list[float], last: list[float]) -> float:
        return first[i] if number == 0 else last[i] if number == end else others[(number - 1) * n + i]

    def total(first: list[float], others: list[float], last: list[float]) -> float:
        result = 0.0
        for s in static(range(3)):
            for i in range(n):
                result = result * 10 + stage(s, i, first, others, last)
        return result

    straight = unrolled(total)
    assert straight([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]) == total([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]) == 123456.0
    assert "stage" not in names_in(straight)  # type: ignore[arg-type]  # only its code is looked at


def test_line_numbers_are_those_of_the_file_so_that_coverage_and_tracebacks_tell_the_truth() -> None:
    def failing(x: list[float]) -> float:
        for i in static(range(2)):
            x[i + 5] = 1.0
        return 0.0

    with pytest.raises(IndexError) as raised:
        unrolled(failing)([])
    lines, first = inspect.getsourcelines(failing)
    place = raised.traceback[-1]
    assert str(place.path).endswith("test_unroll.py")
    assert place.lineno + 1 == first + next(k for k, line in enumerate(lines) if "x[i + 5]" in line)


def test_the_body_of_a_function_of_nothing_but_decided_branches_may_be_empty() -> None:
    wanted = False

    def nothing(x: list[float]) -> None:
        """Do something only if it is wanted."""
        for i in static(range(2)):
            if wanted:
                x[i] = 1.0

    values = [0.0, 0.0]
    unrolled(nothing)(values)
    assert values == [0.0, 0.0]


def test_a_static_loop_is_no_promise_about_the_function_it_came_from() -> None:
    """The source stays as it is: the reference target and coverage run it."""
    size = 2

    def body(x: list[float]) -> float:
        for i in static(range(size)):
            x[i] = 1.0
        return 0.0

    before = ast.dump(ast.parse(inspect.getsource(body).strip()))
    unrolled(body)
    assert ast.dump(ast.parse(inspect.getsource(body).strip())) == before


def test_long_loops_over_a_known_range_are_cut_where_that_is_asked_for() -> None:
    n, weight = 70, 2.0

    def total(values: list[float], few: int) -> float:
        answer = 0.0
        for i in range(n):
            answer += weight * values[i]
        for i in range(few):
            answer -= values[i]
        return answer

    values = [float(i * i) for i in range(n)]
    cut = unrolled(total, 32)
    assert cut is not total
    assert cut(values, 5) == unrolled(total)(values, 5) == total(values, 5)
    assert unrolled(total) is total
    assert unrolled(total, 70) is total
    ranges = [instruction.argval for instruction in dis.get_instructions(cut) if instruction.opname == "FOR_ITER"]
    assert len(ranges) == 4


def test_calls_of_what_does_nothing_are_left_out() -> None:
    record: Callable[[float], None] = nothing

    def twice(x: list[float]) -> float:
        record(x[0])
        if x[0] > 1.0:
            record(x[1])
        return 2.0 * x[0]

    straight = unrolled(twice)
    assert "CALL" not in {instruction.opname for instruction in dis.get_instructions(straight)}
    assert straight([3.0, 0.0]) == twice([3.0, 0.0]) == 6.0
