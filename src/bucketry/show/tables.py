"""Rows become aligned columns that fit the page: which columns are shown, how wide each is, and their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from bucketry.frozen import frozen
from bucketry.show.spans import Line, Span, TextPage, cut, pad, text_width

if TYPE_CHECKING:
    from collections.abc import Callable

Row = TypeVar("Row")
Cells = Sequence["Span | str"]
"""A row whose cells are there already."""

GAP = 1
"""Columns between two cells on a screen."""
NARROWEST = 8
"""What may be cut to fit is not cut below this."""
DAMAGED = "DAMAGED"
"""What is said of whatever cannot be read."""
DAMAGED_SPAN = Span(DAMAGED, "bad")


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
    width: int = 0
    widest: int = 0
    right: bool = False
    rank: int = 0
    sortable: bool = True
    spills: bool = False
    about: str = ""

    def sized(self, width: int = 0, widest: int = 0, *, rank: int = 0) -> Column[Row]:
        """Return the column as a face draws it."""
        return replace(self, width=width, widest=widest, rank=rank)


@frozen
class TextColumn:
    """A column of a table whose cells are there already: at least and at most so wide, where its cells need it.

    Without `least` it is as wide as its cells need. Where there is no room the column of the greatest `rank` goes
    first; one of rank 0 stays.
    """

    title: str
    least: int = 0
    widest: int = 0
    right: bool = False
    rank: int = 0


@frozen
class FittedColumn(Generic[Row]):
    """A column and the width that it got."""

    column: Column[Row]
    width: int


def fit_columns(columns: Sequence[Column[Row]], width: int, *, gap: int = GAP) -> tuple[FittedColumn[Row], ...]:
    """Return the columns that fit, in their order; what is left over goes to those that can grow, in turn."""
    kept = list(columns)
    for _ in range(len(columns)):
        if _least(kept, gap) <= width:
            break
        last = max(kept, key=lambda column: column.rank)
        if last.rank == 0:
            break
        kept.remove(last)
    room = max(0, width - _least(kept, gap))
    widths = [column.width for column in kept]
    for _ in range(room):  # one column of the screen for each in turn, so that none takes it all
        growing = [place for place, column in enumerate(kept) if widths[place] < column.widest]
        if not growing:
            break
        widths[min(growing, key=lambda place: widths[place] - kept[place].width)] += 1
    return tuple(FittedColumn(column, width) for column, width in zip(kept, widths, strict=True))


def row_line(fitted: Sequence[FittedColumn[Row]], row: Row, page: TextPage) -> Line:
    """Return the cells of a row, cut and padded."""
    cells = [_as_span(place.column.cell(row)) for place in fitted]
    spans: list[Span] = []
    is_taken = False
    for index, (place, cell) in enumerate(zip(fitted, cells, strict=True)):
        if is_taken:  # by what the column before had to say
            is_taken = False
            continue
        width, text = place.width, page.text(cell.text)
        following = cells[index + 1 : index + 2]
        if place.column.spills and text_width(text) > width and following and not following[0].text:
            width += page.gap + fitted[index + 1].width
            is_taken = True
        if index:
            spans.append(Span(" " * page.gap))
        shown = cut(text, width, ellipsis=page.ellipsis)
        spans.append(Span(pad(shown, width, right=place.column.right), cell.role))
    return tuple(spans)


def header_line(
    fitted: Sequence[FittedColumn[Row]],
    *,
    chosen: str = "",
    sorted_by: str = "",
    descending: bool = False,
    gap: int = GAP,
) -> Line:
    """Return the titles: the column that is chosen in brackets, the one that sorts with `v` or `^`."""
    spans: list[Span] = []
    for index, place in enumerate(fitted):
        column = place.column
        title, is_chosen = column.title, bool(chosen) and column.name == chosen
        if sorted_by and column.name == sorted_by:  # a sign that touches the title reads like a letter of it
            sign = " " * (text_width(title) + (4 if is_chosen else 2) <= place.width) + ("v" if descending else "^")
            title = cut(title, place.width - text_width(sign), ellipsis="~") + sign
        if is_chosen and text_width(title) + 2 <= place.width:
            title = f"[{title}]"
        if index:
            spans.append(Span(" " * gap, "header"))
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


def table_lines(columns: Sequence[Column[Row]], rows: Sequence[Row], page: TextPage) -> list[Line]:
    """Return the titles and a line for each row; a column grows to what is in it, on a page with a width to `widest`.

    A page that is too narrow for what must stay gets lines that are too long.
    """
    needed = [
        max((text_width(page.text(_as_span(column.cell(row)).text)) for row in rows), default=0) for column in columns
    ]
    if page.width is None:
        fitted = tuple(
            FittedColumn(column, max(text_width(column.title), need))
            for column, need in zip(columns, needed, strict=True)
        )
    else:
        sized = [
            replace(column, widest=min(max(column.widest, column.width), max(column.width, need)))
            for column, need in zip(columns, needed, strict=True)
        ]
        fitted = fit_columns(sized, page.width, gap=page.gap)
    return [header_line(fitted, gap=page.gap), *(row_line(fitted, row, page) for row in rows)]


def text_table(headings: Sequence[TextColumn], rows: Sequence[Cells], page: TextPage) -> list[Line]:
    """Return the titles and the rows, no column wider than its content; an empty one that has a rank is left out."""
    columns: list[Column[Cells]] = []
    for place, heading in enumerate(headings):
        if heading.rank and not any(_as_span(row[place]).text for row in rows):
            continue
        title = text_width(heading.title)
        needed = max([title, *(text_width(page.text(_as_span(row[place]).text)) for row in rows)])
        least = max(title, min(heading.least or needed, needed))
        columns.append(
            Column(
                heading.title,
                heading.title,
                lambda row, place=place: row[place],  # type: ignore[misc]
                least,
                max(least, min(heading.widest or needed, needed)),
                right=heading.right,
                rank=heading.rank,
            )
        )
    return table_lines(columns, rows, page)


def listed_lines(columns: Sequence[Column[Row]], rows: Sequence[Row], page: TextPage) -> list[Line]:
    """Return the titles and the rows as `text_table` does: a column without a width is as wide as its cells need."""
    headings = [
        TextColumn(column.title, column.width, column.widest, right=column.right, rank=column.rank)
        for column in columns
    ]
    return text_table(headings, [[column.cell(row) for column in columns] for row in rows], page)


def fact_lines(facts: Sequence[tuple[str, Line]], page: TextPage, *, name_columns: int = 0) -> list[Line]:
    """Return `name  value` lines with the values aligned, without the facts whose value is empty.

    Of a line that is too long the last span is cut.
    """
    shown = [(name, said) for name, said in facts if any(span.text for span in said)]
    width = max(name_columns, *(text_width(name) + 2 for name, _ in shown)) if shown else 0
    lines: list[Line] = []
    for name, said in shown:
        *before, last = (Span(pad(name, width), "dim"), *said)
        if page.width is not None:
            room = max(1, page.width - sum(text_width(page.text(span.text)) for span in before))
            last = Span(cut(page.text(last.text), room, ellipsis=page.ellipsis), last.role)
        lines.append((*before, last))
    return lines


def _as_span(said: Span | str) -> Span:
    return Span(said) if isinstance(said, str) else said


def _least(columns: Sequence[Column[Row]], gap: int) -> int:
    return sum(column.width for column in columns) + gap * max(0, len(columns) - 1)
