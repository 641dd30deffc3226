"""The versions of a model and how each stands; on a wide screen, beside what the one under the cursor is."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal

from bucketry.index.fields import Field, find_field, list_fields, load_headlines, needed_details
from bucketry.index.views import VersionLine, find_model_line
from bucketry.show.comparison import MOST_COMPARED
from bucketry.show.figures import NOTHING, number_text
from bucketry.show.lists import metric_column, version_columns
from bucketry.show.spans import Line, Span, line, wrapped
from bucketry.show.tables import Column
from bucketry.tui.actions.compare import COMPARE
from bucketry.tui.actions.version_commands import READ_COMMANDS, VERSION_COMMANDS
from bucketry.tui.data.detail_loader import DetailLoader, asks_for_details
from bucketry.tui.data.source import ListSelection
from bucketry.tui.drawing.lineview import LineView
from bucketry.tui.drawing.marks import named_span, production_of, review_span, signed_span
from bucketry.tui.screens.listing import COLUMNS, FINDING, MARKING, MOVING, ListView
from bucketry.tui.shell.places import VersionPlace

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from textual.app import ComposeResult

    from bucketry.errors import BucketryError
    from bucketry.index.fields import Headline, Value
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName
    from bucketry.tui.data.source import Listing
    from bucketry.tui.screens.version.tabs import TabContent
    from bucketry.tui.shell.commands import Command
    from bucketry.tui.shell.view import Shell

MOST_METRIC_COLUMNS = 3
LEAST_METRIC_COLUMNS = 6
MOST_TITLE_COLUMNS = 12
_METRIC_RANKS = (4, 5, 9)
_ALIAS = "* serves, ~ other alias, o named before, x refused"
_REVIEW = "approvals of those needed; checks..: evidence missing"
_SIGNED = "by the publisher, not verified here; -: not read yet"
PANEL_FROM_COLUMNS = 110
LIST_COLUMNS_BESIDE_PANEL = 62
LOADED_AHEAD = (
    "bucketry.tui.screens.version.screen",
    "bucketry.tui.screens.compare",
    "bucketry.tui.actions.panels",
    "bucketry.tui.actions.decide",
)
"""What the next key may need, loaded while no key is pressed."""
PANEL_PAUSE_SECONDS = 0.15
"""A cursor that runs down the list does not read each version that it passes."""


class VersionsView(ListView[VersionLine]):
    """The versions of one model; from 110 columns on, beside the one under the cursor."""

    CALLED = "the versions of a model (enter on a model)"

    COMMANDS: ClassVar[tuple[Command[VersionsView], ...]] = (
        *FINDING,
        *COLUMNS,
        *MARKING,
        COMPARE,
        *VERSION_COMMANDS,
        *READ_COMMANDS,
        *MOVING,
    )

    def __init__(self, shell: Shell, model: ModelName) -> None:
        self.model: ModelName = model
        self._headlines: tuple[Headline, ...] = ()
        self._fields: list[Field] = []
        self._damaged = ""
        self._moves = 0
        self._has_loaded_ahead = False
        super().__init__(shell)
        self._closer = DetailLoader(shell, model, self._closer_changed)
        self.selection = ListSelection(order="version")
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
    def choice_key(self) -> str:
        """Under what the choice of columns is remembered: each model has metrics of its own."""
        return f"{self.shell.session.store.name} versions {self.model}"

    @property
    def notice(self) -> Line:
        """A fault, how far the manifests are read, a filter, else the marked versions and what `=` does with them."""
        usual = super().notice
        if self._damaged and not usual:
            return line(" ", Span(f"DAMAGED: {self._damaged}; what was seen last stays", "bad"))
        if self._closer.progress:
            return line(" ", Span(self._closer.progress, "dim"))
        marked = self.marked
        if marked and not self.selection.filter and len(self.table.marks) <= MOST_COMPARED:
            return line(f" {len(marked)} marked. = compares {_compared_words(marked)}.")
        if usual or self._closer.problem:
            return usual or line(" ", Span(self._closer.problem, "bad"))
        row = self.current
        return line(" ", Span(f"v{row.version}: {row.damaged}", "bad")) if row is not None and row.damaged else ()

    @property
    def marked(self) -> list[VersionLine]:
        """The marked versions, as far as they are in the list, newest first."""
        places = (self.table.place_of(key) for key in self.table.marks)
        rows = (self.table.row_at(place) for place in places if place is not None)
        return [row for row in rows if row is not None]

    def columns(self) -> Sequence[Column[VersionLine]]:
        """Return the usual columns of the list: those of the model's own metrics among them."""
        listed: Mapping[str, Column[VersionLine]] = version_columns(self.shell.session.clock.now())
        beside = not self.chosen_columns or ("alias", "review") in pairwise(self.chosen_columns)
        return (
            listed["version"].sized(6),
            Column("alias", "ALIAS", named_span, 12, 16, spills=True, about=_ALIAS),
            Column(
                "review",
                "REVIEW",
                lambda row: review_span(row, beside_alias=beside),
                10,
                0 if beside else 24,
                about=_REVIEW,
            ),
            *(
                self._metric_column(Field("metric", each.name), is_whole=each.is_whole, rank=_METRIC_RANKS[place])
                for place, each in enumerate(self._headlines[:MOST_METRIC_COLUMNS])
            ),
            listed["size"].sized(8, rank=8),
            listed["created"].sized(4),
            listed["author"].sized(6, 20, rank=2),
            Column("signed", "SIGNED", signed_span, 6, rank=7, about=_SIGNED),
        )

    def extra_columns(self) -> Sequence[Column[VersionLine]]:
        """Return columns for what else the versions have: metrics, parameters, labels."""
        usual = {column.name for column in self.columns()}
        chosen = [find_field(name) for name in self.chosen_columns]
        offered = {field.spelled: field for field in (*self._fields, *chosen) if field is not None}
        whole = {each.name: each.is_whole for each in self._headlines}
        return (
            Column(
                "base", "BASE", lambda row: row.base or NOTHING, 12, 24, sortable=False, about="what it was made from"
            ),
            *(
                self._metric_column(field, is_whole=whole.get(field.name, False), rank=9)
                if field.kind == "metric"
                else self._text_column(field)
                for spelled, field in offered.items()
                if spelled not in usual
            ),
        )

    def _metric_column(self, field: Field, *, is_whole: bool, rank: int) -> Column[VersionLine]:
        def value_of(row: VersionLine) -> Value | None:
            return row.fields.get(field.spelled, row.metrics.get(field.name) if not field.slice else None)

        column = metric_column(field.spelled.removeprefix("metric:"), value_of, is_whole=is_whole)
        width = max(LEAST_METRIC_COLUMNS, min(MOST_TITLE_COLUMNS, len(column.title) + 2))
        return column.sized(width, rank=rank)

    def _text_column(self, field: Field) -> Column[VersionLine]:
        name = field.spelled

        def cell(row: VersionLine) -> str:
            if field.kind == "label":
                return row.labels.get(field.name, NOTHING)
            value = row.fields.get(name)
            return number_text(value) if isinstance(value, float | int) else value or NOTHING

        word = "label" if field.kind == "label" else "parameter"
        width = max(LEAST_METRIC_COLUMNS, min(MOST_TITLE_COLUMNS, len(field.name) + 2))
        return Column(name, field.name, cell, width, 24, rank=9, about=f"{word} {field.name}")

    def key_of(self, row: VersionLine) -> Hashable:
        """Return the version's id in the index."""
        return row.row_id

    def fetch(self, wanted: ListSelection) -> Listing[VersionLine]:
        """Return the versions from the index, and note whether their head can be read."""
        index = self.shell.source.index
        self._closer.edition = index.edition()
        model = find_model_line(index, self.model)
        self._damaged = model.damaged if model is not None else ""
        self._headlines = load_headlines(index, self.model)
        return self.shell.source.versions(self.model, wanted, fields=self._shown_fields())

    def open_row(self, row: VersionLine) -> None:
        """Open a version."""
        self.shell.go(VersionPlace(row))

    def empty_lines(self) -> Sequence[Line]:
        """Return why there is nothing."""
        if self._damaged:
            return (
                line(Span(f"DAMAGED: {self._damaged}.", "bad")),
                line("Run:  ", Span(self.shell.command_line("fsck"), "accent")),
                line("h goes back, r looks again."),
            )
        publish = self.shell.command_line("publish", str(self.model), "out/")
        return (
            line(f"{self.model} has no versions, or there is no such model."),
            line("Publish one:  ", Span(publish, "accent")),
            line("h goes back, r looks again."),
        )

    @property
    def version(self) -> VersionLine | None:
        """The version under the cursor."""
        return self.current

    @property
    def chosen_versions(self) -> Sequence[VersionLine]:
        """The marked versions, else the one under the cursor."""
        return self.marked or super().chosen_versions

    def choose_columns(self) -> None:
        """Offer the columns, and what the versions on the screen turn out to have once that is read."""
        super().choose_columns()
        self._ask_fields()
        self._closer.look_at(self._ids_on_screen(), with_details=True)

    def shown(self) -> None:
        """Fill the list and the panel."""
        self._lay_out()
        self._panel_for = None  # it may have been decided about meanwhile
        super().shown()

    def on_unmount(self) -> None:
        """Read nothing more."""
        self._closer.stop()

    def on_resize(self) -> None:
        """Show or hide the panel."""
        self._lay_out()
        self._panel_for = None
        self.row_changed()

    def row_changed(self) -> None:
        """Show the version under the cursor beside the list, and look closer at what is there, once that rests."""
        moves = self._moves = self._moves + 1

        def load_ahead() -> None:
            for name in LOADED_AHEAD:
                import_module(name)

        def rest() -> None:
            if moves != self._moves or not self.is_attached or not self.display:
                return
            if self.has_panel:
                self._fill_panel()
            with_details = needed_details(self._shown_fields(), self._headline_names())
            self._closer.look_at(self._ids_on_screen(), with_details=with_details)
            if not self._has_loaded_ahead:
                self._has_loaded_ahead = True
                self.shell.background.start("ahead", load_ahead, lambda _: None, self.shell.fail)

        self.set_timer(PANEL_PAUSE_SECONDS, rest)

    def data_changed(self) -> None:
        """Fill the list and the panel anew."""
        self._panel_for = None
        super().data_changed()

    def _closer_changed(self) -> None:
        """Show what was read; whoever is choosing columns is offered what came."""
        self.reload()
        if self.chooser is not None:
            self._ask_fields()

    def _ask_fields(self) -> None:
        def show(fields: list[Field]) -> None:
            self._fields = fields
            self.offer_columns()

        index = self.shell.source.index
        self.shell.background.start(f"fields-{id(self)}", lambda: list_fields(index, self.model), show, self.shell.fail)

    def read_details(self) -> None:
        """Read all manifests where the filter or the order asks about them."""
        field = find_field(self.selection.order)
        asked = field is not None and needed_details([field], self._headline_names())
        if asked or asks_for_details(self.selection.filter, self._headline_names()):
            self._closer.read_all()
        else:
            self._closer.stop()

    def _headline_names(self) -> list[str]:
        return [each.name for each in self._headlines]

    def _shown_fields(self) -> list[Field]:
        return [field for field in map(find_field, self.chosen_columns) if field is not None]

    def _ids_on_screen(self) -> list[int]:
        return [row.row_id for row in self.table.rows_on_screen(self.shell.size.height)]

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
            self._show_beside(content.lines)

        def failed(error: BucketryError) -> None:
            self._panel_for = None
            self.shell.source.note_damage(row, error)
            title = Span(f"{row.model}:{row.version}", "title")
            said = wrapped(error.message, width, role="bad") + wrapped(error.remedy, width)
            self._show_beside([line(title), line(), *said])

        def load(session: Session) -> TabContent:
            from bucketry.tui.screens.version.tabs import TABS, TabRequest  # noqa: PLC0415 - the list is there earlier

            return TABS[0].load(TabRequest(session, shell.source.index, row, width, shell.zone))

        shell.read("panel", ("show", f"{row.model}:{row.version}"), load, show, failed)

    def _show_beside(self, lines: Sequence[Line]) -> None:
        self._panel.show([line(Span("| ", "dim"), *shown) for shown in lines])


def _compared_words(marked: Sequence[VersionLine]) -> str:
    """Say what is compared with which baseline: the version that serves production, else the oldest."""
    newest_first = sorted(marked, key=lambda row: -row.version)
    if len(marked) == 1:
        return f"v{marked[0].version} with production"
    base = next((row for row in newest_first if production_of(row.aliases)), newest_first[-1])
    others = [f"v{row.version}" for row in newest_first if row is not base]
    return f"{', '.join(others)} with v{base.version}"
