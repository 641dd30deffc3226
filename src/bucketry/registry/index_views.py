"""Which models and versions does a screen list, in which order, from the local index alone?

A list is first the ids of its rows in their order, which 100,000 versions need 800 kB for; the rows themselves are
read when they come on the screen. Any thread may ask, and nothing here waits for the bucket.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bucketry.registry.index_sql import Clause, all_of, model_clause, version_clause
from bucketry.schema.names import AliasName, Digest, ModelName, parse_model_name
from bucketry.schema.query import StateIs, parse_query
from bucketry.schema.states import State, parse_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from bucketry.registry.index import Index

MOST_TREND_VERSIONS = 24
MOST_METRIC_NAMES = 8

ModelOrder = Literal["name", "versions", "newest", "waiting", "updated"]
VersionOrder = str
"""`version`, `state`, `size`, `created`, `author`, or `metric:` and a metric's name."""


_NOT_DELETED = Clause("v.state <> ?", (State.DELETED.value,))
_MODEL_ORDERS = {
    "name": "m.name",
    "versions": "m.versions",
    "newest": "m.newest",
    "updated": "m.updated_at",
    "waiting": "coalesce(w.waiting, 0)",
}
# Counted once for all: asked for each model, it would go through every version in review each time.
_WAITING = "SELECT model_id, count(*) AS waiting FROM versions WHERE state = 'in_review'"


@dataclass(frozen=True, slots=True)
class Named:
    """An alias in a list: what it names, and since when."""

    alias: AliasName
    version: int
    protected: bool
    since: str


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model in a list. `waiting` counts its versions in review; `trend` is its first metric, oldest first."""

    row_id: int
    model: ModelName
    versions: int
    newest: int | None
    updated_at: str
    description: str
    aliases: tuple[Named, ...]
    waiting: int
    metric: str = ""
    trend: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version in a list."""

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
    aliases: tuple[Named, ...]
    base: str | None
    has_dossier: bool


