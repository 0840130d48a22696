"""Gauss' elimination of ``M - scale*J`` as straight-line code, in an order that is fixed when it is generated.

Every entry of the factors is a node of one table: numbers fold, zeros vanish, equal entries are one, and fill-in is
known before anything runs. Where rows are exchanged, each run takes the pivot's row or another one by `select`, and the
right side likewise. A pivot whose digits have cancelled is told by its own terms, and makes the step a failure.

References
----------
Golub & Van Loan (2013), Matrix Computations, Sec. 3.2 and 3.4; Duff, Erisman & Reid (2017), Direct Methods for Sparse
Matrices, Sec. 5.2 (threshold pivoting).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, final

from cubie.integrators.matrix_free_solvers.arithmetic import (
    Arithmetic,
    ComplexArithmetic,
    Number,
    RealArithmetic,
    chosen,
    size,
)
from cubie.integrators.matrix_free_solvers.pivot_order import Place
from cubie.odesystems.symbolic.differentiate import SparseMatrix
from cubie.odesystems.symbolic.graph import GraphBuilder, NodeId, SymbolKind
from cubie.odesystems.symbolic.graph import Number as Literal
from cubie.odesystems.symbolic.passes import Expressions, contract
from cubie.odesystems.symbolic.rules import apply, number, without_sign

Mass: TypeAlias = Mapping[Place, float]
PARTS: Final[tuple[SymbolKind, SymbolKind]] = ("vector", "imaginary")
THRESHOLD: Final = 0.1
"""A pivot that is smaller than this part of another row's entry gives way to it, where rows are exchanged."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Elimination:
    """Two pieces of straight-line code.

    Parameters
    ----------
    factor : values to keep, then the condition that no pivot has lost its digits.
    solve : the solution, in the order of `places`, from what was kept and the right side.
    places : of each root of `solve` the part, 0 or 1 for real or imaginary, and the position in it.
    is_in_place : every pivot stands on the diagonal, so that the solution may overwrite the right side one by one.
    """

    factor: Expressions
    solve: Expressions
    places: tuple[tuple[int, int], ...]
    is_in_place: bool

    @property
    def n_kept(self) -> int:
        """How many numbers the factors are."""
        return len(self.factor.roots) - 1

    @property
    def n_operations(self) -> int:
        """Operations of both together."""
        return len(self.factor.nodes) + len(self.solve.nodes)


class Pivot(NamedTuple):
    """What the factors say of one pivot.

    Parameters
    ----------
    exchanges : other rows in turn, each with a number above 0 where it has changed places with the pivot's.
    below : the multiple of the pivot's row that each other row loses.
    beside : the rest of its row.
    """

    place: Place
    exchanges: list[tuple[int, NodeId]]
    below: list[tuple[int, Number]]
    beside: list[tuple[int, Number]]
    reciprocal: Number


def eliminate(
    jacobian: SparseMatrix,
    mass: Mass,
    n: int,
    order: Sequence[Place],
    *,
    loss: float,
    is_complex: bool = False,
    exchanges: bool = False,
) -> Elimination:
    """Generate the elimination in the given order of pivots.

    Parameters
    ----------
    loss : the relative size at which what is left of a pivot's terms counts as nothing.
    exchanges : the order is that of columns alone, and each run takes rows by their size.
    """
    return _Eliminator(jacobian, mass, n, order, loss, is_complex, exchanges).generated()


