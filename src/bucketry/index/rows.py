"""Writes heads, pages and aliases into the local index, each inside its caller's transaction.

Several processes fill one index. Each notes the ETag that it saw in the index when it began with a model; where
another one has written since, only a later generation is written, so that nothing older takes the place of anything
newer. Whatever was left out comes with the next refresh, as the ETags then differ.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.index.damage import write_damaged_rows
from bucketry.registry.core.rows import MOST_ROWS_OF_A_PAGE
from bucketry.schema.documents.alias import stack_moves
from bucketry.schema.documents.states import State
from bucketry.schema.moments import microseconds_of
from bucketry.schema.search.match import words_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.names import AliasName, Digest, ModelName

READING = ""
"""The ETag of a model some of whose pages are still to be read."""

_ROW_COLUMNS = (
    "manifest",
    "state",
    "created_at",
    "created_by",
    "size_bytes",
    "labels",
    "metrics",
    "base",
    "dossier",
    "created_us",
    "author",
    "words",
)
_SELECT_ROWS = (
    f"SELECT version, id, pending, evidence, {', '.join(_ROW_COLUMNS)} FROM versions"  # noqa: S608 - names of our own
    " WHERE model_id = ? AND version BETWEEN ? AND ?"
)
_INSERT_ROW = (
    f"INSERT INTO versions (model_id, version, {', '.join(_ROW_COLUMNS)}, pending) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join('?' * (len(_ROW_COLUMNS) + 3))})"
)
_UPDATE_ROW = (
    f"UPDATE versions SET {', '.join(f'{name} = ?' for name in _ROW_COLUMNS)}, "  # noqa: S608 - names of our own
    "pending = ?, evidence = ? WHERE id = ?"
)
PUT_METRIC = (
    "INSERT INTO metrics (version_id, name, slice, value, model_id, version)"
    " SELECT id, ?, ?, ?, model_id, version FROM versions WHERE id = ?"
    " ON CONFLICT (version_id, name, slice) DO UPDATE SET value = excluded.value"
)

NOTHING_READ, DOSSIER_UNREAD = 2, 1
"""What `versions.pending` says of a version whose details are not all here."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
"""One for all rows: `json.dumps` makes another one each time, which takes as long as the row."""
_METRICS, _DOSSIER = _ROW_COLUMNS.index("metrics"), _ROW_COLUMNS.index("dossier")
_UNKNOWN_EVIDENCE = "?"
"""A mark that no evidence has: it is read again, because the row shows other metrics than it did."""


@frozen
class _KnownRow:
    """A version as the index has it."""

    version_id: int
    pending: int
    evidence: str
    values: tuple[object, ...]


@frozen
class SealedRows:
    """A page's place in its model, and its digest."""

    first: int
    last: int
    page: Digest


@frozen
class WrittenHead:
    """A head as it was written: its row in `models`, and the pages that are still to be read."""

    model: ModelName
    model_id: int
    generation: int
    etag: str
    missing: tuple[SealedRows, ...]
    rows_changed: int


def write_head(
    connection: sqlite3.Connection,
    head: Head,
    etag: str,
    *,
    planned: str | None,
    directory: Sequence[SealedRows] | None,
) -> WrittenHead | None:
    """Write a model with the rows of its head; None if another process has written something newer.

    `planned` is the ETag in the index when the head was about to be read; `directory` is None where it is the one that
    the index knows already.
    """
    name = str(head.model)
    known = connection.execute("SELECT id, etag, generation FROM models WHERE name = ?", (name,)).fetchone()
    if known and known[1] != planned and head.generation < known[2]:
        return None
    newest = next((row.version for row in reversed(head.rows) if row.state is not State.DELETED), None)
    values = {
        "generation": head.generation,
        "versions": head.next_version - 1,
        "newest": newest,
        "updated_at": head.trail.records[-1].at if head.trail.records else "",
        "description": head.description,
        "labels": _json(head.labels),
        "directory": head.sealed.directory,
        "policy": head.policy,
        "damaged": "",
    }
    if known is None:
        sql = f"INSERT INTO models (name, etag, {', '.join(values)}) VALUES (?, ?, {', '.join('?' * len(values))})"  # noqa: S608 - names of our own
        model_id = connection.execute(sql, (name, READING, *values.values())).lastrowid or 0
    else:
        model_id = known[0]
        sql = f"UPDATE models SET etag = ?, {', '.join(f'{column} = ?' for column in values)} WHERE id = ?"  # noqa: S608 - names of our own
        connection.execute(sql, (READING, *values.values(), model_id))
    connection.execute("DELETE FROM versions WHERE model_id = ? AND version >= ?", (model_id, head.next_version))
    missing = _note_directory(connection, model_id, directory)
    changed = write_rows(connection, model_id, head.rows)
    return WrittenHead(head.model, model_id, head.generation, etag, missing, changed)


