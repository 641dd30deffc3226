"""Lists the models and versions of a screen, in its order, from the local index alone.

A list is first the ids of its rows in their order, which 100,000 versions need 800 kB for; the rows themselves are
read when they come on the screen. Any thread may ask, and nothing here waits for the bucket.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.index.damage import DAMAGE_OF_VERSION, DAMAGED
from bucketry.index.fields import load_fields
from bucketry.index.order import kept_by_metric, ordered_ids, ordered_versions
from bucketry.index.review_summary import BASIS, NOTED, Stage, read_noted, stage_of
from bucketry.index.sql import NOT_DELETED, Clause, all_of, models_clause, version_clause_of
from bucketry.schema.documents.states import State, parse_state
from bucketry.schema.names import AliasName, Digest, ModelName, parse_model_name
from bucketry.schema.search.query import MetricIs, StateIs, parse_query

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from bucketry.index.fields import Field, Value
    from bucketry.index.review_summary import ReviewSummary
    from bucketry.index.store import Index

MOST_TREND_VERSIONS = 24

_SERVING = (
    "SELECT max(a.version) FROM aliases a WHERE a.model = m.name AND (a.protected OR a.alias IN ('production', 'prod'))"
)
_MODEL_ORDERS = {
    "name": "m.name",
    "versions": "m.versions",
    "production": f"({_SERVING})",
    "newest": "m.newest",
    "updated": "m.updated_at",
    "waiting": "coalesce(w.waiting, 0)",
}
# Counted once for all: asked for each model, it would go through every version in review each time.
_WAITING = "SELECT model_id, count(*) AS waiting FROM versions WHERE state = 'in_review'"


@frozen
class ListedAlias:
    """An alias in a list: what it names, since when (its last move), and who moved it."""

    alias: AliasName
    version: int
    protected: bool
    since: str
    by: str


@frozen
class ModelLine:
    """A model in a list. `waiting` counts its versions in review; `trend` is its first metric, oldest first.

    Where its head cannot be read, `damaged` says why, and the rest is what was seen before; `damaged_aliases` are those
    whose registers cannot be read, each with the reason.
    """

    row_id: int
    model: ModelName
    versions: int
    newest: int | None
    updated_at: str
    description: str
    aliases: tuple[ListedAlias, ...]
    waiting: int
    metric: str = ""
    trend: tuple[float, ...] = ()
    damaged: str = ""
    damaged_aliases: Mapping[AliasName, str] = field(default_factory=dict)


@frozen
class VersionLine:
    """A version in a list.

    `named_before` are the aliases that would go back to it. `noted` is how its reviews stood, None where they are still
    to be read or there are none. `fields` are the metrics and parameters that were asked for, by their spelling.
    `damaged` says what of it cannot be read, as far as somebody looked; nothing is done with such a version.
    """

    row_id: int
    model: ModelName
    version: int
    manifest: Digest
    state: State
    created_at: str
    created_by: str
    size_bytes: int
    metrics: Mapping[str, float]
    labels: Mapping[str, str]
    aliases: tuple[ListedAlias, ...]
    base: str | None
    has_dossier: bool
    named_before: tuple[AliasName, ...] = ()
    noted: ReviewSummary | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    damaged: str = ""

    @property
    def stage(self) -> Stage:
        """Where it is on its way to be approved."""
        return Stage.DAMAGED if self.damaged else stage_of(self.state, self.noted)

    @property
    def is_signed(self) -> bool | None:
        """Whether a publish signature lies beside it; None where that is still to be read."""
        if self.noted is not None:
            return self.noted.is_signed
        return None if self.has_dossier else False


@frozen
class ListedIds:
    """The ids of a list's rows in their order, and how many rows there are without the query."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    total: int = 0


