"""Plans how to mend what fsck found, and applies the plan. It takes bytes from where they still are, and never invents.

What is named by its digest is taken from a mirror if it is the bytes of that digest; a directory is also made from its
pages, since its digest tells whether that is right. A sealed block must be the one that the next record names. A
register is replaced by compare-and-swap, with a record of it. To apply a plan twice changes nothing more.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from bucketry.errors import UNREADABLE, CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.repair.registers import find_register, plan_register, swap_register
from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.writing import Readable, put_document
from bucketry.registry.review.reviewing import renew_alias
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import BLOCK_RECORDS, decode_block
from bucketry.schema.documents.pages import Directory, PageEntry, decode_page, encode_directory, entry_of
from bucketry.schema.names import parse_digest
from bucketry.store.contract import Entry, IfAbsent, IfMatch, KeepsReadableCopies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bucketry.maintenance.fsck.findings import Finding
    from bucketry.registry.core.session import Session

MOST_DIRECTORIES_TRIED = 4_096
"""Pages that were replaced stay, so that a directory may be made of several; so many are tried."""


@frozen
class Step:
    """One thing that a repair would do: with which object, from where; `apply` returns whether it was still needed."""

    kind: Kind
    key: str
    source: str
    apply: Callable[[], bool]


@frozen
class Left:
    """A finding that a repair leaves as it is, and why."""

    kind: Kind
    key: str
    why: str


@frozen
class RepairPlan:
    """What a repair would do, in its order, and what it leaves."""

    steps: tuple[Step, ...]
    left: tuple[Left, ...]


def plan_repair(session: Session, findings: Sequence[Finding], mirror: Session | None = None) -> RepairPlan:
    """Return how to mend what was found, from the bucket itself and from a mirror; nothing is written."""
    steps: dict[str, Step] = {}
    left: dict[tuple[str, Kind], Left] = {}
    for finding in sorted(findings, key=lambda finding: finding.key != keys.REGISTRY):
        mend = MENDERS.get(finding.kind)
        if mend is None:
            left[finding.key, finding.kind] = Left(finding.kind, finding.key, finding.kind.value.repair)
            continue
        try:
            found = mend(session, finding, mirror)
        except UNREADABLE as error:
            found = f"what it could be mended from cannot be read: {error.message}"
        if isinstance(found, Step):
            steps.setdefault(finding.key, found)
        else:
            left[finding.key, finding.kind] = Left(finding.kind, finding.key, found)
    return RepairPlan(tuple(steps.values()), tuple(each for each in left.values() if each.key not in steps))


def apply_repair(session: Session, plan: RepairPlan) -> tuple[Step, ...]:
    """Do what a plan says, and return what was done: a step that is no longer needed is not.

    What a step cannot do, another program having changed the object meanwhile, is found by the next check.
    """
    with suppress(CorruptError):  # without a document that says it, nobody knows; it may be what is mended
        session.check_writable()
    done = []
    for step in plan.steps:
        try:
            if step.apply():
                done.append(step)
        except UNREADABLE:
            continue  # it stays a finding
    return tuple(done)


def _mend_document(session: Session, finding: Finding, mirror: Session | None) -> Step | str:
    """Take what is named by its digest from a mirror."""
    try:
        digest = parse_digest(finding.key.rpartition("/")[2].removesuffix(".json"))
    except UsageError:
        return "its key is not the name of its bytes"
    if finding.kind is Kind.DIRECTORY_LOST:
        for body in _thinkable_directories(session, finding.key):
            if digest_of(body) == digest:
                return Step(finding.kind, finding.key, "its pages", partial(_put, session, finding.key, body))
    if mirror is None:
        return "nothing here has its bytes; name a mirror by --from"
    found = find_object(mirror.store, finding.key)
    if found is None or digest_of(found.body) != digest:
        return f"{mirror.store.name} does not have its bytes either"
    return Step(finding.kind, finding.key, mirror.store.name, partial(_put, session, finding.key, found.body))


def _thinkable_directories(session: Session, key: str) -> Iterator[bytes]:
    """Yield each directory that the pages that are there can make, as far as they reach without a gap."""
    pages: dict[int, list[PageEntry]] = {}
    for entry in session.store.list(f"{key.rpartition('/')[0]}/"):
        found = find_object(session.store, entry.key) if isinstance(entry, Entry) else None
        if found is None or b'"rows"' not in found.body:
            continue
        try:
            rows = decode_page(found.body, what=key).rows
        except UNREADABLE:
            continue
        if rows:
            pages.setdefault(rows[0].version, []).append(entry_of(rows, digest_of(found.body)))
    chains: list[list[PageEntry]] = []
    first = 1
    while first in pages:
        chains.append(pages[first])
        first = pages[first][0].last + 1
    for entries in islice(product(*chains), MOST_DIRECTORIES_TRIED):
        yield encode_directory(Directory(entries))


def _put(session: Session, key: str, body: bytes) -> bool:
    """Put a document where it must be, unless it is there by now; damaged bytes are replaced only as they were read."""
    found = find_object(session.store, key)
    if found is not None and found.body == body:
        return False
    put_document(session.store, Readable(key, body), IfAbsent() if found is None else IfMatch(found.etag))
    return True


def _mend_block(session: Session, finding: Finding, mirror: Session | None) -> Step | str:
    """Take a sealed block from a mirror, if the record after it names its last one."""
    register = find_register(session, finding.key)
    if register is None:
        return "its key is that of no register's block"
    first = int(finding.key.rpartition("/")[2].removesuffix(".json"))
    after = find_object(session.store, register.history_key(first + BLOCK_RECORDS))
    if after is not None:
        following = decode_block(after.body, what=finding.key)[0]
    else:
        held = find_object(session.store, register.key)
        records = register.decode(held.body).trail.records if held is not None else ()
        if not records or records[0].generation != first + BLOCK_RECORDS:
            return "the records after it are not there either, so that nothing tells which block is right"
        following = records[0]
    if mirror is None:
        return "nothing here has its bytes; name a mirror by --from"
    found = find_object(mirror.store, finding.key)
    block = decode_block(found.body, what=finding.key) if found is not None else ()
    if found is None or block[0].generation != first or block[-1].digest != following.previous:
        return f"{mirror.store.name} does not have the block that generation {following.generation} follows"
    return Step(finding.kind, finding.key, mirror.store.name, partial(_put, session, finding.key, found.body))


def _mend_register(session: Session, finding: Finding, mirror: Session | None) -> Step | str:
    register = find_register(session, finding.key)
    if register is None:
        return "its key is that of no register"
    if mirror is None:
        return "nothing here has its bytes; name a mirror by --from"
    wanted: Any = plan_register(session.store, mirror.store, register)
    if isinstance(wanted, str):
        return wanted
    source = f"{mirror.store.name}, generation {wanted.trail.generation}"
    apply = partial(swap_register, session, register, wanted, mirror.store.name)
    return Step(finding.kind, finding.key, source, apply)


def _mend_alias(session: Session, finding: Finding, _mirror: Session | None) -> Step | str:
    place = keys.find_alias_place(finding.key)
    if place is None:
        return "its key is that of no alias"
    source = "the head and the decisions about its version"
    return Step(finding.kind, finding.key, source, partial(renew_alias, session, *place))


def _mend_readable_copy(session: Session, finding: Finding, _mirror: Session | None) -> Step | str:
    store = session.store.unretried
    if not isinstance(store, KeepsReadableCopies):
        return "this store keeps no files for people"

    def renew() -> bool:
        store.renew_readable_copy(finding.key)
        return True

    return Step(finding.kind, finding.key, "the register", renew)


MENDERS: Mapping[Kind, Callable[[Session, Finding, Session | None], Step | str]] = {
    Kind.REGISTER_LOST: _mend_register,
    Kind.REGISTER_UNREADABLE: _mend_register,
    Kind.REGISTER_FOREIGN: _mend_register,
    Kind.SEALED_RECORDS_LOST: _mend_block,
    **dict.fromkeys(
        (
            Kind.NOTE_LOST,
            Kind.DIRECTORY_LOST,
            Kind.PAGE_LOST,
            Kind.MANIFEST_LOST,
            Kind.DOSSIER_LOST,
            Kind.EVIDENCE_LOST,
            Kind.DECISION_LOST,
            Kind.POLICY_LOST,
        ),
        _mend_document,
    ),
    Kind.ALIAS_STATE_WRONG: _mend_alias,
    Kind.ALIAS_BEHIND: _mend_alias,
    Kind.REFUSAL_NOT_TOLD: _mend_alias,
    Kind.READABLE_COPY_WRONG: _mend_readable_copy,
    Kind.READABLE_COPY_BEHIND: _mend_readable_copy,
}
"""How each kind is mended; the others are left, for the reason that the table of kinds gives."""
