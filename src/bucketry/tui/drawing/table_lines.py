"""How does a short table become lines of a longer text: each column as wide as what is in it?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from rich.cells import cell_len

from bucketry.tui.drawing.columns import fit_columns, header_line, row_line
from bucketry.tui.drawing.paint import Span, cut, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.tui.drawing.columns import Column
    from bucketry.tui.drawing.paint import Line, Painter

Row = TypeVar("Row")


def table_lines(columns: Sequence[Column[Row]], rows: Sequence[Row], width: int, painter: Painter) -> list[Line]:
    """Return the titles and a line for each row. A column grows to what is in it, up to its `widest`."""
    needed = [max((cell_len(painter.text(_text(column, row))) for row in rows), default=0) for column in columns]
    sized = [
        replace(column, widest=min(max(column.widest, column.width), max(column.width, need)))
        for column, need in zip(columns, needed, strict=True)
    ]
    fitted = fit_columns(sized, width)
    header = header_line(fitted, chosen="", sorted_by="", descending=False)
    return [header, *(row_line(fitted, row, painter) for row in rows)]


def fit_line(shown: Line, width: int, painter: Painter) -> Line:
    """Return a line of exactly so many columns."""
    spans: list[Span] = []
    left = width
    for span in shown:
        text = painter.text(span.text)
        if cell_len(text) > left:
            text = cut(text, left, ellipsis=painter.ellipsis)
        left -= cell_len(text)
        spans.append(Span(text, span.role))
    return (*spans, Span(" " * left))


def beside(left: Sequence[Line], right: Sequence[Line], width: int, painter: Painter) -> list[Line]:
    """Return two texts side by side, the left one `width` columns wide."""
    count = max(len(left), len(right))
    bar = Span(" | ", "dim")
    return [
        (*fit_line(left[place] if place < len(left) else (), width, painter), bar, *_at(right, place))
        for place in range(count)
    ]


def wrapped(pieces: Sequence[Span], width: int, *, between: str = "  ", indent: str = " ") -> list[Line]:
    """Return pieces one after another, as many on a line as fit; a piece is never broken."""
    lines: list[Line] = []
    spans: list[Span] = []
    used = 0
    for piece in pieces:
        size = cell_len(piece.text)
        if spans and used + len(between) + size > width:
            lines.append(line(*spans))
            spans = []
        if spans:
            spans.append(Span(between, "dim"))
            used += len(between)
        else:
            first = indent if lines else ""
            spans.append(Span(first))
            used = len(first)
        spans.append(piece)
        used += size
    return [*lines, line(*spans)] if spans else lines


def _at(lines: Sequence[Line], place: int) -> Line:
    return lines[place] if place < len(lines) else ()


def _text(column: Column[Row], row: Row) -> str:
    said = column.cell(row)
    return said if isinstance(said, str) else said.text
