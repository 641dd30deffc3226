"""Stores the bytes of one publish under the model's blobs, while others are still being hashed.

One look at the head decides what is sent early: what its newest live versions have is not sent, and all else goes
under its epoch. A publish that takes a moment replaces that very head. Only registration decides what holds: on each
attempt it asks for what is missing under the epoch of the head that it will replace. Blobs that were stored under that
very epoch are there, for no collection removes blobs of the epoch that the head has; where the epoch has moved, they
are stored again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.clock import format_time
from bucketry.errors import BucketryError
from bucketry.registry.core.commit import Current
from bucketry.registry.core.registers import load_or_begin_head
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.publishing.registration import iter_reusable
from bucketry.schema import keys
from bucketry.schema.documents.head import Head
from bucketry.schema.names import Digest
from bucketry.transfer.up.upload import ChunkPlace, LocalFile, hash_and_upload, upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.schema.names import ModelName
    from bucketry.transfer.disk.hashing import FileDigest
    from bucketry.transfer.plan import TransferOptions
    from bucketry.transfer.up.upload import SourceFile

SMALLEST_COPY_SOURCE_BYTES = 5 * 1024 * 1024 + 1
"""Amazon copies ranges only of objects of more than 5 MiB."""

FRESH_SECONDS = 1.0
"""So long after a look at the head the first attempt may replace what was seen: where it moved, a request is lost."""
ABANDONED_AFTER = timedelta(days=7)
MOST_UPLOADS_LOOKED_AT = 1_000


@dataclass(slots=True)
class BlobUpload:
    """The bytes of one publish, on their way. It is what `register_version` calls to have artifacts stored."""

    session: Session
    model: ModelName
    options: TransferOptions
    _head: Current[Head] = field(default_factory=Current)
    _head_read_at_seconds: float = 0.0
    _copies: dict[str, ChunkPlace] = field(default_factory=dict)
    _local: dict[str, LocalFile] = field(default_factory=dict)
    _stored: set[str] = field(default_factory=set)
    _unreported_bytes: int = 0

    def hash_and_send(self, files: Sequence[SourceFile], chunk_size_bytes: int) -> list[FileDigest]:
        """Return the digests of files, in their order, having sent early what the model does not have."""
        self._head = load_or_begin_head(self.session, self.model)
        self._head_read_at_seconds = self.session.clock.monotonic_seconds()
        head = self._head.state or Head(self.session.registry.registry, self.model)
        epoch = head.epoch
        known: set[str] = set()
        for row, epochs in iter_reusable(self.session, head):
            known.update(epochs)
            for artifact in load_manifest(self.session, self.model, row.manifest).artifacts:
                key = keys.blob(self.model, epochs[artifact.sha256], artifact.sha256)
                chunks = artifact.chunks
                for sha256, chunk in _places(key, artifact.size_bytes, chunks.size_bytes, chunks.sha256):
                    self._copies.setdefault(sha256, chunk)

        def place(digest: FileDigest) -> str | None:
            return None if digest.sha256 in known else keys.blob(self.model, epoch, Digest(digest.sha256))

        done = hash_and_upload(self.session.store, files, chunk_size_bytes, place, self.options, copies=self._copies)
        for file, hashed in zip(files, done, strict=True):
            key = keys.blob(self.model, epoch, Digest(hashed.digest.sha256))
            self._local.setdefault(hashed.digest.sha256, LocalFile(file.path, key, hashed.digest, file.label))
            if hashed.uploaded is not None:
                self._stored.add(key)
                self._unreported_bytes += hashed.uploaded.uploaded_bytes
        return [hashed.digest for hashed in done]

    def fresh_head(self) -> Current[Head] | None:
        """Return the head that was looked at, unless others have probably committed since.

        They have where the look was long ago, or found that somebody else had committed a moment before.
        """
        clock, records = self.session.clock, self._head.trail.records
        age_seconds = clock.monotonic_seconds() - self._head_read_at_seconds
        others = records[-1].at if records and records[-1].actor != self.session.actor else ""
        is_busy = others > format_time(clock.now() - timedelta(seconds=FRESH_SECONDS + age_seconds))
        return None if age_seconds >= FRESH_SECONDS or is_busy else self._head

    def __call__(self, epoch: int, artifacts: Sequence[Artifact]) -> int:
        """Store the artifacts under an epoch, where they are not yet, and return how many bytes this took in all.

        Bytes that were sent early are counted by the first call.
        """
        moved = [
            replace(
                self._local[artifact.sha256], key=keys.blob(self.model, epoch, artifact.sha256), label=artifact.path
            )
            for artifact in artifacts
        ]
        missing = [file for file in moved if file.key not in self._stored]
        sent_bytes, self._unreported_bytes = self._unreported_bytes, 0
        if missing:
            own: dict[str, ChunkPlace] = {}  # what was stored under an earlier epoch is a source too
            for file in self._local.values():
                if file.key in self._stored:
                    chunks = file.digest.chunks
                    own.update(_places(file.key, file.digest.size_bytes, chunks.size_bytes, chunks.sha256))
            done = upload(
                self.session.store,
                missing,
                self.options,
                copies={**self._copies, **own},
            )
            sent_bytes += sum(item.uploaded_bytes for item in done)
            self._stored.update(file.key for file in missing)
        return sent_bytes


def end_abandoned_uploads(session: Session, model: ModelName) -> None:
    """Free the parts of uploads that nobody went on with for a week. Best effort: fsck reports what stays."""
    oldest = session.clock.now() - ABANDONED_AFTER
    # Whoever has waited for a publish does not wait for this: it is asked once.
    store = session.store.unretried
    try:
        for key, upload_id, started_at in islice(store.list_uploads(keys.blobs(model)), MOST_UPLOADS_LOOKED_AT):
            if started_at < oldest:
                store.abort_upload(key, upload_id)
    except BucketryError:
        return


def _places(
    key: str, size_bytes: int, chunk_size_bytes: int, sha256: Sequence[str]
) -> Iterator[tuple[str, ChunkPlace]]:
    if size_bytes < SMALLEST_COPY_SOURCE_BYTES:
        return
    for index, digest in enumerate(sha256):
        start = index * chunk_size_bytes
        yield digest, ChunkPlace(key, start, min(size_bytes, start + chunk_size_bytes))
