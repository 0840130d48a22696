"""From a statement to nodes: Python's parser, then a walk that knows each allowed node and refuses all others."""

import ast
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, final

from cubie._types import nearest
from cubie.odesystems.errors import (
    EquationSyntaxError,
    ExponentTowerError,
    ExpressionTooDeepError,
    ForbiddenSyntaxError,
    UnknownFunctionError,
)
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId, Number, Operation
from cubie.odesystems.symbolic.known_values import KnownValues
from cubie.odesystems.symbolic.statements import MAX_DEPTH, Statement, quoted, syntax_error
from cubie.odesystems.symbolic.vocabulary import NUMPY_WORDS, WORDS, as_real, negative

MAX_TOWER: Final = 2
MAX_EXPONENT: Final = 1000.0

Resolve: TypeAlias = Callable[[str], NodeId]

_PIECEWISE: Final = "piecewise((value, condition), ..., default)"
_BINARY: Final[Mapping[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.Pow: "pow",
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], tuple[str, bool]]] = {
    ast.Lt: ("less", False),
    ast.LtE: ("less_equal", False),
    ast.Gt: ("less", True),
    ast.GtE: ("less_equal", True),
    ast.Eq: ("equal", False),
    ast.NotEq: ("not_equal", False),
}


def parse(statement: Statement, g: GraphBuilder, resolve: Resolve, known: KnownValues) -> NodeId:
    """Return the node of a right-hand side.

    Parameters
    ----------
    resolve : gives the node of a name, or raises.
    known : values of the literals of `g`.

    Raises
    ------
    EquationSyntaxError, ForbiddenSyntaxError, UnknownFunctionError, ExpressionTooDeepError, ExponentTowerError
    """
    try:
        tree = ast.parse(statement.safe_text, mode="eval")
    except SyntaxError as error:
        _refuse_syntax(statement, error.offset or 1)
    except (RecursionError, MemoryError):
        raise _too_deep(statement) from None
    return _Walk(statement, g, resolve, known).value(tree.body)


def _refuse_syntax(statement: Statement, offset: int) -> NoReturn:
    """Point at the word of the user's text where Python gave up."""
    texts = statement.safe_text.split(" ")
    starts = [0]
    for text in texts:
        starts.append(starts[-1] + len(text) + 1)
    token = statement.tokens[min(bisect_right(starts, offset - 1) - 1, len(texts) - 1)]
    syntax_error(statement.source, token.column, f"it can't go on with {token.text!r} here. Correct the expression.")


def _too_deep(statement: Statement) -> ExpressionTooDeepError:
    return ExpressionTooDeepError(
        f"{quoted(statement.source)} must nest at most {MAX_DEPTH} operations, got more. Split it by auxiliary lines."
    )


