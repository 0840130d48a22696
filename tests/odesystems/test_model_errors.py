"""Each thing that can be wrong with a model has an error of its own, which says what to do."""

import pickle
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pytest

from cubie.odesystems import create_ode_system, errors, rate_source
from cubie.odesystems.declarations import Names, StateValues, Values


class Case(NamedTuple):
    error: type[errors.ModelError]
    message: str
    equations: str | Sequence[str]
    states: StateValues | None = ("x",)
    parameters: Values | None = None
    constants: Mapping[str, float] | None = None
    observables: Names | None = None


CASES: Final = [
    Case(errors.UnknownSymbolError, "unknown symbol 'kk'. Did you mean 'k'?", "dx = -kk*x + k", parameters={"k": 1}),
    Case(errors.UnknownSymbolError, r"unknown symbol 'а' \(U\+0430\)", "dx = а + a", parameters={"a": 1}),
    Case(errors.UnknownSymbolError, r"It is a function: write sin\(...\)", "dx = sin + x"),
    Case(errors.UnknownSymbolError, "For the rate of 'x', put its expression", "dx = -x\ndy = dx", ("x", "y")),
    Case(errors.UnknownSymbolError, "is for 'q', which isn't a state. Declare it in states", "dx = -x\nq' = 1"),
    Case(errors.UnknownSymbolError, "observables must be auxiliary lines, got 'r'", "dx = -x", observables=["r"]),
    Case(errors.UnknownSymbolError, "It is a parameter, the same", "dx = k", parameters={"k": 1}, observables=["k"]),
    Case(errors.UnknownFunctionError, "Did you mean 'sin'?", "dx = sinn(x)"),
    Case(errors.UnknownFunctionError, "Did you mean 'piecewise'?", "dx = Piecewise((1, x > 0), 2)"),
    Case(errors.UnknownFunctionError, r"write x\*\(...\)", "dx = x(2)"),
    Case(errors.DuplicateNameError, "the rate of 'x' must have one equation", "dx = 1\nx' = 2"),
    Case(errors.DuplicateNameError, "the auxiliary 'a' must have one equation", "dx = a\na = 1\na = 2"),
    Case(errors.DuplicateNameError, "got 'x' as a state and as a parameter", "dx = -x", parameters={"x": 1}),
    Case(errors.DuplicateNameError, "got 'k' as a parameter and as a constant", "dx = k", None, {"k": 1}, {"k": 1}),
    Case(errors.DuplicateNameError, "got 'x' as a state and as a state", "dx = 1", ("x", "x")),
    Case(errors.DuplicateNameError, "one name in Unicode's NFKC form", "dx = 1", parameters={"\u00b5": 1, "\u03bc": 2}),
    Case(errors.DuplicateNameError, "one name in Unicode's NFKC form", "dx = 1", ("x", "\uff58")),
    Case(errors.DuplicateNameError, "as an observable and as an observable", "dx = a\na = x", observables=["a", "a"]),
    Case(errors.DuplicateNameError, "'k', which is declared as a parameter", "dx = k\nk = 1", parameters={"k": 1}),
    Case(errors.DuplicateNameError, "got 'x' as a state and as a parameter", "dx = x", None, {"x": 1}),
    Case(errors.UnusedNameError, "the parameter 'k' is used in no equation", "dx = -x", parameters={"k": 1}),
    Case(errors.UnusedNameError, "the constant 'g' is used in no equation", "dx = -x", constants={"g": 1}),
    Case(errors.UnusedNameError, "If it is the rate of 'q', declare 'q' in states", "dx = -x\ndq = 1"),
    Case(errors.UnusedNameError, "equation 'a = x' is used nowhere", "dx = -x\na = x"),
    Case(errors.CyclicAuxiliaryError, "got .*a.* <- .*b", "dx = a\na = b\nb = c\nc = a"),
    Case(errors.CyclicAuxiliaryError, "got a <- a", "dx = a\na = a + 1"),
    Case(errors.ShadowedStateError, "defines the state 'x'. Write dx = ...", "dx = -x\nx = 2"),
    Case(errors.ShadowedStateError, "the observable 'x' is a state", "dx = -x", observables=["x"]),
    Case(errors.MissingEquationError, "the state 'y' has no equation .nor have z", "dx = -x", ("x", "y", "z")),
    Case(errors.MissingEquationError, "at least one rate, got none", "a = 1", None),
    Case(errors.MissingEquationError, "at least one state, got none", "a = 1", ()),
    Case(errors.ExpressionTooDeepError, "at most 100 parentheses", "dx = " + "(" * 101 + "x" + ")" * 101),
    Case(errors.ExpressionTooDeepError, "at most 100 operations", "dx = " + "-" * 300 + "x"),
    Case(errors.ExpressionTooDeepError, "at most 100 operations", "dx = " + "not " * 4900 + "x"),
    Case(errors.ExpressionTooDeepError, "at most 100 operations", "dx = " + "x if x > 0 else " * 150 + "x"),
    Case(errors.ExpressionTooLongError, "at most 20,000 characters", "dx = " + "+".join(["x"] * 20_000)),
    Case(errors.ExpressionTooLongError, "at most 2,500 operators, got 4,999", "dx = " + "+".join(["x"] * 5_000)),
    Case(errors.ExpressionTooLongError, "at most 2,000,000 characters", ["dx = x"] * 400_000),
    Case(errors.ExpressionTooLongError, "a number of 500 characters", "dx = x + " + "1" * 500),
    Case(errors.ExponentTowerError, "at most 2 powers in exponents", "dx = x**x**x**x"),
    Case(errors.ExponentTowerError, r"exponents of at most 1000, got 1e\+10", "dx = 10**10**10"),
    Case(errors.ExponentTowerError, "exponents of at most 1000, got 2000", "dx = x**(1000 + 1000)"),
    Case(errors.InvalidNameError, "must be identifiers", "dx = -x", parameters={"2k": 1}),
    Case(errors.InvalidNameError, "must be identifiers", "dx = -x", parameters={"k on": 1}),
    Case(errors.InvalidNameError, "'t', which is the independent variable", "dx = t", parameters={"t": 1}),
    Case(errors.InvalidNameError, "'if', which is a word of the model language", "dx = 1", parameters={"if": 1}),
    Case(errors.InvalidNameError, "defines 't', the independent variable", "dx = t\nt = 1"),
    Case(errors.InvalidNameError, r"got the text 'x'. Write \['x'\]", "dx = -x", "x"),
    Case(errors.InvalidValueError, "state 'x' must be one finite number, got nan", "dx = -x", {"x": float("nan")}),
    Case(
        errors.InvalidValueError,
        "parameter 'k' must be one finite number, got inf",
        "dx = k",
        None,
        {"k": float("inf")},
    ),
    Case(errors.InvalidValueError, "must be one finite number, got True", "dx = -x", {"x": True}),
    Case(errors.InvalidValueError, "must be one finite number, got 1000", "dx = -x", {"x": 10**400}),
    Case(errors.EquationSyntaxError, r"column 9: an operator is missing between '2' and 'x'. Write \*", "dx = 3*2x"),
    Case(errors.EquationSyntaxError, "missing between .x. and .y.", "dx = x y"),
    Case(errors.EquationSyntaxError, r"missing between '\)' and '\('", "dx = (x)(x)"),
    Case(errors.EquationSyntaxError, "column 10: it can't go on with '\\*'", "dx = x + * 3"),
    Case(errors.EquationSyntaxError, "column 8: the expression ends with '\\+'. Complete it", "dx = x +"),
    Case(errors.EquationSyntaxError, "never closed", "dx = (x + 1"),
    Case(errors.EquationSyntaxError, "column 6: this parenthesis is never closed", "dx = (x + 1\ndy = 2"),
    Case(errors.EquationSyntaxError, "never opened", "dx = x + 1)"),
    Case(errors.EquationSyntaxError, "there is no '='", "x + 1"),
    Case(errors.EquationSyntaxError, "nothing follows the '='", "dx ="),
    Case(errors.EquationSyntaxError, "one '='. Write == to compare", "dx = y = 1"),
    Case(errors.EquationSyntaxError, "only first derivatives", "x'' = -x"),
    Case(errors.EquationSyntaxError, "left side must be", "2*x = 1"),
    Case(errors.EquationSyntaxError, "left side must be", "dx/ds = 1"),
    Case(errors.EquationSyntaxError, "left side must be", "if = 1"),
    Case(errors.EquationSyntaxError, "a rate can't be used on the right", "dx = x' + 1"),
    Case(errors.EquationSyntaxError, "a condition is needed, got a number", "dx = 1 if x else 2"),
    Case(errors.EquationSyntaxError, "& and | join conditions", "dx = 1 if x & (x > 1) else 2"),
    Case(errors.EquationSyntaxError, "pow must have 2 arguments, got 1", "dx = pow(x)"),
    Case(errors.EquationSyntaxError, "log must have 1 to 2 arguments, got 3", "dx = log(x, 2, 3)"),
    Case(errors.EquationSyntaxError, "max must have at least 2 arguments, got 1", "dx = max(x)"),
    Case(errors.EquationSyntaxError, "where must have 3 arguments", "dx = where(x > 0)"),
    Case(errors.EquationSyntaxError, "piecewise must end with a default", "dx = piecewise((1, x > 0), (2, x > 1))"),
    Case(errors.EquationSyntaxError, "piecewise must be made of pairs", "dx = piecewise(1, x > 0, 3)"),
    Case(errors.EquationSyntaxError, "piecewise must have pieces", "dx = piecewise()"),
    Case(errors.EquationSyntaxError, "divide of 1, 0 has no finite value", "dx = x + 1/0"),
    Case(errors.EquationSyntaxError, "has no finite value", "dx = x + log(-1)"),
    Case(errors.EquationSyntaxError, "larger than double precision", "dx = x*1e999"),
    Case(errors.EquationSyntaxError, "larger than double precision", "dx = x*" + "9" * 350),
    Case(errors.EquationSyntaxError, "at least one equation, got none", "# nothing"),
    Case(errors.EquationSyntaxError, "at least one equation, got none", []),
    Case(errors.ForbiddenSyntaxError, "U\\+2212.*typographic minus sign", "dx = −x"),
    Case(errors.ForbiddenSyntaxError, r"Write \*\*2", "dx = x²"),
    Case(errors.ForbiddenSyntaxError, "Write `not`, or !=", "dx = 1 if !x else 2"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.error.__name__}-{i}" for i, case in enumerate(CASES)])
def test_each_fault_has_its_own_error(case: Case) -> None:
    with pytest.raises(case.error, match=case.message) as caught:
        create_ode_system(
            case.equations,
            states=case.states,
            parameters=case.parameters,
            constants=case.constants,
            observables=case.observables,
        )
    assert type(caught.value) is case.error
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_errors_are_of_pythons_kinds() -> None:
    assert issubclass(errors.UnknownSymbolError, LookupError)
    assert issubclass(errors.TracingError, TypeError)


def test_constants_are_a_mapping() -> None:
    with pytest.raises(errors.InvalidValueError, match="constants must map names to numbers"):
        create_ode_system("dx = g", states=["x"], constants=["g"])  # type: ignore[arg-type]  # the mistake under test


def test_equations_of_another_type_are_refused() -> None:
    with pytest.raises(
        errors.TracingError, match="equations must be text, a list of texts or a Python function, got 3"
    ):
        create_ode_system(3, states=["x"])  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(errors.EquationSyntaxError, match="every equation must be text, got 3"):
        create_ode_system(["dx = x", 3], states=["x"])  # type: ignore[list-item]  # the mistake under test


def test_a_number_that_float32_cannot_hold_is_refused_there() -> None:
    for number in ("1e39", "1e-50"):
        system = create_ode_system(f"dx = {number}*x", states=["x"])
        rate_source(system, np.float64)
        with pytest.raises(errors.InvalidValueError, match=r"must lie within its range, got 1e.*precision='float64'"):
            rate_source(system, np.float32)


def test_a_model_of_too_many_operations_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from cubie.odesystems.symbolic import graph

    monkeypatch.setattr(graph, "MAX_NODES", 10)
    with pytest.raises(errors.ExpressionTooLongError, match="at most 10 operations"):
        create_ode_system("dx = 1 + 2*x + 3*x**2 + 4*x**3 + 5*x**4", states=["x"])
