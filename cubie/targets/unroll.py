"""Partial evaluation of device bodies: `static` loops are unrolled and compile-time branches decided before a compiler
sees them.

A body reads like the formula, `for s in static(range(n_stages))` with `if a[s][j] != 0`; what is compiled is the
straight line of multiply-adds with the zeros gone and every coefficient a constant.
"""

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from typing_extensions import override

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def static(values: Iterable[T]) -> Iterable[T]:
    """Mark the values of a `for` loop as known at build time, so that its body is repeated once for each."""
    return values


def nothing(*_: object, **__: object) -> None:
    """Do nothing, as a device function that is not needed: calls of it by a closure's name are left out."""


def expression(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of one `return` as to be written out, folded, where an unrolled body calls it."""
    vars(function)["__expression__"] = True
    return function


def unrolled(function: Callable[P, R], longest: int | None = None) -> Callable[P, R]:
    """Return `function` with its `static` loops unrolled; one without any comes back as it is.

    With `longest`, other loops over a range known at build time are cut into loops of at most so many rounds, which a
    compiler still writes out by itself, where it would keep one long loop, and the arrays in it in memory.
    """
    wanted = {"static"} if longest is None else {"static", "range"}
    if not isinstance(function, FunctionType):
        return function
    calls_nothing = any(value is nothing for value in inspect.getclosurevars(function).nonlocals.values())
    if wanted.isdisjoint(_names(function)) and not calls_nothing:
        return function
    definition = _source(function)
    evaluator = _Evaluator(function, longest)
    if "static" not in _names(function) and not calls_nothing and not evaluator.cuts(definition):
        return function
    straight = ast.FunctionDef(
        name=function.__name__,
        args=_without_annotations(definition.args),
        body=evaluator.block(definition.body) or [ast.Pass()],
        decorator_list=[],
        returns=None,
    )
    module = ast.Module(body=[ast.copy_location(straight, definition)], type_ignores=[])
    code: CodeType = compile(ast.fix_missing_locations(module), function.__code__.co_filename, "exec")
    exec(code, evaluator.namespace)
    return cast(Callable[P, R], evaluator.namespace[function.__name__])


def _names(function: FunctionType) -> tuple[str, ...]:
    return function.__code__.co_names + function.__code__.co_freevars


def _source(function: FunctionType) -> ast.FunctionDef:
    """Return a function's syntax tree, with the line numbers of its file."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    return next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    plain = [ast.arg(arg=argument.arg) for argument in arguments.args]
    return ast.arguments(posonlyargs=[], args=plain, kwonlyargs=[], kw_defaults=[], defaults=[])


class _Evaluator(ast.NodeTransformer):
    """Replaces what is known at build time by its value, leaving the rest as written."""

    def __init__(self, function: FunctionType, longest: int | None = None) -> None:
        self._longest = longest
        outer = inspect.getclosurevars(function)
        self.namespace: dict[str, Any] = {**function.__globals__, **outer.nonlocals}
        self._local_names = frozenset(function.__code__.co_varnames)
        self._known: dict[str, Any] = {}
        self._written_out: dict[str, ast.expr] = {}
        self._fresh = self.namespace

    def cuts(self, definition: ast.FunctionDef) -> bool:
        """Tell whether there is a loop so long that it is cut."""
        return any(isinstance(node, ast.For) and len(self._parts(node)) > 1 for node in ast.walk(definition))

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [straight for statement in statements for straight in self._statements(statement)]

    def _statements(self, statement: ast.stmt) -> Iterator[ast.stmt]:
        if isinstance(statement, ast.For) and self._is_static(statement.iter):
            yield from self._repeated(statement)
        elif isinstance(statement, ast.If) and self._is_known(statement.test):
            yield from self.block(statement.body if self._value(statement.test) else statement.orelse)
        elif isinstance(statement, ast.For):
            for part in self._parts(statement) or [statement.iter]:
                yield self._compound(ast.For(**{**dict(ast.iter_fields(statement)), "iter": part}))
        elif isinstance(statement, (ast.While, ast.If)):
            yield self._compound(statement)
        elif not (isinstance(statement, ast.Expr) and self._does_nothing(statement.value)):
            yield cast(ast.stmt, self.visit(copy.deepcopy(statement)))

    def _does_nothing(self, expression: ast.expr) -> bool:
        if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name):
            return self.namespace.get(expression.func.id) is nothing
        return isinstance(expression, ast.Constant)

    def _repeated(self, loop: ast.For) -> Iterator[ast.stmt]:
        assert isinstance(loop.target, ast.Name) and isinstance(loop.iter, ast.Call)
        name = loop.target.id
        for value in self._value(loop.iter.args[0]):
            self._known[name] = value
            yield from self.block(loop.body)
        self._known.pop(name, None)

    def _parts(self, loop: ast.For) -> list[ast.expr]:
        """Return the ranges that a long loop is cut into; none of a loop that is not over a range known already."""
        call = loop.iter
        if self._longest is None or not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            return []
        if call.func.id != "range" or len(call.args) != 1 or not self._is_known(call.args[0]):
            return []
        n, longest = self._value(call.args[0]), self._longest
        bounds = [(start, min(start + longest, n)) for start in range(0, n, longest)]
        return [ast.Call(call.func, [ast.Constant(start), ast.Constant(stop)], []) for start, stop in bounds]

    def _compound(self, statement: ast.For | ast.While | ast.If) -> ast.stmt:
        shell = copy.deepcopy(statement)
        shell.body = self.block(statement.body) or [ast.Pass()]
        shell.orelse = self.block(statement.orelse)
        if isinstance(shell, ast.For):
            shell.iter = self.visit(shell.iter)
        else:
            shell.test = self.visit(shell.test)
        return shell

    @staticmethod
    def _is_static(iterable: ast.expr) -> bool:
        return isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and iterable.func.id == "static"

    def _is_known(self, expression: ast.expr) -> bool:
        """Tell whether an expression is made of build-time values alone: closure variables, globals, static loop
        variables.
        """
        names = [node.id for node in ast.walk(expression) if isinstance(node, ast.Name)]
        return all(name in self._known or (name not in self._local_names and self._is_plain(name)) for name in names)

    def _is_plain(self, name: str) -> bool:
        builtins = {"range": range, "len": len, "bool": bool, "int": int}
        return name in builtins or isinstance(self.namespace.get(name), (bool, int, float, tuple, np.generic))

    def _value(self, expression: ast.expr) -> Any:
        code: CodeType = compile(
            ast.fix_missing_locations(ast.Expression(copy.deepcopy(expression))), "<static>", "eval"
        )
        return eval(code, {**self.namespace, **self._known})

    @override
    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Name) and node.id in self._written_out:
            return self._written_out[node.id]
        if isinstance(node, ast.IfExp) and self._is_known(node.test):
            return self.visit(node.body if self._value(node.test) else node.orelse)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and self._is_expression(node.func.id):
            return ast.copy_location(self._write_out(node, self.namespace[node.func.id]), node)
        folds = isinstance(node, (ast.Name, ast.Subscript, ast.BinOp, ast.IfExp)) and not isinstance(
            getattr(node, "ctx", None), ast.Store
        )
        if folds and self._depends_on_loop(node) and self._is_known(cast(ast.expr, node)):
            return ast.copy_location(self._constant(self._value(cast(ast.expr, node))), node)
        return self.generic_visit(node)

    def _is_expression(self, name: str) -> bool:
        return name not in self._local_names and getattr(self.namespace.get(name), "__expression__", False)

    def _write_out(self, call: ast.Call, function: FunctionType) -> ast.expr:
        """Return the called function's one expression, with the call's arguments in the place of its parameters."""
        inner = _Evaluator(function)
        inner._fresh = self.namespace
        for parameter, argument in zip(function.__code__.co_varnames, call.args, strict=True):
            if self._is_known(argument):
                inner._known[parameter] = self._value(argument)
            else:
                inner._written_out[parameter] = self.visit(argument)
        outer = inspect.getclosurevars(function).nonlocals
        inner._known.update({name: value for name, value in outer.items() if inner._is_plain(name)})
        (result,) = (node for node in ast.walk(_source(function)) if isinstance(node, ast.Return))
        return cast(ast.expr, inner.visit(cast(ast.expr, result.value)))

    def _depends_on_loop(self, node: ast.AST) -> bool:
        return any(isinstance(inner, ast.Name) and inner.id in self._known for inner in ast.walk(node))

    def _constant(self, value: Any) -> ast.expr:
        """Spell a value: whole numbers in place, anything else (NumPy scalars, functions) as a global of its own."""
        if type(value) in (bool, int):
            return ast.Constant(value)
        name = f"_static_{len(self._fresh)}"
        self._fresh[name] = value
        return ast.Name(id=name, ctx=ast.Load())
