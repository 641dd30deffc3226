"""A list of 100,000 rows that is shown, scrolled and marked for a few hundred bytes a key.

A toolkit's own table takes seconds to fill and sends kilobytes for one step of the cursor. This one asks its source for
the rows that are on the screen, and paints the two lines that a step changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from textual.geometry import Offset, Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from bucketry.frozen import frozen
from bucketry.show.spans import Line, Role, Span
from bucketry.show.tables import Column, FittedColumn, fit_columns, header_line, row_line
from bucketry.tui.drawing.paint import Painter, changed_region

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from textual import events

Row = TypeVar("Row")
RowOut_co = TypeVar("RowOut_co", covariant=True)

ROWS_PER_READ = 64
READS_KEPT = 16
GUTTER_COLUMNS = 3
"""Cursor, mark, and a space."""
SCROLL_PART = 4
"""A cursor that leaves the screen scrolls it by a quarter: a screen is sent once for several keys, not for each."""


class RowSource(Protocol[RowOut_co]):
    """An immutable list in its order. It may be read in the thread of the screen, so it is local and quick."""

    @property
    def count(self) -> int:
        """How many rows there are."""
        ...

    def rows(self, offset: int, limit: int) -> Sequence[RowOut_co]:
        """Return at most `limit` rows from `offset` on."""
        ...

    def position_of(self, key: Hashable) -> int | None:
        """Return where the row with this key is, or None."""
        ...


@frozen
class ListRows(Generic[Row]):
    """Rows that are in memory, in their order."""

    items: Sequence[Row]
    key: Callable[[Row], Hashable]

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.items)

    def rows(self, offset: int, limit: int) -> Sequence[Row]:
        """Return at most `limit` rows."""
        return self.items[offset : offset + limit]

    def position_of(self, key: Hashable) -> int | None:
        """Return where the row with this key is."""
        return next((place for place, item in enumerate(self.items) if self.key(item) == key), None)


class LineTable(Widget, Generic[Row], can_focus=True):
    """A table whose lines are rendered one by one. The cursor stays on the same key when the rows change."""

    DEFAULT_CSS = "LineTable { height: 1fr; width: 1fr; }"

    class Moved(Message):
        """The cursor or the marks changed."""

    class Chosen(Message):
        """A row was opened with the mouse."""

    def __init__(self, columns: Sequence[Column[Row]], key: Callable[[Row], Hashable], painter: Painter) -> None:
        super().__init__()
        self.marks: dict[Hashable, None] = {}
        self.sorted_by = ""
        self.descending = False
        self.chosen = ""
        self.message: tuple[Line, ...] = ()
        self._columns = tuple(columns)
        self._fitted: tuple[FittedColumn[Row], ...] = ()
        self._fitted_for = -1
        self._key_of = key
        self._painter = painter
        self._source: RowSource[Row] = ListRows((), key)
        self._reads: dict[int, Sequence[Row]] = {}
        self.cursor = 0
        """The position of the row under the cursor; `move_to` moves it."""
        self._cursor_key: Hashable = None
        self._top = 0
        self.range_start: int | None = None
        """Where the range that is being marked began."""
        self._painted: dict[int, tuple[Line, Role]] = {}

    # What is shown

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self._source.count

    @property
    def cursor_offset(self) -> Offset:
        """Where in the widget the cursor is."""
        return Offset(0, self.cursor - self._top + 1)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.row_at(self.cursor)

    @property
    def page_rows(self) -> int:
        """How many rows are on the screen."""
        return max(1, self.size.height - 1)

    def row_at(self, position: int) -> Row | None:
        """Return a row by its position."""
        if not 0 <= position < self.count:
            return None
        start = position - position % ROWS_PER_READ
        read = self._reads.get(start)
        if read is None:
            read = self._source.rows(start, ROWS_PER_READ)
            for oldest in list(self._reads)[: len(self._reads) - READS_KEPT + 1]:
                del self._reads[oldest]
            self._reads[start] = read
        return read[position - start] if position - start < len(read) else None

    def rows_on_screen(self, least: int) -> list[Row]:
        """Return the rows that can be seen now, and so many at least: before it is laid out nobody knows how many."""
        found = (self.row_at(position) for position in range(self._top, self._top + max(least, self.page_rows)))
        return [row for row in found if row is not None]

    def place_of(self, key: Hashable) -> int | None:
        """Return the position of the row with a key."""
        return self._source.position_of(key)

    def show(self, source: RowSource[Row], *, columns: Sequence[Column[Row]] | None = None) -> None:
        """Show other rows, or the same ones anew; the cursor stays on its row, or where that row was."""
        begun = self.row_at(self.range_start) if self.range_start is not None else None
        self._source = source
        self._reads.clear()
        if columns is not None:
            self._columns = tuple(columns)
        self._fitted_for = -1
        place = source.position_of(self._cursor_key) if self._cursor_key is not None else None
        on_screen = self.cursor - self._top
        self.cursor = min(self.cursor if place is None else place, max(0, source.count - 1))
        self._top = max(0, self.cursor - on_screen)
        self.range_start = None if begun is None else source.position_of(self._key_of(begun))
        self._settle()
        for y in range(self.size.height):  # what is as it was drawn last is not sent
            shown, under = self._line_at(y)
            before, under_before = self._painted.get(y, ((), "plain"))
            if under != under_before:
                self.refresh(Region(0, y, self.size.width, 1))
            elif shown != before:
                self.refresh(changed_region(before, shown, self.size.width, y=y))
        self.post_message(self.Moved())

    def repaint(self) -> None:
        """Draw everything anew, after a change of what cells say or of the theme."""
        self._fitted_for = -1
        self.refresh()

    # Moving

    def move_to(self, position: int) -> None:
        """Put the cursor on a row; beyond the ends, on the first or last."""
        before, top = self.cursor, self._top
        self.cursor = max(0, min(position, self.count - 1))
        self._settle()
        self._mark_between(before, self.cursor)
        if self._top != top:
            self.refresh()
        elif self.cursor != before:
            self._refresh_row(before)
            self._refresh_row(self.cursor)
        self.post_message(self.Moved())

    def move_by(self, rows: int) -> None:
        """Move the cursor by rows, down if positive."""
        self.move_to(self.cursor + rows)

    def page_by(self, pages: float) -> None:
        """Move by pages or parts of one, and scroll as far."""
        rows = int(self.page_rows * pages)
        self._top = max(0, min(self._top + rows, self.count - self.page_rows))
        self.refresh()
        self.move_to(self.cursor + rows)

    # Marks, columns

    def toggle_mark(self) -> None:
        """Mark the row under the cursor or take its mark away, and go to the next."""
        row = self.current
        if row is None:
            return
        key = self._key_of(row)
        if key in self.marks:
            del self.marks[key]
        else:
            self.marks[key] = None
        self._refresh_row(self.cursor)
        self.move_by(1)

    def toggle_range(self) -> None:
        """Begin to mark a range, which follows the cursor, or end it."""
        self.range_start = None if self.range_start is not None else self.cursor
        self._mark_between(self.cursor, self.cursor)
        self.post_message(self.Moved())

    def toggle_all(self, most: int) -> None:
        """Mark the first `most` rows, or take all marks away if there are any."""
        if self.marks:
            self.marks.clear()
        else:
            self.marks = {self._key_of(row): None for row in self._source.rows(0, most)}
        self.refresh()
        self.post_message(self.Moved())

    def clear_marks(self) -> None:
        """Take all marks away."""
        self.range_start = None
        if self.marks:
            self.marks.clear()
            self.refresh()
            self.post_message(self.Moved())

    def choose_column(self, step: int) -> str:
        """Choose the next column that can sort, and return its title."""
        names = [place.column.name for place in self._fit() if place.column.sortable]
        if not names:
            return ""
        here = names.index(self.chosen) if self.chosen in names else (-1 if step > 0 else 0)
        self.chosen = names[(here + step) % len(names)]
        self.refresh(Region(0, 0, self.size.width, 1))
        return next(column.title for column in self._columns if column.name == self.chosen)

    # Painting

    def render_line(self, y: int) -> Strip:
        """Return one line of the widget: the header, a row, or what is said where there is none."""
        width = self.size.width
        shown, under = self._painted[y] = self._line_at(y)
        return Strip(self._painter.segments(shown, width, under=under), width)

    def on_resize(self, _event: events.Resize) -> None:
        """Keep the cursor on the screen; the toolkit draws lines that are new, and no others."""
        top = self._top
        self._settle()
        if self._top != top:
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse clicked; open what is there already."""
        position = self._top + event.y - 1
        if event.y < 1 or position >= self.count:
            return
        if position == self.cursor:
            self.post_message(self.Chosen())
        self.move_to(position)

    def on_mouse_scroll_down(self, _event: events.MouseScrollDown) -> None:
        """Move down."""
        self.move_by(3)

    def on_mouse_scroll_up(self, _event: events.MouseScrollUp) -> None:
        """Move up."""
        self.move_by(-3)

    def _line_at(self, y: int) -> tuple[Line, Role]:
        if y == 0:
            titles = header_line(self._fit(), chosen=self.chosen, sorted_by=self.sorted_by, descending=self.descending)
            return (Span(" " * GUTTER_COLUMNS, "header"), *titles), "header"
        if not self.count:
            return self.message[y - 1] if y - 1 < len(self.message) else (), "plain"
        position = self._top + y - 1
        row = self.row_at(position)
        if row is None:
            return (), "plain"
        here, marked = position == self.cursor, self._key_of(row) in self.marks
        gutter = Span((">" if here else " ") + ("+" if marked else " ") + " ", "marked" if marked else "plain")
        return (gutter, *row_line(self._fit(), row, self._painter.page)), "cursor" if here else "plain"

    def _fit(self) -> tuple[FittedColumn[Row], ...]:
        width = self.size.width
        if self._fitted_for != width:
            self._fitted = fit_columns(self._columns, width - GUTTER_COLUMNS)
            self._fitted_for = width
        return self._fitted

    def _refresh_row(self, position: int) -> None:
        y = position - self._top + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _settle(self) -> None:
        """Scroll until the cursor is on the screen."""
        page = self.page_rows
        step = max(1, page // SCROLL_PART)
        if self.cursor < self._top:
            self._top = self.cursor if self._top - self.cursor > step else max(0, self._top - step)
        elif self.cursor >= self._top + page:
            last = self.cursor - page + 1
            self._top = last if last - self._top > step else self._top + step
        self._top = max(0, min(self._top, self.count - page))
        row = self.current
        self._cursor_key = self._key_of(row) if row is not None else self._cursor_key

    def _mark_between(self, one: int, other: int) -> None:
        """Mark the rows that the cursor went over, if a range is being marked."""
        if self.range_start is None:
            return
        for position in range(min(one, other), max(one, other) + 1):
            row = self.row_at(position)
            if row is not None:
                self.marks[self._key_of(row)] = None
            self._refresh_row(position)
