"""What a list does whose rows are read from the bucket, because the local index does not have them.

They are read behind the keys when the screen opens, after every change and when the user asks. Until then the frame
stands; what was read last stays when the bucket cannot be reached. Filtering and sorting need no further request.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bucketry.frozen import frozen
from bucketry.schema.search.match import has_letters
from bucketry.show.figures import time_text
from bucketry.show.spans import Line, Span, fit_line, line, plain_text, text_width
from bucketry.tui.data.source import Listing
from bucketry.tui.drawing.lineview import LineView
from bucketry.tui.drawing.marks import failure_words
from bucketry.tui.drawing.table import ListRows
from bucketry.tui.screens.listing import ListView
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.places import VersionPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from textual.app import ComposeResult

    from bucketry.errors import BucketryError
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName
    from bucketry.tui.data.source import ListSelection
    from bucketry.tui.shell.view import Shell

Row = TypeVar("Row")

DETAIL_FROM_ROWS = 20
"""A lower screen has no room for what is said of the row under the cursor."""
DETAIL_PART = 0.4
"""How much of the screen that takes."""
DETAIL_PAUSE_SECONDS = 0.12
"""It follows the cursor once that rests: who holds j down has no use for it."""


@frozen
class ReadRows(Generic[Row]):
    """What was read: the rows in the order that they have unsorted, and what is said of them as a whole."""

    rows: Sequence[Row]
    summary: Line


class ReadListView(ListView[Row]):
    """A list of what a service reads. Subclasses say which service, and what is said of a row below the list."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._read_rows: ReadRows[Row] | None = None
        self._read_at = ""
        self._fault = ""
        self._is_asked = False
        self._detail = LineView(shell.painter)

    # What subclasses say

    @property
    @abstractmethod
    def words(self) -> tuple[str, ...]:
        """The command that reads the same."""

    @abstractmethod
    def read(self, session: Session) -> ReadRows[Row]:
        """Read the rows from the bucket; called in a thread of its own."""

    @abstractmethod
    def texts(self, row: Row) -> Mapping[str, str]:
        """Return what a filter finds: a word in any of these, `by:rev1` in the one of that name."""

    @abstractmethod
    def detail(self, row: Row, width: int) -> Sequence[Line]:
        """Return what is said of a row below the list; the first line is its title."""

    @property
    def sort_values(self) -> Mapping[str, Callable[[Row], Any]]:
        """What the columns of these names sort by."""
        return {}

    # What every such list does

    @property
    def notice(self) -> Line:
        """A fault, the filter, or what is said of the list as a whole and when it was read."""
        if self._fault and self._read_rows is not None:
            stays = f"; this is from {time_text(self._read_at, self.shell.zone)}"
            return line(" ", Span(f"{self._fault}{stays}, r tries again", "bad"))
        usual = super().notice
        if usual or self._read_rows is None:
            return usual
        if self._is_asked:
            return line(" ", Span("looking at the bucket ...", "dim"))
        width, summary = self.shell.size.width, self._read_rows.summary
        when = Span(f"  read {time_text(self._read_at, self.shell.zone)[11:]}", "dim")
        if text_width(plain_text((*summary, when))) < width:  # else the time is left out
            return line(" ", *summary, when)
        if any(span.role == "bad" for span in summary):  # a fault is never cut
            return line(" ", *summary)
        return fit_line(line(" ", *summary), width, self.shell.painter.page)

    def compose(self) -> ComposeResult:
        """Lay out the list and what is said of its current row."""
        yield self.table
        yield self._detail

    def shown(self) -> None:
        """Read the rows; what was read before is there already."""
        self._lay_out()
        super().shown()
        self._read()

    def data_changed(self) -> None:
        """Read the rows again: something in the registry changed, or the user asked."""
        self._read()

    def reload(self) -> None:
        """Filter and sort what was read."""
        if self._read_rows is not None:
            super().reload()

    def fetch(self, wanted: ListSelection) -> Listing[Row]:
        """Return the rows that are wanted, out of those that were read."""
        rows = self._read_rows.rows if self._read_rows is not None else ()
        kept = [row for row in rows if matches_words(wanted.filter, self.texts(row))]
        value_of = self.sort_values.get(wanted.order)
        if value_of is not None:
            kept.sort(key=value_of, reverse=wanted.descending)
        return Listing(ListRows(kept, self.key_of), len(rows))

    def on_resize(self) -> None:
        """Show or hide what is said of the row."""
        self._lay_out()
        self._fill_detail()

    def row_changed(self) -> None:
        """Say more of the row under the cursor, once that rests."""
        self.set_timer(DETAIL_PAUSE_SECONDS, self._fill_detail)

    def open_version(self, model: ModelName, version: int | None) -> None:
        """Open a version, or say why not."""
        from bucketry.index.views import find_version_line  # noqa: PLC0415 - loads what only this needs

        found = None if version is None else find_version_line(self.shell.source.index, model, version)
        if version is None:
            self.shell.flash("this row names no version", "warn")
        elif found is None:
            self.shell.flash(f"{model}:{version} is not known here yet; r looks at the bucket", "warn")
        else:
            self.shell.go(VersionPlace(found))

    def look_again(self) -> None:
        """Look at the bucket; the notice tells how that went."""
        self._is_asked = True
        self.shell.refreshing.start(forced=True)  # which ends in `data_changed`, well or not

    def _read(self) -> None:
        """Read the rows; what was read last stays where that fails."""

        def done(read: ReadRows[Row]) -> None:
            self._read_rows = read
            self._read_at = self.shell.session.clock.timestamp()
            self._fault = ""
            self._is_asked = False
            self.reload()

        def failed(error: BucketryError) -> None:
            self._fault = failure_words(error)
            self._is_asked = False
            if self._read_rows is None:
                self._fail(error)

        self.shell.read(f"rows-{id(self)}", self.words, self.read, done, failed)

    def _nothing_lines(self) -> Sequence[Line]:
        if self.selection.filter or self.shell.source.is_filled:
            return super()._nothing_lines()
        return (
            line(),
            *(line("  ", *said) for said in self.empty_lines()),
        )  # what was read does not wait for the index

    def _say_loading(self) -> None:
        if not self._fault:
            super()._say_loading()

    def _lay_out(self) -> None:
        rows = self.shell.size.height
        self._detail.display = rows >= DETAIL_FROM_ROWS
        self._detail.styles.height = int(rows * DETAIL_PART)

    def _fill_detail(self) -> None:
        if not self.is_attached or not self._detail.display:
            return
        width, row = self.size.width, self.current
        if row is None:
            self._detail.show(())
            return
        title, *said = self.detail(row, width - 2)
        painter = self.shell.painter
        bar = "-" if painter.ascii_only else "─"
        room = width - 4 - sum(text_width(painter.page.text(span.text)) for span in title)
        ruled = line(Span(f"{bar * 2} ", "dim"), *title, Span(f" {bar * max(0, room)}", "dim"))
        self._detail.show([ruled, *(line(" ", *each) for each in said)])


def matches_words(query: str, texts: Mapping[str, str]) -> bool:
    """Return whether a row has every word of a filter.

    `!word` must not be there, `name:word` in that text alone, and of `~word` the letters, with others between them.
    """
    for word in query.lower().split():
        wanted = word.removeprefix("!")
        if wanted.strip("~") and _has_word(wanted, texts) == word.startswith("!"):
            return False
    return True


def _has_word(wanted: str, texts: Mapping[str, str]) -> bool:
    name, colon, rest = wanted.partition(":")
    if colon and name in texts:
        return rest in texts[name].lower()
    if wanted.startswith("~"):
        return any(has_letters(text.lower(), wanted[1:]) for text in texts.values())
    return any(wanted in text.lower() for text in texts.values())


LOOKING_AGAIN: tuple[Command[ReadListView[Any]], ...] = (
    Command("refresh", ("r",), "Look at the bucket now", lambda view, _: view.look_again(), group="Read"),
)
