"""Reads what happened to one version, by its model's trail and by those of the aliases that named it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.commit import HasTrail, Register, load_current
from bucketry.registry.core.history import LostBlock, iter_known_records_back
from bucketry.registry.core.notes import load_reason
from bucketry.registry.core.registers import alias_register, head_register, load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.judging.decisions import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.audit import Record, Trail
    from bucketry.schema.names import AliasName, ModelName

S = TypeVar("S", bound=HasTrail)

MOST_RECORDS = 1_024
"""So many records of each trail are looked at, newest first: 32 sealed blocks at most."""
CLOCKS_DIFFER_AT_MOST = timedelta(days=1)
"""An alias's record that is older than the version by more than this cannot be about it."""


@frozen
class VersionEvent:
    """One thing that was done to a version: to it in its model, or by an alias's move.

    `target` is what the record names: the version, or what the alias named afterwards, empty for nothing. `damaged`
    says why the reason cannot be read.
    """

    at: str
    actor: str
    action: str
    alias: AliasName | None
    previous: int | None
    target: str
    reason: str
    generation: int
    damaged: str = ""


@frozen
class VersionHistory:
    """The events of one version, newest first; `is_whole` says whether every trail was followed to its publish.

    `damaged` says what of the trails cannot be read.
    """

    events: tuple[VersionEvent, ...]
    is_whole: bool
    damaged: tuple[str, ...] = ()


def load_version_history(session: Session, model: ModelName, version: int) -> VersionHistory:
    """Return what the trails say of a version; raise `NotFoundError` for one that does not exist.

    Costs the head, each alias's register, and the sealed blocks of the time since the version was published. What is
    damaged among them is named, and the rest told.
    """
    head = load_existing_head(session, model)
    begin = moment(load_row(session, head, version).created_at) - CLOCKS_DIFFER_AT_MOST

    def is_publish(record: Record) -> bool:
        return record.action == AuditAction.PUBLISH and record.target == str(version)

    def follow(alias: AliasName) -> _HistoryWalk:
        register = alias_register(session, model, alias)
        try:
            trail = load_current(session.store, register).trail
        except UNREADABLE as error:
            return _HistoryWalk(alias, (), damaged=(reason_of(error),))
        return _newest(session, register, trail, lambda record: moment(record.at) < begin, alias)

    own = _newest(session, head_register(session, model), head.trail, is_publish)
    walks = [own, *session.map_in_parallel(follow, head.aliases)]
    about = [
        (walk.alias, record)
        for walk in walks
        for record in walk.records
        # Something was done to the version, or another one was named in its place.
        if not record.is_internal and (record.target == str(version) or record.detail.get("from") == version)
    ]
    about.sort(key=lambda each: (each[1].at, each[0] or "", each[1].generation), reverse=True)
    events = session.map_in_parallel(lambda each: _event(session, model, *each), about)
    damaged = [*(why for walk in walks for why in walk.damaged), *(event.damaged for event in events if event.damaged)]
    return VersionHistory(tuple(events), all(walk.is_whole for walk in walks), tuple(dict.fromkeys(damaged)))


@frozen
class _HistoryWalk:
    """What was found going back through one trail: of the model (no alias), or of an alias."""

    alias: AliasName | None
    records: tuple[Record, ...]
    is_whole: bool = True
    damaged: tuple[str, ...] = ()


def _newest(
    session: Session,
    register: Register[S],
    trail: Trail,
    is_last: Callable[[Record], bool],
    alias: AliasName | None = None,
) -> _HistoryWalk:
    """Return the newest records up to the last that is wanted, and whether that, or the first of all, was reached."""
    found: list[Record] = []
    damaged: list[str] = []
    for record in iter_known_records_back(session, register, trail):
        if len(found) == MOST_RECORDS:
            return _HistoryWalk(alias, tuple(found), is_whole=False, damaged=tuple(damaged))
        if isinstance(record, LostBlock):
            damaged.append(record.reason)
            continue
        found.append(record)
        if is_last(record):
            break
    return _HistoryWalk(alias, tuple(found), damaged=tuple(damaged))


def _event(session: Session, model: ModelName, alias: AliasName | None, record: Record) -> VersionEvent:
    previous = record.detail.get("from")
    try:
        reason, damaged = load_reason(session, model, record), ""
    except UNREADABLE as error:
        reason, damaged = "", reason_of(error)
    return VersionEvent(
        at=record.at,
        actor=record.actor,
        action=record.action,
        alias=alias,
        previous=previous if isinstance(previous, int) else None,
        target=record.target,
        reason=reason,
        generation=record.generation,
        damaged=damaged,
    )