def write_page(connection: sqlite3.Connection, written: WrittenHead, place: SealedRows, rows: Sequence[Row]) -> int:
    """Write the rows of a page, unless the model has moved on; return how many are new or changed."""
    if not _is_current(connection, written):
        return 0
    changed = write_rows(connection, written.model_id, rows)
    connection.execute(
        "INSERT OR REPLACE INTO pages (model_id, first, last, page) VALUES (?, ?, ?, ?)",
        (written.model_id, place.first, place.last, place.page),
    )
    return changed


def write_damaged_page(connection: sqlite3.Connection, written: WrittenHead, place: SealedRows, reason: str) -> int:
    """Note that the rows of a page cannot be read, unless the model has moved on; return how many are new."""
    if not _is_current(connection, written):
        return 0
    first = max(place.first, place.last - MOST_ROWS_OF_A_PAGE + 1)
    return write_damaged_rows(connection, written.model_id, first, place.last, reason)


def finish_head(connection: sqlite3.Connection, written: WrittenHead) -> None:
    """Note that all rows of a head are in the index, unless the model has moved on."""
    if _is_current(connection, written):
        connection.execute("UPDATE models SET etag = ? WHERE id = ?", (written.etag, written.model_id))


def write_rows(connection: sqlite3.Connection, model_id: int, rows: Sequence[Row]) -> int:
    """Write the rows, which are in order, where they differ from what is there; return how many did."""
    if not rows:
        return 0
    known_rows = connection.execute(_SELECT_ROWS, (model_id, rows[0].version, rows[-1].version))
    known = {found[0]: _KnownRow(found[1], found[2], found[3], found[4:]) for found in known_rows}
    return sum(_write_row(connection, model_id, row, known.get(row.version)) for row in rows)


