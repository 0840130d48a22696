"""From model text to statements: each a target and a right-hand side in which names are numbered.

Names never reach Python's parser: it sees `_0`, `_1`, ... in their place, so that `lambda` or any Unicode identifier is
as good a name as another, and whatever is not in the model language is refused character by character.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, NoReturn, TypeAlias, final

from cubie.odesystems.declarations import GRAMMAR_WORDS, TIME, key
from cubie.odesystems.errors import (
    EquationSyntaxError,
    ExpressionTooDeepError,
    ExpressionTooLongError,
    ForbiddenSyntaxError,
)

MAX_TEXT: Final = 2_000_000
MAX_STATEMENT: Final = 20_000
MAX_OPERATORS: Final = 2_500
"""In one equation; Python 3.11's parser takes a sum of 2,900 terms, and no longer one."""
MAX_NUMBER: Final = 400
MAX_DEPTH: Final = 100

TokenKind: TypeAlias = Literal["number", "name", "word", "operator"]
Form: TypeAlias = Literal["rate", "plain"]

_TOKEN: Final = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*|//|<=|>=|==|!=|[-+*/%^<>=(),&|~'′])"
)
_INFIX: Final = frozenset(["+", "-", "*", "/", "%", "//"])
_NEW_EQUATION: Final = re.compile(r"[^=<>!()]*=(?!=)")
_HINTS: Final = {
    ".": "Attributes aren't part of the model language; give values as parameters or constants.",
    "[": "Indexing isn't part of the model language; give each component a name.",
    '"': "Strings aren't part of the model language.",
    "!": "Write `not`, or != to compare.",
    ":": "Definitions, slices and lambda aren't part of the model language; write one `name = expression` a line.",
    "−": "It is a typographic minus sign; write -.",
    "·": "Write * to multiply.",
    "×": "Write * to multiply.",
    "²": "Write **2.",
    "³": "Write **3.",
}


