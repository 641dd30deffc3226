"""Who serves what since when, and whether it is what the alias names now."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bucketry.frozen import frozen
from bucketry.index.views import ListedAlias, find_version_line, list_models_by, load_model_lines
from bucketry.registry.serving.deployments import MOST_RECEIPTS, ObservedDeployment, list_deployments
from bucketry.schema.documents.deployment import DeploymentStanding
from bucketry.schema.names import AliasName
from bucketry.show.deployments import (
    SETTLED,
    is_stale,
    place_text,
    report_lines,
    reported_span,
    standing_span,
    standings_span,
    verified_text,
)
from bucketry.show.figures import NOTHING, age_text, count_of, time_text
from bucketry.show.spans import Line, Span, TextPage, line, wrapped
from bucketry.show.tables import Column
from bucketry.tui.actions.download import DOWNLOAD
from bucketry.tui.actions.version_commands import yank_version
from bucketry.tui.data.source import ListSelection
from bucketry.tui.drawing.marks import is_production
from bucketry.tui.drawing.pager import CARD
from bucketry.tui.screens.listing import FINDING, MOVING, why_no_row
from bucketry.tui.screens.reading import LOOKING_AGAIN, ReadListView, ReadRows
from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.deployment import Deployment
    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.view import Shell

NAME_COLUMNS, LEAST_NAME_COLUMNS, ROOMY_COLUMNS = 28, 20, 80
MODELS_PER_READ = 500
DRIFT_FILTER = "standing:drift"


@frozen
class DeploymentRow:
    """A line of the screen: an alias and who follows it, or one instance (`item`) below its alias.

    `named` is what the alias names, None where it names nothing or where instances follow no alias.
    """

    model: ModelName | None
    alias: str | None
    named: ListedAlias | None
    followers: tuple[ObservedDeployment, ...]
    item: ObservedDeployment | None = None

    @property
    def deployment(self) -> Deployment | None:
        """What the instance reported, where that can be read."""
        return self.item.deployment if self.item is not None else None

    @property
    def version(self) -> int | None:
        """The version that the instance serves, or that the alias names."""
        return self.deployment.version if self.deployment is not None else self.named.version if self.named else None


class DeploymentsView(ReadListView[DeploymentRow]):
    """Every alias with the instances that follow it, by model."""

    CALLED = "who serves what (:d)"
    crumbs = ("deployments",)
    words = ("deployments",)

    def __init__(self, shell: Shell, words: str = "") -> None:
        super().__init__(shell)
        self.selection = ListSelection(words)

    def columns(self) -> Sequence[Column[DeploymentRow]]:
        """Return the columns. Instances stand below their alias, so nothing sorts."""
        now = self.shell.session.clock.now()
        names = NAME_COLUMNS if self.shell.size.width >= ROOMY_COLUMNS else LEAST_NAME_COLUMNS

        def since(row: DeploymentRow) -> str:
            if row.deployment is not None:
                return age_text(row.deployment.pulled_at or row.deployment.at, now)
            return age_text(row.named.since, now) if row.named is not None and row.item is None else NOTHING

        return (
            Column("who", "ALIAS, INSTANCES", _who, names, 70, sortable=False),
            Column("version", "VERS", _version, 6, sortable=False),
            Column("since", "SINCE", since, 5, right=True, sortable=False),
            Column("standing", "STANDING", _standing, 21, 44, sortable=False),
            Column(
                "reported",
                "REPORTED",
                lambda row: "" if row.item is None else reported_span(row.item, now),
                9,
                right=True,
                rank=1,
                sortable=False,
            ),
            Column(
                "actor",
                "BY",
                lambda row: "" if row.deployment is None else row.deployment.actor,
                12,
                30,
                rank=2,
                sortable=False,
            ),
            Column(
                "verified",
                "VERIFIED",
                lambda row: "" if row.item is None else verified_text(row.item),
                9,
                16,
                rank=3,
                sortable=False,
            ),
        )

    def key_of(self, row: DeploymentRow) -> Hashable:
        """Return the receipt's key, or the alias."""
        return row.item.key if row.item is not None else (row.model, row.alias)

    def read(self, session: Session) -> ReadRows[DeploymentRow]:
        """Return the aliases of the index and the receipts of the bucket."""
        found = list_deployments(session)
        index = self.shell.source.index
        ids = list_models_by(index).ids
        pages = (ids[start : start + MODELS_PER_READ] for start in range(0, len(ids), MODELS_PER_READ))
        models = (model for page in pages for model in load_model_lines(index, page))
        named = [(model.model, each) for model in models for each in model.aliases]
        said = standings_span(found.observed, session.clock.now())
        more = f"; only the first {MOST_RECEIPTS:,} reports were read" if found.cut else ""
        return ReadRows(_grouped(named, found.observed), line(Span(said.text + more, said.role)))

    def texts(self, row: DeploymentRow) -> Mapping[str, str]:
        """Return what a filter finds; an alias is found with the instances that follow it."""
        now = self.shell.session.clock.now()
        items = [row.item] if row.item is not None else list(row.followers)
        deployments = [item.deployment for item in items if item.deployment is not None]
        marks = ["drift" for item in items if item.standing not in SETTLED]
        marks += ["stale" for deployment in deployments if is_stale(deployment, now)]
        return {
            "model": str(row.model or ""),
            "alias": row.alias or "",
            "version": _version(row).text,
            "standing": " ".join([*(item.standing.value for item in items), *marks]),
            "environment": " ".join(deployment.place.environment for deployment in deployments),
            "instance": " ".join(deployment.place.instance for deployment in deployments),
            "by": " ".join(deployment.actor for deployment in deployments),
        }

    def open_row(self, row: DeploymentRow) -> None:
        """Open the version that is served, or that the alias names."""
        if row.model is None:
            self.shell.flash("what lies there is no report, and names no version", "warn")
        else:
            self.open_version(row.model, row.version)

    def empty_lines(self) -> Sequence[Line]:
        """Return that nothing is served, and how a report comes to be."""
        report = self.shell.command_line("report", "MODEL@production", "--environment", "prod-eu")
        return (
            line("No alias names a version, and no instance has reported what it serves."),
            line("A server reports with:  ", Span(report, "accent")),
            line("h goes back, r looks again."),
        )

    @property
    def version(self) -> VersionLine | None:
        """The version that the instance serves, or that the alias names."""
        row = self.current
        if row is None or row.model is None or row.version is None:
            return None
        return find_version_line(self.shell.source.index, row.model, row.version)

    def detail(self, row: DeploymentRow, width: int) -> Sequence[Line]:
        """Return everything that is known of an instance, or of an alias."""
        if row.item is not None:
            return report_lines(row.item, TextPage(width), self.shell.zone)
        if row.alias is None:
            told = "These instances were given a number, and follow no alias."
            return [line(Span(f"{row.model} by number", "strong")), *wrapped(told, width)]
        title = f"{row.model}@{row.alias}"
        if row.named is None:
            return [line(Span(title, "strong")), *wrapped("There is no such alias here, or it names nothing.", width)]
        since = time_text(row.named.since, self.shell.zone)
        lines = [
            line(Span(title, "strong")),
            *wrapped(f"names v{row.named.version} since {since}, moved by {row.named.by}", width),
        ]
        if row.named.protected:
            lines.append(line("protected: it names approved versions only"))
        if not row.followers:
            report = self.shell.command_line("report", title, "--environment", "prod-eu")
            lines += wrapped(f"Nobody has reported that they serve it. A server reports with: {report}", width)
        return lines

    @property
    def _shows_drift_alone(self) -> bool:
        return self.selection.filter == DRIFT_FILTER

    def _yank(self, _: str) -> None:
        row = self.current
        if row is None:
            return
        name = row.item.key if row.item is not None else f"{row.model}@{row.alias}"
        version = self.version
        if version is None:
            self.shell.copy(name)
        else:
            yank_version(self.shell, version, more={"l": ("the line's", lambda: self.shell.copy(name))})

    COMMANDS: ClassVar[tuple[Command[DeploymentsView], ...]] = (
        *FINDING,
        Command(
            "drift",
            ("z",),
            "Show only what differs from its alias, or all",
            lambda self, _: self.set_filter("" if self._shows_drift_alone else DRIFT_FILTER),
            lambda view: "" if view.selection.filter else why_no_row(view),
            lambda self: "show all" if self._shows_drift_alone else "drift only",
            "Find",
        ),
        Command("yank", ("y",), "Copy a name", _yank, why_no_row, "copy", "Read"),
        DOWNLOAD,
        CARD,
        *MOVING,
        *LOOKING_AGAIN,
    )