@dataclass(frozen=True, slots=True)
class ListedIds:
    """The ids of a list's rows in their order, and how many rows there are without the query."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    total: int = 0


def list_models_by(index: Index, *, query: str = "", order: ModelOrder = "name", descending: bool = False) -> ListedIds:
    """Return the models that the query means; raise `UsageError` for a wrong query.

    Words, `model:` and `alias:` are asked of the model, everything else of its versions, one of which must fit all.
    """
    where = _models_meant(query)
    column = _MODEL_ORDERS[order]
    join = f"LEFT JOIN ({_WAITING} GROUP BY model_id) w ON w.model_id = m.id" if order == "waiting" else ""
    direction = "DESC" if descending else "ASC"
    with index.reading() as connection:
        found = connection.execute(
            f"SELECT m.id FROM models m {join} WHERE {where.sql} ORDER BY {column} {direction}, m.name",  # noqa: S608 - values are parameters
            where.values,
        )
        ids = array("q", (row[0] for row in found))
        return ListedIds(ids, _count(connection, "SELECT count(*) FROM models"))


def list_versions_by(
    index: Index, model: ModelName, *, query: str = "", order: VersionOrder = "version", descending: bool = True
) -> ListedIds:
    """Return a model's versions that the query means; raise `UsageError` for a wrong query.

    Deleted ones are left out unless the query asks for that state. Versions without the metric to sort by come last.
    """
    where = _versions_meant(query)
    direction = "DESC" if descending else "ASC"
    join, joined, column = _version_order(order)
    nulls = f"{column} IS NULL, " if join else ""  # an index cannot serve what begins so
    with index.reading() as connection:
        model_id = _model_id(connection, model)
        if model_id is None:
            return ListedIds()
        found = connection.execute(
            f"SELECT v.id FROM versions v JOIN models m ON m.id = v.model_id {join} "  # noqa: S608 - values are parameters
            f"WHERE v.model_id = ? AND {where.sql} ORDER BY {nulls}{column} {direction}, v.version DESC",
            (*joined, model_id, *where.values),
        )
        ids = array("q", (row[0] for row in found))
        total = "SELECT count(*) FROM versions WHERE model_id = ? AND state <> 'deleted'"
        return ListedIds(ids, _count(connection, total, model_id))


def load_model_lines(index: Index, ids: Sequence[int]) -> list[ModelLine]:
    """Return the models with these ids, in this order; one that is gone is left out."""
    with index.reading() as connection:
        found = {
            row[0]: row
            for row in connection.execute(
                f"SELECT id, name, versions, newest, updated_at, description FROM models WHERE id IN ({_marks(ids)})",  # noqa: S608 - values are parameters
                list(ids),
            )
        }
        counted = f"{_WAITING} AND model_id IN ({_marks(ids)}) GROUP BY model_id"
        waiting = dict(connection.execute(counted, list(ids)))
        return [_model_line(connection, found[row_id], waiting.get(row_id, 0)) for row_id in ids if row_id in found]


def load_version_lines(index: Index, model: ModelName, ids: Sequence[int]) -> list[VersionLine]:
    """Return a model's versions with these ids, in this order; one that is gone is left out."""
    with index.reading() as connection:
        aliases = _aliases(connection, model)
        found = {
            row[0]: _version_line(model, row, aliases)
            for row in connection.execute(
                "SELECT id, version, manifest, state, created_at, created_by, size_bytes, metrics, labels, base, "  # noqa: S608 - values are parameters
                f"dossier IS NOT NULL FROM versions WHERE id IN ({_marks(ids)})",
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


def load_metric_names(index: Index, model: ModelName) -> tuple[str, ...]:
    """Return the headline metrics of a model's newest versions, as these name them."""
    with index.reading() as connection:
        found = connection.execute(
            "SELECT v.metrics FROM versions v JOIN models m ON m.id = v.model_id "
            "WHERE m.name = ? AND v.state <> 'deleted' ORDER BY v.version DESC LIMIT ?",
            (str(model), MOST_TREND_VERSIONS),
        ).fetchall()
    names = dict.fromkeys(name for (metrics,) in found for name in json.loads(metrics))
    return tuple(names)[:MOST_METRIC_NAMES]


def _model_line(
    connection: sqlite3.Connection, row: tuple[int, str, int, int | None, str, str], waiting: int
) -> ModelLine:
    row_id, name, versions, newest, updated_at, description = row
    model = parse_model_name(name)
    found = connection.execute(
        "SELECT metrics FROM versions WHERE model_id = ? AND state <> 'deleted' ORDER BY version DESC LIMIT ?",
        (row_id, MOST_TREND_VERSIONS),
    )
    metrics: list[dict[str, float]] = [json.loads(text) for (text,) in found]
    metric = next((name for values in metrics for name in values), "")
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
    )


def _version_line(model: ModelName, row: tuple[object, ...], aliases: tuple[Named, ...]) -> VersionLine:
    row_id, version, manifest, state, created_at, created_by, size_bytes, metrics, labels, base, has_dossier = row
    number = int(str(version))
    return VersionLine(
        row_id=int(str(row_id)),
        model=model,
        version=number,
        manifest=Digest(str(manifest)),
        state=parse_state(str(state)),
        created_at=str(created_at),
        created_by=str(created_by),
        size_bytes=int(str(size_bytes)),
        metrics=json.loads(str(metrics)),
        labels=json.loads(str(labels)),
        aliases=tuple(named for named in aliases if named.version == number),
        base=None if base is None else str(base),
        has_dossier=bool(has_dossier),
    )


def _aliases(connection: sqlite3.Connection, model: ModelName) -> tuple[Named, ...]:
    found = connection.execute(
        "SELECT alias, version, protected, updated_at FROM aliases WHERE model = ? AND version IS NOT NULL "
        "ORDER BY protected DESC, alias",
        (str(model),),
    )
    return tuple(Named(AliasName(alias), version, bool(protected), since) for alias, version, protected, since in found)


def _models_meant(text: str) -> Clause:
    own = [(term, model_clause(term)) for term in parse_query(text).terms]
    clauses = [clause for _, clause in own if clause is not None]
    of_versions = [version_clause(term) for term, clause in own if clause is None]
    if of_versions:
        inner = all_of([*of_versions, _NOT_DELETED])
        sql = f"EXISTS (SELECT 1 FROM versions v WHERE v.model_id = m.id AND {inner.sql})"  # noqa: S608 - values are parameters
        clauses.append(Clause(sql, inner.values))
    return all_of(clauses)


def _versions_meant(text: str) -> Clause:
    query = parse_query(text)
    clauses = [version_clause(term) for term in query.terms]
    if not any(term.condition == StateIs(State.DELETED) for term in query.terms):
        clauses.append(_NOT_DELETED)
    return all_of(clauses)


def _version_order(order: VersionOrder) -> tuple[str, tuple[str, ...], str]:
    """Return what to join, with which arguments, and the column to sort by."""
    if order.startswith("metric:"):
        join = "LEFT JOIN metrics o ON o.version_id = v.id AND o.name = ? AND o.slice = ''"
        return join, (order.removeprefix("metric:"),), "o.value"
    columns = {
        "version": "v.version",
        "state": "v.state",
        "size": "v.size_bytes",
        "created": "v.created_us",
        "author": "v.author",
    }
    return "", (), columns[order]


def _model_id(connection: sqlite3.Connection, model: ModelName) -> int | None:
    found = connection.execute("SELECT id FROM models WHERE name = ?", (str(model),)).fetchone()
    return int(found[0]) if found else None


def _count(connection: sqlite3.Connection, question: str, *arguments: object) -> int:
    return int(connection.execute(question, arguments).fetchone()[0])


def _marks(ids: Sequence[int]) -> str:
    return ", ".join("?" * len(ids))
