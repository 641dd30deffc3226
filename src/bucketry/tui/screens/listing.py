"""What every screen that is one long list does: it loads, filters, sorts and marks its rows, and keeps its place.

The commands of lists stand here as tables (`FINDING`, `COLUMNS`, `MARKING`, `MOVING`); each list puts together which of
them it has, around its own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual.containers import Horizontal

from bucketry.errors import BucketryError, UsageError
from bucketry.show.spans import Line, Span, line
from bucketry.show.tables import choose_columns
from bucketry.tui.data.source import ListSelection
from bucketry.tui.drawing.chooser import CHOOSING, Chooser
from bucketry.tui.drawing.table import LineTable
from bucketry.tui.shell.asking import Question
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.view import LOADING_WORD_SECONDS, View

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.app import ComposeResult
    from textual.widget import Widget

    from bucketry.show.tables import Column
    from bucketry.tui.data.source import Listing
    from bucketry.tui.shell.view import Shell

Row = TypeVar("Row")

MOST_MARKS = 1_000


class ListView(View, Generic[Row]):
    """A list with a filter. Subclasses say which rows there are; `fetch` is called in a thread of its own."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.chosen_columns: tuple[str, ...] = ()
        """The names of the columns that the user chose; none for the usual ones."""
        self.selection = ListSelection()
        self.table: LineTable[Row] = LineTable(self.columns(), self.key_of, shell.painter)
        self._total: int | None = None
        self._problem = ""
        self.chooser: Chooser | None = None
        """What shows the columns to choose from, while they are being chosen."""

    # What subclasses say

    @abstractmethod
    def columns(self) -> Sequence[Column[Row]]:
        """Return the columns."""

    @abstractmethod
    def key_of(self, row: Row) -> Hashable:
        """Return what a row is known by when the rows change."""

    @abstractmethod
    def fetch(self, wanted: ListSelection) -> Listing[Row]:
        """Return the rows that are wanted, in their order; called in a thread of its own."""

    @abstractmethod
    def open_row(self, row: Row) -> None:
        """Open a row."""

    def empty_lines(self) -> Sequence[Line]:
        """Return what is said where there is nothing at all: why, and the next key."""
        return (line("Nothing is here."),)

    @property
    def choice_key(self) -> str:
        """Under what the choice of columns is remembered; empty for a list that has the same for everybody."""
        return ""

    def read_details(self) -> None:
        """Read what the filter or the order asks about besides the rows; else no more of it."""

    def extra_columns(self) -> Sequence[Column[Row]]:
        """Return columns that can be chosen besides the usual ones."""
        return ()

    # What every list does

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        with Horizontal():
            yield self.table

    @property
    def target(self) -> Widget:
        """The table has the keys."""
        return self.table

    @property
    def whereabouts(self) -> Hashable:
        """The row under the cursor, or that of the columns where they are being chosen."""
        return self.table.cursor if self.chooser is None else self.chooser.whereabouts

    @property
    def place(self) -> str:
        """How many rows are shown, of how many."""
        return "" if self._total is None else f"{self.table.count:,}/{self._total:,}"

    @property
    def notice(self) -> Line:
        """A fault, the filter, or what is marked."""
        if self.chooser is not None:
            return self.chooser.hint
        if self._problem:
            return line(" ", Span(self._problem, "bad"))
        failure = self.shell.source.freshness.failure
        if failure is not None:
            stays = "; what was seen last stays" if self.table.count else ""
            return line(" ", Span(f"{failure.message}{stays}, r tries again", "bad"))
        if self.shell.refreshing.progress:
            return line(" ", Span(f"reading {self.shell.refreshing.progress}", "dim"))
        parts = [f"filter: {self.selection.filter} (esc clears)"] if self.selection.filter else []
        if self.table.range_start is not None:
            parts.append("marking a range: move, then v")
        if self.table.marks:
            parts.append(f"{len(self.table.marks):,} marked.")
        return line(" ", "  ".join(parts)) if parts else ()

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.table.current

    @property
    def commands(self) -> tuple[Command[Any], ...]:
        """The commands of the list, or those of the columns while they are being chosen."""
        return self.COMMANDS if self.chooser is None else CHOOSING

    @property
    def has_nothing(self) -> bool:
        """Whether there is no row."""
        return not self.table.count

    def shown(self) -> None:
        """Fill the list, if it was not; else look whether it changed."""
        if self.choice_key and not self.is_ready:
            from bucketry.tui.drawing.column_choices import chosen_columns  # noqa: PLC0415 - not every list has a choice

            try:
                self.chosen_columns = chosen_columns(self.choice_key)
            except BucketryError as error:
                self.shell.flash(f"{error.message}; {error.advice}", "warn")
        self.set_timer(LOADING_WORD_SECONDS, self._say_loading)
        self.reload()
        self.read_details()

    @property
    def is_ready(self) -> bool:
        """Whether the list was filled."""
        return self._total is not None

    def data_changed(self) -> None:
        """Fill the list anew."""
        self.reload()
        self.read_details()

    def escape(self) -> bool:
        """Take back the chooser, the range, the marks, then the filter."""
        if self.chooser is not None:
            self._close_chooser()
            return True
        if self.table.range_start is not None or self.table.marks:
            self.table.clear_marks()
            return True
        if self.selection.filter:
            self.set_filter("")
            return True
        return False

    def reload(self) -> None:
        """Ask for the rows in the background, and swap them in."""
        wanted = self.selection

        def show(listing: Listing[Row]) -> None:
            self._problem = ""
            self._total = listing.total
            self.table.sorted_by, self.table.descending = self.selection.order, self.selection.descending
            self.table.message = tuple(self._nothing_lines())
            self.table.show(listing.rows, columns=self.shown_columns())
            self.shell.swap_in(self)

        self.shell.background.start(f"list-{id(self)}", lambda: self.fetch(wanted), show, self._fail)

    def set_filter(self, text: str) -> None:
        """Show the rows that a filter means."""
        self.selection = self.selection.filtered_by(text)
        self.reload()
        self.read_details()

    def repaint(self) -> None:
        """Draw the table anew."""
        super().repaint()
        self.table.repaint()

    def on_line_table_moved(self) -> None:
        """Say what is marked now."""
        self.row_changed()
        self.shell.update_frame()

    def on_line_table_chosen(self) -> None:
        """Open what was clicked."""
        self.open_current()

    def shown_columns(self) -> Sequence[Column[Row]]:
        """Return the columns that the user chose, else the usual ones."""
        if not self.chosen_columns:
            return self.columns()
        return choose_columns((*self.columns(), *self.extra_columns()), self.chosen_columns)

    @property
    def legend(self) -> Sequence[tuple[str, str]]:
        """What the columns mean, for the help."""
        return [(column.title, column.about) for column in self.shown_columns() if column.about]

    def row_changed(self) -> None:
        """Answer to another row under the cursor."""

    def _fail(self, error: BucketryError) -> None:
        """Say what is wrong; the last good rows stay."""
        said = "; ".join(part for part in (error.message, error.remedy, next_key(error)) if part)
        self._problem = said if self.table.count else ""  # else it stands in place of the rows
        self.shell.asking.remark("not a filter yet")
        if not self.table.count:
            self.table.message = failure_lines(error)
            self.table.repaint()

    def _nothing_lines(self) -> Sequence[Line]:
        if said := self.selection.filter:
            return (line(), line(f"  No row fits the filter {said!r}."), line("  esc clears it."))
        if not self.shell.source.is_filled:
            failure = self.shell.source.freshness.failure
            return self._loading_lines() if failure is None else failure_lines(failure)
        return (line(), *(line("  ", *said) for said in self.empty_lines()))

    def _loading_lines(self) -> Sequence[Line]:
        progress = self.shell.refreshing.progress
        said = f"  Reading {progress} ..." if progress else f"  Reading {self.shell.session.store.name} ..."
        return (line(), line(Span(said, "dim")))

    def _say_loading(self) -> None:
        if self._total is None:
            self.table.message = tuple(self._loading_lines())
            self.table.repaint()

    def open_current(self) -> None:
        """Open the row under the cursor."""
        row = self.current
        if row is not None:
            self.open_row(row)

    def ask_filter(self, text: str) -> None:
        """Show what a filter means, or ask for one."""
        if text:
            self.set_filter(text)
            return
        self.shell.ask(
            Question(
                "/",
                self.set_filter,
                initial=self.selection.filter,
                on_change=self.set_filter,
                on_cancel=lambda: self.set_filter(""),
                on_move=self.table.move_by,
                enter="keep",
            )
        )

    def choose_columns(self) -> None:
        """Let the user choose columns, in lines below the list, and remember them; what cannot be is said."""
        shell, key = self.shell, self.choice_key
        shown = self.chosen_columns or tuple(column.name for column in self.columns())
        offered = (*self.columns(), *self.extra_columns())

        def keep(names: tuple[str, ...]) -> None:
            from bucketry.tui.drawing.column_choices import save_choice  # noqa: PLC0415 - few choose columns

            self.chosen_columns = names
            shell.background.start("columns", lambda: save_choice(key, names), lambda _: None, shell.fail)
            self.reload()

        self.chooser = Chooser(shell.painter, offered, shown, keep=keep, close=self._close_chooser)
        self.mount(self.chooser)
        shell.update_frame()

    def offer_columns(self) -> None:
        """Offer what is known by now to whoever is choosing."""
        if self.chooser is not None:
            self.chooser.offer((*self.columns(), *self.extra_columns()), self.chosen_columns)

    def _close_chooser(self) -> None:
        if self.chooser is not None:
            self.chooser.remove()
            self.chooser = None
            self.shell.update_frame()

    def choose_column(self, step: int) -> None:
        """Choose the next column to sort by, or the one before."""
        title = self.table.choose_column(step)
        said = f"column {title}: s sorts by it" if title else "no column here can be sorted by"
        self.shell.flash(said, "plain" if title else "warn")

    def sort(self) -> None:
        """Sort by the chosen column; again, the other way round."""
        if not self.table.chosen:
            self.table.choose_column(1)
        if not self.table.chosen:
            self.shell.flash("no column here can be sorted by", "warn")
            return
        self.selection = self.selection.sorted_by(self.table.chosen)
        self.reload()
        self.read_details()


