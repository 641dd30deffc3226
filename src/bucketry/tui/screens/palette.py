"""Which command has these words? A list to choose from, for who does not know the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.columns import Column
from bucketry.tui.commands import Command, matching_commands, shown_key
from bucketry.tui.paint import Span
from bucketry.tui.screens.listing import ListView
from bucketry.tui.source import Listing, ListRows

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from bucketry.tui.app import BucketryApp


class PaletteView(ListView[Command]):
    """The commands of the screen that it was opened from; enter does one there."""

    def __init__(self, shell: BucketryApp, listed: Sequence[Command]) -> None:
        self._listed = tuple(listed)
        self._has_asked = False
        super().__init__(shell)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return ("commands",)

    def columns(self) -> Sequence[Column[Command]]:
        """Return the columns."""
        return (
            Column(
                "title",
                "COMMAND",
                lambda row: Span(row.title, "dim" if row.why_not() else "strong"),
                30,
                60,
                sortable=False,
            ),
            Column("keys", "KEYS", self._keys, 14, 20, sortable=False),
            Column("why", "", lambda row: Span(row.why_not(), "warn"), 10, 60, sortable=False, rank=1),
        )

    def key_of(self, row: Command) -> Hashable:
        """Return the command's name."""
        return row.name

    def fetch(self, query: str, order: str, *, descending: bool) -> Listing[Command]:  # noqa: ARG002 - the protocol's
        """Return the commands that have every word."""
        found = matching_commands(self._listed, query)
        return Listing(ListRows(found, lambda command: command.name), len(matching_commands(self._listed, "")))

    def open_row(self, row: Command) -> None:
        """Go back to where the palette was opened, and do it there."""
        self.shell.back()
        self.shell.run_command(row, "")

    def shown(self) -> None:
        """Ask for words at once."""
        super().shown()
        if not self._has_asked:
            self._has_asked = True
            self._ask_filter("")

    def _keys(self, row: Command) -> Span:
        return Span(" ".join(map(shown_key, self.shell.settings.keymap.keys_of(row))), "accent")
