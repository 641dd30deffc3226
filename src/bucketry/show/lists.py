"""The lists of models and of versions: what each column is called and what it says of a row, for both faces.

A face chooses which of them it shows, in which order and how wide. What only one face can say (the screens know from
the local index how far a review got) is a column of that face.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, TypeVar

from bucketry.frozen import frozen
from bucketry.show.figures import NOTHING, age_text, column_number, metric_title, size_text
from bucketry.show.spans import Span
from bucketry.show.states import state_span, state_word
from bucketry.show.tables import DAMAGED_SPAN, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from bucketry.index.search import FoundModel, FoundVersion
    from bucketry.index.views import ModelLine, VersionLine
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.states import State
    from bucketry.schema.names import Digest

Row = TypeVar("Row")
Model = TypeVar("Model", "ModelLine", "FoundModel")
Version = TypeVar("Version", "VersionLine", "FoundVersion", "ListedVersion")


@frozen
class ListedVersion:
    """A version that no index knows, as a list shows it: without a row only its number and its aliases are known."""

    version: int
    aliases: tuple[AliasRegister, ...] = ()
    damaged: str = ""
    manifest: Digest | None = None
    state: State | None = None
    size_bytes: int = 0
    created_at: str = ""
    created_by: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def model_columns(now: datetime) -> dict[str, Column[Model]]:
    """Return the columns that a list of models can have, by name."""

    def newest(row: Model) -> str:
        return f"v{row.newest}" if row.newest and not row.damaged else NOTHING

    def updated(row: Model) -> str:
        return age_text(row.updated_at, now) if row.updated_at and not row.damaged else NOTHING

    columns: tuple[Column[Model], ...] = (
        Column("name", "MODEL", lambda row: Span(str(row.model), "strong"), about="the model's name"),
        Column(
            "versions",
            "VERSIONS",
            lambda row: DAMAGED_SPAN if row.damaged else f"{row.versions:,}",
            right=True,
            about="how many there were",
        ),
        Column("newest", "NEWEST", newest, right=True, about="its newest version that was not deleted"),
        Column("updated", "UPDATED", updated, right=True, about="how long ago the model or its versions changed"),
        Column(
            "description",
            "DESCRIPTION",
            lambda row: row.damaged or row.description,
            sortable=False,
            about="what was written about the model",
        ),
    )
    return {column.name: column for column in columns}


def version_columns(now: datetime) -> dict[str, Column[Version]]:
    """Return the columns that a list of versions can have, by name; those of metrics are made by `metric_column`."""

    def state(row: Version) -> Span:
        if row.damaged or row.state is None:
            return DAMAGED_SPAN
        return Span(state_word(row.state), state_span(row.state).role)

    columns: tuple[Column[Version], ...] = (
        Column("version", "VERS", lambda row: Span(f"v{row.version}", "strong"), about="its number"),
        Column("state", "STATE", state, about="what was decided about it"),
        Column(
            "aliases",
            "ALIASES",
            lambda row: " ".join(named.alias for named in row.aliases) or NOTHING,
            sortable=False,
            about="the aliases that name it",
        ),
        Column(
            "size",
            "SIZE",
            lambda row: size_text(row.size_bytes) if row.manifest else NOTHING,
            right=True,
            about="of all its files",
        ),
        Column(
            "created",
            "AGE",
            lambda row: age_text(row.created_at, now) if row.created_at else NOTHING,
            right=True,
            about="since the publish",
        ),
        Column("author", "BY", lambda row: row.created_by or NOTHING, about="who published it, by their claim"),
    )
    return {column.name: column for column in columns}


def metric_column(metric: str, value_of: Callable[[Row], float | str | None], *, is_whole: bool) -> Column[Row]:
    """Return the column of a metric, as a query spells it; `is_whole` where all of its values are whole numbers."""
    return Column(
        f"metric:{metric}",
        metric_title(metric),
        lambda row: column_number(value_of(row), is_whole=is_whole),
        right=True,
        about=f"metric {metric}",
    )


def headline_columns(rows: Sequence[Version], names: Iterable[str]) -> list[Column[Version]]:
    """Return the columns of some metrics that the rows have themselves."""

    def column(name: str) -> Column[Version]:
        known = [row.metrics[name] for row in rows if name in row.metrics]
        is_whole = all(float(value).is_integer() for value in known)
        return metric_column(name, lambda row: row.metrics.get(name), is_whole=is_whole)

    return [column(name) for name in names]
