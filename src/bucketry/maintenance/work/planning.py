"""Plans a deep check: which bytes are to be read, in shards that have about as many of them each.

The plan is made by one process from the heads, their manifests and one listing of blobs. What it finds on the way lies
in a file, so that the memory holds one shard and no more. A shard ends where its share of the bytes does: in the midst
of a blob, between two of its chunks, if the blob is large beside the shard.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from bucketry.errors import UNREADABLE, UsageError
from bucketry.registry.core.commit import COMMIT_DEADLINE_SECONDS
from bucketry.registry.core.immutable import Immutable, put_immutable
from bucketry.registry.core.registers import load_directory, load_head
from bucketry.registry.core.rows import load_page
from bucketry.registry.core.session import DocumentCache
from bucketry.registry.versions.listing import iter_model_names
from bucketry.schema import keys
from bucketry.schema.codec import decode_json, digest_of, encode
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.placement import decode_placement
from bucketry.schema.documents.states import BLOBS_KEPT
from bucketry.schema.documents.work import (
    MOST_SHARDS,
    Piece,
    PlannedShard,
    WorkPlan,
    encode_plan,
    encode_shard,
    read_piece,
)
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.registry.core.session import Session
    from bucketry.schema.codec import Document
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.names import ModelName

MOST_SHARD_BYTES = 7 * 1024 * 1024
"""A shard is a document, and has room for a little more than its pieces."""
MANIFESTS_AT_ONCE = 64
KEPT_DOCUMENT_BYTES = 8 * 1024 * 1024
SMALL_PART = 10
"""A blob of less than a tenth of a shard is not cut."""


def plan_check(session: Session, shards: int, progress: Callable[[int, int], None] | None = None) -> WorkPlan:
    """Write the plan of a deep check in so many shards, or in more where one would be too large for a document.

    What cannot be read is left to whoever collects. Raises `UsageError` for a number of shards that is not possible,
    and `RejectedError` where nothing may be written.
    """
    if not 1 <= shards <= MOST_SHARDS:
        raise UsageError(f"{shards:,} shards are not possible", advice=f"choose between 1 and {MOST_SHARDS:,}")
    session.check_not_read_only()
    now = session.clock.now()
    work = f"fsck-{now:%Y%m%dt%H%M%Sz}-{session.clock.new_transaction()[-8:]}"
    with tempfile.TemporaryFile() as spool:
        total_bytes = _spool_blobs(session, spool, progress)
        spool.seek(0)
        cut = ShardCut(session, work, shards, max(1, -(-total_bytes // shards)))
        for line in spool:
            cut.add(read_piece(decode_json(line, what="a piece"), what="a piece"))
    plan = WorkPlan(session.registry.registry, work, "fsck", session.clock.timestamp(), session.actor, cut.finish())
    _put(session, keys.work_plan(work), encode_plan(plan))
    return plan


def _spool_blobs(session: Session, spool: IO[bytes], progress: Callable[[int, int], None] | None) -> int:
    """Write each blob that a version names, and that is as large as it must be, in a line; return their bytes."""
    total_bytes = 0
    # What is read for one model is of no use for the next, and a walk must not fill the memory.
    session = replace(session, documents=DocumentCache(KEPT_DOCUMENT_BYTES))
    models = list(iter_model_names(session))
    for number, model in enumerate(models):
        if progress is not None:
            progress(number, len(models))
        try:
            for piece in _iter_blobs(session, model):
                spool.write(encode(piece.to_document()) + b"\n")
                total_bytes += piece.size_bytes
        except UNREADABLE:
            continue  # whoever collects checks this model as a whole, and says what is wrong with it
    return total_bytes


def _iter_blobs(session: Session, model: ModelName) -> Iterator[Piece]:
    head = load_head(session, model).state
    if head is None:
        return
    listed = {entry.key: entry for entry in session.store.list(keys.blobs(model)) if isinstance(entry, Entry)}
    for rows in _iter_rows(session, head):
        for start in range(0, len(rows), MANIFESTS_AT_ONCE):
            some = rows[start : start + MANIFESTS_AT_ONCE]
            bodies = session.map_in_parallel(lambda row: session.load_manifest_bytes(model, row.manifest), some)
            for row, body in zip(some, bodies, strict=True):
                what = keys.manifest(model, row.manifest)
                artifacts = decode_manifest(body, what=what, model=model).artifacts
                epochs = decode_placement(row.placement, artifacts=len(artifacts), what=what)
                for epoch, artifact in zip(epochs, artifacts, strict=True):
                    # Taken out: what several versions name is read once, by the chunks of the first that names it.
                    entry = listed.pop(keys.blob(model, epoch, artifact.sha256), None)
                    if entry is not None and entry.size_bytes == artifact.size_bytes > 0:
                        chunks = artifact.chunks
                        yield Piece(entry.key, entry.etag, entry.size_bytes, chunks.size_bytes, 0, chunks.sha256)


def _iter_rows(session: Session, head: Head) -> Iterator[list[Row]]:
    """Yield the rows whose bytes are kept, the oldest first, as a check looks at them."""
    for entry in load_directory(session, head).entries:
        yield [row for row in load_page(session, head, entry).rows if row.state in BLOBS_KEPT]
    yield [row for row in head.rows if row.state in BLOBS_KEPT]


@dataclass(slots=True)
class ShardCut:
    """Cuts blobs into shards of `target_bytes` each, and writes every shard when it is full."""

    session: Session
    work: str
    least_shards: int
    target_bytes: int
    done: list[PlannedShard] = field(default_factory=list)
    full_at_bytes: int = 0
    planned_bytes: int = 0
    pieces: list[Document] = field(default_factory=list)
    pieces_bytes: int = 0
    document_bytes: int = 0

    def __post_init__(self) -> None:
        self.full_at_bytes = self.target_bytes

    def add(self, piece: Piece) -> None:
        """Take a blob, whole or cut."""
        for _ in range(2 * len(piece.sha256)):  # each round takes a chunk at least, or ends a shard that has some
            room_bytes = self.full_at_bytes - self.planned_bytes
            size_bytes, chunks = piece.stop - piece.start, len(piece.sha256)
            taken = chunks
            if size_bytes > room_bytes and size_bytes * SMALL_PART > self.target_bytes:
                taken = min(chunks, round(room_bytes / piece.chunk_bytes))
            elif size_bytes > 2 * room_bytes:
                taken = 0
            taken = max(taken, 0 if self.pieces else 1)
            if taken:
                self._take(replace(piece, sha256=piece.sha256[:taken]))
            if taken < chunks or self.planned_bytes >= self.full_at_bytes:
                self._close()
                done_targets = self.planned_bytes // self.target_bytes
                self.full_at_bytes = max(self.full_at_bytes, done_targets * self.target_bytes) + self.target_bytes
            if taken == chunks:
                return
            piece = replace(piece, first=piece.first + taken, sha256=piece.sha256[taken:])

    def finish(self) -> tuple[PlannedShard, ...]:
        """Write the last shard, and empty ones up to the number that was asked for: an array has so many tasks."""
        if self.pieces:
            self._close()
        for _ in range(self.least_shards - len(self.done)):
            self._close()
        return tuple(self.done)

    def _take(self, piece: Piece) -> None:
        document = piece.to_document()
        length = len(encode(document)) + 1
        if self.document_bytes + length > MOST_SHARD_BYTES:
            self._close()
        self.pieces.append(document)
        self.document_bytes += length
        self.pieces_bytes += piece.stop - piece.start
        self.planned_bytes += piece.stop - piece.start

    def _close(self) -> None:
        body = encode_shard(self.work, len(self.done), self.pieces)
        _put(self.session, keys.work_shard(self.work, len(self.done)), body)
        self.done.append(PlannedShard(digest_of(body), len(self.pieces), self.pieces_bytes))
        self.pieces, self.pieces_bytes, self.document_bytes = [], 0, 0


def _put(session: Session, key: str, body: bytes) -> None:
    deadline_seconds = session.clock.monotonic_seconds() + COMMIT_DEADLINE_SECONDS
    put_immutable(session.store, Immutable(key, body), clock=session.clock, deadline_seconds=deadline_seconds)
