"""Notes in the local index what is damaged: heads, aliases, and parts of versions.

It is named until it can be read again. Each write changes nothing where the same is known already, so that a refresh
that finds what the last one found makes no new edition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bucketry.frozen import frozen
from bucketry.index.sql import Clause

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from bucketry.index.store import Index
    from bucketry.schema.names import AliasName

Part = Literal["row", "details", "reviews"]
"""What of a version cannot be read."""
DAMAGED = "damaged"
"""The state in the index of a version whose row cannot be read."""
DAMAGE_OF_VERSION = "(SELECT d.reason FROM damages d WHERE d.version_id = v.id ORDER BY d.part DESC LIMIT 1)"
"""What of a row `v` of `versions` cannot be read, or NULL."""


MOST_LOOKED_AT_AGAIN = 64
"""Of so many versions, the newest, each refresh looks whether they were mended."""
KNOWN_DAMAGED = Clause(
    "v.id IN (SELECT d.version_id FROM damages d JOIN versions n ON n.id = d.version_id WHERE d.part = 'details'"
    " ORDER BY n.created_us DESC LIMIT ?)",
    (MOST_LOOKED_AT_AGAIN,),
)


@frozen
class Damage:
    """How much is known to be damaged, and what is wrong with the first of it."""

    models: int = 0
    aliases: int = 0
    versions: int = 0
    first: str = ""

    @property
    def count(self) -> int:
        """How many things are damaged."""
        return self.models + self.aliases + self.versions


def load_damage(index: Index) -> Damage:
    """Return how much is known to be damaged in the registry."""
    with index.reading() as connection:
        models = _found(connection, "SELECT count(*), min(damaged) FROM models WHERE damaged <> ''")
        aliases = _found(connection, "SELECT count(*), min(damaged) FROM aliases WHERE damaged <> ''")
        versions = _found(connection, "SELECT count(DISTINCT version_id), min(reason) FROM damages")
    first = next((why for _, why in (models, aliases, versions) if why), "")
    return Damage(models[0], aliases[0], versions[0], first)


def has_damage(connection: sqlite3.Connection) -> bool:
    """Return whether anything is damaged that a list of models or versions must name."""
    sql = "SELECT EXISTS (SELECT 1 FROM models WHERE damaged <> '') OR EXISTS (SELECT 1 FROM damages)"
    return bool(connection.execute(sql).fetchone()[0])


def write_damaged_model(connection: sqlite3.Connection, name: str, reason: str) -> None:
    """Note that a model's head cannot be read; what was known of it stays, and it is read again by each refresh."""
    connection.execute(
        "INSERT INTO models (name, etag, generation, versions, newest, updated_at, description, labels, damaged)"
        " VALUES (?, '', 0, 0, NULL, '', '', '{}', ?) ON CONFLICT (name) DO UPDATE"
        " SET damaged = excluded.damaged, etag = '' WHERE damaged <> excluded.damaged OR etag <> ''",
        (name, reason),
    )


def write_damaged_alias(connection: sqlite3.Connection, model: str, alias: AliasName, reason: str) -> None:
    """Note that an alias's register cannot be read: what it names is not known, whatever it named before."""
    connection.execute(
        "INSERT INTO aliases"
        " (model, alias, etag, generation, version, manifest, before, protected, moved_at, moved_by, damaged)"
        " VALUES (?, ?, '', 0, NULL, NULL, NULL, 0, '', '', ?) ON CONFLICT (model, alias) DO UPDATE"
        " SET damaged = excluded.damaged, etag = '', version = NULL, manifest = NULL, before = NULL"
        " WHERE damaged <> excluded.damaged OR etag <> ''",
        (model, alias, reason),
    )


def write_damaged_rows(connection: sqlite3.Connection, model_id: int, first: int, last: int, reason: str) -> int:
    """Note that the rows of these versions cannot be read; what was known of them goes. Return how many are new."""
    between = (model_id, first, last)
    connection.execute(
        "DELETE FROM versions WHERE model_id = ? AND version BETWEEN ? AND ? AND state <> 'damaged'", between
    )
    found = connection.execute("SELECT version FROM versions WHERE model_id = ? AND version BETWEEN ? AND ?", between)
    known = {version for (version,) in found}
    missing = [version for version in range(first, last + 1) if version not in known]
    connection.executemany(
        "INSERT INTO versions (model_id, version, manifest, state, created_at, created_by, size_bytes, labels, metrics,"
        " created_us, author, words, pending) VALUES (?, ?, '', 'damaged', '', '', 0, '{}', '{}', 0, '', '', 0)",
        ((model_id, version) for version in missing),
    )
    ids = connection.execute(
        "SELECT id FROM versions WHERE model_id = ? AND version BETWEEN ? AND ?", between
    ).fetchall()
    write_damages(connection, [version_id for (version_id,) in ids], "row", reason)
    return len(missing)


def write_damages(connection: sqlite3.Connection, ids: Iterable[int], part: Part, reason: str) -> None:
    """Note that a part of these versions cannot be read; an empty reason says that it can."""
    if not reason:
        connection.executemany(
            "DELETE FROM damages WHERE version_id = ? AND part = ?", ((version_id, part) for version_id in ids)
        )
        return
    connection.executemany(
        "INSERT INTO damages (version_id, part, reason) VALUES (?, ?, ?) ON CONFLICT (version_id, part) DO UPDATE"
        " SET reason = excluded.reason WHERE reason <> excluded.reason",
        ((version_id, part, reason) for version_id in ids),
    )


def note_damaged_version(index: Index, model: str, version: int, reason: str) -> None:
    """Note that the manifest or the evidence of a version cannot be read, as somebody found who looked at it."""
    with index.writing() as connection:
        ids = version_ids(connection, model, [version])
        write_damages(connection, ids, "details", reason)
        # It is read again until it can be: what was read before may be of another dossier.
        connection.executemany("UPDATE versions SET pending = max(pending, 1) WHERE id = ?", ((each,) for each in ids))


def list_with_damaged_reviews(index: Index) -> dict[str, list[int]]:
    """Return the versions whose decisions could not be read, by their models, as ids in the index."""
    sql = (
        "SELECT m.name, v.id FROM damages d JOIN versions v ON v.id = d.version_id JOIN models m ON m.id = v.model_id"
        " WHERE d.part = 'reviews' ORDER BY v.created_us DESC LIMIT ?"
    )
    found: dict[str, list[int]] = {}
    with index.reading() as connection:
        for name, version_id in connection.execute(sql, (MOST_LOOKED_AT_AGAIN,)):
            found.setdefault(name, []).append(version_id)
    return found


def version_ids(connection: sqlite3.Connection, model: str, versions: Sequence[int]) -> list[int]:
    """Return the ids of a model's versions in the index, as far as they are there."""
    marks = ", ".join("?" * len(versions))
    sql = f"SELECT v.id FROM versions v JOIN models m ON m.id = v.model_id WHERE m.name = ? AND v.version IN ({marks})"  # noqa: S608 - only marks
    return [version_id for (version_id,) in connection.execute(sql, (model, *versions))]


def _found(connection: sqlite3.Connection, question: str) -> tuple[int, str]:
    count, first = connection.execute(question).fetchone()
    return int(count), str(first or "")
