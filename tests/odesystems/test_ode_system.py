"""Systems as values: equality, pickles, digests, constants, text."""

import math
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from cubie.odesystems import ODESystem, create_ode_system, rate_source
from cubie.odesystems.errors import InvalidValueError, UnknownSymbolError
from tests.odesystems.evaluate import observables, rates
from tests.problems import PROBLEMS

DECAY = "loss = k*x*g; dx = -loss; dy = loss - y"


def decay(**changes: float) -> ODESystem:
    numbers = {"x": 1.0, "y": 0.0, "k": 0.5, "g": 2.0} | changes
    return create_ode_system(
        DECAY,
        states={"x": numbers["x"], "y": numbers["y"]},
        parameters={"k": numbers["k"]},
        constants={"g": numbers["g"]},
        observables=["loss"],
        name="decay",
    )


def test_systems_are_equal_by_value_and_hash_alike() -> None:
    assert decay() == decay()
    assert hash(decay()) == hash(decay())
    assert decay() != decay(k=1.0)
    assert decay() != decay(g=1.0)


def test_systems_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(decay(), "name", "other")  # noqa: B010  # the assignment itself is a type error


def test_pickles_are_small_and_equal_even_where_defaults_are_missing() -> None:
    for system in (
        decay(),
        create_ode_system("dx = -k*x", states=["x"], parameters=["k"]),
        PROBLEMS["heat_n64"].system(),
    ):
        pickled = pickle.dumps(system)
        copy = pickle.loads(pickled)
        assert copy == system
        assert hash(copy) == hash(system)
        assert copy.digest == system.digest
        assert rate_source(copy, np.float32) == rate_source(system, np.float32)
        assert len(pickled) < 2_000 + 40 * len(system.expressions.nodes)


def test_digests_tell_what_is_computed_and_nothing_else() -> None:
    same = [
        decay(x=3.0, k=9.0),
        replace(decay(), name="other"),
        create_ode_system(
            "db = flow - b; flow = r*a*h; da = -flow",
            states={"a": 1, "b": 1},
            parameters={"r": 1},
            constants={"h": 2.0},
            observables=["flow"],
        ),
    ]
    other = [
        decay(g=3.0),
        create_ode_system(DECAY, states={"x": 1, "y": 0}, parameters={"k": 1}, constants={"g": 2.0}, observables=None),
        create_ode_system(
            DECAY, states={"y": 0, "x": 1}, parameters={"k": 1}, constants={"g": 2.0}, observables=["loss"]
        ),
        create_ode_system(DECAY, states={"x": 1, "y": 0}, parameters={"k": 1, "g": 2.0}, observables=["loss"]),
    ]
    assert {system.digest for system in same} == {decay().digest}
    assert len({system.digest for system in other} | {decay().digest}) == 5


def test_digests_and_sources_are_the_same_in_every_process() -> None:
    code = (
        "import numpy as np; from tests.problems import PROBLEMS; from cubie.odesystems import rate_source; import "
        "hashlib\n"
        "s = [p.system() for p in PROBLEMS.values()]\n"
        "print(*(x.digest for x in s), hashlib.sha256(''.join(rate_source(x, np.float64).text for x in "
        "s).encode()).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert PROBLEMS["lorenz"].system().digest in outputs.pop().split()


def test_constants_can_be_given_other_values() -> None:
    changed = decay().with_constants(g=3.0)
    assert changed == decay(g=3.0)
    assert list(rates(changed, [2.0, 1.0], [0.5])) == [-3.0, 2.0]
    assert decay().with_constants() == decay()


def test_only_constants_can_be_given_so() -> None:
    with pytest.raises(UnknownSymbolError, match=r"decay has no constant 'k'. It is a parameter"):
        decay().with_constants(k=1.0)
    with pytest.raises(UnknownSymbolError, match="decay has no constant 'h'"):
        decay().with_constants(h=1.0)
    with pytest.raises(InvalidValueError, match="constant 'g' must be one finite number, got nan"):
        decay().with_constants(g=math.nan)


def test_a_constant_of_zero_leaves_a_branch_that_divides_by_it_alone() -> None:
    system = create_ode_system("dx = x/tau if tau > 0 else -x", states=["x"], constants={"tau": 2.0})
    assert list(rates(system, [3.0])) == [1.5]
    assert list(rates(system.with_constants(tau=0.0), [3.0])) == [-3.0]
    assert "select" not in rate_source(system, np.float64).text


def test_repr_names_everything_and_stays_short() -> None:
    assert repr(decay()) == "<ODESystem 'decay': states x=1, y=0; parameters k=0.5; constants g=2; observables loss>"
    assert (
        repr(create_ode_system("dx = -k*x", states=["x"], parameters=["k"]))
        == "<ODESystem 'system': states x; parameters k>"
    )
    assert len(repr(PROBLEMS["heat_n64"].system())) < 200


@pytest.mark.parametrize("name", PROBLEMS)
def test_text_reads_back_as_the_same_model(name: str) -> None:
    system = PROBLEMS[name].system()
    copy = create_ode_system(system.to_text(), states=system.states, parameters=system.parameters)
    assert copy.digest == system.digest


def test_text_keeps_every_operation_and_its_order() -> None:
    text = """
        a = -(x - (y - 2)) - -x + (x + (y + 1))
        b = x/(y*2)/(3/y)*(x/y) - (-x)**2 - x**-y + (x**y)**2 + x**y**2 + (x + y)**(x*y)
        ok = not (x > 1 and (y < 2 or x == y)) or x != 3 and not y >= x
        c = (x if ok else y if x > 0 else 1)*2 + ((x > 1) + 2)*mod(x, y) + min(x, max(y, 2), 3) + abs(-x)
        d = atan2(x, y) + heaviside(x, 0.5) + x*y // (x // (y/2)) - -2.5*x - 3e-07 + (5 if True else x)
        unused = x
        dx = a + b*c
        dy = d - a
    """
    observed = ["a", "d", "unused", "ok"]
    system = create_ode_system(text, states=["x", "y"], observables=observed)
    copy = create_ode_system(system.to_text(), states=["x", "y"], observables=observed)
    assert copy.digest == system.digest
    assert copy.to_text() == system.to_text()
    assert list(rates(copy, [1.5, 2.5])) == list(rates(system, [1.5, 2.5]))
    assert list(observables(copy, [1.5, 2.5])) == list(observables(system, [1.5, 2.5]))


def test_text_of_deep_sharing_does_not_explode() -> None:
    def doubling(t: float, y: list[float]) -> list[float]:
        x = y[0]
        for _ in range(60):
            x = x * x + x / 3
        return [x]

    system = create_ode_system(doubling, states={"part_1": 0.1})
    assert len(system.to_text()) < 10_000
    assert create_ode_system(system.to_text(), states={"part_1": 0.1}).digest == system.digest
