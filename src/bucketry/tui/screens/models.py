"""The models of the registry, what serves of each, and what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bucketry.index.views import ModelLine, VersionLine, find_version_line
from bucketry.show.figures import NOTHING, number_text
from bucketry.show.lists import model_columns
from bucketry.show.spans import Line, Span, line
from bucketry.show.tables import DAMAGED_SPAN, Column
from bucketry.show.trend import trend_bars
from bucketry.tui.actions.download import download_command
from bucketry.tui.data.detail_loader import DetailLoader, asks_for_details
from bucketry.tui.drawing.marks import PRODUCTION_NAMES, production_of
from bucketry.tui.drawing.pager import CARD
from bucketry.tui.screens.listing import COLUMNS, FINDING, MOVING, ListView, why_no_row
from bucketry.tui.shell.asking import Choice
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.places import VersionsPlace

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from bucketry.tui.data.source import Listing, ListSelection
    from bucketry.tui.shell.view import Shell

TREND_COLUMNS = 12


class ModelsView(ListView[ModelLine]):
    """The models of the registry."""

    CALLED = "the models (:m)"
    crumbs = ("models",)

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._closer = DetailLoader(shell, None, self.reload)

    def columns(self) -> Sequence[Column[ModelLine]]:
        """Return the columns of the list."""
        listed, is_unicode = self._listed_columns(), not self.shell.painter.ascii_only
        return (
            listed["name"].sized(20, 40),
            Column("production", "PRODUCTION", _production, 18, 18, about="which version serves, under which alias"),
            listed["newest"].sized(7),
            Column("waiting", "WAITS", _waiting, 5, right=True, rank=1, about="how many versions are in review"),
            Column(
                "trend",
                "TREND",
                lambda row: trend_bars(row.trend, TREND_COLUMNS, is_unicode=is_unicode),
                TREND_COLUMNS,
                rank=3,
                sortable=False,
                about="its first metric over the versions, newest on the right",
            ),
            Column(
                "metric", "METRIC", _metric, 13, 20, rank=4, sortable=False, about="that metric, of the newest version"
            ),
            listed["updated"].sized(7, rank=2),
            listed["description"].sized(12, 60, rank=6),
        )

    def extra_columns(self) -> Sequence[Column[ModelLine]]:
        """Return what can be shown of a model besides."""
        return (self._listed_columns()["versions"].sized(8),)

    def _listed_columns(self) -> Mapping[str, Column[ModelLine]]:
        return model_columns(self.shell.session.clock.now())

    @property
    def choice_key(self) -> str:
        """Under what the choice of columns is remembered."""
        return f"{self.shell.session.store.name} models"

    def key_of(self, row: ModelLine) -> Hashable:
        """Return the model's id in the index."""
        return row.row_id

    def fetch(self, wanted: ListSelection) -> Listing[ModelLine]:
        """Return the models from the index."""
        return self.shell.source.models(wanted)

    def open_row(self, row: ModelLine) -> None:
        """Open the versions of a model."""
        self.shell.go(VersionsPlace(row.model))

    def empty_lines(self) -> Sequence[Line]:
        """Return how the first model comes to be."""
        return (
            line("This registry has no models yet."),
            line("Publish one:  ", Span(self.shell.command_line("publish", "acme/chat", "out/"), "accent")),
            line("r looks again, q leaves."),
        )

    @property
    def notice(self) -> Line:
        """How far the reading is that a filter asks for, else as in every list."""
        if self._closer.progress:
            return line(" ", Span(self._closer.progress, "dim"))
        usual, row = super().notice, self.current
        damaged = "" if row is None else row.damaged or next(iter(row.damaged_aliases.values()), "")
        return usual or (line(" ", Span(damaged, "bad")) if damaged else ())

    def on_unmount(self) -> None:
        """Read nothing more."""
        self._closer.stop()

    def read_details(self) -> None:
        """Read the manifests of all versions where the filter asks about them."""
        if asks_for_details(self.selection.filter):
            self._closer.read_all()
        else:
            self._closer.stop()

    @property
    def version(self) -> VersionLine | None:
        """The version that serves production of the model under the cursor."""
        row = self.current
        named = production_of(row.aliases) if row is not None else None
        if row is None or named is None:
            return None
        return find_version_line(self.shell.source.index, row.model, named.version)

    def _ask_deletion(self, _: str) -> None:
        if self.current is not None:
            from bucketry.tui.actions.delete import ask_model_deletion  # noqa: PLC0415 - only who deletes one needs it

            ask_model_deletion(self.shell, self.current.model)

    def _why_not_delete(self) -> str:
        row = self.current
        if row is None:
            return why_no_row(self)
        if row.damaged:
            return f"{row.model} is damaged: {row.damaged}"
        kept = ", ".join(f"{named.alias} names v{named.version}" for named in row.aliases)
        return f"{kept} of {row.model}" if kept else self.shell.why_not_write()

    def _yank(self, _: str) -> None:
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

    COMMANDS: ClassVar[tuple[Command[ModelsView], ...]] = (
        *FINDING,
        *COLUMNS,
        Command("yank", ("y",), "Copy the name", _yank, why_no_row, "copy", "Read"),
        download_command(lambda view: "" if view.version is not None else "nothing of it serves production"),
        CARD,
        Command(
            "delete",
            ("D",),
            "Delete the model, with all its versions",
            _ask_deletion,
            _why_not_delete,
            group="Write",
            writes=True,
        ),
        *MOVING,
    )


def _production(row: ModelLine) -> Span:
    if row.damaged:
        return DAMAGED_SPAN
    damaged = next((alias for alias in PRODUCTION_NAMES if alias in row.damaged_aliases), None)
    if damaged is not None:
        return Span(f"DAMAGED {damaged}", "bad")
    named = production_of(row.aliases)
    return Span(f"* v{named.version} {named.alias}", "good") if named else Span(NOTHING, "dim")


def _metric(row: ModelLine) -> Span:
    return Span(f"{row.metric} {number_text(row.trend[-1])}") if row.trend else Span(NOTHING, "dim")


def _waiting(row: ModelLine) -> Span:
    return Span(str(row.waiting), "warn") if row.waiting else Span(NOTHING, "dim")
