"""Model text can't execute anything: it is read character by character, and Python's parser never sees a name of it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cubie.odesystems import create_ode_system
from cubie.odesystems.errors import ForbiddenSyntaxError, ModelError
from cubie.odesystems.symbolic.graph import GraphBuilder
from cubie.odesystems.symbolic.known_values import KnownValues
from cubie.odesystems.symbolic.parser import parse
from cubie.odesystems.symbolic.statements import statements

ATTACKS: Final = {
    "import by dunder": "dx = __import__('os').system('touch pwned')",
    "import by dunder without quotes": "dx = __import__(x)",
    "attribute": "dx = x.__class__",
    "attribute of a number": "dx = (1).__class__.__bases__[0].__subclasses__()",
    "attribute of a float": "dx = 1.0.__class__",
    "call of eval": "dx = eval(x)",
    "call of exec": "dx = exec(x)",
    "call of open": "dx = open(x)",
    "call of getattr": "dx = getattr(x, x)",
    "call of a call": "dx = sin(x)(x)",
    "call of a number": "dx = 2(x)",
    "lambda": "dx = (lambda: x)()",
    "immediate lambda with a default": "dx = (lambda q=x: q)()",
    "f-string": 'dx = f"{x}"',
    "string": "dx = 'x'",
    "triple quotes": "dx = '''x'''",
    "bytes": 'dx = b"x"',
    "list comprehension": "dx = [x for x in (1, 2)]",
    "generator": "dx = sum(x for x in y)",
    "dict": "dx = {1: x}",
    "set": "dx = {x}",
    "walrus": "dx = (a := x)",
    "slice": "dx = x[0:1]",
    "star": "dx = max(*x)",
    "double star": "dx = max(**x)",
    "keyword argument": "dx = max(x, key=x)",
    "await": "dx = await x",
    "yield": "dx = (yield x)",
    "tuple": "dx = (x, x)",
    "bare comma": "dx = x, x",
    "shift": "dx = x << 100000",
    "matrix product": "dx = x @ x",
    "exclusive or of conditions": "dx = 1 if (x > 0) ^^ (x < 1) else 2",
    "backslash": "dx = x + \\\n 1",
    "semicolon import": "dx = x; import os",
    "newline import": "dx = x\nimport os",
    "null byte": "dx = x\0 + 1",
    "escape character": "dx = x \x1b[31m",
    "text direction override": "dx = x \u202e + 1",
    "zero width space": "dx = x\u200b + 1",
    "full-width import": "dx = ＿＿import＿＿(x)",
    "full-width dot": "dx = x．real",
    "mathematical alphanumerics": "dx = 𝓮𝓿𝓪𝓵(x)",
    "superscript": "dx = xⁿ²",
    "arabic digits": "dx = x*٣",
    "exponent tower": "dx = 10**10**10",
    "exponent tower with parentheses": "dx = 9**(9**(9**(9**9)))",
    "long exponent": "dx = x**99999999999",
    "huge number": "dx = " + "9" * 5000,
    "huge hexadecimal": "dx = 0x" + "f" * 300,
    "imaginary": "dx = 3j*x",
    "underscored number": "dx = 1__0*x",
    "very long text": "dx = " + "x + " * 600_000 + "x",
    "deep parentheses": "dx = " + "(" * 5_000 + "x" + ")" * 5_000,
    "deep calls": "dx = " + "sin(" * 4_000 + "x" + ")" * 4_000,
    "deep conditionals": "dx = " + "1 if x > 0 else " * 1_000 + "x",
    "deep not": "dx = 1 if " + "not " * 4_000 + "x > 0 else 2",
    "deep minus": "dx = " + "-" * 15_000 + "x",
    "walrus in a condition": "dx = 1 if (q := x) > 0 else 2",
    "assert": "assert x",
    "assignment to an attribute": "x.y = 1",
    "assignment to an element": "x[0] = 1",
    "augmented assignment": "dx += 1",
    "annotation": "dx: int = 1",
    "decorator": "@x\ndx = 1",
    "definition": "def f(): pass",
    "format specification": "dx = '%s' % x",
    "ellipsis": "dx = ...",
    "dollar": "dx = $x",
    "backtick": "dx = `x`",
}


audited: Final[list[str]] = []
is_auditing = False


def audit(event: str, arguments: tuple[object, ...]) -> None:
    """Note what Python reports of itself: code run, modules imported, files opened, processes started."""
    if is_auditing:
        audited.append(event)


sys.addaudithook(audit)


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_hostile_text_is_refused_without_running_anything(text: str) -> None:
    global is_auditing
    audited.clear()
    is_auditing = True
    try:
        create_ode_system(text, states={"x": 1.0})
    except ModelError as error:
        message = str(error)
    else:
        pytest.fail("the text was read")
    finally:
        is_auditing = False
    assert len(message) < 600
    assert set(audited) <= {"compile"}, "ast.parse, and nothing else, shows as 'compile'"


@pytest.mark.parametrize(
    "safe_text",
    [
        *(
            "_0 @ _0",
            "_0 << _0",
            "_0 ^ _0",
            "_0.real",
            "_0[0]",
            "lambda: _0",
            "[_0]",
            "{_0}",
            "'x'",
            "b'x'",
            "True",
            "None",
        ),
        *(
            "f'{_0}'",
            "[i for i in _0]",
            "(_1 := _0)",
            "_0(_1, *_1)",
            "_0(**_1)",
            "_0(_0)(_0)",
            "1j",
            "...",
            "(yield)",
            "-'x'",
        ),
    ],
)
def test_even_past_the_characters_only_listed_nodes_are_read(safe_text: str) -> None:
    statement = replace(statements("dx = max(x, x)")[0], safe_text=safe_text)
    g = GraphBuilder()
    with pytest.raises(ForbiddenSyntaxError, match="isn't part of the model language"):
        parse(statement, g, lambda name: g.symbol("state", 0), KnownValues(g))


def test_names_and_declarations_cannot_carry_code_either() -> None:
    for name in ("x = 1\nimport os", "__import__('os')", "x.y", "x;y", "x)", "", " x", "x\0", "0x"):
        with pytest.raises(ModelError):
            create_ode_system("dx = -x", states=["x"], parameters={name: 1.0})


def test_the_package_never_evaluates_or_unpickles_model_text() -> None:
    """The parser calls `ast.parse`; nothing calls `eval`, `exec`, `compile`, or knows sympy or pickle."""
    import ast

    import cubie.odesystems

    package = Path(str(cubie.odesystems.__file__)).parent
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"eval", "exec", "compile", "__import__"}, path
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"sympy", "pickle"}, path
