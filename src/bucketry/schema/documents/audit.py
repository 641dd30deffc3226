"""Audit records: the words for what was done to a register, and the hash chain that keeps the story whole.

Every commit adds one record, and each record carries the digest of the one before it: a hash chain from the first
commit on. A register holds its last 32 to 64 records; older ones are sealed in aligned blocks of 32, so that the
whole trail is readable without a listing and racing committers seal the same bytes.
"""

from __future__ import annotations

import re
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, digest_of, encode
from bucketry.schema.names import Digest, parse_version
from bucketry.schema.text import fault_in_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BLOCK_RECORDS = 32
MOST_RECENT_RECORDS = 64
LARGEST_RECORD_BYTES = 400
LONGEST_ACTOR_BYTES = 64
NO_RECORD = Digest("0" * 64)
"""What the first record of a chain carries as `previous`."""


class AuditAction(StrEnum):
    """Every word that this program writes as a record's action; a newer one may write others, so readers take any.

    What a command does has the command's word. `docs/format.md` says of each what it is about.
    """

    CREATE_REGISTRY = "create-registry"
    PROBE_STORE = "probe-store"
    SET_POLICY = "set-policy"
    SET_RETENTION = "set-retention"
    PUBLISH = "publish"
    EDIT = "edit"
    EVALUATE = "evaluate"
    REQUEST_REVIEW = "request-review"
    COMMENT = "comment"
    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"
    RETIRE = "retire"
    UNRETIRE = "unretire"
    BEGIN_DELETION = "begin-deletion"
    CANCEL_DELETION = "cancel-deletion"
    DELETE = "delete"
    DELETE_MODEL = "delete-model"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    UNSET = "unset"
    UNDO = "undo"
    CREATE_ALIAS = "create-alias"
    ADD_DEPENDENT = "add-dependent"
    REMOVE_DEPENDENT = "remove-dependent"
    RAISE_EPOCH = "raise-epoch"
    RECHECK_PROMOTIONS = "recheck-promotions"
    UPDATE_STATE = "update-state"
    REPAIR = "repair"


INTERNAL = frozenset(
    {
        AuditAction.CREATE_ALIAS,
        AuditAction.ADD_DEPENDENT,
        AuditAction.REMOVE_DEPENDENT,
        AuditAction.RAISE_EPOCH,
        AuditAction.RECHECK_PROMOTIONS,
        AuditAction.UPDATE_STATE,
    }
)
"""The actions by which an operation makes itself safe in other registers; the deed stands in a record of its own.

In an alias: a version was refused or deleted, so that promotions under way check again; or the state of its own version
is another. In a head: a new alias's name, what is made from a version, a raised epoch.
"""

_TRANSACTION = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,6})?Z")


@frozen
class Record:
    """One commit of a register: who did what to which target, and when (RFC 3339, UTC)."""

    generation: int
    transaction: str
    at: str
    actor: str
    action: str
    target: str
    previous: Digest
    detail: Mapping[str, object] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form."""
        document = dict(self.extra) | {
            "generation": self.generation,
            "transaction": self.transaction,
            "at": self.at,
            "actor": self.actor,
            "action": self.action,
            "target": self.target,
            "previous": self.previous,
        }
        return document | {"detail": dict(self.detail)} if self.detail else document

    @property
    def is_internal(self) -> bool:
        """Whether this is no deed of its own, but a note that something done elsewhere left here."""
        return self.action in INTERNAL

    @property
    def digest(self) -> Digest:
        """The SHA-256 that the next record carries as `previous`."""
        return digest_of(encode(self.to_document()))


@frozen
class Trail:
    """The newest records of a register, oldest first; empty only before the first commit."""

    records: tuple[Record, ...] = ()

    @property
    def generation(self) -> int:
        """How many commits the register has seen."""
        return self.records[-1].generation if self.records else 0

    @property
    def transaction(self) -> str:
        """The random id of the newest commit; empty before the first."""
        return self.records[-1].transaction if self.records else ""

    @property
    def tip(self) -> Digest:
        """The digest of the newest record."""
        return self.records[-1].digest if self.records else NO_RECORD

    def find(self, transaction: str) -> Record | None:
        """Return the record of a transaction if it is among these."""
        return next((record for record in reversed(self.records) if record.transaction == transaction), None)

    def extended(self, record: Record) -> tuple[Trail, tuple[Record, ...]]:
        """Return the trail with one more record, and the block (32 records, or none) that leaves it.

        Raises `RejectedError` for a record over 400 bytes.
        """
        size_bytes = len(encode(record.to_document()))
        if size_bytes > LARGEST_RECORD_BYTES:
            raise RejectedError(
                f"the audit record would take {size_bytes} bytes; the limit is {LARGEST_RECORD_BYTES}",
                advice="use a shorter identity or text",
            )
        records = (*self.records, record)
        if len(records) <= MOST_RECENT_RECORDS:
            return Trail(records), ()
        return Trail(records[BLOCK_RECORDS:]), records[:BLOCK_RECORDS]

    def to_document(self) -> Document:
        """Return the three fields that every register has."""
        return {
            "generation": self.generation,
            "transaction": self.transaction,
            "recent": [record.to_document() for record in self.records],
        }


def read_trail(fields: Fields, *, may_be_empty: bool = False) -> Trail:
    """Return the trail of a register's document; its generations must be without gaps."""
    trail = Trail(tuple(_read_record(inner) for inner in fields.inners("recent", most=MOST_RECENT_RECORDS)))
    generation = fields.integer("generation", least=0 if may_be_empty else 1)
    transaction = fields.text("transaction")
    if (trail.generation, trail.transaction) != (generation, transaction):
        raise CorruptError(f"{fields.what}: the newest audit record is not that of generation {generation}")
    _check_without_gaps(trail.records, what=fields.what)
    if trail.records and (trail.records[0].generation - 1) % BLOCK_RECORDS:
        raise CorruptError(f"{fields.what}: the audit records do not begin at the start of a block")
    return trail