def next_key(failure: BucketryError) -> str:
    """Return which key helps against what is wrong with a list."""
    return "esc clears the filter" if isinstance(failure, UsageError) else "r tries again"


def failure_lines(failure: BucketryError) -> tuple[Line, ...]:
    """Return what stands where nothing can be shown: what is wrong, what to do about it, and the next key."""
    advice = [line("  ", failure.remedy)] if failure.remedy else []
    return (line(), line("  ", Span(failure.message, "bad")), *advice, line(f"  {next_key(failure)}."))


def why_no_row(view: ListView[Any]) -> str:
    """Return that there is no row, or "" where there is one."""
    return "" if view.table.count else "there is no row"


FINDING: tuple[Command[ListView[Any]], ...] = (
    Command(
        "filter",
        ("/",),
        "Filter the rows",
        lambda view, text: view.ask_filter(text),
        hint="filter",
        group="Find",
        argument="WORDS",
    ),
    Command(
        "open", ("enter", "l", "right"), "Open the row", lambda view, _: view.open_current(), why_no_row, "open", "Go"
    ),
    Command("next-column", (">",), "Choose the next column", lambda view, _: view.choose_column(1), group="Table"),
    Command(
        "previous-column", ("<",), "Choose the column before", lambda view, _: view.choose_column(-1), group="Table"
    ),
    Command("sort", ("s",), "Sort by the chosen column, or flip", lambda view, _: view.sort(), group="Table"),
)
COLUMNS: tuple[Command[ListView[Any]], ...] = (
    Command("columns", ("o",), "Choose which columns are shown", lambda view, _: view.choose_columns(), group="Table"),
)
"""For a list with a `choice_key`."""
MARKING: tuple[Command[ListView[Any]], ...] = (
    Command("mark", ("space",), "Mark the row", lambda view, _: view.table.toggle_mark(), why_no_row, "mark", "Table"),
    Command(
        "range",
        ("v",),
        "Begin or end a range of marks",
        lambda view, _: view.table.toggle_range(),
        why_no_row,
        group="Table",
    ),
    Command("mark-all", ("*",), "Mark all, or none", lambda view, _: view.table.toggle_all(MOST_MARKS), group="Table"),
)
MOVING: tuple[Command[ListView[Any]], ...] = (
    Command("down", ("j", "down"), "Down", lambda view, _: view.table.move_by(1), group="Move"),
    Command("up", ("k", "up"), "Up", lambda view, _: view.table.move_by(-1), group="Move"),
    Command("top", ("g", "home"), "First row", lambda view, _: view.table.move_to(0), group="Move"),
    Command("bottom", ("G", "end"), "Last row", lambda view, _: view.table.move_to(view.table.count - 1), group="Move"),
    Command("half-down", ("ctrl+d",), "Half a page down", lambda view, _: view.table.page_by(0.5), group="Move"),
    Command("half-up", ("ctrl+u",), "Half a page up", lambda view, _: view.table.page_by(-0.5), group="Move"),
    Command("page-down", ("pagedown", "ctrl+f"), "A page down", lambda view, _: view.table.page_by(1), group="Move"),
    Command("page-up", ("pageup",), "A page up", lambda view, _: view.table.page_by(-1), group="Move"),
)
