"""Seals rows that leave the head in pages, and finds them again.

At 128 rows, or at 80 KiB, the oldest rows are sealed into an immutable page named by its digest, and the directory
of all pages is replaced by a new one. A directory entry also holds 24-bit prefixes of the rows' manifests and
idempotency keys, so that looking one up reads one page at most (and, once in thousands of look-ups, one in vain).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from bucketry.errors import CorruptError, RejectedError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Fields, decode, digest_of, encode
from bucketry.schema.documents.head import LARGEST_HEAD_BYTES, Head, Row, SealedPages, check_row, encode_head, read_row
from bucketry.schema.documents.states import State
from bucketry.schema.names import Digest

if TYPE_CHECKING:
    from bucketry.schema.documents.placement import Placement

ROWS_KEPT = 64
ROWS_BEFORE_SEALING = 128
HEAD_BYTES_BEFORE_SEALING = 80 * 1024
PREFIX_CHARACTERS = 6
_PLAIN_DIGEST = re.compile("[0-9a-f]{64}")
_STATES = {state.value: state for state in State}


@frozen
class PageEntry:
    """Where the rows `first` to `last` are sealed. `manifests` and `keys` are runs of 6-character prefixes."""

    first: int
    last: int
    page: Digest
    manifests: str
    keys: str


@frozen
class Directory:
    """The directory of a model's sealed pages, in the order of their versions."""

    entries: tuple[PageEntry, ...] = ()

    def find(self, version: int) -> PageEntry | None:
        """Return the entry of the page that holds a version."""
        index = bisect_right(self.entries, version, key=lambda entry: entry.first) - 1
        return self.entries[index] if index >= 0 and version <= self.entries[index].last else None

    def with_manifest(self, manifest: Digest) -> tuple[PageEntry, ...]:
        """Return the entries of pages that may hold a row with this manifest."""
        return tuple(entry for entry in self.entries if _has_prefix(entry.manifests, manifest))

    def with_key(self, idempotency: str) -> tuple[PageEntry, ...]:
        """Return the entries of pages that may hold a row with this idempotency key (as rows spell it)."""
        return tuple(entry for entry in self.entries if _has_prefix(entry.keys, idempotency))


@frozen
class PlacedRow:
    """What of a row says which bytes a version needs, and who needs the version."""

    version: int
    manifest: Digest
    placement: Placement
    state: State
    dossier: Digest | None


@frozen
class Page:
    """Sealed rows, without gaps."""

    rows: tuple[Row, ...]

    def find_row(self, version: int) -> Row | None:
        """Return the row of a version."""
        return next((row for row in self.rows if row.version == version), None)


@frozen
class SealedChange:
    """A new head, and the bodies of the immutable documents that must exist before it is committed."""

    head: Head
    bodies: tuple[bytes, ...] = ()


def needs_sealing(head: Head) -> bool:
    """Return whether rows must leave the head before it is committed."""
    if len(head.rows) <= ROWS_KEPT:
        return False
    return len(head.rows) >= ROWS_BEFORE_SEALING or len(encode_head(head)) >= HEAD_BYTES_BEFORE_SEALING


def seal(head: Head, directory: Directory) -> SealedChange:
    """Return the head with its oldest rows sealed, keeping the newest 64."""
    leaving, staying = head.rows[:-ROWS_KEPT], head.rows[-ROWS_KEPT:]
    page = encode_page(Page(leaving))
    entries = (*directory.entries, entry_of(leaving, digest_of(page)))
    return _with_directory(replace(head, rows=staying), Directory(entries), (page,))


def change_sealed_row(head: Head, directory: Directory, page: Page, row: Row) -> SealedChange:
    """Return the head after a sealed row was replaced by another one of the same version."""
    check_row(row)
    entry = directory.find(row.version)
    if entry is None:
        raise CorruptError(f"version {row.version} of {head.model} is not in the page directory")
    rows = tuple(row if old.version == row.version else old for old in page.rows)
    body = encode_page(Page(rows))
    new = entry_of(rows, digest_of(body))
    entries = tuple(new if old.first == entry.first else old for old in directory.entries)
    return _with_directory(head, Directory(entries), (body,))


