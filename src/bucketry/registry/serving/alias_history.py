"""What an alias named, and when: its moves as events, newest first.

Apart from `aliases.py`, which moves it: whoever asks about the past needs no gates and no approvals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.commit import load_current
from bucketry.registry.core.history import LostBlock, iter_known_records_back, iter_records_back
from bucketry.registry.core.notes import load_reason
from bucketry.registry.core.registers import alias_register, not_set
from bucketry.schema.documents.alias import MOVES, UNDOES, previous_version
from bucketry.schema.documents.audit import target_version

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.names import AliasName, ModelName


@frozen
class AliasEvent:
    """One entry of an alias's history. `undoes` is the generation of the move that an undo took back.

    Where `damaged` says why it cannot be read, the rest may be empty.
    """

    generation: int
    at: str
    actor: str
    action: str
    previous: int | None
    target: int | None
    reason: str
    undoes: int | None = None
    damaged: str = ""


def load_alias_history(session: Session, model: ModelName, alias: AliasName) -> list[AliasEvent]:
    """Return every move of an alias, newest first; raise `NotFoundError` for one that was never set.

    What cannot be read of it is told as an event that is damaged, in its place: of a sealed block, the generation up to
    which moves are missing.
    """
    register = alias_register(session, model, alias)
    current = load_current(session.store, register)
    if current.state is None:
        raise not_set(model, alias)
    found = iter_known_records_back(session, register, current.trail)
    return [
        AliasEvent(each.last, "", "", "", None, None, "", damaged=each.reason)
        if isinstance(each, LostBlock)
        else _event(session, model, each)
        for each in found
        if isinstance(each, LostBlock) or each.action in MOVES
    ]


def find_target_at(session: Session, model: ModelName, alias: AliasName, at: str) -> AliasEvent | None:
    """Return the move that decided what an alias named at a moment (RFC 3339, UTC, milliseconds), if there was one."""
    register = alias_register(session, model, alias)
    current = load_current(session.store, register)
    for record in iter_records_back(session, register, current.trail):
        if record.action in MOVES and record.at <= at:
            return _event(session, model, record)
    return None


def _event(session: Session, model: ModelName, record: Record) -> AliasEvent:
    undoes, target, reason, damaged = record.detail.get(UNDOES), None, "", ""
    try:
        target = target_version(record, what=f"the history of an alias of {model}")
        reason = load_reason(session, model, record)
    except UNREADABLE as error:  # a reason that is lost takes nothing else along
        damaged = reason_of(error)
    return AliasEvent(
        generation=record.generation,
        at=record.at,
        actor=record.actor,
        action=record.action,
        previous=previous_version(record.detail),
        target=target,
        reason=reason,
        undoes=undoes if isinstance(undoes, int) else None,
        damaged=damaged,
    )
