"""How do the reviews of the versions in a list stand: who counts, who refused, what is missing, what is signed?

Rows say a version's state alone. The rest is in its dossier and its decisions, which are read for the versions that a
screen shows, and kept in the index for as long as dossier, policies and state are the same and no approval ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, NotFoundError, UnsupportedError
from bucketry.registry.gating import waits_for_evidence
from bucketry.registry.index_noted import BASIS
from bucketry.registry.policies import load_default_digest
from bucketry.registry.registers import load_head
from bucketry.registry.reviewing import load_standing
from bucketry.registry.rows import find_row
from bucketry.schema.decisions import moment, newest_approvals
from bucketry.schema.moments import microseconds_of
from bucketry.schema.reviews import REFUSALS, Action
from bucketry.schema.states import State

if TYPE_CHECKING:
    import sqlite3
    import threading
    from collections.abc import Sequence

    from bucketry.registry.index import Index
    from bucketry.registry.reviewing import Standing
    from bucketry.registry.session import Session
    from bucketry.schema.head import Head, Row
    from bucketry.schema.names import ModelName

MOST_AT_ONCE = 64
"""How many are read before they are written, and seen."""
_UNREADABLE = (CorruptError, NotFoundError, UnsupportedError)
_COLUMNS = "approvals, required, refused_by, is_revoked, has_ended, ends_us, lacks_evidence, is_signed"


def refresh_standings(
    index: Index, session: Session, model: ModelName, ids: Sequence[int], cancelled: threading.Event
) -> int:
    """Bring what is noted of these versions, by their ids in the index, up to date; return how many were read.

    Nothing is read of those that are: the bucket is not asked then. One that cannot be read is left as it is.
    """
    _note_default_policy(index, session)
    versions = _stale(index, session, ids)
    head = load_head(session, model).state if versions else None
    if head is None:
        return 0
    done = 0
    for begin in range(0, len(versions), MOST_AT_ONCE):
        if cancelled.is_set():
            break
        batch = versions[begin : begin + MOST_AT_ONCE]
        found = session.ports.map_in_parallel(lambda version: _read(session, head, version), batch)
        with index.writing() as connection:
            done += sum(_write(connection, session, head, *read) for read in found if read is not None)
    return done


def _note_default_policy(index: Index, session: Session) -> None:
    """Note which default policy holds: with another one, everything is read again."""
    default = load_default_digest(session) or ""
    with index.reading() as connection:
        found = connection.execute("SELECT value FROM facts WHERE name = 'default_policy'").fetchone()
    if (found[0] if found else "") != default:
        with index.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('default_policy', ?)", (default,))


def _stale(index: Index, session: Session, ids: Sequence[int]) -> list[int]:
    """Return the numbers of the versions whose standing has to be read; one without a dossier has no decisions."""
    now_us = microseconds_of(session.ports.timestamp())
    sql = (
        "SELECT v.version FROM versions v JOIN models m ON m.id = v.model_id"  # noqa: S608 - values are parameters
        " LEFT JOIN standings s ON s.version_id = v.id"
        f" WHERE v.id IN ({', '.join('?' * len(ids))}) AND v.dossier IS NOT NULL AND v.state <> 'deleted'"
        f" AND (s.basis IS NULL OR s.basis <> {BASIS} OR s.ends_us <= ?) ORDER BY v.version DESC"
    )
    with index.reading() as connection:
        return [version for (version,) in connection.execute(sql, (*ids, now_us))]


def _read(session: Session, head: Head, version: int) -> tuple[Standing, bool] | None:
    try:
        row = find_row(session, head, version)
        if row is None or row.state is State.DELETED:
            return None
        standing = load_standing(session, head, row)
        lacks = row.state is State.IN_REVIEW and waits_for_evidence(session, head, row, standing.policy)
    except _UNREADABLE:
        return None
    return standing, lacks


def _write(
    connection: sqlite3.Connection,
    session: Session,
    head: Head,
    standing: Standing,
    lacks: bool,  # noqa: FBT001 - as it was read
) -> bool:
    """Write a standing, unless the index has another dossier, policy or state than what was read: it is behind then."""
    row, approvals, decisions = standing.row, standing.approvals, standing.decisions
    refusal = next((d.statement for d in reversed(decisions) if d.statement.action in REFUSALS), None)
    now = moment(session.ports.timestamp())
    ended = any(
        decision.statement.expires is not None and moment(decision.statement.expires) <= now
        for principal, decision in newest_approvals(decisions).items()
        if principal not in approvals.principals
    )
    values = (
        _basis(session, head, row),
        len(approvals.principals),
        max(1, approvals.required),
        refusal.principal if refusal else None,
        refusal is not None and refusal.action is Action.REVOKE,
        ended,
        microseconds_of(approvals.expires) if approvals.expires else None,
        lacks,
        any(d.statement.action is Action.PUBLISH and d.is_signed for d in decisions),
    )
    written = connection.execute(
        f"INSERT OR REPLACE INTO standings (version_id, basis, {_COLUMNS})"  # noqa: S608 - names of our own
        " SELECT v.id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM versions v JOIN models m ON m.id = v.model_id"
        f" WHERE m.name = ? AND v.version = ? AND {BASIS} = ?",
        (*values, str(head.model), row.version, values[0]),
    )
    return written.rowcount > 0


def _basis(session: Session, head: Head, row: Row) -> str:
    """Return what `BASIS` is in the index for what was read."""
    return f"{row.dossier} {head.policy or ''} {load_default_digest(session) or ''} {row.state.value}"