@final
class _Walk:
    """Turns the syntax tree of one statement into nodes."""

    def __init__(self, statement: Statement, g: GraphBuilder, resolve: Resolve, known: KnownValues) -> None:
        self._statement = statement
        self._g = g
        self._resolve = resolve
        self._depth = 0
        self._tower = 0
        self._literals = known

    def value(self, tree: ast.expr) -> NodeId:
        """Return the node of an expression, a number or a condition."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(self._statement)
        node = self._node(tree)
        self._depth -= 1
        return node

    def _node(self, tree: ast.expr) -> NodeId:
        match tree:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self._number(value)
            case ast.Name(id=name):
                return self._resolve(self._name(name))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._real(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._minus(self._real(operand))
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                return self._g.operation("not", self._mask(operand))
            case ast.BinOp():
                return self._binary(tree)
            case ast.BoolOp(op=op, values=values):
                return self._joined("and" if isinstance(op, ast.And) else "or", [self._mask(value) for value in values])
            case ast.Compare():
                return self._comparison(tree)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._select(self._mask(test), self.value(body), self.value(orelse))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(self._name(name), arguments)
            case _:
                raise ForbiddenSyntaxError(
                    f"{quoted(self._statement.source)}: {type(tree).__name__} isn't part of the model language. "
                    "Use arithmetic, comparisons, `a if condition else b` and the functions that docs/models.md lists."
                )

    def _name(self, numbered: str) -> str:
        return self._statement.names[int(numbered[1:])]

    def _real(self, tree: ast.expr) -> NodeId:
        return as_real(self._g, self.value(tree))

    def _mask(self, tree: ast.expr) -> NodeId:
        node = self.value(tree)
        if self._g.kind(node) == "real":
            self._refuse("a condition is needed, got a number. Write `x > 0` or `x != 0`, with parentheses around it.")
        return node

    def _refuse(self, problem: str) -> NoReturn:
        raise EquationSyntaxError(f"{quoted(self._statement.source)}: {problem}")

    def _number(self, value: float) -> NodeId:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self._refuse("a number is larger than double precision can hold. Choose other units.")
        return self._g.number(number)

    def _minus(self, node: NodeId) -> NodeId:
        it = self._g.nodes[node]
        return self._g.number(-it.value) if isinstance(it, Number) else negative(self._g, node)

    def _binary(self, tree: ast.BinOp) -> NodeId:
        """Walk a chain such as a + b - c without recursion: it may be long."""
        chain = [tree]
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)
        node = self.value(chain[-1].left)
        for link in reversed(chain):
            if isinstance(link.op, (ast.BitAnd, ast.BitOr)):
                word = "and" if isinstance(link.op, ast.BitAnd) else "or"
                node = self._joined(word, [self._condition(node), self._mask(link.right)])
            else:
                node = self._arithmetic(link, as_real(self._g, node))
        return node

    def _condition(self, node: NodeId) -> NodeId:
        if self._g.kind(node) == "real":
            self._refuse("& and | join conditions, got a number. Write `(x > 0) & (y > 0)`, with the parentheses.")
        return node

    def _arithmetic(self, tree: ast.BinOp, left: NodeId) -> NodeId:
        word = _BINARY.get(type(tree.op))
        if word is None:
            raise ForbiddenSyntaxError(
                f"{quoted(self._statement.source)}: {type(tree.op).__name__} isn't part of the model language."
                " Use + - * / ** % //."
            )
        right = self._exponent(tree.right) if word == "pow" else self._real(tree.right)
        return self._known(NUMPY_WORDS[word].build(self._g, (left, right)))

    def _exponent(self, tree: ast.expr) -> NodeId:
        self._tower += 1
        if self._tower > MAX_TOWER:
            raise ExponentTowerError(
                f"{quoted(self._statement.source)} must nest at most {MAX_TOWER} powers in exponents, got more. "
                "Name the exponent in an auxiliary line."
            )
        node = self._real(tree)
        self._tower -= 1
        value = self._literals.value(node)
        if value is not None and abs(value) > MAX_EXPONENT:
            raise ExponentTowerError(
                f"{quoted(self._statement.source)} must have exponents of at most {MAX_EXPONENT:g}, "
                f"got {value:g}. Rescale the model."
            )
        return node

    def _known(self, node: NodeId) -> NodeId:
        """Refuse an operation on literals that has no finite value."""
        it = self._g.nodes[node]
        values = self._literals.arguments(it) if isinstance(it, Operation) else None
        if isinstance(it, Operation) and values is not None and self._literals.value(node) is None:
            listed = ", ".join(f"{value:g}" for value in values)
            self._refuse(f"{it.function} of {listed} has no finite value. Correct the numbers.")
        return node

    def _joined(self, word: str, masks: Sequence[NodeId]) -> NodeId:
        node = masks[0]
        for mask in masks[1:]:
            node = self._g.operation(word, node, mask)
        return node

    def _comparison(self, tree: ast.Compare) -> NodeId:
        values = [self._real(side) for side in (tree.left, *tree.comparators)]
        masks: list[NodeId] = []
        for op, left, right in zip(tree.ops, values[:-1], values[1:], strict=True):
            function, swapped = _COMPARISONS[type(op)]
            masks.append(self._g.operation(function, *((right, left) if swapped else (left, right))))
        return self._joined("and", masks)

    def _select(self, mask: NodeId, a: NodeId, b: NodeId) -> NodeId:
        return self._g.operation("select", mask, as_real(self._g, a), as_real(self._g, b))

    def _call(self, name: str, arguments: Sequence[ast.expr]) -> NodeId:
        if name == "piecewise":
            return self._piecewise(arguments)
        if name == "where":
            if len(arguments) != 3:
                self._refuse(
                    f"where must have 3 arguments, got {len(arguments)}. Write where(condition, value, other)."
                )
            return self._select(self._mask(arguments[0]), self.value(arguments[1]), self.value(arguments[2]))
        word = WORDS.get(name)
        if word is None:
            known = (*WORDS, "piecewise", "where")
            hint = nearest(name, known) or nearest(name.lower(), known)
            raise UnknownFunctionError(
                f"{quoted(self._statement.source)} calls {name!r}, which isn't a function of the model language."
                f"{hint} To multiply, write {name}*(...)."
            )
        if not word.accepts(len(arguments)):
            self._refuse(f"{name} must have {word.arity} arguments, got {len(arguments)}. Correct the call.")
        return self._known(word.build(self._g, tuple(self._real(argument) for argument in arguments)))

    def _piecewise(self, arguments: Sequence[ast.expr]) -> NodeId:
        """Read `piecewise((a, condition), ..., default)`; `(b, True)` is a default too."""
        pieces = list(arguments)
        if not pieces or (len(pieces) == 1 and not isinstance(pieces[0], ast.Tuple)):
            self._refuse(f"piecewise must have pieces and a default. Write {_PIECEWISE}.")
        *pairs, last = pieces
        if isinstance(last, ast.Tuple):
            value, condition = self._pair(last)
            if not self._is_true(condition):
                self._refuse(f"piecewise must end with a default, got a condition. Write {_PIECEWISE}.")
            last = value
        node = self.value(last)
        for pair in reversed(pairs):
            value, condition = self._pair(pair)
            node = self._select(self._mask(condition), self.value(value), node)
        return node

    def _pair(self, tree: ast.expr) -> tuple[ast.expr, ast.expr]:
        if not isinstance(tree, ast.Tuple) or len(tree.elts) != 2:
            self._refuse(f"piecewise must be made of pairs. Write {_PIECEWISE}.")
        return tree.elts[0], tree.elts[1]

    def _is_true(self, tree: ast.expr) -> bool:
        return isinstance(tree, ast.Name) and self._name(tree.id) in ("True", "true")
