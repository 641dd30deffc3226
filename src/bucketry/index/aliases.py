"""How do aliases become rows of the local index: what each names, and what it named before?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.schema.documents.moves import stack_moves

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.names import AliasName


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


def _named_before(register: AliasRegister) -> int | None:
    """Return what a roll back would go back to, as far as the register's own records tell."""
    try:
        earlier = stack_moves(register.trail.records).now.earlier
    except CorruptError:  # of the history alone: what the alias names now is sound
        return None
    return earlier[-1] if earlier else None
