"""What happened to one version: by its model's trail, and by those of the aliases that named it?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from bucketry.frozen import frozen
from bucketry.registry.commit import HasTrail, Register, load_current
from bucketry.registry.history import iter_records_back
from bucketry.registry.notes import load_reason
from bucketry.registry.registers import alias_register, head_register, load_existing_head
from bucketry.registry.rows import load_row
from bucketry.schema.decisions import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.session import Session
    from bucketry.schema.audit import Record, Trail
    from bucketry.schema.names import AliasName, ModelName

S = TypeVar("S", bound=HasTrail)

MOST_RECORDS = 1_024
"""So many records of each trail are looked at, newest first: 32 sealed blocks at most."""
CLOCKS_DIFFER_AT_MOST = timedelta(days=1)
"""An alias's record that is older than the version by more than this cannot be about it."""


@frozen
class VersionEvent:
    """One thing that was done to a version: to it in its model, or by an alias's move.

    `target` is what the record names: the version, or what the alias named afterwards, empty for nothing.
    """

    at: str
    actor: str
    action: str
    alias: AliasName | None
    previous: int | None
    target: str
    reason: str
    generation: int


@frozen
class VersionHistory:
    """The events of one version, newest first; `is_whole` says whether every trail was followed to its publish."""

    events: tuple[VersionEvent, ...]
    is_whole: bool


def load_version_history(session: Session, model: ModelName, version: int) -> VersionHistory:
    """Return what the trails say of a version; raise `NotFoundError` for one that does not exist.

    Costs the head, each alias's register, and the sealed blocks of the time since the version was published.
    """
    head = load_existing_head(session, model)
    begin = moment(load_row(session, head, version).created_at) - CLOCKS_DIFFER_AT_MOST

    def is_publish(record: Record) -> bool:
        return record.action == "publish" and record.target == str(version)

    def follow(alias: AliasName) -> tuple[list[tuple[AliasName | None, Record]], bool]:
        register = alias_register(session, model, alias)
        trail = load_current(session.store, register).trail
        found, is_whole = _newest(session, register, trail, lambda record: moment(record.at) < begin)
        return [(alias, record) for record in found if _concerns(record, version)], is_whole

    found, is_whole = _newest(session, head_register(session, model), head.trail, is_publish)
    walks = session.ports.map_in_parallel(follow, head.aliases)
    about: list[tuple[AliasName | None, Record]] = [(None, record) for record in found if _concerns(record, version)]
    about += [each for records, _ in walks for each in records]
    about.sort(key=lambda each: (each[1].at, each[0] or "", each[1].generation), reverse=True)
    events = session.ports.map_in_parallel(lambda each: _event(session, model, *each), about)
    return VersionHistory(tuple(events), is_whole and all(whole for _, whole in walks))


def _newest(
    session: Session, register: Register[S], trail: Trail, is_last: Callable[[Record], bool]
) -> tuple[list[Record], bool]:
    """Return the newest records up to the last that is wanted, and whether that, or the first of all, was reached."""
    found: list[Record] = []
    for record in iter_records_back(session, register, trail):
        if len(found) == MOST_RECORDS:
            return found, False
        found.append(record)
        if is_last(record):
            break
    return found, True


def _concerns(record: Record, version: int) -> bool:
    """Return whether a record is about a version: something was done to it, or another one was named in its place."""
    return not record.is_internal and (record.target == str(version) or record.detail.get("from") == version)


def _event(session: Session, model: ModelName, alias: AliasName | None, record: Record) -> VersionEvent:
    previous = record.detail.get("from")
    return VersionEvent(
        at=record.at,
        actor=record.actor,
        action=record.action,
        alias=alias,
        previous=previous if isinstance(previous, int) else None,
        target=record.target,
        reason=load_reason(session, model, record),
        generation=record.generation,
    )
