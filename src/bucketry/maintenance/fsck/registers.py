"""Checks that the story of each register of a model is whole, and sees one that moves during the check."""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import UNREADABLE, BucketryError, UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.reading import (
    Unreadable,
    kind_of,
    list_entries,
    look_for,
    read_named,
    reason_of,
    report,
)
from bucketry.registry.core.registers import alias_register, head_register
from bucketry.schema import keys
from bucketry.schema.codec import LARGEST_DOCUMENT_BYTES
from bucketry.schema.documents.audit import block_starts, decode_block, find_chain_fault
from bucketry.schema.documents.head import LARGEST_HEAD_BYTES
from bucketry.schema.names import parse_digest
from bucketry.store.contract import ETag, ObjectNotFoundError

if TYPE_CHECKING:
    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.registry.core.commit import HasTrail, Register
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.audit import Record, Trail
    from bucketry.schema.documents.head import Head
    from bucketry.schema.names import AliasName, Digest, ModelName
    from bucketry.store.contract import Store

S = TypeVar("S", bound="HasTrail")


@frozen
class BrokenChain:
    """What is wrong with a register's trail, and in which object; `words` are a part of a sentence."""

    kind: Kind
    key: str
    words: str


class ModelRegisters:
    """The registers that one pass over a model reads, each once."""

    def __init__(self, session: Session, model: ModelName, findings: Findings) -> None:
        self._session = session
        self._model = model
        self._findings = findings
        self._etags: dict[str, ETag | None] = {}
        self._heads: dict[ModelName, Head | None] = {}

    def find_head(self, model: ModelName) -> Head | None:
        """Return a model's head; what is wrong with it is reported only where it is the model being checked."""
        if model not in self._heads:
            register = head_register(self._session, model)
            head, problem = self._load(register)
            if problem is not None and model == self._model:
                self._findings.add(problem[0], register.key, problem[1])
            self._heads[model] = head
        return self._heads[model]

    def load_aliases(self) -> list[tuple[AliasName, AliasRegister]]:
        """Return the registers of all aliases that can be read, by a listing."""
        found: list[AliasName] = []
        for entry in list_entries(self._session.store, keys.aliases(self._model), self._findings):
            try:
                alias = keys.alias_of_key(self._model, entry.key)
            except BucketryError:
                alias = None
            if alias is None or keys.alias(self._model, alias) != entry.key:
                self._findings.add(Kind.KEY_OF_NO_REGISTER, entry.key, "This key is not that of any alias's register.")
            else:
                found.append(alias)
        loaded = self._session.map_in_parallel(
            lambda alias: self._load(alias_register(self._session, self._model, alias)), found
        )
        registers = []
        for alias, (register, problem) in zip(found, loaded, strict=True):
            if problem is not None:
                self._findings.add(problem[0], keys.alias(self._model, alias), problem[1])
            if register is not None:
                registers.append((alias, register))
        return registers

    def find_chain(self, register: Register[S], trail: Trail) -> list[Record] | None:
        """Return all records of a register, oldest first, or None where the chain is broken, which is reported."""
        records, fault = read_chain(self._session, register, trail)
        if fault is not None:
            self._findings.add(fault.kind, fault.key, f"The audit chain is broken: {fault.words}.")
        # The long reasons that records name; a text that stands in several is one object.
        notes: dict[Digest, int] = {}
        for record in records:
            if "note" in record.detail:
                try:
                    notes.setdefault(parse_digest(str(record.detail["note"])), record.generation)
                except UsageError:
                    words = f"The audit record of generation {record.generation} names no valid note."
                    self._findings.add(Kind.AUDIT_CHAIN_BROKEN, register.key, words)
        store, model = self._session.store, self._model
        read = self._session.map_in_parallel(
            lambda digest: read_named(store, keys.page(model, digest), digest, bytes), notes
        )
        for (digest, generation), body in zip(notes.items(), read, strict=True):
            what = f"the reason of generation {generation} of {register.key}"
            report(self._findings, Kind.NOTE_LOST, keys.page(model, digest), what, body)
        return None if fault is not None else records

    def has_moved(self) -> bool:
        """Return whether a register that this pass read has changed since."""
        return any(self._etag_now(key) != etag for key, etag in self._etags.items())

    def _load(self, register: Register[S]) -> tuple[S | None, tuple[Kind, str] | None]:
        plain = read_plain_copy(self._session.store, register.key)
        found = look_for(self._session.store, register.key)
        if isinstance(found, Unreadable):
            return None, (Kind.REGISTER_UNREADABLE, f"The register cannot be read: {found.reason}.")
        self._etags[register.key] = found.etag if found else None
        if found is None:
            return None, (Kind.REGISTER_LOST, "The register is missing.")
        problem = None
        if len(found.body) >= LARGEST_HEAD_BYTES and register.key.startswith(keys.HEADS):
            words = f"The head has {len(found.body):,} bytes; it must stay under {LARGEST_HEAD_BYTES:,}."
            problem = (Kind.HEAD_TOO_LARGE, words)
        try:
            state = register.decode(found.body)
        except UNREADABLE as error:
            kind = kind_of(error, Kind.REGISTER_UNREADABLE)
            return None, (kind, f"The register cannot be read: {reason_of(error)}.")
        report_plain_copy(register, state.trail, found.body, plain, self._findings)
        return state, problem

    def _etag_now(self, key: str) -> ETag | None:
        try:
            return self._session.store.stat(key).etag
        except (ObjectNotFoundError, *UNREADABLE):
            return None


