"""The picture of a `BufferReport`: one bar per pool, aliases below their targets, children below their regions.

Widths grow with sizes but are not to scale: each box is wide enough for its text, and the rest of the width is shared
out by size. The numbers under a bar are offsets in elements.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final, Literal, TypeAlias, final

from cubie._types import Pool
from cubie.buffer_report import POOLS, BufferReport, BufferRow

Kind: TypeAlias = Literal["scratch", "kept", "alias", "child"]

MARGIN: Final = 28
BAR_WIDTH: Final = 944
ROW_HEIGHT: Final = 42
ROW_GAP: Final = 4
CHARACTER: Final = 8.0
"""Mean width of a character of a name, in pixels; the small print is narrower."""
TINTS: Final = (
    ("#dbe9f8", "#2f6ea8"),
    ("#fbe3c8", "#b4691a"),
    ("#d6efd9", "#2f7d43"),
    ("#e8def6", "#6d4ba3"),
    ("#fadbe0", "#b03a52"),
    ("#d2efee", "#1f7b7a"),
    ("#f4edc3", "#85700f"),
)
"""Fill and line of each factory in turn."""
POOL_TITLES: Final[dict[Pool, str]] = {
    "shared": "shared",
    "persistent_local": "persistent local",
    "local": "local (each an array of its own)",
}
STYLE: Final = (
    "text{font-family:'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;fill:#1d2733}"
    ".title{font-size:18px;font-weight:600}.pool{font-size:14px;font-weight:600}"
    ".plain{font-size:13px}.halo{paint-order:stroke;stroke:#ffffff;stroke-width:3px;stroke-linejoin:round}.small{font-size:11px;fill:#46535f}"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One buffer or region in a pool's bar; positions in elements, rows from the top."""

    text: str
    remark: str
    tooltip: str
    start: int
    stop: int
    row: int
    kind: Kind
    factory: int

    @property
    def text_width(self) -> float:
        """Pixels that the two lines of text need."""
        return max(CHARACTER * len(self.text), 0.86 * CHARACTER * len(self.remark)) + 16


@final
@dataclass(frozen=True, slots=True)
class Scale:
    """From elements to pixels, between the boundaries of boxes."""

    boundaries: tuple[int, ...]
    positions: tuple[float, ...]

    def __call__(self, element: int) -> float:
        """Return the position of a boundary."""
        return self.positions[self.boundaries.index(element)]


def draw(report: BufferReport) -> str:
    """Return the memory map as an SVG document."""
    factories = tuple(_walk(report))
    pools = [(pool, tuple(_boxes(report, pool, factories, 0, 0))) for pool in POOLS if report.pool_size(pool) > 0]
    width = max([BAR_WIDTH, *(sum(_least_widths(boxes)) for _, boxes in pools)])
    parts: list[str] = [
        _text(MARGIN, 36, "title", f"Memory of {report.factory}: {report.bytes_per_run:,} bytes per run")
    ]
    y = 64.0
    for pool, boxes in pools:
        parts.append(_text(MARGIN, y + 12, "pool", _pool_title(report, pool)))
        bar, bottom = _bar(boxes, _scale(boxes, width), y + 24, ticks=pool != "local")
        parts += bar
        y = bottom + 26
    legend, y = _legend(factories, width, y)
    return _document(width + 2 * MARGIN, y, report.summary, [*parts, *legend])


def _walk(report: BufferReport) -> Iterator[BufferReport]:
    yield report
    for child in report.children:
        yield from _walk(child)


def _boxes(
    report: BufferReport, pool: Pool, factories: Sequence[BufferReport], local_start: int, top: int
) -> Iterator[Box]:
    """Yield the boxes of a factory and, below its own rows, of its children."""
    factory = next(index for index, known in enumerate(factories) if known is report)
    depths: dict[str, int] = {}
    start = local_start
    for row in (row for row in report.rows if row.pool == pool and row.size > 0):
        depths[row.name] = 0 if row.inside is None else depths[row.inside] + 1
        if row.child is None:
            yield _box(row, start if pool == "local" else row.start, top + depths[row.name], factory)
        start += row.size
    below = top + 1 + max(depths.values(), default=0)
    for child in report.children:
        size = child.pool_size(pool)
        if size > 0:
            region = next((row for row in report.rows if row.child == child.name and row.pool == pool), None)
            first = start if region is None else region.start
            yield _child_box(child, pool, first, size, top, factories)
            yield from _boxes(child, pool, factories, first, below)
            start += size


def _box(row: BufferRow, start: int, depth: int, factory: int) -> Box:
    kind: Kind = "alias" if row.inside is not None else "kept" if row.kept else "scratch"
    place = "an array of its own" if row.pool == "local" else f"elements {start} to {start + row.size}"
    remark = f"; {row.remark}" if row.remark else ""
    return Box(
        text=row.name,
        remark=f"{row.size} × {row.precision.__name__}",
        tooltip=f"{row.name}: {row.size} × {row.precision.__name__}, {place}{remark}",
        start=start,
        stop=start + row.size,
        row=depth,
        kind=kind,
        factory=factory,
    )


def _child_box(
    child: BufferReport, pool: Pool, start: int, size: int, row: int, factories: Sequence[BufferReport]
) -> Box:
    return Box(
        text=child.name,
        remark=f"{size} for {child.factory}",
        tooltip=f"{child.name}, a {child.factory}: {size} elements, {child.pool_bytes(pool):,} bytes per run",
        start=start,
        stop=start + size,
        row=row,
        kind="child",
        factory=next(index for index, known in enumerate(factories) if known is child),
    )