def list_models_by(index: Index, *, query: str = "", order: str = "name", descending: bool = False) -> ListedIds:
    """Return the models that the query means; raise `UsageError` for a wrong query or another order.

    Words, `model:` and `alias:` are asked of the model, everything else of its versions, one of which must fit all.
    """
    where = models_clause(parse_query(query).terms, with_deleted=False)
    column = _MODEL_ORDERS.get(order)
    if column is None:
        raise UsageError(f"models are not sorted by {order!a}", advice=f"sort them by {', '.join(_MODEL_ORDERS)}")
    join = f"LEFT JOIN ({_WAITING} GROUP BY model_id) w ON w.model_id = m.id" if order == "waiting" else ""
    direction = "DESC" if descending else "ASC"
    nulls = " NULLS LAST" if order in {"production", "newest"} else ""  # an index cannot serve what ends so
    with index.reading() as connection:
        ids = ordered_ids(
            connection,
            f"SELECT m.id AS id FROM models m {join} WHERE {where.sql} ORDER BY {column} {direction}{nulls}, m.name",  # noqa: S608 - values are parameters
            where.values,
        )
        return ListedIds(ids, _count(connection, "SELECT count(*) FROM models"))


def list_versions_by(
    index: Index, model: ModelName, *, query: str = "", order: str = "version", descending: bool = True
) -> ListedIds:
    """Return a model's versions that the query means; raise `UsageError` for a wrong query or another order.

    Deleted ones are left out unless the query asks for that state. Versions without the metric to sort by come last.
    """
    terms = parse_query(query).terms
    # Of their metrics `kept_by_metric` asks.
    clauses = [version_clause_of(model, term) for term in terms if not isinstance(term.condition, MetricIs)]
    if not any(term.condition == StateIs(State.DELETED) for term in terms):
        clauses.append(NOT_DELETED)
    where = all_of(clauses)
    with index.reading() as connection:
        model_id = _model_id(connection, model)
        if model_id is None:
            return ListedIds()
        meant = Clause(f"v.model_id = ? AND {where.sql}", (model_id, *where.values))
        ids = ordered_versions(connection, model_id, meant, order, descending=descending)
        if not terms:
            return ListedIds(ids, len(ids))
        for term in terms:
            if isinstance(term.condition, MetricIs):
                ids = kept_by_metric(connection, model_id, term.condition, ids, negated=term.negated)
        # Two narrow indexes: the rows of a list would take three times as long to count.
        deleted = _count(connection, "SELECT count(*) FROM versions WHERE model_id = ? AND state = 'deleted'", model_id)
        everything = _count(connection, "SELECT count(*) FROM versions WHERE model_id = ?", model_id)
        return ListedIds(ids, everything - deleted)


def load_model_lines(index: Index, ids: Sequence[int]) -> list[ModelLine]:
    """Return the models with these ids, in this order; one that is gone is left out."""
    with index.reading() as connection:
        found = {
            row[0]: row
            for row in connection.execute(
                "SELECT id, name, versions, newest, updated_at, description, damaged FROM models"  # noqa: S608 - values are parameters
                f" WHERE id IN ({_marks(ids)})",
                list(ids),
            )
        }
        counted = f"{_WAITING} AND model_id IN ({_marks(ids)}) GROUP BY model_id"
        waiting = dict(connection.execute(counted, list(ids)))
        return [_model_line(connection, found[row_id], waiting.get(row_id, 0)) for row_id in ids if row_id in found]


def load_version_lines(
    index: Index, model: ModelName, ids: Sequence[int], *, fields: Iterable[Field] = ()
) -> list[VersionLine]:
    """Return a model's versions with these ids, in this order; one that is gone is left out."""
    with index.reading() as connection:
        aliases = _aliases(connection, model)
        sql = "SELECT alias, before FROM aliases WHERE model = ? AND before IS NOT NULL ORDER BY protected DESC, alias"
        before = [(AliasName(alias), version) for alias, version in connection.execute(sql, (str(model),))]
        values = load_fields(connection, ids, fields)
        found = {
            row[0]: _version_line(model, row, aliases, before, values.get(row[0], {}))
            for row in connection.execute(
                "SELECT v.id, v.version, v.manifest, v.state, v.created_at, v.created_by, v.size_bytes, v.metrics, "  # noqa: S608 - values are parameters
                f"v.labels, v.base, v.dossier IS NOT NULL, {DAMAGE_OF_VERSION}, {NOTED} "
                "FROM versions v JOIN models m ON m.id = v.model_id "
                f"LEFT JOIN standings s ON s.version_id = v.id AND s.basis = {BASIS} WHERE v.id IN ({_marks(ids)})",
                list(ids),
            )
        }
        return [found[row_id] for row_id in ids if row_id in found]


