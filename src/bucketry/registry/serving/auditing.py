"""Reads who did what, and names each chain of audit records that is not whole: where, and at which generation.

A chain is verified from its first commit on. What was sealed is listed before the registers are read, so that a
register that went back shows: a block is sealed only by the commit that needs it. Nothing follows the newest record
of a chain yet, so a change of that one alone does not show here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import CorruptError, UnsupportedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Current, HasTrail, Register, load_current
from bucketry.registry.core.history import load_block
from bucketry.registry.core.registers import alias_register, existing_head, head_register, registry_register
from bucketry.schema import keys
from bucketry.schema.documents.audit import BLOCK_RECORDS, MOST_RECENT_RECORDS, NO_RECORD, Record, Trail, block_starts
from bucketry.schema.judging.decisions import moment
from bucketry.schema.names import parse_alias
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.names import AliasName, Digest, ModelName

S = TypeVar("S", bound=HasTrail)


@frozen
class AuditEntry:
    """One record and where it stands: in the object at `key`, of an alias, or of none."""

    alias: AliasName | None
    record: Record
    key: str


@frozen
class ChainFault:
    """What is wrong with a chain, in which object, and at which generation, where that is known."""

    key: str
    generation: int | None
    problem: str

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}"


@frozen
class Audit:
    """A model's whole trail in the order of time (of the registry's own document where `model` is None).

    `faults` says what is wrong with it, and is empty if nothing is.
    """

    model: ModelName | None
    entries: tuple[AuditEntry, ...]
    faults: tuple[ChainFault, ...]

    @property
    def verified(self) -> bool:
        """Whether every chain holds from its first commit on."""
        return not self.faults


@frozen
class AuditFilter:
    """Which records are wanted. `actor` and `action` are shell globs; `since` and `until` RFC 3339, both included."""

    actor: str | None = None
    action: str | None = None
    since: str | None = None
    until: str | None = None
    alias: AliasName | None = None

    def matches(self, entry: AuditEntry) -> bool:
        """Return whether a record is wanted."""
        record = entry.record
        return (
            (self.actor is None or fnmatchcase(record.actor, self.actor))
            and (self.action is None or fnmatchcase(record.action, self.action))
            and (self.alias is None or entry.alias == self.alias)
            and (self.since is None or moment(record.at) >= moment(self.since))
            and (self.until is None or moment(record.at) <= moment(self.until))
        )


def load_audit(session: Session, model: ModelName) -> Audit:
    """Return every record of the model's head and of its aliases, with every chain verified.

    Raises `NotFoundError` for a model that does not exist. A broken chain is not raised but named in `faults`.
    """
    sealed = _listed(session, keys.histories(model))
    alias_keys = _listed(session, keys.aliases(model))
    found = _Findings()
    head = _collect(session, head_register(session, model), None, sealed, found)
    if not found.faults and not (head.state is not None and head.state.deleted):  # what is gone keeps its story
        existing_head(session, model, head.state)
    named = head.state.aliases if head.state is not None else ()
    for alias in dict.fromkeys((*named, *_aliases_of(model, alias_keys, sealed))):
        register = alias_register(session, model, alias)
        if head.state is not None and alias not in named:
            found.add(register.key, None, f"{keys.head(model)} does not name this alias, and no name ever leaves it")
        _collect(session, register, alias, sealed, found)
    return found.audit(model)


def load_registry_audit(session: Session) -> Audit:
    """Return every record of the registry's own document: its creation, probes, and changes of the default policy."""
    _ = session.registry
    found = _Findings()
    _collect(session, registry_register(), None, _listed(session, keys.HISTORY, delimiter="/"), found)
    return found.audit(None)


@dataclass(slots=True)
class _Findings:
    entries: list[AuditEntry] = field(default_factory=list)
    faults: list[ChainFault] = field(default_factory=list)

    def add(self, key: str, generation: int | None, problem: str) -> None:
        self.faults.append(ChainFault(key, generation, problem))

    def audit(self, model: ModelName | None) -> Audit:
        ordered = sorted(self.entries, key=lambda each: (each.record.at, each.alias or "", each.record.generation))
        return Audit(model, tuple(ordered), tuple(self.faults))


def _listed(session: Session, prefix: str, *, delimiter: str | None = None) -> frozenset[str]:
    return frozenset(entry.key for entry in session.store.list(prefix, delimiter=delimiter) if isinstance(entry, Entry))