def check_head_size(head: Head) -> None:
    """Raise `RejectedError` for a head of 96 KiB or more: a limit that sealing keeps, checked all the same."""
    size_bytes = len(encode_head(head))
    if size_bytes >= LARGEST_HEAD_BYTES:
        raise RejectedError(f"the head of {head.model} would take {size_bytes} bytes")


def encode_page(page: Page) -> bytes:
    """Return the page's bytes."""
    return encode({"format": FORMAT, "rows": [row.to_document() for row in page.rows]})


def decode_page(body: bytes, *, what: str) -> Page:
    """Return the page; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    return Page(tuple(read_row(inner) for inner in fields.inners("rows", most=1_000)))


def read_placed_rows(body: bytes, *, what: str) -> list[PlacedRow]:
    """Return of each row of a page what says which bytes it needs, for walks over all: a quarter of `decode_page`.

    A page of which any row is not plain is read with care.
    """
    rows = decode(body, what=what).get("rows")
    if type(rows) is list:
        plain = [row for row in map(_find_plain_row, rows) if row is not None]
        if len(plain) == len(rows):
            return plain
    return [placed_row(row) for row in decode_page(body, what=what).rows]


def placed_row(row: Row) -> PlacedRow:
    """Return of a row what says which bytes it needs."""
    return PlacedRow(row.version, row.manifest, row.placement, row.state, row.dossier)


def _find_plain_row(document: object) -> PlacedRow | None:
    """Return the row if all of its files lie under one epoch and all is as it should be; None for all else."""
    if type(document) is not dict:
        return None
    version, manifest, dossier = document.get("version"), document.get("manifest"), document.get("dossier")
    placement, state = document.get("placement"), document.get("state")
    if type(version) is not int or version < 1 or not _is_digest(manifest) or state not in _STATES:
        return None
    if type(placement) is not list or len(placement) != 1 or not (dossier is None or _is_digest(dossier)):
        return None
    run = placement[0]
    if type(run) is not list or len(run) != 2 or not all(type(number) is int and number > 0 for number in run):
        return None
    named = Digest(dossier) if dossier is not None else None
    return PlacedRow(version, Digest(manifest), ((run[0], run[1]),), _STATES[state], named)


def _is_digest(value: object) -> TypeGuard[str]:
    return type(value) is str and _PLAIN_DIGEST.fullmatch(value) is not None


def encode_directory(directory: Directory) -> bytes:
    """Return the directory's bytes; raise `RejectedError` when the model has more versions than one can list."""
    pages = [
        {"first": e.first, "last": e.last, "page": e.page, "manifests": e.manifests, "keys": e.keys}
        for e in directory.entries
    ]
    return encode({"format": FORMAT, "pages": pages})


def decode_directory(body: bytes, *, what: str) -> Directory:
    """Return the directory; raise `CorruptError` if its pages leave gaps."""
    fields = Fields(decode(body, what=what), what=what)
    entries = []
    expected = 1
    for inner in fields.inners("pages"):
        entry = PageEntry(
            first=inner.integer("first", least=1),
            last=inner.integer("last", least=1),
            page=inner.digest("page"),
            manifests=inner.text("manifests", default=""),
            keys=inner.text("keys", default=""),
        )
        if entry.first != expected or entry.last < entry.first:
            raise CorruptError(f"{what}: the page after version {expected - 1} is missing")
        expected = entry.last + 1
        entries.append(entry)
    return Directory(tuple(entries))


def entry_of(rows: tuple[Row, ...], page: Digest) -> PageEntry:
    """Return what the directory says about a page: its rows, its digest, and the prefixes to find them by."""
    return PageEntry(
        first=rows[0].version,
        last=rows[-1].version,
        page=page,
        manifests="".join(row.manifest[:PREFIX_CHARACTERS] for row in rows),
        keys="".join(row.idempotency[:PREFIX_CHARACTERS] for row in rows if row.idempotency),
    )


def _with_directory(head: Head, directory: Directory, bodies: tuple[bytes, ...]) -> SealedChange:
    body = encode_directory(directory)
    sealed = SealedPages(directory.entries[-1].last, digest_of(body))
    return SealedChange(replace(head, sealed=sealed), (*bodies, body))


def _has_prefix(run: str, digest: str) -> bool:
    wanted = digest[:PREFIX_CHARACTERS]
    return any(run[at : at + PREFIX_CHARACTERS] == wanted for at in range(0, len(run), PREFIX_CHARACTERS))