def _boundaries(boxes: Sequence[Box]) -> tuple[int, ...]:
    return tuple(sorted({box.start for box in boxes} | {box.stop for box in boxes}))


def _least_widths(boxes: Sequence[Box]) -> list[float]:
    """Return for each interval between boundaries the pixels it must have for all texts to fit."""
    boundaries = _boundaries(boxes)
    least = [0.0] * (len(boundaries) - 1)
    for box in boxes:
        first, last = boundaries.index(box.start), boundaries.index(box.stop)
        for interval in range(first, last):
            least[interval] = max(least[interval], box.text_width / (last - first))
    return least


def _scale(boxes: Sequence[Box], width: float) -> Scale:
    boundaries = _boundaries(boxes)
    least = _least_widths(boxes)
    spare = (width - sum(least)) / (boundaries[-1] - boundaries[0])
    positions = [float(MARGIN)]
    for pixels, (start, stop) in zip(least, pairwise(boundaries), strict=True):
        positions.append(positions[-1] + pixels + spare * (stop - start))
    return Scale(boundaries, tuple(positions))


def _bar(boxes: Sequence[Box], scale: Scale, top: float, *, ticks: bool) -> tuple[list[str], float]:
    """Draw a pool's boxes; return them and the lower edge."""
    bottom = top + (1 + max(box.row for box in boxes)) * (ROW_HEIGHT + ROW_GAP)
    parts: list[str] = []
    for boundary in scale.boundaries if ticks else ():
        x = scale(boundary)
        parts.append(f'<path d="M{x:.1f} {top:.1f}V{bottom + 2:.1f}" stroke="#d5dbe1" stroke-width="1"/>')
        parts.append(_text(x, bottom + 14, "small", str(boundary), anchor="middle"))
    parts += [_draw_box(box, scale, top + box.row * (ROW_HEIGHT + ROW_GAP)) for box in boxes]
    return parts, bottom + (16 if ticks else 0)


def _draw_box(box: Box, scale: Scale, y: float) -> str:
    x, right = scale(box.start) + 1, scale(box.stop) - 1
    middle = (x + right) / 2
    halo = " halo" if box.kind == "kept" else ""
    return "".join(
        [
            f"<g><title>{escape(box.tooltip)}</title>",
            _rectangle(x, y, right - x, ROW_HEIGHT, box.kind, box.factory),
            _text(middle, y + 18, f"plain{halo}", box.text, anchor="middle"),
            _text(middle, y + 33, f"small{halo}", box.remark, anchor="middle"),
            "</g>",
        ]
    )


def _rectangle(x: float, y: float, width: float, height: float, kind: Kind, factory: int) -> str:
    fill, line = TINTS[factory % len(TINTS)]
    shape = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3"'
    if kind == "alias":
        return f'{shape} fill="#ffffff" stroke="{line}" stroke-width="1.2" stroke-dasharray="5 3"/>'
    if kind == "child":
        return f'{shape} fill="#ffffff" stroke="{line}" stroke-width="2"/>'
    scratch = f'{shape} fill="{fill}" stroke="{line}" stroke-width="1"/>'
    return scratch if kind == "scratch" else f'{scratch}{shape} fill="url(#kept)"/>'


def _legend(factories: Sequence[BufferReport], width: float, top: float) -> tuple[list[str], float]:
    """Draw the factories' colours and what the boxes mean; return them and the lower edge."""
    kinds: tuple[tuple[Kind, str], ...] = (
        ("scratch", "scratch"),
        ("kept", "kept between calls"),
        ("alias", "inside the box above"),
        ("child", "a child's part, detailed below"),
    )
    colours: list[tuple[Kind, str, int]] = [
        ("scratch", report.name if report.name == report.factory else f"{report.name}: {report.factory}", index)
        for index, report in enumerate(factories)
    ]
    parts: list[str] = []
    y = top
    for entries in (colours, [(kind, words, 0) for kind, words in kinds]):
        x = float(MARGIN)
        for kind, words, factory in entries:
            needed = 30 + CHARACTER * len(words) + 22
            if x + needed > MARGIN + width:
                x, y = float(MARGIN), y + 26
            parts.append(_rectangle(x, y, 22, 14, kind, factory))
            parts.append(_text(x + 30, y + 12, "plain", words))
            x += needed
        y += 26
    parts.append(_text(MARGIN, y + 10, "small", "Offsets in elements. Widths grow with sizes; they are not to scale."))
    return parts, y + 30


def _pool_title(report: BufferReport, pool: Pool) -> str:
    return f"{POOL_TITLES[pool]} · {report.pool_size(pool):,} elements · {report.pool_bytes(pool):,} bytes per run"


def _text(x: float, y: float, style: str, words: str, *, anchor: Literal["start", "middle"] = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'


def _document(width: float, height: float, description: str, parts: Sequence[str]) -> str:
    hatch = (
        '<pattern id="kept" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<path d="M0 0V7" stroke="#1d2733" stroke-opacity="0.22" stroke-width="3"/></pattern>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(description)}</title>",
            f"<defs><style>{STYLE}</style>{hatch}</defs>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *parts,
            "</svg>",
        ]
    )
