"""Reads what happened to a register, from its first commit on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import UNREADABLE, CorruptError, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.commit import HasTrail, Register
from bucketry.registry.core.immutable import find_object
from bucketry.schema.documents.audit import BLOCK_RECORDS, Record, Trail, block_starts, decode_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.core.session import Session

S = TypeVar("S", bound=HasTrail)


def load_records(session: Session, register: Register[S], trail: Trail) -> list[Record]:
    """Return all records of a register, oldest first; raise `CorruptError` where a sealed block is missing."""
    sealed = (load_block(session, register, first) for first in block_starts(trail))
    return [*(record for block in sealed for record in block), *trail.records]


def iter_records_back(session: Session, register: Register[S], trail: Trail) -> Iterator[Record]:
    """Yield all records of a register, newest first; sealed blocks are read only when they are reached."""
    yield from reversed(trail.records)
    for first in reversed(block_starts(trail)):
        yield from reversed(load_block(session, register, first))


@frozen
class LostBlock:
    """The records of these generations cannot be read."""

    first: int
    last: int
    reason: str


def iter_known_records_back(session: Session, register: Register[S], trail: Trail) -> Iterator[Record | LostBlock]:
    """Yield the records as `iter_records_back` does, and go on behind a lost block: to look, not to decide."""
    yield from reversed(trail.records)
    for first in reversed(block_starts(trail)):
        try:
            block = load_block(session, register, first)
        except UNREADABLE as error:
            yield LostBlock(first, first + BLOCK_RECORDS - 1, reason_of(error))
        else:
            yield from reversed(block)


def load_block(session: Session, register: Register[S], first: int) -> tuple[Record, ...]:
    """Return a sealed block of a register's records; raise `CorruptError` where it is missing, or another one."""
    key = register.history_key(first)
    found = find_object(session.store, key)
    if found is None:
        raise CorruptError(f"the sealed audit records {key} are missing")
    block = decode_block(found.body, what=key)
    if block[0].generation != first:
        raise CorruptError(f"{key} holds other audit records than its name says")
    return block
