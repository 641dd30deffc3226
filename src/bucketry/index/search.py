"""Finds what fits a query in the local index. Nothing here waits for the bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bucketry.errors import NotFoundError, UsageError
from bucketry.frozen import frozen
from bucketry.index.damage import DAMAGE_OF_VERSION, DAMAGED, has_damage
from bucketry.index.sql import NOT_DELETED, Clause, all_of, model_clause, models_clause, version_clause
from bucketry.schema.documents.states import State
from bucketry.schema.names import DEFAULT_NAMESPACE, AliasName, ByVersion, Digest, ModelName
from bucketry.schema.search.details import slice_text
from bucketry.schema.search.query import Query, parse_metric_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.index.store import Index
    from bucketry.schema.names import Reference

ROWS_AT_ONCE = 500
MOST_NAMES = 500
_NO_LIMIT = -1
_COLUMNS = {
    "created": "v.created_us",
    "size": "v.size_bytes",
    "version": "v.version",
    "model": "m.name",
    "author": "v.author",
    "state": "v.state",
}
"""What can be sorted by that every version has; anything else is a metric."""


@frozen
class Order:
    """By what versions are sorted: a column of `_COLUMNS` or a metric; those without it come last."""

    by: str = "created"
    descending: bool = True


@frozen
class FoundAlias:
    """An alias that names a version; `since` and `by` are of its last move.

    Where `damaged` says why its register cannot be read, nobody knows what it names.
    """

    alias: AliasName
    version: int | None
    manifest: Digest | None
    generation: int | None
    since: str
    by: str
    damaged: str = ""


@frozen
class FoundVersion:
    """A version that fits; `metrics` are its headline values, and those that were asked about.

    `damaged` says what of it cannot be read, so that nobody knows whether it fits. Without its row (`state` is None)
    only its number is known, and of a model whose head cannot be read not even that.
    """

    model: ModelName
    version: int | None
    manifest: Digest | None
    state: State | None
    aliases: tuple[FoundAlias, ...]
    created_at: str
    created_by: str
    size_bytes: int
    metrics: Mapping[str, float]
    labels: Mapping[str, str]
    base: str | None
    damaged: str = ""


@frozen
class FoundModel:
    """A model that fits; of one whose head cannot be read, as `damaged` says, the numbers are those seen before."""

    model: ModelName
    versions: int
    newest: int | None
    aliases: tuple[FoundAlias, ...]
    updated_at: str
    description: str
    damaged: str = ""


def parse_order(text: str) -> Order:
    """Return the order of `size`, `-created` (the largest, or latest, first) or `auc`; raise `UsageError`."""
    by = text.removeprefix("-")
    if by not in _COLUMNS:
        parse_metric_name(by)
    return Order(by, descending=text.startswith("-"))


def order_needs_details(order: Order) -> bool:
    """Return whether rows alone cannot sort so."""
    return order.by not in _COLUMNS


def iter_versions_found(
    index: Index,
    query: Query,
    *,
    order: Order | None = None,
    limit: int | None = None,
    after: Reference | None = None,
    shown_metrics: Sequence[str] = (),
) -> Iterator[FoundVersion]:
    """Yield the versions that fit, deleted ones only if the query asks for that state; `after` is the last one seen.

    What is damaged is among them, because nobody knows whether it fits, and `list_damaged_models` has what has no place
    in an order. Raises `NotFoundError` for an `after` that is not in the index.
    """
    sorting = _Sorting(order or Order())
    with index.reading() as connection:
        clauses = [_fitting(query, damage=has_damage(connection))]
    if not query.asks_for_deleted:
        clauses.append(NOT_DELETED)
    if after is not None:
        clauses.append(_behind(index, sorting, after))
    where = all_of(clauses)
    columns = f"{DAMAGE_OF_VERSION}, m.name, v.version, v.manifest, v.state, v.created_at, v.created_by, v.size_bytes"
    source = f"versions v JOIN models m ON m.id = v.model_id {sorting.join}"
    rest = f"WHERE {where.sql} ORDER BY {sorting.clause} LIMIT ?"
    sql = f"SELECT v.id, {columns}, v.metrics, v.labels, v.base FROM {source} {rest}"  # noqa: S608 - values are parameters
    values = (*sorting.join_values, *where.values, _NO_LIMIT if limit is None else limit)
    with index.reading() as connection:
        found = connection.execute(sql, values)
        while rows := found.fetchmany(ROWS_AT_ONCE):
            yield from _versions(connection, rows, shown_metrics)


def list_damaged_models(index: Index, query: Query) -> list[FoundVersion]:
    """Return the models whose heads cannot be read and whose names fit, each as a version of which nothing is known."""
    where = all_of([*_own_clauses(query), Clause("m.damaged <> ''", ())])
    with index.reading() as connection:
        sql = f"SELECT m.name, m.damaged FROM models m WHERE {where.sql} ORDER BY m.name"  # noqa: S608 - values are parameters
        found = connection.execute(sql, where.values).fetchall()
    return [FoundVersion(_model(name), None, None, None, (), "", "", 0, {}, {}, None, why) for name, why in found]


def list_models_found(
    index: Index, query: Query, *, limit: int | None = None, after: ModelName | None = None
) -> list[FoundModel]:
    """Return the models that fit, by name.

    Words, `model:` and `alias:` are asked of the model; everything else of its versions, one of which must fit all.
    """
    where = _models_where(query, after)
    sql = (
        "SELECT name, versions, newest, updated_at, description, damaged FROM models m"  # noqa: S608 - values are parameters
        f" WHERE {where.sql} ORDER BY name LIMIT ?"
    )
    with index.reading() as connection:
        rows = connection.execute(sql, (*where.values, _NO_LIMIT if limit is None else limit)).fetchall()
        aliases = _aliases_of_models(connection, [row[0] for row in rows])
    return [
        FoundModel(_model(name), versions, newest, aliases.get(name, ()), updated_at, description, damaged)
        for name, versions, newest, updated_at, description, damaged in rows
    ]


def count_models_found(index: Index, query: Query, *, after: ModelName | None = None) -> int:
    """Return how many models fit."""
    where = _models_where(query, after)
    with index.reading() as connection:
        sql = f"SELECT count(*) FROM models m WHERE {where.sql}"  # noqa: S608 - values are parameters
        return int(connection.execute(sql, where.values).fetchone()[0])


def list_model_names(index: Index, beginning: str) -> list[str]:
    """Return the names of models that begin so, some hundreds at most."""
    with index.reading() as connection:
        found = connection.execute(
            "SELECT name FROM models WHERE name >= ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
            (beginning, len(beginning), beginning, MOST_NAMES),
        )
        return [name for (name,) in found]


def has_model(index: Index, name: str) -> bool:
    """Return whether the index knows a model."""
    with index.reading() as connection:
        return connection.execute("SELECT 1 FROM models WHERE name = ?", (name,)).fetchone() is not None


def list_alias_names(index: Index, model: str, beginning: str) -> list[str]:
    """Return the aliases of a model that begin so."""
    with index.reading() as connection:
        found = connection.execute(
            "SELECT alias FROM aliases WHERE model = ? AND substr(alias, 1, ?) = ? ORDER BY alias LIMIT ?",
            (model, len(beginning), beginning, MOST_NAMES),
        )
        return [alias for (alias,) in found]


def _model(name: str) -> ModelName:
    """Return the name of a model that the index has, which was parsed when it came in."""
    namespace, slash, rest = name.rpartition("/")
    return ModelName(namespace if slash else DEFAULT_NAMESPACE, rest)


def _models_where(query: Query, after: ModelName | None) -> Clause:
    asked = models_clause(query.terms, with_deleted=query.asks_for_deleted)
    return asked if after is None else all_of([asked, Clause("m.name > ?", (str(after),))])


def _own_clauses(query: Query) -> list[Clause]:
    return [clause for clause in map(model_clause, query.terms) if clause is not None]


def _fitting(query: Query, *, damage: bool) -> Clause:
    """Return what holds for the versions that fit, and for those of which nobody can say that they do not.

    Those of a model whose head cannot be read are left out: what was seen of it before may be long over.
    """
    fits = all_of(version_clause(term) for term in query.terms)
    if not damage:
        return fits
    rows, own = all_of(version_clause(term) for term in query.of_rows.terms), all_of(_own_clauses(query))
    is_damaged = f"{DAMAGE_OF_VERSION} IS NOT NULL"
    sql = (
        f"m.damaged = '' AND ({fits.sql} OR (v.state <> '{DAMAGED}' AND {is_damaged} AND {rows.sql})"
        f" OR (v.state = '{DAMAGED}' AND {own.sql}))"
    )
    return Clause(f"({sql})", (*fits.values, *rows.values, *own.values))


class _Sorting:
    """An order as SQL: what is joined for it, its expression, and the whole ORDER BY."""

    def __init__(self, order: Order) -> None:
        self.join, self.expression = "", _COLUMNS.get(order.by, "s.value")
        self.join_values: tuple[object, ...] = ()
        if order.by not in _COLUMNS:
            name, part = parse_metric_name(order.by)
            self.join = "LEFT JOIN metrics s ON s.version_id = v.id AND s.name = ? AND s.slice = ?"
            self.join_values = (name, slice_text(part))
        self.is_behind = "<" if order.descending else ">"
        direction = "DESC" if order.descending else "ASC"
        nulls = f"{self.expression} IS NULL, " if self.join else ""  # an index cannot serve what begins so
        self.clause = f"{nulls}{self.expression} {direction}, m.name, v.version DESC"


def _behind(index: Index, sorting: _Sorting, after: Reference) -> Clause:
    """Return what holds for the versions that come behind one in this order."""
    if not isinstance(after.selector, ByVersion):
        raise UsageError(f"{after} does not name one version", advice="write --after MODEL:VERSION")
    name, version = str(after.model), after.selector.version
    sql = (
        f"SELECT {sorting.expression} FROM versions v JOIN models m ON m.id = v.model_id {sorting.join}"  # noqa: S608 - values are parameters
        " WHERE m.name = ? AND v.version = ?"
    )
    with index.reading() as connection:
        found = connection.execute(sql, (*sorting.join_values, name, version)).fetchone()
    if found is None:
        raise NotFoundError(f"{after} is not there to continue after", advice="begin again without --after")
    expression, same = sorting.expression, "(m.name > ? OR (m.name = ? AND v.version < ?))"
    if found[0] is None:
        return Clause(f"({expression} IS NULL AND {same})", (name, name, version))
    return Clause(
        f"({expression} IS NULL OR {expression} {sorting.is_behind} ? OR ({expression} = ? AND {same}))",
        (found[0], found[0], name, name, version),
    )


def _versions(
    connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], shown_metrics: Sequence[str]
) -> Iterator[FoundVersion]:
    aliases = _aliases_of_models(connection, sorted({str(row[2]) for row in rows}))
    for row in rows:
        version_id, damaged, name, version, manifest, state, created_at, created_by, size_bytes, *texts = row
        metrics, labels, base = texts
        yield FoundVersion(
            model=_model(name),
            version=version,
            manifest=manifest or None,
            state=None if state == DAMAGED else State(state),
            aliases=tuple(found for found in aliases.get(name, ()) if found.version == version),
            created_at=created_at,
            created_by=created_by,
            size_bytes=size_bytes,
            metrics=json.loads(metrics) | _metrics_of(connection, version_id, shown_metrics),
            labels=json.loads(labels),
            base=base,
            damaged=damaged or "",
        )


def _metrics_of(connection: sqlite3.Connection, version_id: int, names: Sequence[str]) -> dict[str, float]:
    values = {}
    for text in names:
        name, part = parse_metric_name(text)
        found = connection.execute(
            "SELECT value FROM metrics WHERE version_id = ? AND name = ? AND slice = ?",
            (version_id, name, slice_text(part)),
        ).fetchone()
        if found is not None:
            values[text] = found[0]
    return values


def _aliases_of_models(connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, tuple[FoundAlias, ...]]:
    found: dict[str, list[FoundAlias]] = {}
    for begin in range(0, len(names), ROWS_AT_ONCE):
        some = names[begin : begin + ROWS_AT_ONCE]
        marks = ", ".join("?" * len(some))
        where = f"(version IS NOT NULL OR damaged <> '') AND model IN ({marks}) ORDER BY model, alias"
        columns = "alias, version, manifest, generation, moved_at, moved_by, damaged"
        sql = f"SELECT model, {columns} FROM aliases WHERE {where}"  # noqa: S608 - only marks
        for model, alias, version, manifest, generation, since, by, damaged in connection.execute(sql, some):
            known = None if damaged else generation
            found.setdefault(model, []).append(FoundAlias(alias, version, manifest, known, since, by, damaged))
    return {model: tuple(aliases) for model, aliases in found.items()}