@final
class _Eliminator:
    def __init__(
        self,
        jacobian: SparseMatrix,
        mass: Mass,
        n: int,
        order: Sequence[Place],
        loss: float,
        is_complex: bool,
        exchanges: bool,
    ) -> None:
        self._g: Final = GraphBuilder()
        self._kind: Final = ComplexArithmetic if is_complex else RealArithmetic
        self._numbers: Final[Arithmetic] = self._kind(self._g)
        self._n, self._order, self._loss, self._exchanges = n, order, loss, exchanges
        every = {(row, column) for row in range(n) for column in range(n)}
        self._pivots: Final = frozenset(every if exchanges else order)
        """The places that may hold a pivot."""
        self._terms: dict[Place, NodeId] = {}
        """For each of them the sum of the magnitudes of its terms, where there are several."""
        self._matrix: dict[Place, Number] = self._assembled(jacobian, mass)
        self._kept: dict[NodeId, int] = {}
        self._sound: list[NodeId] = []

    def _assembled(self, jacobian: SparseMatrix, mass: Mass) -> dict[Place, Number]:
        g, matrix = self._g, dict[Place, Number]()
        n_parts = len(self._numbers.scaled(1.0, None))
        for place, value in mass.items():
            matrix[place] = (g.number(value), *(g.number(0.0) for _ in range(n_parts - 1)))
        for row, column, slot, factor in jacobian.entries:
            place = row, column
            node = None if slot is None else g.symbol("jacobian", slot)
            product = self._numbers.scaled(factor, node)
            if place in self._pivots:
                self._add_term(place, size(g, matrix[place]) if place in matrix else None)
                self._add_term(place, size(g, product))
            matrix[place] = self._numbers.minus(matrix.get(place), product)
        return matrix

    def _add_term(self, place: Place, magnitude: NodeId | None) -> None:
        if magnitude is not None:
            known = self._terms.get(place)
            self._terms[place] = magnitude if known is None else apply(self._g, "add", magnitude, known)

    def generated(self) -> Elimination:
        pivots = [self._pivot(place) for place in self._order]
        always = self._g.operation("less", self._g.number(0.0), self._g.number(1.0))
        sound = self._sound[0] if self._sound else always
        for mask in self._sound[1:]:
            sound = apply(self._g, "and", sound, mask)
        factor = contract(Expressions(self._g.nodes, (*self._kept, sound)))
        solve, places = self._solve(pivots)
        is_in_place = not self._exchanges and all(row == column for row, column in self._order)
        return Elimination(factor=factor, solve=solve, places=places, is_in_place=is_in_place)

    def _pivot(self, place: Place) -> Pivot:
        """Take a pivot's row and column out of the matrix."""
        (pivot_row, pivot_column), matrix = place, self._matrix
        others = [row for row, column in sorted(matrix) if column == pivot_column and row != pivot_row]
        exchanges = [(row, self._exchange(place, row)) for row in others] if self._exchanges else []
        value = matrix.pop(place)
        self._check(place, value)
        across = [(column, matrix.pop((row, column))) for row, column in sorted(matrix) if row == pivot_row]
        down = [(row, matrix.pop((row, column))) for row, column in sorted(matrix) if column == pivot_column]
        reciprocal = self._numbers.reciprocal(value)
        lower: list[tuple[int, Number]] = []
        for row, entry in down:
            multiplier = self._numbers.times(entry, reciprocal)
            lower.append((row, multiplier))
            for column, other in across:
                self._update((row, column), multiplier, other)
        for _, kept in (*lower, *across, (0, reciprocal)):
            self._keep(kept)
        return Pivot(place, exchanges, lower, across, reciprocal)

    def _exchange(self, place: Place, row: int) -> NodeId:
        """Let the pivot's row and another one change places where its entry is small; return 1 there, else 0."""
        g, matrix, terms, (pivot_row, pivot_column) = self._g, self._matrix, self._terms, place
        limit = apply(g, "multiply", g.number(THRESHOLD), size(g, matrix[row, pivot_column]))
        mask = apply(g, "less", size(g, matrix[place]), limit)
        nothing = tuple(g.number(0.0) for _ in matrix[place])
        for column in sorted({column for other, column in matrix if other in (pivot_row, row)}):
            ours, theirs = (pivot_row, column), (row, column)
            a, b = matrix.get(ours, nothing), matrix.get(theirs, nothing)
            matrix[ours], matrix[theirs] = chosen(g, mask, b, a), chosen(g, mask, a, b)
            if ours in terms or theirs in terms:
                of_a, of_b = terms.get(ours, size(g, a)), terms.get(theirs, size(g, b))
                terms[ours], terms[theirs] = apply(g, "select", mask, of_b, of_a), apply(g, "select", mask, of_a, of_b)
        swapped = apply(g, "select", mask, g.number(1.0), g.number(0.0))
        self._keep((swapped,))
        return swapped

    def _update(self, place: Place, multiplier: Number, other: Number) -> None:
        g, before = self._g, self._matrix.get(place)
        if place in self._pivots:
            if place not in self._terms and before is not None:
                self._add_term(place, size(g, before))
            self._add_term(place, apply(g, "multiply", size(g, multiplier), size(g, other)))
        self._matrix[place] = self._numbers.minus(before, self._numbers.times(multiplier, other))

    def _check(self, place: Place, value: Number) -> None:
        """A pivot that is one term alone can't cancel: it only must not be zero."""
        if any(number(self._g, part) for part in value) and place not in self._terms:
            return
        terms = self._terms.get(place)
        least = self._g.number(0.0) if terms is None else apply(self._g, "multiply", self._g.number(self._loss), terms)
        self._sound.append(apply(self._g, "less", least, size(self._g, value)))

    def _keep(self, value: Number) -> None:
        for part in value:
            _, node = without_sign(self._g, part)
            if not isinstance(self._g.nodes[node], Literal):
                self._kept.setdefault(node, len(self._kept))

    def _solve(self, pivots: Sequence[Pivot]) -> tuple[Expressions, tuple[tuple[int, int], ...]]:
        """Generate forward and backward substitution, from symbols for what was kept."""
        g = GraphBuilder()
        numbers: Arithmetic = self._kind(g)
        n_parts = len(pivots[0].reciprocal)
        right: list[Number] = [tuple(g.symbol(part, i) for part in PARTS[:n_parts]) for i in range(self._n)]
        for (row, _), exchanges, below, _, _ in pivots:
            for other, swapped in exchanges:
                mask = apply(g, "less", g.number(0.0), self._recalled_part(g, swapped))
                a, b = right[row], right[other]
                right[row], right[other] = chosen(g, mask, b, a), chosen(g, mask, a, b)
            for other, multiplier in below:
                right[other] = numbers.minus(right[other], numbers.times(self._recalled(g, multiplier), right[row]))
        solution: dict[int, Number] = {}
        for (row, column), _, _, beside, reciprocal in reversed(pivots):
            value = right[row]
            for other, entry in beside:
                value = numbers.minus(value, numbers.times(self._recalled(g, entry), solution[other]))
            solution[column] = numbers.times(value, self._recalled(g, reciprocal))
        roots = tuple(part for value in solution.values() for part in value)
        places = tuple((part, column) for column in solution for part in range(n_parts))
        return contract(Expressions(g.nodes, roots)), places

    def _recalled(self, g: GraphBuilder, value: Number) -> Number:
        """Return what stands for a value of the factors in the solve."""
        return tuple(self._recalled_part(g, part) for part in value)

    def _recalled_part(self, g: GraphBuilder, part: NodeId) -> NodeId:
        is_negative, node = without_sign(self._g, part)
        match self._g.nodes[node]:
            case Literal(literal):
                recalled = g.number(literal)
            case _:
                recalled = g.symbol("factor", self._kept[node])
        return apply(g, "negative", recalled) if is_negative else recalled
