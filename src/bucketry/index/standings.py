"""Notes how the reviews of the versions in a list stand: who counts, who refused, what is missing, what is signed.

Rows say a version's state alone. The rest is in its dossier and its decisions, which are read for the versions that a
screen shows, and kept in the index for as long as dossier, policies and state are the same and no approval ended.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.clock import format_time
from bucketry.errors import UNREADABLE, reason_of
from bucketry.index.damage import version_ids, write_damages
from bucketry.index.review_summary import BASIS, basis_of
from bucketry.registry.core.registers import find_head
from bucketry.registry.core.rows import DamagedRow, group_by_page, load_group
from bucketry.registry.review.gating import waits_for_evidence
from bucketry.registry.review.policies import find_default_digest, load_policy, load_policy_over_default
from bucketry.registry.review.standings import load_standing
from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.documents.states import State
from bucketry.schema.judging.decisions import moment, newest_approvals
from bucketry.schema.moments import microseconds_of
from bucketry.schema.names import parse_model_name

if TYPE_CHECKING:
    import sqlite3
    import threading
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session
    from bucketry.registry.review.standings import Standing
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.pages import PageEntry
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.names import Digest, ModelName

MOST_AT_ONCE = 64
"""How many are read before they are written, and seen."""
_COLUMNS = "approvals, required, refused_by, is_revoked, has_ended, ends_us, lacks_evidence, is_signed"


def refresh_standings(
    index: Index, session: Session, model: ModelName, ids: Sequence[int], cancelled: threading.Event
) -> int:
    """Bring what is noted of these versions, by their ids in the index, up to date; return how many were read.

    Nothing is read of those that are: the bucket is not asked then. One that cannot be read is noted as damaged. Raises
    `CorruptError` where the policy, which is the same for all, cannot be read.
    """
    note_default_policy(index, session)
    versions = _stale(index, session, ids)
    head = find_head(session, model) if versions else None
    if head is None:
        return 0
    policy = load_policy(session, head)
    done = 0
    for begin in range(0, len(versions), MOST_AT_ONCE):
        if cancelled.is_set():
            break
        batch = versions[begin : begin + MOST_AT_ONCE]
        groups = group_by_page(session, head, batch).groups
        found = session.map_in_parallel(lambda group: _read(session, head, policy, *group), groups)
        with index.writing() as connection:
            for read in (one for group in found for one in group):
                if isinstance(read, DamagedRow):
                    ids_of = version_ids(connection, str(model), [read.version])
                    write_damages(connection, ids_of, "reviews", read.reason)
                else:
                    done += _write(connection, session, head, *read)
    return done


def note_standings(index: Index, session: Session, found: Iterable[tuple[Head, Standing]]) -> None:
    """Note how approved versions stand that somebody read anyway."""
    with index.writing() as connection:
        for head, standing in found:
            _write(connection, session, head, standing, lacks=False)


def list_undecided(
    index: Index, session: Session, states: Sequence[State], *, renewed_until: datetime
) -> dict[ModelName, list[int]]:
    """Return the versions in these states that may wait for somebody, by their models.

    Left out are those whose approvals were counted before, are enough, and last beyond that moment; and those about
    which nothing was decided, where the policy asks for no approvals.
    """
    note_default_policy(index, session)
    marks = ", ".join("?" * len(states))
    last_us = microseconds_of(format_time(renewed_until))
    with index.reading() as connection:
        policies = [digest for (digest,) in connection.execute("SELECT DISTINCT policy FROM models")]
    free = [digest or "" for digest in policies if _asks_for_nothing(session, digest)]
    is_free = f"coalesce(m.policy, '') IN ({', '.join('?' * len(free))})"
    sql = (
        "SELECT m.name, v.version FROM versions v JOIN models m ON m.id = v.model_id"  # noqa: S608 - values are parameters
        f" LEFT JOIN standings s ON s.version_id = v.id AND s.basis = {BASIS} WHERE v.state IN ({marks})"
        " AND NOT (v.state = 'approved' AND s.approvals IS NOT NULL"
        f" AND (s.approvals >= s.required OR {is_free}) AND (s.ends_us IS NULL OR s.ends_us > ?))"
        f" AND NOT (v.dossier IS NULL AND {is_free}) ORDER BY m.name, v.version"
    )
    found: dict[ModelName, list[int]] = {}
    with index.reading() as connection:
        for name, version in connection.execute(sql, (*(state.value for state in states), *free, last_us, *free)):
            found.setdefault(parse_model_name(name), []).append(version)
    return found


def _asks_for_nothing(session: Session, digest: Digest | None) -> bool:
    try:
        return load_policy_over_default(session, digest).approvals_required == 0
    except UNREADABLE:
        return False  # who looks at the model's versions is told


def note_default_policy(index: Index, session: Session) -> None:
    """Note which default policy holds: with another one, everything is read again."""
    default = find_default_digest(session) or ""
    with index.reading() as connection:
        found = connection.execute("SELECT value FROM facts WHERE name = 'default_policy'").fetchone()
    if (found[0] if found else "") != default:
        with index.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('default_policy', ?)", (default,))


def _stale(index: Index, session: Session, ids: Sequence[int]) -> list[int]:
    """Return the numbers of the versions whose standing has to be read; one without a dossier has no decisions."""
    now_us = microseconds_of(session.clock.timestamp())
    sql = (
        "SELECT v.version FROM versions v JOIN models m ON m.id = v.model_id"  # noqa: S608 - values are parameters
        " LEFT JOIN standings s ON s.version_id = v.id"
        f" WHERE v.id IN ({', '.join('?' * len(ids))}) AND v.dossier IS NOT NULL AND v.state <> 'deleted'"
        f" AND (s.basis IS NULL OR s.basis <> {BASIS} OR s.ends_us <= ?) ORDER BY v.version DESC"
    )
    with index.reading() as connection:
        return [version for (version,) in connection.execute(sql, (*ids, now_us))]


def _read(
    session: Session, head: Head, policy: Policy, entry: PageEntry | None, versions: Sequence[int]
) -> list[tuple[Standing, bool] | DamagedRow]:
    found: list[tuple[Standing, bool] | DamagedRow] = []
    with suppress(*UNREADABLE):  # of a page that cannot be read the next refresh tells
        for row in load_group(session, head, entry, versions):
            try:
                standing = load_standing(session, head, row, policy=policy)
                lacks = row.state is State.IN_REVIEW and waits_for_evidence(session, head, row, policy)
            except UNREADABLE as error:
                found.append(DamagedRow(row.version, reason_of(error), row))
            else:
                found.append((standing, lacks))
    return found


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
    now = moment(session.clock.timestamp())
    ended = any(
        decision.statement.expires is not None and moment(decision.statement.expires) <= now
        for principal, decision in newest_approvals(decisions).items()
        if principal not in approvals.principals
    )
    default_policy = find_default_digest(session)
    values = (
        basis_of(dossier=row.dossier, policy=head.policy, default_policy=default_policy, state=row.state),
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
    if written.rowcount > 0:
        write_damages(connection, version_ids(connection, str(head.model), [row.version]), "reviews", "")
    return written.rowcount > 0