def find_version_line(index: Index, model: ModelName, version: int) -> VersionLine | None:
    """Return one version, or None where the index does not have it."""
    with index.reading() as connection:
        found = connection.execute(
            "SELECT v.id FROM versions v JOIN models m ON m.id = v.model_id WHERE m.name = ? AND v.version = ?",
            (str(model), version),
        ).fetchone()
    lines = load_version_lines(index, model, [found[0]]) if found else []
    return lines[0] if lines else None


def find_model_line(index: Index, model: ModelName) -> ModelLine | None:
    """Return one model, or None where the index does not have it."""
    with index.reading() as connection:
        model_id = _model_id(connection, model)
    lines = load_model_lines(index, [model_id]) if model_id is not None else []
    return lines[0] if lines else None


def find_generation(index: Index, model: ModelName) -> int | None:
    """Return how many commits of a model's head the index has seen; None for a model that it does not know."""
    with index.reading() as connection:
        found = connection.execute("SELECT generation FROM models WHERE name = ?", (str(model),)).fetchone()
        return int(found[0]) if found else None


def _model_line(
    connection: sqlite3.Connection, row: tuple[int, str, int, int | None, str, str, str], waiting: int
) -> ModelLine:
    row_id, name, versions, newest, updated_at, description, damaged = row
    model = parse_model_name(name)
    found = connection.execute(
        "SELECT metrics FROM versions WHERE model_id = ? AND state NOT IN ('deleted', 'damaged')"
        " ORDER BY version DESC LIMIT ?",
        (row_id, MOST_TREND_VERSIONS),
    )
    metrics: list[dict[str, float]] = [json.loads(text) for (text,) in found]
    metric = next((name for values in metrics for name in values), "")
    sql = "SELECT alias, damaged FROM aliases WHERE model = ? AND damaged <> '' ORDER BY alias"
    return ModelLine(
        row_id=row_id,
        model=model,
        versions=versions,
        newest=newest,
        updated_at=updated_at,
        description=description,
        aliases=_aliases(connection, model),
        waiting=waiting,
        metric=metric,
        trend=tuple(values[metric] for values in reversed(metrics) if metric in values),
        damaged=damaged,
        damaged_aliases={AliasName(alias): why for alias, why in connection.execute(sql, (str(model),))},
    )


def _version_line(
    model: ModelName,
    row: tuple[object, ...],
    aliases: tuple[ListedAlias, ...],
    before: Sequence[tuple[AliasName, int]],
    values: Mapping[str, Value],
) -> VersionLine:
    row_id, version, manifest, state, created_at, created_by, size_bytes, metrics, labels, base, has_dossier, why = row[
        :12
    ]
    number = int(str(version))
    return VersionLine(
        row_id=int(str(row_id)),
        model=model,
        version=number,
        manifest=Digest(str(manifest)),
        # Nothing may be done with a version whose row cannot be read, in whichever state it is.
        state=State.DELETING if state == DAMAGED else parse_state(str(state)),
        created_at=str(created_at),
        created_by=str(created_by),
        size_bytes=int(str(size_bytes)),
        metrics=json.loads(str(metrics)),
        labels=json.loads(str(labels)),
        aliases=tuple(named for named in aliases if named.version == number),
        base=None if base is None else str(base),
        has_dossier=bool(has_dossier),
        named_before=tuple(alias for alias, earlier in before if earlier == number),
        noted=read_noted(row[12:]),
        fields=values,
        damaged=str(why or ""),
    )


def _aliases(connection: sqlite3.Connection, model: ModelName) -> tuple[ListedAlias, ...]:
    found = connection.execute(
        "SELECT alias, version, protected, moved_at, moved_by FROM aliases WHERE model = ? AND version IS NOT NULL "
        "ORDER BY protected DESC, alias",
        (str(model),),
    )
    return tuple(
        ListedAlias(AliasName(alias), version, bool(protected), since, by)
        for alias, version, protected, since, by in found
    )


def _model_id(connection: sqlite3.Connection, model: ModelName) -> int | None:
    found = connection.execute("SELECT id FROM models WHERE name = ?", (str(model),)).fetchone()
    return int(found[0]) if found else None


def _count(connection: sqlite3.Connection, question: str, *arguments: object) -> int:
    return int(connection.execute(question, arguments).fetchone()[0])


def _marks(ids: Sequence[int]) -> str:
    return ", ".join("?" * len(ids))
