"""Which versions does a model have, and how does each stand?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal

from bucketry.registry.index_views import VersionLine, load_metric_names
from bucketry.tui.actions import version_commands
from bucketry.tui.columns import Column
from bucketry.tui.commands import Command
from bucketry.tui.downloading import download_command
from bucketry.tui.figures import short_age, short_number, short_size
from bucketry.tui.lineview import LineView
from bucketry.tui.marks import alias_span, state_span
from bucketry.tui.pager import card_command
from bucketry.tui.paint import Line, Span, line
from bucketry.tui.prompts import Choice
from bucketry.tui.screens.compare import compare_command
from bucketry.tui.screens.listing import ListView
from bucketry.tui.screens.version_tabs import TABS, TabRequest

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.app import ComposeResult

    from bucketry.schema.names import ModelName
    from bucketry.tui.app import BucketryApp
    from bucketry.tui.screens.version_tabs import TabContent
    from bucketry.tui.source import Listing

MOST_METRIC_COLUMNS = 2
PANEL_FROM_COLUMNS = 110
LIST_COLUMNS_BESIDE_PANEL = 62
PANEL_PAUSE_SECONDS = 0.15
"""A cursor that runs down the list does not read each version that it passes."""


class VersionsView(ListView[VersionLine]):
    """The versions of one model; from 110 columns on, beside the one under the cursor."""

    can_mark = True

    def __init__(self, shell: BucketryApp, model: ModelName) -> None:
        self.model = model
        self._metrics: tuple[str, ...] = ()
        super().__init__(shell)
        self.order, self.descending = "version", True
        self._panel = LineView(shell.painter)
        self._panel_for: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the list and the panel beside it."""
        with Horizontal():
            yield self.table
            yield self._panel

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return (str(self.model), "versions")

    @property
    def has_panel(self) -> bool:
        """Whether there is room for a version beside the list."""
        return self.shell.size.width >= PANEL_FROM_COLUMNS

    @property
    def notice(self) -> Line:
        """A fault or a filter, else the marked versions."""
        usual = super().notice
        marked = self.marked
        if marked and not self.filter and len(marked) <= 4:
            names = " with ".join(f"v{row.version}" for row in marked)
            return line(f" {len(marked)} marked: {names}.")
        return usual

    @property
    def marked(self) -> list[VersionLine]:
        """The marked versions, as far as they are in the list, newest first."""
        keys = self.table.marks
        return [row for row in map(self._row_of, keys) if row is not None]

    def columns(self) -> Sequence[Column[VersionLine]]:
        """Return the columns of the list: those of the model's own metrics among them."""
        now = self.shell.session.ports.now()
        metrics = [
            Column(
                f"metric:{name}",
                name.upper(),
                lambda row, name=name: short_number(row.metrics.get(name)),  # type: ignore[misc]
                max(6, min(10, len(name) + 1)),
                right=True,
                rank=4 + place,
            )
            for place, name in enumerate(self._metrics[:MOST_METRIC_COLUMNS])
        ]
        return (
            Column("version", "VERS", lambda row: Span(f"v{row.version}", "strong"), 6),
            Column("alias", "ALIAS", lambda row: alias_span(row.aliases), 12, 20, sortable=False),
            Column("state", "REVIEW", lambda row: state_span(row.state), 10),
            *metrics,
            Column("size", "SIZE", lambda row: short_size(row.size_bytes), 8, right=True, rank=8),
            Column("created", "AGE", lambda row: short_age(row.created_at, now), 4, right=True),
            Column("author", "BY", lambda row: row.created_by, 6, 20, rank=2),
        )

    def key_of(self, row: VersionLine) -> Hashable:
        """Return the version's id in the index."""
        return row.row_id

    def fetch(self, query: str, order: str, *, descending: bool) -> Listing[VersionLine]:
        """Return the versions from the index."""
        self._metrics = load_metric_names(self.shell.source.index, self.model)
        return self.shell.source.versions(self.model, query, order, descending=descending)

    def open_row(self, row: VersionLine) -> None:
        """Open a version."""
        from bucketry.tui.screens.version import VersionView  # noqa: PLC0415 - only who opens one needs it

        self.shell.open_view(VersionView(self.shell, row))

    def empty_lines(self) -> Sequence[Line]:
        """Return why there is nothing."""
        publish = self.shell.command_line("publish", str(self.model), "out/")
        return (
            line(f"{self.model} has no versions, or there is no such model."),
            line("Publish one:  ", Span(publish, "accent")),
            line("h goes back, r looks again."),
        )

    def own_commands(self) -> tuple[Command, ...]:
        """Return what can be done with a version."""
        copy = "Copy digest, name, URI or command"
        return (
            compare_command(self.shell, lambda: self.marked or ([self.current] if self.current else [])),
            *version_commands(self.shell, lambda: self.current),
            download_command(self.shell, lambda: self.current),
            card_command(self.shell, lambda: self.current),
            Command("yank", ("y",), copy, lambda _: self._yank(), self._why_no_row, "copy", "Read"),
        )

    def shown(self) -> None:
        """Fill the list and the panel."""
        self._lay_out()
        super().shown()

    def on_resize(self) -> None:
        """Show or hide the panel."""
        self._lay_out()
        self._panel_for = None
        self.row_changed()

    def row_changed(self) -> None:
        """Show the version under the cursor beside the list, once the cursor rests."""
        if self.has_panel:
            self.set_timer(PANEL_PAUSE_SECONDS, self._fill_panel)

    def _lay_out(self) -> None:
        self._panel.display = self.has_panel
        self.table.styles.width = LIST_COLUMNS_BESIDE_PANEL if self.has_panel else "1fr"

    def _fill_panel(self) -> None:
        row = self.current
        if row is None or not self.has_panel or not self.display:
            return
        wanted = (row.row_id, self._panel.size.width)
        if wanted == self._panel_for:
            return
        self._panel_for = wanted
        shell, width = self.shell, max(20, self._panel.size.width - 2)

        def show(content: TabContent) -> None:
            self._panel.show([line(Span("| ", "dim"), *shown) for shown in content.lines])

        shell.read(
            "panel",
            TABS[0].words(row),
            lambda session: TABS[0].load(TabRequest(session, shell.source.index, row, width, shell.zone)),
            show,
        )

    def _row_of(self, key: Hashable) -> VersionLine | None:
        place = self.table.place_of(key)
        return None if place is None else self.table.row_at(place)

    def _yank(self) -> None:
        row = self.current
        if row is not None:
            yank_version(self.shell, row)


def yank_version(shell: BucketryApp, row: VersionLine) -> None:
    """Offer what can be copied of a version."""
    reference = f"{row.model}:{row.version}"
    shell.choose(
        Choice(
            "copy",
            {
                "d": ("digest", lambda: shell.copy(f"sha256:{row.manifest}")),
                "n": ("name", lambda: shell.copy(reference)),
                "u": ("URI", lambda: shell.copy(f"{shell.session.store.name}#{row.model}@sha256:{row.manifest}")),
                "c": ("command", lambda: shell.copy(shell.command_line("pull", reference, "."))),
            },
        )
    )
