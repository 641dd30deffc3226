"""What happened to a register from its first commit on, and is the story whole?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import CorruptError, NotFoundError
from bucketry.registry.commit import Current, HasTrail, Register, load_current
from bucketry.registry.immutable import find_object
from bucketry.registry.registers import alias_register, head_register
from bucketry.schema.audit import Record, Trail, block_starts, decode_block, find_chain_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.session import Session
    from bucketry.schema.names import AliasName, ModelName

S = TypeVar("S", bound=HasTrail)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One record and where it stands: `alias` is None for the head's own records."""

    alias: AliasName | None
    record: Record


@dataclass(frozen=True, slots=True)
class Audit:
    """A model's whole trail in the order of time, and what is wrong with it (empty if nothing is)."""

    model: ModelName
    entries: tuple[AuditEntry, ...]
    faults: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Whether every chain holds from its first commit on."""
        return not self.faults


def load_audit(session: Session, model: ModelName) -> Audit:
    """Return every record of the model's head and of its aliases, with every chain verified.

    Raises `NotFoundError` for a model that does not exist. A broken chain is not raised but named in `faults`.
    """
    current = load_current(session.store, head_register(session, model))
    if current.state is None:
        raise NotFoundError(f"there is no model {model}", advice="see `bucketry models`")
    entries: list[AuditEntry] = []
    faults: list[str] = []
    _collect(session, head_register(session, model), current, None, entries, faults)
    for alias in current.state.aliases:
        register = alias_register(model, alias)
        _collect(session, register, load_current(session.store, register), alias, entries, faults)
    entries.sort(key=lambda entry: (entry.record.at, entry.alias or "", entry.record.generation))
    return Audit(model, tuple(entries), tuple(faults))


def load_records(session: Session, register: Register[S], trail: Trail) -> list[Record]:
    """Return all records of a register, oldest first; raise `CorruptError` where a sealed block is missing."""
    return [*_iter_sealed(session, register, trail), *trail.records]


def iter_records_back(session: Session, register: Register[S], trail: Trail) -> Iterator[Record]:
    """Yield all records of a register, newest first; sealed blocks are read only when they are reached."""
    yield from reversed(trail.records)
    for first in reversed(block_starts(trail)):
        yield from reversed(_load_block(session, register, first))


def _iter_sealed(session: Session, register: Register[S], trail: Trail) -> Iterator[Record]:
    for first in block_starts(trail):
        yield from _load_block(session, register, first)


def _load_block(session: Session, register: Register[S], first: int) -> tuple[Record, ...]:
    key = register.history_key(first)
    found = find_object(session.store, key)
    if found is None:
        raise CorruptError(f"the sealed audit records {key} are missing")
    block = decode_block(found.body, what=key)
    if block[0].generation != first:
        raise CorruptError(f"{key} holds other audit records than its name says")
    return block


def _collect(
    session: Session,
    register: Register[S],
    current: Current[S],
    alias: AliasName | None,
    entries: list[AuditEntry],
    faults: list[str],
) -> None:
    try:
        records = load_records(session, register, current.trail)
    except CorruptError as error:
        faults.append(f"{register.key}: {error.message}")
        records = list(current.trail.records)
    else:
        fault = find_chain_fault(records)
        if fault:
            faults.append(f"{register.key}: {fault}")
    entries.extend(AuditEntry(alias, record) for record in records)