def read_plain_copy(store: Store, key: str) -> bytes | None:
    """Return the file for people that a registry in a folder keeps beside a register's states; None elsewhere.

    It is read before the register: what is newer then is the register. One that is gone, or no file, is empty.
    """
    path = store.local_path(key)
    if path is None:
        return None
    try:
        # O_NONBLOCK: opening a pipe must not wait for its writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return b""
            return file.read(LARGEST_DOCUMENT_BYTES + 1)  # what is longer is no copy of any register
    except OSError:
        return b""


def report_plain_copy(
    register: Register[S], trail: Trail, body: bytes, plain: bytes | None, findings: Findings
) -> None:
    """Report a copy for people that is not what the registry holds: an older state is legal, and replaced soon."""
    if plain is None or plain == body:
        return
    try:
        older = register.decode(plain).trail
    except UNREADABLE:
        older = None
    known = {record.generation: record.digest for record in trail.records}
    last = older.records[-1] if older is not None and older.records else None
    if (
        last is not None
        and last.generation < trail.generation
        and known.get(last.generation, last.digest) == last.digest
    ):
        findings.add(
            Kind.READABLE_COPY_BEHIND,
            register.key,
            f"The file for people is of generation {last.generation:,}, and the register of {trail.generation:,}: the "
            "next commit replaces it.",
        )
    else:
        findings.add(
            Kind.READABLE_COPY_WRONG,
            register.key,
            "The file for people is not what the registry holds at this key: the register itself can be read, and its "
            "next commit replaces the file.",
        )


def read_chain(session: Session, register: Register[S], trail: Trail) -> tuple[list[Record], BrokenChain | None]:
    """Return a register's records from the first commit on, as far as they can be read, and what is wrong, if it is."""
    blocks = session.map_in_parallel(partial(_load_block, session, register), block_starts(trail))
    records: list[Record] = []
    fault: BrokenChain | None = None
    for block in blocks:
        if isinstance(block, BrokenChain):
            fault = fault or block
        else:
            records.extend(block)
    records.extend(trail.records)
    broken = find_chain_fault(records)
    if fault is None and broken:
        fault = BrokenChain(Kind.AUDIT_CHAIN_BROKEN, register.key, broken)
    return records, fault


def _load_block(session: Session, register: Register[S], first: int) -> tuple[Record, ...] | BrokenChain:
    key = register.history_key(first)
    found = look_for(session.store, key)
    if found is None:
        return BrokenChain(Kind.SEALED_RECORDS_LOST, key, f"the sealed audit records {key} are missing")
    if isinstance(found, Unreadable):
        words = f"the sealed audit records {key} cannot be read: {found.reason}"
        return BrokenChain(Kind.SEALED_RECORDS_LOST, key, words)
    try:
        block = decode_block(found.body, what=key)
    except UNREADABLE as error:
        return BrokenChain(kind_of(error, Kind.SEALED_RECORDS_LOST), key, reason_of(error))
    if block[0].generation != first:
        return BrokenChain(Kind.SEALED_RECORDS_LOST, key, f"{key} holds other audit records than its name says")
    return block
