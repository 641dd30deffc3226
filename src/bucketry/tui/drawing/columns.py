"""Which columns does a table show at this width, and how wide is each? Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.cells import cell_len

from bucketry.frozen import frozen
from bucketry.tui.drawing.paint import Line, Painter, Span, cut, pad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")

GAP = 1
"""Columns between two cells."""


@frozen
class Column(Generic[Row]):
    """A column: its stable name (what it sorts by), its title and what it says of a row.

    `about` says in a sentence what it means. What does not fit of one that `spills` goes on over the next column, in
    rows where that says nothing.

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
    spills: bool = False
    about: str = ""


@frozen
class FittedColumn(Generic[Row]):
    """A column and the width that it got."""

    column: Column[Row]
    width: int


def fit_columns(columns: Sequence[Column[Row]], width: int) -> tuple[FittedColumn[Row], ...]:
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
    return tuple(FittedColumn(column, width) for column, width in zip(kept, widths, strict=True))


def row_line(fitted: Sequence[FittedColumn[Row]], row: Row, painter: Painter) -> Line:
    """Return the cells of a row, cut and padded."""
    cells = [_as_span(place.column.cell(row)) for place in fitted]
    spans: list[Span] = []
    is_taken = False
    for index, (place, cell) in enumerate(zip(fitted, cells, strict=True)):
        if is_taken:  # by what the column before had to say
            is_taken = False
            continue
        width, text = place.width, painter.text(cell.text)
        following = cells[index + 1 : index + 2]
        if place.column.spills and cell_len(text) > width and following and not following[0].text:
            width += GAP + fitted[index + 1].width
            is_taken = True
        if index:
            spans.append(Span(" " * GAP))
        shown = cut(text, width, ellipsis=painter.ellipsis)
        spans.append(Span(pad(shown, width, right=place.column.right), cell.role))
    return tuple(spans)


def header_line(fitted: Sequence[FittedColumn[Row]], *, chosen: str, sorted_by: str, descending: bool) -> Line:
    """Return the titles: the column that is chosen in brackets, the one that sorts with `v` or `^`."""
    spans: list[Span] = []
    for index, place in enumerate(fitted):
        column = place.column
        title, is_chosen = column.title, column.name == chosen
        if column.name == sorted_by:  # a sign that touches the title reads like a letter of it
            sign = " " * (cell_len(title) + (4 if is_chosen else 2) <= place.width) + ("v" if descending else "^")
            title = cut(title, place.width - cell_len(sign), ellipsis="~") + sign
        if is_chosen and cell_len(title) + 2 <= place.width:
            title = f"[{title}]"
        if index:
            spans.append(Span(" " * GAP, "header"))
        text = pad(cut(title, place.width, ellipsis="~"), place.width, right=column.right)
        spans.append(Span(text, "accent" if is_chosen else "header"))
    return tuple(spans)


def choose_columns(columns: Sequence[Column[Row]], names: Sequence[str]) -> tuple[Column[Row], ...]:
    """Return the columns of these names in their order, as far as there are such; without any name, all as they are.

    Where there is no room the last one goes first: their order is what the user said of their importance.
    """
    known = {column.name: column for column in columns}
    chosen = [known[name] for name in names if name in known]
    return tuple(replace(column, rank=place) for place, column in enumerate(chosen)) or tuple(columns)


def _as_span(said: Span | str) -> Span:
    return Span(said) if isinstance(said, str) else said


def _least(columns: Sequence[Column[Row]]) -> int:
    return sum(column.width for column in columns) + GAP * max(0, len(columns) - 1)
