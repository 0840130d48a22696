"""Coefficients as the literature prints them: text in, exact fractions out."""

from fractions import Fraction
from typing import TypeAlias

Exact: TypeAlias = tuple[Fraction, ...]


def exact_row(text: str) -> Exact:
    """Read coefficients: fractions like ``3/40`` and decimals."""
    return tuple(map(Fraction, text.split()))


def noded_rows(text: str) -> tuple[tuple[Exact, ...], Exact]:
    """Read lines ``node | coefficients`` into ``a`` and ``c``; lines without a bar go on with the one above."""
    nodes: list[Fraction] = []
    rows: list[Exact] = []
    for line in text.strip().splitlines():
        node, bar, entries = line.rpartition("|")
        if bar:
            nodes.append(Fraction(node.strip()))
            rows.append(exact_row(entries))
        else:
            rows[-1] += exact_row(entries)
    return tuple(rows), tuple(nodes)