def remove_models(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Remove models that the bucket no longer has."""
    connection.executemany("DELETE FROM models WHERE name = ?", ((name,) for name in names))


def write_alias(connection: sqlite3.Connection, register: AliasRegister, etag: str, *, planned: str | None) -> None:
    """Write an alias, unless another process has written a newer state of it."""
    place = (str(register.model), register.alias)
    known = connection.execute("SELECT etag, generation FROM aliases WHERE model = ? AND alias = ?", place).fetchone()
    if known and known[0] != planned and register.generation < known[1]:
        return
    target = register.target
    moved = register.last_move
    connection.execute(
        "INSERT OR REPLACE INTO aliases"
        " (model, alias, etag, generation, version, manifest, before, protected, moved_at, moved_by, damaged)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
        (
            *place,
            etag,
            register.generation,
            target.version if target else None,
            target.manifest if target else None,
            _named_before(register),
            register.protected,
            moved.at if moved else "",
            moved.by if moved else "",
        ),
    )


def remove_aliases(connection: sqlite3.Connection, places: Iterable[tuple[str, AliasName]]) -> None:
    """Remove aliases that the bucket no longer has."""
    connection.executemany("DELETE FROM aliases WHERE model = ? AND alias = ?", places)


def _note_directory(
    connection: sqlite3.Connection, model_id: int, directory: Sequence[SealedRows] | None
) -> tuple[SealedRows, ...]:
    """Forget the pages that are no longer in the directory, and return those that are not here."""
    if directory is None:
        return ()
    found = connection.execute("SELECT first, last, page FROM pages WHERE model_id = ?", (model_id,))
    known = {(first, last, page) for first, last, page in found}
    wanted = {(place.first, place.last, place.page) for place in directory}
    connection.executemany(
        "DELETE FROM pages WHERE model_id = ? AND first = ?", ((model_id, first) for first, _, _ in known - wanted)
    )
    return tuple(place for place in directory if (place.first, place.last, place.page) not in known)


def _is_current(connection: sqlite3.Connection, written: WrittenHead) -> bool:
    found = connection.execute("SELECT generation, etag FROM models WHERE id = ?", (written.model_id,)).fetchone()
    return found is not None and found[0] == written.generation and found[1] in {READING, written.etag}


def _write_row(connection: sqlite3.Connection, model_id: int, row: Row, known: _KnownRow | None) -> bool:
    values = (
        row.manifest,
        row.state.value,
        row.created_at,
        row.created_by,
        row.size_bytes,
        _json(row.labels),
        _json(row.metrics),
        row.base,
        row.dossier,
        microseconds_of(row.created_at),
        row.created_by.lower(),
        words_of(row),
    )
    if known is not None and known.values == values:
        return False
    if known is not None and known.values[0] != row.manifest:  # the bucket was put back to an older state, and went on
        connection.execute("DELETE FROM versions WHERE id = ?", (known.version_id,))
        known = None
    if known is None:
        pending = 0 if row.state is State.DELETED else NOTHING_READ
        sql_values = (model_id, row.version, *values, pending)
        version_id = connection.execute(_INSERT_ROW, sql_values).lastrowid or 0
    else:
        version_id = known.version_id
        connection.execute(_UPDATE_ROW, (*values, *_still_to_read(row, values, known), version_id))
        connection.execute("DELETE FROM labels WHERE version_id = ?", (version_id,))
        if row.state is State.DELETED:
            forget_details(connection, version_id)
    connection.executemany(
        "INSERT OR IGNORE INTO labels (version_id, name, value) VALUES (?, ?, ?)",
        ((version_id, name.lower(), value.lower()) for name, value in row.labels.items()),
    )
    write_headline(connection, version_id, row.metrics)
    return True


def _still_to_read(row: Row, values: Sequence[object], known: _KnownRow) -> tuple[int, str]:
    """Return what is to be read of a version that changed, and the mark of its evidence as far as that is known."""
    if row.state is State.DELETED:
        return 0, ""
    if values[_METRICS] != known.values[_METRICS]:
        return max(known.pending, DOSSIER_UNREAD), _UNKNOWN_EVIDENCE
    if values[_DOSSIER] != known.values[_DOSSIER]:
        return max(known.pending, DOSSIER_UNREAD), known.evidence
    return known.pending, known.evidence


def forget_details(connection: sqlite3.Connection, version_id: int) -> None:
    """Remove what was read of a version."""
    for table in ("parameters", "datasets", "parents", "metrics"):
        connection.execute(f"DELETE FROM {table} WHERE version_id = ?", (version_id,))  # noqa: S608 - names of our own
    connection.execute("UPDATE versions SET published_notes = '', notes = '' WHERE id = ?", (version_id,))


def write_headline(connection: sqlite3.Connection, version_id: int, metrics: Mapping[str, float]) -> None:
    """Write what the row shows of its metrics; what else is known of it comes with the details."""
    connection.executemany(
        PUT_METRIC,
        ((name, "", value, version_id) for name, value in metrics.items()),
    )


def _json(values: Mapping[str, object]) -> str:
    return _ENCODER.encode(dict(values)) if values else "{}"


def _named_before(register: AliasRegister) -> int | None:
    """Return what a roll back would go back to, as far as the register's own records tell."""
    try:
        earlier = stack_moves(register.trail.records).now.earlier
    except CorruptError:  # of the history alone: what the alias names now is sound
        return None
    return earlier[-1] if earlier else None
