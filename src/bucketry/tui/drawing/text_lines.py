"""How do texts and tables become lines of a width? Pure. Foreign text is made displayable before it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells

from bucketry.frozen import frozen
from bucketry.schema.text import displayable
from bucketry.tui.drawing.columns import Column, fit_columns
from bucketry.tui.drawing.paint import Line, Role, Span, cut, line, pad

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_WRAPPED_LINES = 400

Cells = tuple[Span, ...]


@frozen
class TextColumn:
    """A column of a table in a text: at least and at most so wide, where its cells need it.

    Where there is no room the column of the greatest `rank` goes first; one of rank 0 stays.
    """

    title: str
    least: int
    widest: int
    right: bool = False
    rank: int = 0


def table_lines(headings: Sequence[TextColumn], rows: Sequence[Cells], width: int) -> list[Line]:
    """Return the titles and the rows, each column as wide as what is in it, as far as the width allows."""
    shown = [tuple(Span(displayable(cell.text), cell.role) for cell in row) for row in rows]
    columns: list[Column[Cells]] = []
    for place, heading in enumerate(headings):
        needed = max([cell_len(heading.title), *(cell_len(row[place].text) for row in shown)])
        least = max(cell_len(heading.title), min(heading.least, needed))
        columns.append(
            Column(
                heading.title,
                heading.title,
                lambda row, place=place: row[place],  # type: ignore[misc]
                least,
                max(least, min(heading.widest, needed)),
                right=heading.right,
                rank=heading.rank,
            )
        )
    fitted = fit_columns(columns, width)
    lines = [_joined([Span(pad(one.column.title, one.width, right=one.column.right), "header") for one in fitted])]
    for row in shown:
        cells = []
        for one in fitted:
            said = one.column.cell(row)
            span = Span(said) if isinstance(said, str) else said
            text = pad(cut(span.text, one.width, ellipsis="~"), one.width, right=one.column.right)
            cells.append(Span(text, span.role))
        lines.append(_joined(cells))
    return lines


def wrapped(
    text: str, width: int, *, indent: int = 0, role: Role = "plain", most_lines: int = MOST_WRAPPED_LINES
) -> list[Line]:
    """Return a text's lines, broken between words where they are too long, each behind an indent."""
    room = max(8, width - indent)
    pieces = [piece for part in displayable(text, newlines=True).split("\n") for piece in _broken(part, room)]
    shown = [line(Span(" " * indent + piece, role)) for piece in pieces[:most_lines]]
    if len(pieces) > most_lines:
        shown.append(line(Span(f"{' ' * indent}and {len(pieces) - most_lines:,} more lines", "dim")))
    return shown


def _broken(text: str, room: int) -> Iterator[str]:
    """Yield the pieces of one line, none of them wider than the room."""
    now = ""
    for word in text.split(" "):
        longer = f"{now} {word}" if now else word
        if cell_len(longer) <= room:
            now = longer
            continue
        if now:
            yield now
        *whole, now = chop_cells(word, room) or [""]
        yield from whole
    yield now


def _joined(cells: Sequence[Span]) -> Line:
    spans: list[Span] = []
    for place, cell in enumerate(cells):
        spans += [Span(" "), cell] if place else [cell]
    return tuple(spans)
