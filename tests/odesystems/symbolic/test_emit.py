"""What emitted text looks like: straight lines, positional names, nothing of the user's, few values at a time."""

import re

import numpy as np
import pytest

from cubie.odesystems import create_ode_system, observables_source, rate_source
from cubie.odesystems.symbolic.emit import emit
from cubie.odesystems.symbolic.functions import FUNCTIONS
from cubie.odesystems.symbolic.graph import GraphBuilder
from cubie.odesystems.symbolic.passes import Expressions
from cubie.targets.base import BINARY_FUNCTIONS, UNARY_FUNCTIONS
from tests.odesystems.evaluate import rates
from tests.problems import PROBLEMS, Problem


def test_lorenz_reads_like_the_formula() -> None:
    system = create_ode_system(
        "dx = sigma*(y - x); dy = x*(rho - z) - y; dz = x*y - beta*z",
        states=["x", "y", "z"],
        parameters=["rho"],
        constants={"sigma": 10.0, "beta": 8 / 3},
    )
    source = rate_source(system, np.float32)
    assert source.text == (
        "def rate(t, y, parameters, drivers, out):\n"
        "    y1 = y[1]\n"
        "    y0 = y[0]\n"
        "    out[0] = c0 * (y1 - y0)\n"
        "    p0 = parameters[0]\n"
        "    y2 = y[2]\n"
        "    out[1] = fma(y0, p0 - y2, -y1)\n"
        "    out[2] = fma(-c1, y2, y1 * y0)\n"
    )
    assert source.constants == (("c0", 10.0), ("c1", 8 / 3))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_text_is_straight_and_holds_no_literal_number(problem: Problem) -> None:
    lines = rate_source(problem.system(), np.float32).text.splitlines()
    assert lines[0] == "def rate(t, y, parameters, drivers, out):"
    for line in lines[1:]:
        assert re.fullmatch(r"    (?:[xyp]\d+|out\[\d+\]) = .+", line), line
        right = line.partition(" = ")[2]
        assert not re.search(r"(?<![\w\[])\d", right), line
        words = set(re.findall(r"[A-Za-z_]\w*", right))
        assert all(re.fullmatch(r"[xypc]\d+|t|y|parameters|" + "|".join(FUNCTIONS), word) for word in words), line
        assert len(line) < 300


def test_every_spelling_is_a_primitive_of_the_targets() -> None:
    primitives = {*UNARY_FUNCTIONS, *BINARY_FUNCTIONS, "fma", "select", "negate", "splat"}
    called = {row.spelling.partition("(")[0] for row in FUNCTIONS.values() if row.spelling and not row.is_operator}
    assert called <= primitives


def test_all_is_read_before_anything_is_overwritten_in_place() -> None:
    """A row of a permutation is a value as it was read: stored at once, it would hide one that is read later."""
    g = GraphBuilder()
    roots = tuple(g.symbol("vector", i) for i in (2, 0, 1))
    places = [f"vector[{i}] =" for i in range(3)]
    source = emit("turn", Expressions(g.nodes, roots), np.float64, arguments="vector", places=places, loads_first=True)
    lines = [line.strip() for line in source.text.splitlines()[1:]]
    assert sorted(lines[:3]) == [f"v{i} = vector[{i}]" for i in range(3)]
    assert sorted(lines[3:]) == ["vector[0] = v2", "vector[1] = v0", "vector[2] = v1"]


def test_what_is_always_true_is_a_mask_for_all_runs() -> None:
    g = GraphBuilder()
    truth = g.operation("true")
    source = emit("always", Expressions(g.nodes, (truth,)), np.float64, arguments="out", places=["return"])
    assert source.text == "def always(out):\n    return splat(c0) < c1\n"
    assert source.constants == (("c0", 0.0), ("c1", 1.0))


def test_what_no_root_needs_is_not_emitted() -> None:
    system = create_ode_system("r = exp(x); dx = -k*x", states=["x"], parameters=["k"], observables=["r"])
    assert "exp" not in rate_source(system, np.float64).text
    assert "k" not in observables_source(system, np.float64).text.replace("drivers", "")
    assert observables_source(system, np.float64).text.endswith("out[0] = exp(y0)\n")


def test_a_model_without_observables_has_an_empty_function_for_them() -> None:
    source = observables_source(create_ode_system("dx = -x", states=["x"]), np.float64)
    assert source.text == "def observables(t, y, parameters, drivers, out):\n    return None\n"


def test_a_rate_that_two_states_share_is_stored_twice() -> None:
    system = create_ode_system("dx = x*y; dy = y*x", states=["x", "y"])
    assert rate_source(system, np.float64).text.count("*") == 1
    assert list(rates(system, [2.0, 3.0])) == [6.0, 6.0]


def test_few_values_live_at_once() -> None:
    """A chain of neighbours needs a window of its states, not all of them, between load and store."""
    source = rate_source(PROBLEMS["heat_n64"].system(), np.float64)
    lines = source.text.splitlines()[1:]
    last_use = {name: i for i, line in enumerate(lines) for name in re.findall(r"\b[xy]\d+\b", line)}
    live: set[str] = set()
    most = 0
    for i, line in enumerate(lines):
        live |= set(re.findall(r"^    ([xy]\d+) =", line))
        most = max(most, len(live))
        live -= {name for name in live if last_use[name] <= i}
    assert most <= 6


def test_long_sums_and_deep_chains_are_no_matter() -> None:
    n = 1200
    total = " + ".join(f"x*{i}.5" for i in range(n))
    assert rates(create_ode_system(f"dx = {total}", states=["x"]), [1.0])[0] == pytest.approx(
        sum(i + 0.5 for i in range(n))
    )
    chain = [f"a{i} = a{i - 1}*k + 1" for i in range(1, 3000)]
    system = create_ode_system(["dx = a2999", "a0 = x", *chain], states=["x"], parameters=["k"])
    assert rates(system, [1.0], [1.0])[0] == 3000.0
    assert len(system.to_text().splitlines()) == 3000
