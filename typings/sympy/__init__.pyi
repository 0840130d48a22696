"""What the tests use of sympy: an evaluator that knows nothing of ours."""

from collections.abc import Mapping

class Expr:
    @property
    def free_symbols(self) -> set[Symbol]: ...
    def diff(self, *symbols: Symbol) -> Expr: ...
    def evalf(
        self,
        n: int = 15,
        subs: Mapping[Symbol, Float] | None = None,
        maxn: int = 100,
        chop: bool = False,
        strict: bool = False,
        quad: str | None = None,
        verbose: bool = False,
    ) -> Expr: ...
    def __float__(self) -> float: ...

class Symbol(Expr):
    def __new__(cls, name: str, **assumptions: bool) -> Symbol: ...

class Float(Expr):
    def __new__(cls, num: float | str, dps: int | None = None, precision: int | None = None) -> Float: ...

def sympify(
    a: str,
    locals: Mapping[str, Expr] | None = None,
    convert_xor: bool = True,
    strict: bool = False,
    rational: bool = False,
    evaluate: bool | None = None,
) -> Expr: ...
