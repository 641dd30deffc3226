"""The commands of a screen by their words, to choose from: for who does not know the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bucketry.show.spans import Line, Span, line
from bucketry.show.tables import Column
from bucketry.tui.data.source import Listing
from bucketry.tui.drawing.table import ListRows
from bucketry.tui.screens.listing import FINDING, MOVING, ListView
from bucketry.tui.shell.asking import Question
from bucketry.tui.shell.commands import Command, matching_commands, shown_keys

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from bucketry.tui.data.source import ListSelection
    from bucketry.tui.shell.view import Shell


class PaletteView(ListView[Command[Any]]):
    """The commands of the screen that it was opened from; enter does one there."""

    CALLED = "the commands to choose from (ctrl+p)"
    crumbs = ("commands",)

    COMMANDS: ClassVar[tuple[Command[PaletteView], ...]] = (*FINDING, *MOVING)

    def __init__(self, shell: Shell) -> None:
        self._about = shell.view
        self._listed = shell.commands
        super().__init__(shell)

    def columns(self) -> Sequence[Column[Command[Any]]]:
        """Return the columns."""
        about, keymap = self._about, self.shell.settings.keymap
        return (
            Column(
                "title",
                "COMMAND",
                lambda row: Span(row.title, "dim" if row.why_not(about) else "strong"),
                42,
                60,
                sortable=False,
            ),
            Column("keys", "KEYS", lambda row: Span(shown_keys(row, keymap), "accent"), 14, 20, sortable=False),
            Column("why", "NOT NOW", lambda row: Span(row.why_not(about), "warn"), 19, 60, sortable=False, rank=1),
        )

    def key_of(self, row: Command[Any]) -> Hashable:
        """Return the command's name."""
        return row.name

    def fetch(self, wanted: ListSelection) -> Listing[Command[Any]]:
        """Return the commands that have every word."""
        found = matching_commands(self._listed, wanted.filter)
        return Listing(ListRows(found, lambda command: command.name), len(matching_commands(self._listed, "")))

    def open_row(self, row: Command[Any]) -> None:
        """Go back to where the palette was opened, and do it there."""
        self.shell.back()
        self.shell.run_command(row, "")

    def shown(self) -> None:
        """Ask for words at once."""
        super().shown()
        self.ask_filter("")

    def ask_filter(self, _text: str) -> None:
        """Ask for words; enter does what they mean at once, and esc leaves."""
        listed = self._listed

        def do(words: str) -> None:
            found, current = matching_commands(listed, words), self.current
            self.open_row(current if current in found else found[0])  # the list may not have what was typed by now

        self.shell.ask(
            Question(
                "do",
                do,
                why_not=lambda text: "" if matching_commands(listed, text) else "no command has these words",
                on_change=self.set_filter,
                on_cancel=self.shell.back,
                on_move=self.table.move_by,
                enter="do it",
            )
        )

    def _nothing_lines(self) -> Sequence[Line]:
        return (line(), line("  No command has these words."))