def _aliases_of(model: ModelName, alias_keys: Iterable[str], sealed: Iterable[str]) -> list[AliasName]:
    """Return the aliases that have a register or sealed records, whether or not the head names them."""
    found = set()
    for key in alias_keys:
        try:
            found.add(keys.alias_of_key(model, key))
        except UsageError:
            continue  # nobody's register: fsck tells
    for key in sealed:
        folder, slash, _ = key.removeprefix(keys.histories(model)).partition("/")
        if slash:
            try:
                found.add(parse_alias(folder))
            except UsageError:
                continue
    return sorted(found)


def _collect(
    session: Session, register: Register[S], alias: AliasName | None, sealed: frozenset[str], found: _Findings
) -> Current[S]:
    """Read one register's whole chain, verify it, and return the register as it is."""
    try:
        current = load_current(session.store, register)
    except (CorruptError, UnsupportedError) as error:
        found.add(register.key, None, error.message)
        return Current()
    firsts = block_starts(current.trail)
    blocks = session.map_in_parallel(lambda first: _read_block(session, register, first), firsts)
    found.faults.extend(block for block in blocks if isinstance(block, ChainFault))
    pieces: list[tuple[str, Sequence[Record]]] = [
        (register.history_key(first), () if isinstance(block, ChainFault) else block)
        for first, block in zip(firsts, blocks, strict=True)
    ]
    pieces.append((register.key, current.trail.records))
    _check_chain(pieces, found)
    _check_not_cut(session, register, current.trail, sealed, found)
    found.entries.extend(AuditEntry(alias, record, key) for key, records in pieces for record in records)
    return current


def _read_block(session: Session, register: Register[S], first: int) -> tuple[Record, ...] | ChainFault:
    try:
        return load_block(session, register, first)
    except (CorruptError, UnsupportedError) as error:
        problem = f"{error.message} (generations {first} to {first + BLOCK_RECORDS - 1})"
        return ChainFault(register.history_key(first), first, problem)


def _check_chain(pieces: Iterable[tuple[str, Sequence[Record]]], found: _Findings) -> None:
    """Name every record that does not follow from the one before it; after a block that is missing, begin anew."""
    previous: tuple[str, Digest] | None = ("", NO_RECORD)
    seen: set[str] = set()
    for key, records in pieces:
        if not records:
            previous = None
        for record in records:
            if previous is not None and record.previous != previous[1]:
                beside = f" in {previous[0]}" if previous[0] not in {"", key} else ""
                problem = (
                    f"generation {record.generation} does not follow from generation {record.generation - 1}{beside}: "
                    "one of the two was changed, or the chain forks here"
                )
                found.add(key, record.generation, problem)
            if record.transaction in seen:
                found.add(key, record.generation, f"generation {record.generation} repeats an earlier transaction")
            seen.add(record.transaction)
            previous = (key, record.digest)


def _check_not_cut(
    session: Session, register: Register[S], trail: Trail, sealed: frozenset[str], found: _Findings
) -> None:
    """Name a sealed block that the register does not know of: then the register was put back, or the block planted.

    The block of the oldest records is sealed by an attempt to commit generation 65 of them, so those that a register
    still has may be sealed already, but only all 64, and with the same bytes.
    """
    oldest = trail.records[0].generation if trail.records else 1
    beyond: dict[str, int] = {}
    for key in sealed:
        number = key.rpartition("/")[2].removesuffix(".json")
        first = int(number) if number.isascii() and number.isdecimal() and len(number) < 16 else 0
        if first >= oldest and register.history_key(first) == key:
            beyond[key] = first
    for key, first in sorted(beyond.items(), key=lambda item: item[1]):
        may_be_there = first == oldest and len(trail.records) == MOST_RECENT_RECORDS
        if not may_be_there:
            there = f"ends at generation {trail.generation}" if trail.records else "is missing"
            last = first + BLOCK_RECORDS - 1
            found.add(key, first, f"generations {first} to {last} were sealed, but {register.key} {there}: it was cut")
            continue
        block = _read_block(session, register, first)
        if isinstance(block, ChainFault):
            found.faults.append(block)
            continue
        for ours, theirs in zip(trail.records, block, strict=False):
            if ours != theirs:
                found.add(key, ours.generation, f"generation {ours.generation} is another one than in {register.key}")
                break
