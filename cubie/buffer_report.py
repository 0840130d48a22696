"""Where every working array of a tree of factories stands: as values, as a table, as a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

from typing_extensions import override

from cubie._types import Pool, Precision
from cubie.buffer_layout import BufferLayout

POOLS: Final[tuple[Pool, ...]] = ("shared", "persistent_local", "local")
HEADINGS: Final[tuple[str, ...]] = ("buffer", "pool", "elements", "size", "type", "bytes", "")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BufferRow:
    """One buffer, or one child's region."""

    name: str
    pool: Pool
    start: int
    """Elements from the start of the pool of the factory that was reported on; 0 for a plain local array."""
    size: int
    precision: Precision
    kept: bool
    aliases: str | None
    """The buffer whose scratch it asked for."""
    inside: str | None
    """The buffer whose scratch it got."""
    child: str | None
    """The child whose region it is."""

    @property
    def bytes_per_run(self) -> int:
        """Bytes that this buffer adds: none for one that stands in another's storage, or that its child counts."""
        if self.inside is not None or self.child is not None:
            return 0
        return self.size * self.precision(0).itemsize

    @property
    def remark(self) -> str:
        """What the table says beside it."""
        if self.child is not None:
            extent = ", kept" if self.pool == "persistent_local" else ", parts of it kept"
            return f"for {self.child}{extent if self.kept else ''}"
        if self.inside is not None:
            return f"inside {self.inside}"
        words = ["kept"] if self.kept else []
        if self.aliases is not None:
            words.append(f"own storage, not inside {self.aliases}")
        return ", ".join(words)

    def cells(self, indent: str) -> tuple[str, ...]:
        """Return the row's texts, one for each heading."""
        elements = "own array" if self.pool == "local" else f"[{self.start}:{self.start + self.size}]"
        counted = str(self.bytes_per_run) if self.inside is None and self.child is None else "-"
        kind = self.precision.__name__ if self.size > 0 else "-"
        return (indent + self.name, self.pool, elements, str(self.size), kind, counted, self.remark)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BufferReport:
    """The memory of one factory, and of those that it is made from."""

    name: str
    """What its parent calls it; the root goes by its class."""
    factory: str
    rows: tuple[BufferRow, ...]
    children: "tuple[BufferReport, ...]"

    @staticmethod
    def of(
        name: str,
        factory: str,
        layout: BufferLayout,
        shared_start: int,
        persistent_start: int,
        children: "Sequence[BufferReport]",
    ) -> "BufferReport":
        """Describe a layout whose parts of the root's pools start at the given elements."""
        starts: dict[Pool, int] = {"shared": shared_start, "persistent_local": persistent_start, "local": 0}
        rows = tuple(
            BufferRow(
                name=placed.name,
                pool=placed.placement.pool,
                start=starts[placed.placement.pool] + placed.placement.start,
                size=placed.placement.size,
                precision=placed.placement.precision,
                kept=placed.placement.kept,
                aliases=placed.aliases,
                inside=placed.inside,
                child=placed.child,
            )
            for placed in layout.placed
        )
        return BufferReport(name=name, factory=factory, rows=rows, children=tuple(children))

    def pool_size(self, pool: Pool) -> int:
        """Elements of a pool that one run needs, children included."""
        own = sum(row.size for row in self.rows if row.pool == pool and row.inside is None and row.child is None)
        return own + sum(child.pool_size(pool) for child in self.children)

    def pool_bytes(self, pool: Pool) -> int:
        """Bytes of a pool that one run needs, children included."""
        own = sum(row.bytes_per_run for row in self.rows if row.pool == pool)
        return own + sum(child.pool_bytes(pool) for child in self.children)

    @property
    def bytes_per_run(self) -> int:
        """Bytes that one run needs in all pools, children included."""
        return sum(self.pool_bytes(pool) for pool in POOLS)

    @property
    def summary(self) -> str:
        """One sentence with the totals."""
        pools = ", ".join(f"{pool} {self.pool_bytes(pool):,}" for pool in POOLS)
        return f"{self.factory}: {self.bytes_per_run:,} bytes per run ({pools})"

    @override
    def __str__(self) -> str:
        """Return the table, with one line for each buffer and the totals below."""
        lines = [HEADINGS, *self._cells(0)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        table = [_aligned(line, widths) for line in lines]
        return "\n".join([table[0], rule, *table[1:], rule, self.summary])

    def to_svg(self) -> str:
        """Draw the memory map: a bar for each pool, aliases below their targets, children below their regions."""
        from cubie.buffer_map import draw

        return draw(self)

    def _cells(self, depth: int) -> Iterator[tuple[str, ...]]:
        title = self.name if self.name == self.factory else f"{self.name} ({self.factory})"
        yield ("  " * depth + title, *("" for _ in HEADINGS[1:]))
        for row in self.rows:
            if row.child is None or row.size > 0:
                yield row.cells("  " * (depth + 1))
        for child in self.children:
            yield from child._cells(depth + 1)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    sides: tuple[Literal["<", ">"], ...] = ("<", "<", "<", ">", "<", ">", "<")
    padded = (f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True))
    return "  ".join(padded).rstrip()
