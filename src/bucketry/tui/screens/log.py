"""What was done from these screens: each action as the command line that does the same."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, ClassVar

from bucketry.show.figures import parse_moment
from bucketry.show.spans import Line, Span, line
from bucketry.show.tables import Column
from bucketry.tui.data.source import Listing
from bucketry.tui.drawing.table import ListRows
from bucketry.tui.screens.listing import FINDING, MOVING, ListView, why_no_row
from bucketry.tui.shell.command_log import LogEntry
from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from bucketry.tui.data.source import ListSelection


class LogView(ListView[LogEntry]):
    """The command log, newest first."""

    CALLED = "the command log (@)"
    crumbs = ("command log",)

    def columns(self) -> Sequence[Column[LogEntry]]:
        """Return the columns."""
        zone = None if self.shell.zone == "local" else UTC

        def time(row: LogEntry) -> str:
            return f"{parse_moment(row.at).astimezone(zone):%H:%M:%S}{'Z' if zone else ''}"

        return (
            Column("at", "TIME", time, 9, sortable=False),
            Column("requests", "REQUESTS", lambda row: str(row.requests), 8, right=True, sortable=False),
            Column(
                "seconds", "TOOK", lambda row: f"{row.seconds * 1000:.0f} ms", 8, right=True, sortable=False, rank=2
            ),
            Column(
                "outcome",
                "RESULT",
                lambda row: Span("FAILED", "bad") if row.failure else Span("ok", "good"),
                6,
                sortable=False,
            ),
            Column(
                "line",
                "COMMAND",
                lambda row: Span(row.line, "strong" if row.writes else "plain"),
                30,
                200,
                sortable=False,
            ),
        )

    def key_of(self, row: LogEntry) -> Hashable:
        """Return the entry itself."""
        return id(row)

    @property
    def notice(self) -> Line:
        """What is usual, else why the command under the cursor failed."""
        usual, row = super().notice, self.current
        return usual or (line(" ", Span(row.failure, "bad")) if row is not None and row.failure else ())

    def fetch(self, wanted: ListSelection) -> Listing[LogEntry]:
        """Return the entries that have every word."""
        entries = list(self.shell.log_of_commands.newest_first())
        kept = [entry for entry in entries if all(word in entry.line.lower() for word in wanted.filter.lower().split())]
        return Listing(ListRows(kept, id), len(entries))

    def open_row(self, row: LogEntry) -> None:
        """Copy the line."""
        self.shell.copy(row.line)

    def empty_lines(self) -> Sequence[Line]:
        """Return that nothing was done yet."""
        return (line("Nothing was done yet. h goes back."),)

    COMMANDS: ClassVar[tuple[Command[LogView], ...]] = (
        *FINDING,
        Command("yank", ("y",), "Copy the line", lambda view, _: view.open_current(), why_no_row, "copy", "Read"),
        *MOVING,
    )
