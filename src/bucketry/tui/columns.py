"""Which columns does a table show at this width, and how wide is each? Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.cells import cell_len

from bucketry.tui.paint import Line, Painter, Span, cut, pad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")

GAP = 1
"""Columns between two cells."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column: its stable name (what it sorts by), its title and what it says of a row.

    It takes `width` columns, and up to `widest` where there is room. Where there is not, the column with the greatest
    `rank` goes first; one of rank 0 always stays.
    """

    name: str
    title: str
    cell: Callable[[Row], Span | str]
    width: int
    widest: int = 0
    right: bool = False
    rank: int = 0
    sortable: bool = True


@dataclass(frozen=True, slots=True)
class Fitted(Generic[Row]):
    """A column and the width that it got."""

    column: Column[Row]
    width: int


def fit_columns(columns: Sequence[Column[Row]], width: int) -> tuple[Fitted[Row], ...]:
    """Return the columns that fit, in their order; what is left over goes to those that can grow, in turn."""
    kept = list(columns)
    for _ in range(len(columns)):
        if _least(kept) <= width:
            break
        last = max(kept, key=lambda column: column.rank)
        if last.rank == 0:
            break
        kept.remove(last)
    room = max(0, width - _least(kept))
    widths = [column.width for column in kept]
    for _ in range(room):  # one column of the screen for each in turn, so that none takes it all
        growing = [place for place, column in enumerate(kept) if widths[place] < column.widest]
        if not growing:
            break
        widths[min(growing, key=lambda place: widths[place] - kept[place].width)] += 1
    return tuple(Fitted(column, width) for column, width in zip(kept, widths, strict=True))


def row_line(fitted: Sequence[Fitted[Row]], row: Row, painter: Painter) -> Line:
    """Return the cells of a row, cut and padded."""
    spans: list[Span] = []
    for index, place in enumerate(fitted):
        said = place.column.cell(row)
        cell = Span(said) if isinstance(said, str) else said
        text = cut(painter.text(cell.text), place.width, ellipsis=painter.ellipsis)
        if index:
            spans.append(Span(" " * GAP))
        spans.append(Span(pad(text, place.width, right=place.column.right), cell.role))
    return tuple(spans)


def header_line(fitted: Sequence[Fitted[Row]], *, chosen: str, sorted_by: str, descending: bool) -> Line:
    """Return the titles: the column that is chosen in brackets, the one that sorts with `v` or `^`."""
    spans: list[Span] = []
    for index, place in enumerate(fitted):
        column = place.column
        title = column.title
        if column.name == sorted_by:
            title += "v" if descending else "^"
        is_chosen = column.name == chosen
        if is_chosen and cell_len(title) + 2 <= place.width:
            title = f"[{title}]"
        if index:
            spans.append(Span(" " * GAP, "header"))
        text = pad(cut(title, place.width, ellipsis="~"), place.width, right=column.right)
        spans.append(Span(text, "accent" if is_chosen else "header"))
    return tuple(spans)


def _least(columns: Sequence[Column[Row]]) -> int:
    return sum(column.width for column in columns) + GAP * max(0, len(columns) - 1)
