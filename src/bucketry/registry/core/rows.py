"""Finds the row of a version, in the head or in a sealed page, and changes it there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, CorruptError, NotFoundError, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_directory
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.dossier import Dossier, decode_dossier, encode_dossier
from bucketry.schema.documents.evidence import decode_evidence
from bucketry.schema.documents.pages import Page, PageEntry, change_sealed_row, decode_page
from bucketry.schema.documents.states import BLOBS_KEPT, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bucketry.registry.core.immutable import Immutable
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.pages import PlacedRow
    from bucketry.schema.names import Digest


def load_row(session: Session, head: Head, version: int) -> Row:
    """Return the row of a version; raise `NotFoundError`, also for a deleted one."""
    row = find_row(session, head, version)
    if row is None:
        raise NotFoundError(f"{head.model} has no version {version}", advice=f"see `bucketry versions {head.model}`")
    if row.state is State.DELETED:
        raise NotFoundError(f"version {version} of {head.model} was deleted")
    return row


def find_row(session: Session, head: Head, version: int) -> Row | None:
    """Return the row of a version, deleted or not, or None for a number that was never given."""
    if not 1 <= version < head.next_version:
        return None
    row = head.find_row(version)
    if row is not None:
        return row
    entry = load_directory(session, head).find(version)
    return load_page(session, head, entry).find_row(version) if entry else None


@frozen
class VersionsByPage:
    """Versions by the page that their rows are in, each of those in the head itself (None) by itself.

    `lost` are those whose page nobody can find, because the directory cannot be read: `reason` says why.
    """

    groups: tuple[tuple[PageEntry | None, tuple[int, ...]], ...]
    lost: tuple[int, ...] = ()
    reason: str = ""


def group_by_page(session: Session, head: Head, versions: Iterable[int]) -> VersionsByPage:
    """Return the versions by the page that their rows are in.

    The directory is read once, and whoever takes a group reads its page once: of a model with 100,000 versions the
    directory alone takes 40 ms.
    """
    given = [version for version in versions if 1 <= version < head.next_version]
    here = tuple((None, (version,)) for version in given if head.find_row(version) is not None)
    older = tuple(version for version in given if head.find_row(version) is None)
    if not older:
        return VersionsByPage(here)
    try:
        directory = load_directory(session, head)
    except UNREADABLE as error:
        return VersionsByPage(here, older, reason_of(error))
    sealed: dict[PageEntry, list[int]] = {}
    for version in older:
        entry = directory.find(version)
        if entry is not None:
            sealed.setdefault(entry, []).append(version)
    return VersionsByPage((*here, *((entry, tuple(inside)) for entry, inside in sealed.items())))


def load_group(session: Session, head: Head, entry: PageEntry | None, versions: Iterable[int]) -> list[Row]:
    """Return the rows of a group, without those of deleted versions."""
    rows = head if entry is None else load_page(session, head, entry)
    found = (rows.find_row(version) for version in versions)
    return [row for row in found if row is not None and row.state is not State.DELETED]


def find_row_by_manifest(session: Session, head: Head, manifest: Digest) -> Row | None:
    """Return the newest row with this manifest."""
    return _find_newest(
        session,
        head,
        lambda row: row.manifest == manifest,
        lambda: load_directory(session, head).with_manifest(manifest),
    )


def find_row_by_key(session: Session, head: Head, idempotency: str) -> Row | None:
    """Return the row that was published with this idempotency key (as rows spell it)."""
    return _find_newest(
        session,
        head,
        lambda row: row.idempotency == idempotency,
        lambda: load_directory(session, head).with_key(idempotency),
    )


def iter_rows(session: Session, head: Head) -> Iterator[Row]:
    """Yield all rows, newest first; sealed pages are read only when they are reached."""
    yield from reversed(head.rows)
    for entry in reversed(load_directory(session, head).entries):
        yield from reversed(load_page(session, head, entry).rows)


MOST_DAMAGED_ROWS = 500_000
"""So many versions a directory has room for; a head that claims more of them is not believed."""
MOST_ROWS_OF_A_PAGE = 1_000


@frozen
class DamagedRow:
    """A version of which something cannot be read: its row too, where that is None."""

    version: int
    reason: str
    row: Row | None = None


def iter_known_rows(session: Session, head: Head) -> Iterator[Row | DamagedRow]:
    """Yield the rows as `iter_rows` does; each one of a page, or a directory, that cannot be read as damaged."""
    yield from reversed(head.rows)
    try:
        entries = load_directory(session, head).entries
    except UNREADABLE as error:
        first = max(1, head.sealed.count - MOST_DAMAGED_ROWS + 1)
        yield from (DamagedRow(version, reason_of(error)) for version in range(head.sealed.count, first - 1, -1))
        return
    for entry in reversed(entries):
        try:
            rows, why = load_page(session, head, entry).rows, f"{keys.page(head.model, entry.page)} has no row of it"
        except UNREADABLE as error:
            rows, why = (), reason_of(error)
        there = {row.version: row for row in rows}
        first = max(entry.first, entry.last - MOST_ROWS_OF_A_PAGE + 1)
        for version in range(entry.last, first - 1, -1):
            yield there.get(version) or DamagedRow(version, why)


def iter_live_rows(session: Session, head: Head) -> Iterator[Row]:
    """Yield the rows whose blobs must exist, newest first."""
    return (row for row in iter_rows(session, head) if row.state in BLOBS_KEPT)


def load_page(session: Session, head: Head, entry: PageEntry) -> Page:
    """Return a sealed page."""
    return decode_page(session.load_document(head.model, entry.page), what=keys.page(head.model, entry.page))


def replace_row(session: Session, head: Head, row: Row) -> tuple[Head, tuple[Immutable, ...]]:
    """Return the head with one row replaced, and the immutable documents that this needs if the row is sealed."""
    if head.find_row(row.version) is not None:
        return replace(head, rows=head.with_row(row)), ()
    directory = load_directory(session, head)
    entry = directory.find(row.version)
    page = load_page(session, head, entry) if entry else Page(())
    change = change_sealed_row(head, directory, page, row)
    return change.head, tuple(session.new_document(head.model, body) for body in change.bodies)


def load_dossier(session: Session, head: Head, row: Row | PlacedRow) -> Dossier:
    """Return what was added to a version since it was published; empty where nothing was.

    Raises `CorruptError` for the dossier of another version: approvals must not be passed on.
    """
    if row.dossier is None:
        return Dossier(row.manifest)
    what = keys.page(head.model, row.dossier)
    dossier = decode_dossier(session.load_document(head.model, row.dossier), what=what)
    if dossier.manifest != row.manifest:
        raise CorruptError(f"{what} is about another version than {row.version}", advice="run `bucketry fsck`")
    return dossier


def load_added_evidence(session: Session, dossier: Dossier) -> tuple[Evidence, ...]:
    """Return the evidence that a dossier cites; raise `CorruptError` for what is missing, or about another version."""
    bodies = session.map_in_parallel(session.load_cited, dossier.evidence)
    return tuple(
        decode_evidence(body, manifest=dossier.manifest, what=cited.key)
        for cited, body in zip(dossier.evidence, bodies, strict=True)
    )


def replace_dossier(session: Session, head: Head, row: Row, dossier: Dossier) -> tuple[Head, tuple[Immutable, ...]]:
    """Return the head with a version's dossier replaced, and the immutable documents that this needs."""
    document = session.new_document(head.model, encode_dossier(dossier))
    changed, objects = replace_row(session, head, replace(row, dossier=digest_of(document.body)))
    return changed, (document, *objects)


def _find_newest(
    session: Session,
    head: Head,
    matches: Callable[[Row], bool],
    entries: Callable[[], tuple[PageEntry, ...]],
) -> Row | None:
    for row in reversed(head.rows):
        if matches(row):
            return row
    for entry in reversed(entries() if head.sealed.count else ()):
        for row in reversed(load_page(session, head, entry).rows):
            if matches(row):
                return row
    return None
