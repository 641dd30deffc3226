"""Which models are there, what serves of each, and what waits?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.index_views import ModelLine
from bucketry.tui.columns import Column
from bucketry.tui.commands import Command
from bucketry.tui.figures import NOTHING, short_age
from bucketry.tui.marks import production_of, trend_text
from bucketry.tui.paint import Line, Span, line
from bucketry.tui.prompts import Choice
from bucketry.tui.screens.listing import ListView

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from bucketry.tui.source import Listing

TREND_COLUMNS = 12


class ModelsView(ListView[ModelLine]):
    """The models of the registry."""

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return ("models",)

    def columns(self) -> Sequence[Column[ModelLine]]:
        """Return the columns of the list."""
        now = self.shell.session.ports.now()
        return (
            Column("name", "MODEL", lambda row: Span(str(row.model), "strong"), 20, 60),
            Column("production", "PRODUCTION", _production, 18, 24, sortable=False),
            Column("newest", "NEWEST", lambda row: f"v{row.newest}" if row.newest else NOTHING, 7, right=True),
            Column("waiting", "WAITS", _waiting, 5, right=True, rank=1),
            Column("trend", "TREND", self._trend, TREND_COLUMNS, rank=3, sortable=False),
            Column("updated", "UPDATED", lambda row: short_age(row.updated_at, now), 7, right=True, rank=2),
        )

    def key_of(self, row: ModelLine) -> Hashable:
        """Return the model's id in the index."""
        return row.row_id

    def fetch(self, query: str, order: str, *, descending: bool) -> Listing[ModelLine]:
        """Return the models from the index."""
        return self.shell.source.models(query, order, descending=descending and bool(order))

    def open_row(self, row: ModelLine) -> None:
        """Open the versions of a model."""
        from bucketry.tui.screens.versions import VersionsView  # noqa: PLC0415 - only who opens one needs it

        self.shell.open_view(VersionsView(self.shell, row.model))

    def empty_lines(self) -> Sequence[Line]:
        """Return how the first model comes to be."""
        return (
            line("This registry has no models yet."),
            line("Publish one:  ", Span(self.shell.command_line("publish", "acme/chat", "out/"), "accent")),
            line("r looks again, q leaves."),
        )

    def own_commands(self) -> tuple[Command, ...]:
        """Return what can be done with a model."""
        return (Command("yank", ("y",), "Copy the name", lambda _: self._yank(), self._why_no_row, "copy", "Read"),)

    def _trend(self, row: ModelLine) -> str:
        return trend_text(row.trend, TREND_COLUMNS, is_unicode=not self.shell.painter.ascii_only)

    def _yank(self) -> None:
        row = self.current
        if row is None:
            return
        name, shell = str(row.model), self.shell
        shell.choose(
            Choice(
                "copy",
                {
                    "n": ("name", lambda: shell.copy(name)),
                    "c": ("command", lambda: shell.copy(shell.command_line("versions", name))),
                },
            )
        )


def _production(row: ModelLine) -> Span:
    named = production_of(row.aliases)
    return Span(f"* v{named.version} {named.alias}", "good") if named else Span(NOTHING, "dim")


def _waiting(row: ModelLine) -> Span:
    return Span(str(row.waiting), "warn") if row.waiting else Span(NOTHING, "dim")