def _grouped(
    named: Sequence[tuple[ModelName, ListedAlias]], observed: Sequence[ObservedDeployment]
) -> list[DeploymentRow]:
    """Return every alias with its instances below it, then what is damaged."""
    models = {str(model): model for model, _ in named}
    known = {(str(model), each.alias): each for model, each in named}
    groups: dict[tuple[str, str], list[ObservedDeployment]] = {(str(model), each.alias): [] for model, each in named}
    for item in observed:
        if item.deployment is not None:
            name = str(item.deployment.model)
            models[name] = item.deployment.model
            groups.setdefault((name, item.deployment.alias or ""), []).append(item)
    rows: list[DeploymentRow] = []
    for name, alias in sorted(groups, key=lambda group: (group[0], not group[1], group[1])):
        items = tuple(groups[name, alias])
        head = DeploymentRow(models[name], alias or None, known.get((name, AliasName(alias))), items)
        rows += [head, *(DeploymentRow(head.model, head.alias, head.named, (), item) for item in items)]
    return [*rows, *(DeploymentRow(None, None, None, (), item) for item in observed if item.deployment is None)]


def _who(row: DeploymentRow) -> Span:
    if row.item is not None:
        place = "/".join(row.item.key.split("/")[-2:]) if row.deployment is None else place_text(row.deployment)
        return Span(f"    {place}")
    if row.alias is None:
        return Span(f"  {row.model} by number", "strong")
    serves = row.named is not None and is_production(row.named)
    return Span(f"{'*' if serves else '~'} {row.model}@{row.alias}", "strong")


def _version(row: DeploymentRow) -> Span:
    if row.deployment is not None:
        return Span(f"v{row.deployment.version}")
    if row.named is None or row.item is not None:
        return Span(NOTHING, "dim")
    return Span(f"v{row.named.version}", "strong")


def _standing(row: DeploymentRow) -> Span:
    """Say how an instance stands to its alias, or how many of an alias's instances serve what it names."""
    if row.item is not None:
        return standing_span(row.item)
    total = len(row.followers)
    if not total:
        return Span("nobody reports it", "dim")
    if row.alias is None:
        return Span(count_of(total, "instance"))
    current = sum(item.standing is DeploymentStanding.CURRENT for item in row.followers)
    return Span(f"{current} of {total} serve it", "good" if current == total else "warn")
