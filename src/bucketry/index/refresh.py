"""Brings the local index up to the bucket, with as few reads as possible.

    LIST heads/ and aliases/        names and ETags
    heads and aliases that changed  one GET each, many at once
    sealed pages that are new       named by their digests in the directory
    manifests of new versions       once, because they never change; evidence where the dossier is another one

What was read is written in batches, one transaction each: a reader in another thread sees it at once, and whoever is
interrupted goes on from there. What cannot be read is left out and named; it is tried again by the next refresh.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import UNREADABLE, BucketryError, reason_of
from bucketry.frozen import frozen
from bucketry.index.damage import (
    KNOWN_DAMAGED,
    list_with_damaged_reviews,
    load_damage,
    write_damaged_alias,
    write_damaged_model,
    write_damaged_rows,
    write_damages,
)
from bucketry.index.details import EVERYTHING, count_pending, iter_pending, read_details, write_details
from bucketry.index.listing import list_registers
from bucketry.index.rows import (
    SealedRows,
    finish_head,
    remove_aliases,
    remove_models,
    write_alias,
    write_damaged_page,
    write_head,
    write_page,
)
from bucketry.index.standings import refresh_standings
from bucketry.index.store import IndexDamagedError
from bucketry.registry.core.registers import load_alias, load_directory, load_head
from bucketry.registry.core.rows import MOST_DAMAGED_ROWS
from bucketry.registry.core.session import DocumentCache
from bucketry.schema import keys
from bucketry.schema.documents.pages import decode_page
from bucketry.schema.names import AliasName, ModelName, parse_model_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bucketry.index.rows import WrittenHead
    from bucketry.index.sql import Clause
    from bucketry.index.store import Index
    from bucketry.registry.core.commit import Current
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Manifest

HEADS_IN_ONE_BATCH = 48
PAGES_IN_ONE_BATCH = 32
ALIASES_IN_ONE_BATCH = 256
DETAILS_IN_ONE_BATCH = 192
MOST_FAULTS_KEPT = 20

T = TypeVar("T")
R = TypeVar("R")


@frozen
class RefreshOutcome:
    """What a refresh found and did.

    `details_left` counts the versions whose manifest or evidence is not in the index yet. `is_complete` says that all
    heads and aliases are as the bucket had them. `faults` are the first things that could not be read.
    """

    models: int
    heads_read: int
    pages_read: int
    aliases_read: int
    rows_changed: int
    details_read: int
    details_left: int
    is_complete: bool
    fault_count: int
    faults: tuple[str, ...]


class _NoDocumentCache(DocumentCache):
    """Keeps nothing: each document is read once, and 64 MiB of them would be most of what the program takes."""

    def remember(self, digest: str, body: bytes) -> None:
        """Let go of the bytes."""

    def manifest(self, model: str, digest: str, decode: Callable[[], Manifest]) -> Manifest:  # noqa: ARG002 - none is kept
        """Return the manifest, and let go of it."""
        return decode()


@dataclass(slots=True)
class _Tally:
    """What has been done so far."""

    models: int = 0
    heads_read: int = 0
    pages_read: int = 0
    aliases_read: int = 0
    rows_changed: int = 0
    details_read: int = 0
    fault_count: int = 0
    faults: list[str] = field(default_factory=list)

    def note(self, fault: BucketryError) -> None:
        """Remember what could not be read."""
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS_KEPT:
            self.faults.append(fault.message)


@frozen
class _ReadHead:
    """What was read of one model: `directory` is None where the index knows it.

    `fault` says what went wrong: with the head where `current` is None, with the directory where it is not.
    """

    model: ModelName
    current: Current[Head] | None = None
    directory: tuple[SealedRows, ...] | None = None
    fault: BucketryError | None = None


@frozen
class _KnownModel:
    """What the index has of a model."""

    etag: str
    directory: str | None


def refresh_index(
    index: Index,
    session: Session,
    *,
    details: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: threading.Event | None = None,
) -> RefreshOutcome:
    """Bring the index up to the bucket: heads and aliases that changed, then manifests and evidence that are new.

    Without `details` the latter are left for later. `progress` is called with what is being read, how many are done
    and how many there are. What was read before a failure, or before `cancelled` is set, stays.
    """
    forgetful, cancelled = replace(session, documents=_NoDocumentCache()), cancelled or threading.Event()
    try:
        return _Refresh(index, forgetful, progress, cancelled).run(details=details)
    except IndexDamagedError:  # it was thrown away: once more, into an empty one
        return _Refresh(index, forgetful, progress, cancelled).run(details=details)


def refresh_some_details(
    index: Index,
    session: Session,
    among: Clause,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: threading.Event | None = None,
) -> int:
    """Read what is still to be read of some versions, the newest first; return how many were read.

    Heads are not looked at: this is for whoever has a list of the versions already, and asks more of them.
    """
    work = _Refresh(index, replace(session, documents=_NoDocumentCache()), progress, cancelled or threading.Event())
    work.refresh_details(among)
    return work.result(is_complete=False).details_read


class _Refresh:
    """One refresh, in the thread that called it; only reads are done in others."""

    def __init__(
        self,
        index: Index,
        session: Session,
        progress: Callable[[str, int, int], None] | None,
        cancelled: threading.Event,
    ) -> None:
        self._index = index
        self._session = session
        self._progress = progress
        self._cancelled = cancelled
        self._tally = _Tally()

    def run(self, *, details: bool) -> RefreshOutcome:
        """Do all of it; see `refresh_index`."""
        self.check_registry()
        is_complete = self.refresh_heads_and_aliases()
        if is_complete and details:
            self.refresh_details()
        if is_complete and load_damage(self._index).versions:  # some of it may have been mended
            if not details:
                self.refresh_details(KNOWN_DAMAGED)
            self.look_at_damaged_reviews()
        return self.result(is_complete=is_complete)

    def check_registry(self) -> None:
        """Empty the index if another registry is at this place now."""
        registry = self._session.registry.registry
        with self._index.writing() as connection:
            found = connection.execute("SELECT value FROM facts WHERE name = 'registry'").fetchone()
            if found and found[0] == registry:
                return
            if found:
                for table in ("models", "aliases", "facts WHERE name <> 'edition'"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        self._index.note("registry", registry)

    def refresh_heads_and_aliases(self) -> bool:
        """Read what changed; return whether everything was, so that the index is as the bucket."""
        began = self._session.clock.timestamp()
        with self._index.reading() as connection:
            models = connection.execute("SELECT name, etag, directory FROM models")
            known = {name: _KnownModel(etag, directory) for name, etag, directory in models}
            aliases = connection.execute("SELECT model, alias, etag FROM aliases")
            known_aliases = {(model, alias): etag for model, alias, etag in aliases}
        listed, listed_aliases = list_registers(self._session, known, known_aliases)
        self._tally.models = len(listed)
        headless = {model: "" for model, _ in listed_aliases if model not in listed}
        listed = headless | listed  # aliases witness a model whose head is gone: it is looked for, and named
        gone = [name for name in known if name not in listed]
        gone_aliases = [place for place in known_aliases if place not in listed_aliases]
        if gone or gone_aliases:
            with self._index.writing() as connection:
                remove_models(connection, gone)
                remove_aliases(connection, gone_aliases)
        changed = [name for name, etag in listed.items() if name not in known or known[name].etag != etag or not etag]
        changed_aliases = [place for place, etag in listed_aliases.items() if known_aliases.get(place) != etag]
        done = self._read_heads(changed, known) and self._read_aliases(changed_aliases, known_aliases)
        if done:
            self._index.note("refreshed_at", began)
        return done

    def refresh_details(self, among: Clause = EVERYTHING) -> None:
        """Read manifests and evidence of versions, the newest first, until none is left or somebody cancels."""
        total = count_pending(self._index, among)
        if not total:
            return
        self._tell("manifests", 0, total)
        for batch in iter_pending(self._index, DETAILS_IN_ONE_BATCH, among):
            if self._cancelled.is_set():
                return
            found = self._read_each(lambda pending: read_details(self._session, pending), batch)
            with self._index.writing() as connection:
                for pending, read in zip(batch, found, strict=True):
                    if isinstance(read, BucketryError):
                        self._tally.note(read)
                        write_damages(connection, [pending.version_id], "details", reason_of(read))
                    elif read is not None:
                        self._tally.details_read += write_details(connection, read)
            self._tell("manifests", self._tally.details_read, total)

    def look_at_damaged_reviews(self) -> None:
        """Read the decisions again of versions of which they could not be read: they may have been mended."""
        for model, ids in list_with_damaged_reviews(self._index).items():
            with suppress(*UNREADABLE):  # the head or the policy: told where it is asked for
                refresh_standings(self._index, self._session, parse_model_name(model), ids, self._cancelled)

    def result(self, *, is_complete: bool) -> RefreshOutcome:
        """Return what was done."""
        tally = self._tally
        return RefreshOutcome(
            models=tally.models,
            heads_read=tally.heads_read,
            pages_read=tally.pages_read,
            aliases_read=tally.aliases_read,
            rows_changed=tally.rows_changed,
            details_read=tally.details_read,
            details_left=count_pending(self._index),
            is_complete=is_complete,
            fault_count=tally.fault_count,
            faults=tuple(tally.faults),
        )

    def _read_heads(self, names: Sequence[str], known: Mapping[str, _KnownModel]) -> bool:
        for batch in self._batches("models", names, HEADS_IN_ONE_BATCH):
            found = self._map(lambda name: self._read_head(parse_model_name(name), known.get(name)), batch)
            written: list[WrittenHead] = []
            with self._index.writing() as connection:
                for read in found:
                    head = self._write_head(connection, read, known.get(str(read.model))) if read else None
                    if head is not None:
                        written.append(head)
            if len([read for read in found if read is not None]) < len(batch) or not self._read_pages(written):
                return False
        if self._cancelled.is_set():
            return False
        self._tell("models", len(names), len(names))
        return True

    def _read_head(self, model: ModelName, known: _KnownModel | None) -> _ReadHead:
        try:
            current = load_head(self._session, model)
            head = current.state
        except UNREADABLE as error:
            return _ReadHead(model, fault=error)
        if head is None or not head.is_there:
            return _ReadHead(model)
        # A model whose pages were not all read names a directory of which something is missing.
        if known is not None and known.etag and head.sealed.directory == known.directory:
            return _ReadHead(model, current)
        try:
            entries = load_directory(self._session, head).entries
        except UNREADABLE as error:
            return _ReadHead(model, current, fault=error)
        return _ReadHead(model, current, tuple(SealedRows(entry.first, entry.last, entry.page) for entry in entries))

    def _write_head(
        self, connection: sqlite3.Connection, read: _ReadHead, known: _KnownModel | None
    ) -> WrittenHead | None:
        if read.fault is not None:
            self._tally.note(read.fault)
            if read.current is None:
                write_damaged_model(connection, str(read.model), reason_of(read.fault))
                return None
        if read.current is None or read.current.state is None or read.current.etag is None:
            remove_models(connection, [str(read.model)])
            return None
        self._tally.heads_read += 1
        written = write_head(
            connection,
            read.current.state,
            read.current.etag,
            planned=known.etag if known else None,
            directory=read.directory,
        )
        if written is None:
            return None
        self._tally.rows_changed += written.rows_changed
        if read.fault is not None:
            count = read.current.state.sealed.count
            first = max(1, count - MOST_DAMAGED_ROWS + 1)
            reason = reason_of(read.fault)
            self._tally.rows_changed += write_damaged_rows(connection, written.model_id, first, count, reason)
            connection.execute("DELETE FROM pages WHERE model_id = ?", (written.model_id,))
            return None
        if not written.missing:
            finish_head(connection, written)
            return None
        return written

    def _read_pages(self, heads: Iterable[WrittenHead]) -> bool:
        """Read the pages that are missing of these models, and note each model as whole when all of its are there."""

        def read_page(item: tuple[WrittenHead, SealedRows]) -> tuple[Row, ...]:
            model, page = item[0].model, item[1].page
            return decode_page(self._session.load_document(model, page), what=keys.page(model, page)).rows

        work = [(head, place) for head in heads for place in head.missing]
        left = {head.model_id: len(head.missing) for head, _ in work}
        for batch in self._batches("pages", work, PAGES_IN_ONE_BATCH):
            found = self._read_each(read_page, batch)
            with self._index.writing() as connection:
                for (head, place), rows in zip(batch, found, strict=True):
                    if isinstance(rows, BucketryError):
                        self._tally.note(rows)
                        self._tally.rows_changed += write_damaged_page(connection, head, place, reason_of(rows))
                    elif rows is not None:
                        self._tally.pages_read += 1
                        self._tally.rows_changed += write_page(connection, head, place, rows)
                        left[head.model_id] -= 1
                        if not left[head.model_id]:
                            finish_head(connection, head)
        return not self._cancelled.is_set()

    def _read_aliases(
        self, places: Sequence[tuple[str, AliasName]], known: Mapping[tuple[str, AliasName], str]
    ) -> bool:
        for batch in self._batches("aliases", places, ALIASES_IN_ONE_BATCH):
            found = self._read_each(
                lambda place: load_alias(self._session, parse_model_name(place[0]), place[1]), batch
            )
            with self._index.writing() as connection:
                for place, read in zip(batch, found, strict=True):
                    if isinstance(read, BucketryError):
                        self._tally.note(read)
                        write_damaged_alias(connection, *place, reason_of(read))
                    elif read is not None and read.state is not None and read.etag is not None:
                        self._tally.aliases_read += 1
                        write_alias(connection, read.state, read.etag, planned=known.get(place))
        return not self._cancelled.is_set()

    def _batches(self, what: str, items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
        """Yield the items, so many at a time, until somebody cancels, and tell how many were there before."""
        for begin in range(0, len(items), size):
            self._tell(what, begin, len(items))
            if self._cancelled.is_set():
                return
            yield items[begin : begin + size]

    def _map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R | None]:
        """Do it for each item, several at once; None for those that came after a cancellation."""
        return self._session.map_in_parallel(lambda item: None if self._cancelled.is_set() else function(item), items)

    def _read_each(self, read: Callable[[T], R], items: Sequence[T]) -> list[R | BucketryError | None]:
        """Read each item as `_map` does, and return what is wrong in the place of what cannot be read."""

        def attempt(item: T) -> R | BucketryError:
            try:
                return read(item)
            except UNREADABLE as error:
                return error

        return self._map(attempt, items)

    def _tell(self, what: str, done: int, total: int) -> None:
        if self._progress is not None and total:
            self._progress(what, done, total)