def encode_block(records: Sequence[Record]) -> bytes:
    """Return the bytes of a sealed block."""
    return encode({"format": FORMAT, "records": [record.to_document() for record in records]})


def decode_block(body: bytes, *, what: str) -> tuple[Record, ...]:
    """Return the records of a sealed block; raise `CorruptError` if it is not 32 records without gaps."""
    fields = Fields(decode(body, what=what), what=what)
    records = tuple(_read_record(inner) for inner in fields.inners("records", most=BLOCK_RECORDS))
    if len(records) != BLOCK_RECORDS or (records[0].generation - 1) % BLOCK_RECORDS:
        raise CorruptError(f"{what} is not a block of {BLOCK_RECORDS} audit records")
    _check_without_gaps(records, what=what)
    return records


def block_starts(trail: Trail) -> range:
    """Return the first generations of all blocks that left the trail, oldest first."""
    oldest = trail.records[0].generation if trail.records else 1
    return range(1, oldest, BLOCK_RECORDS)


def find_chain_fault(records: Iterable[Record]) -> str:
    """Return what is wrong with a chain that begins at the first commit, in words; empty if nothing is."""
    expected, previous = 1, NO_RECORD
    seen: set[str] = set()
    for record in records:
        if record.generation != expected:
            return f"the record of generation {expected} is missing (found {record.generation})"
        if record.previous != previous:
            return f"generation {record.generation} does not follow from generation {record.generation - 1}"
        if record.transaction in seen:
            return f"transaction {record.transaction} stands twice"
        seen.add(record.transaction)
        expected, previous = expected + 1, record.digest
    return ""


def parse_actor(text: str) -> str:
    """Return an identity that fits in every record; raise `UsageError`."""
    fits = isinstance(text, str) and text and not fault_in_line(text, blanks=False)
    if not fits or len(encode({"a": text})) - len('{"a":""}') > LONGEST_ACTOR_BYTES:
        raise UsageError(
            f"{str(text)[:200]!a} cannot be an identity",
            advice=f"set identity to 1 to {LONGEST_ACTOR_BYTES} printable bytes, such as an e-mail address",
        )
    return text


def parse_time(text: str) -> str:
    """Return an RFC 3339 time in UTC as it is; raise `UsageError`."""
    try:
        if _TIME.fullmatch(text):
            datetime.fromisoformat(text)  # refuses what no calendar has
            return text
    except ValueError:
        pass
    raise UsageError(f"{text[:40]!a} is not a time", advice="write it like 2026-03-03T12:00:00Z")


def target_version(record: Record, *, what: str) -> int | None:
    """Return the version that a record is about, or None for none; raise `CorruptError` for anything else."""
    if not record.target:
        return None
    try:
        return parse_version(record.target)
    except UsageError as error:
        raise CorruptError(f"{what}: the target of audit generation {record.generation} is no version") from error


def continue_trail(trail: Trail, record: Record) -> Record:
    """Return the record as the next one of the trail: its generation and its `previous` filled in."""
    return replace(record, generation=trail.generation + 1, previous=trail.tip)


def _read_record(fields: Fields) -> Record:
    return Record(
        generation=fields.integer("generation", least=1),
        transaction=fields.parsed("transaction", _parse_transaction),
        at=fields.parsed("at", parse_time),
        actor=fields.text("actor"),
        action=fields.text("action"),
        target=fields.text("target"),
        previous=fields.digest("previous"),
        detail=fields.table("detail"),
        extra=fields.rest(),
    )


def _parse_transaction(text: str) -> str:
    if not _TRANSACTION.fullmatch(text):
        raise UsageError(f"{text!a} is not a transaction id")
    return text


def _check_without_gaps(records: Sequence[Record], *, what: str) -> None:
    for before, after in pairwise(records):
        if after.generation != before.generation + 1:
            raise CorruptError(f"{what}: audit generation {before.generation} is followed by {after.generation}")