class Token(NamedTuple):
    """A word of model text."""

    kind: TokenKind
    text: str
    column: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One equation.

    Parameters
    ----------
    form : "rate" for `x' = ...` and `dx/dt = ...`, where `target` is the state; "plain" for `name = ...`, which may
        turn out to be a rate (`dx = ...`) or an auxiliary.
    safe_text : the right-hand side with `_i` for the name at `names[i]`.
    references : the names that stand for values, not for functions.
    """

    form: Form
    target: str
    source: str
    tokens: tuple[Token, ...]
    safe_text: str
    names: tuple[str, ...]
    references: frozenset[str]


def statements(equations: str | Sequence[str]) -> list[Statement]:
    """Read equations, one a line or separated by `;`; `#` begins a comment.

    Raises
    ------
    EquationSyntaxError, ForbiddenSyntaxError, ExpressionTooDeepError, ExpressionTooLongError
    """
    texts = [equations] if isinstance(equations, str) else list(equations)
    for text in texts:
        if not isinstance(text, str):
            raise EquationSyntaxError(f"every equation must be text, got {text!r}. Write 'dx = -k*x', for instance.")
    if sum(map(len, texts)) > MAX_TEXT:
        raise ExpressionTooLongError(
            f"model text must have at most {MAX_TEXT:,} characters, got {sum(map(len, texts)):,}. Shorten it by "
            "auxiliary lines."
        )
    found = [_statement(source) for text in texts for source in _split(text)]
    if not found:
        raise EquationSyntaxError("a model must have at least one equation, got none. Write 'dx = -k*x', for instance.")
    return found


def quoted(source: str) -> str:
    """Return an equation as messages show it."""
    source = " ".join(source.split())
    return f"equation '{source if len(source) <= 70 else source[:67] + '...'}'"


def syntax_error(source: str, column: int, problem: str) -> NoReturn:
    """Refuse an equation, pointing at a column."""
    raise EquationSyntaxError(f"{quoted(source)}, column {column + 1}: {problem}")


def _split(text: str) -> list[str]:
    """Cut text into equations; inside parentheses a line goes on."""
    found: list[str] = []
    pending, depth = "", 0
    for line in text.replace("\r", "\n").split("\n"):
        for part in line.partition("#")[0].split(";"):
            if depth > 0 and _NEW_EQUATION.match(part):
                syntax_error(pending, pending.index("("), "this parenthesis is never closed. Add the missing ')'.")
            pending += (" " if pending else "") + part
            depth += part.count("(") - part.count(")")
            if depth <= 0:
                found.append(pending.strip())
                pending, depth = "", 0
    return [source for source in [*found, pending.strip()] if source]


def _statement(source: str) -> Statement:
    if len(source) > MAX_STATEMENT:
        raise ExpressionTooLongError(
            f"{quoted(source)} must have at most {MAX_STATEMENT:,} characters, got {len(source):,}. "
            "Split it by auxiliary lines."
        )
    tokens = _tokens(source)
    texts = [token.text for token in tokens]
    if "=" not in texts:
        syntax_error(source, 0, "there is no '='. Write 'dx = expression' or 'name = expression'.")
    begin = texts.index("=")
    form, target = _target(source, tokens[:begin])
    right = tokens[begin + 1 :]
    if not right:
        syntax_error(source, tokens[begin].column, "nothing follows the '='. Write an expression.")
    _check(source, right)
    names = tuple(dict.fromkeys(token.text for token in right if token.kind == "name"))
    number = {name: f"_{i}" for i, name in enumerate(names)}
    spelt = ["**" if token.text == "^" else number.get(token.text, token.text) for token in right]
    following = [*texts[begin + 2 :], ""]
    return Statement(
        form=form,
        target=target,
        source=source,
        tokens=tuple(right),
        safe_text=" ".join(spelt),
        names=names,
        references=frozenset(
            t.text for t, after in zip(right, following, strict=True) if t.kind == "name" and after != "("
        ),
    )


def _tokens(source: str) -> list[Token]:
    tokens: list[Token] = []
    column = 0
    while column < len(source):
        if source[column].isspace():
            column += 1
            continue
        match = _TOKEN.match(source, column)
        kind: TokenKind = "name"
        end = column
        if match:
            end = match.end()
            kind = "number" if match["number"] else "name" if match["name"] else "operator"
        if kind == "name":
            end = _end_of_name(source, column, end)
        if end == column:
            _refuse_character(source, column)
        text = key(source[column:end]) if kind == "name" else source[column:end]
        tokens.append(Token("word" if kind == "name" and text in GRAMMAR_WORDS else kind, text, column))
        column = end
    return tokens


def _end_of_name(source: str, begin: int, end: int) -> int:
    """Return where an identifier ends that may go on beyond ASCII."""
    if end == begin and not source[begin].isidentifier():
        return begin
    while end < len(source) and ("a" + source[end]).isidentifier():
        end += 1
    return end


def _refuse_character(source: str, column: int) -> NoReturn:
    character = source[column]
    named = f"{character!r} (U+{ord(character):04X})"
    hint = _HINTS.get(character, "Use names, numbers, + - * / ** ( ) and comparisons.")
    raise ForbiddenSyntaxError(
        f"{quoted(source)}, column {column + 1}: {named} isn't part of the model language. {hint}"
    )


def _target(source: str, left: list[Token]) -> tuple[Form, str]:
    """Tell what an equation defines from what stands before its '='."""
    match [(token.kind, token.text) for token in left]:
        case [("name", name)]:
            return "plain", name
        case [("name", name), ("operator", "'" | "′")]:
            return "rate", name
        case [("name", rate), ("operator", "/"), ("name", "dt")] if rate.startswith("d") and len(rate) > 1:
            return "rate", rate[1:]
        case [("name", "d"), ("operator", "("), ("name", name), ("operator", ")"), ("operator", "/"), ("name", "dt")]:
            return "rate", name
        case [("name", name), *_, ("operator", "'" | "′")]:
            syntax_error(source, 0, f"only first derivatives have equations. Name {name}' as a state of its own.")
        case _:
            syntax_error(
                source,
                0,
                f"the left side must be dx, x', dx/dt or a name; the independent variable is {TIME}. Rewrite it.",
            )


def _check(source: str, tokens: list[Token]) -> None:
    """Refuse what Python would parse as something else, or not explain."""
    n_operators = sum(token.text in _INFIX for token in tokens)
    if n_operators > MAX_OPERATORS:
        raise ExpressionTooLongError(
            f"{quoted(source)} must have at most {MAX_OPERATORS:,} operators, got {n_operators:,}. "
            "Split it by auxiliary lines."
        )
    depth = 0
    before: Token | None = None
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if depth > MAX_DEPTH:
            raise ExpressionTooDeepError(
                f"{quoted(source)} must nest at most {MAX_DEPTH} parentheses, got more. Split it by auxiliary lines."
            )
        if depth < 0:
            syntax_error(source, token.column, "this parenthesis was never opened. Remove it, or add a '('.")
        if token.text == "=":
            syntax_error(source, token.column, "an equation has one '='. Write == to compare.")
        if token.text in ("'", "′"):
            syntax_error(
                source, token.column, "a rate can't be used on the right. Put its expression in an auxiliary line."
            )
        if token.kind == "number" and len(token.text) > MAX_NUMBER:
            raise ExpressionTooLongError(f"{quoted(source)} has a number of {len(token.text)} characters. Round it.")
        if before is not None and _is_operand_end(before) and _is_operand_begin(before, token):
            syntax_error(
                source,
                token.column,
                f"an operator is missing between {before.text!r} and {token.text!r}. Write * to multiply.",
            )
        before = token
    if depth:
        opening = next(token for token in tokens if token.text == "(")
        syntax_error(source, opening.column, "this parenthesis is never closed. Add the missing ')'.")
    if not _is_operand_end(tokens[-1]):
        syntax_error(source, tokens[-1].column, f"the expression ends with {tokens[-1].text!r}. Complete it.")


def _is_operand_end(token: Token) -> bool:
    return token.kind in ("number", "name") or token.text == ")"


def _is_operand_begin(before: Token, token: Token) -> bool:
    """Tell whether an operand begins; after a name a parenthesis is a call."""
    return token.kind in ("number", "name") or (token.text == "(" and before.kind != "name")
