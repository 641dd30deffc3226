"""Reads one file of a version, or a range of one, without pulling the version."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import CorruptError, UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.resolve import missing_file
from bucketry.registry.review.refusals import check_not_refused
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError
from bucketry.transfer.disk.hashing import ChunkDigests, FileDigest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.clock import Clock
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.store.contract import ByteStream, ETag, Store

PIECE_BYTES = 1024 * 1024
MOST_CONNECTIONS_BROKEN = 100
"""Of one range."""
MOST_CONNECTIONS_BROKEN_IN_VAIN = 8
"""In a row, each of which brought the head of a reply, and no byte that we could read."""


@frozen
class ArtifactReader:
    """One artifact, open for reading. All ranges are of the same object, or an error is raised.

    Where `strict`, chunks at the edges of a range are read whole and verified too.
    """

    artifact: Artifact
    _store: Store
    _key: str
    _etag: ETag
    _clock: Clock
    strict: bool = False

    @property
    def size_bytes(self) -> int:
        """The size of the whole file."""
        return self.artifact.size_bytes

    def read_range(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`; raise `UsageError` for a range outside of the file.

        Chunks that the range covers whole are verified by their SHA-256; `covers_whole_chunks` tells whether all are.
        """
        return b"".join(self.iter_bytes(start, stop))

    def iter_bytes(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a range; a whole chunk only after its SHA-256 was found right."""
        stop = self.size_bytes if stop is None else stop
        if not 0 <= start <= stop <= self.size_bytes:
            raise UsageError(f"{start}-{stop} is not a range of {self.artifact.path!a} ({self.size_bytes} bytes)")
        chunk_bytes = self.artifact.chunks.size_bytes
        for index in range(start // chunk_bytes, -(-stop // chunk_bytes) if stop > start else 0):
            first, last = index * chunk_bytes, min((index + 1) * chunk_bytes, self.size_bytes)
            if start <= first and last <= stop:
                yield self._verified_chunk(index, first, last)
            elif self.strict:
                yield self._verified_chunk(index, first, last)[max(first, start) - first : min(last, stop) - first]
            else:
                yield from self._pieces(max(first, start), min(last, stop))

    def covers_whole_chunks(self, start: int, stop: int) -> bool:
        """Return whether every byte of a range lies in a chunk that is verified."""
        if self.strict:
            return True
        chunk_bytes = self.artifact.chunks.size_bytes
        return start % chunk_bytes == 0 and (stop % chunk_bytes == 0 or stop == self.size_bytes)

    def _verified_chunk(self, index: int, first: int, last: int) -> bytes:
        chunk = b"".join(self._pieces(first, last))
        if hashlib.sha256(chunk).hexdigest() != self.artifact.chunks.sha256[index]:
            raise CorruptError(
                f"chunk {index} of {self.artifact.path!a} is not what its manifest names",
                advice="run `bucketry fsck --deep`",
            )
        return chunk

    def _pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes as they come, all of one object; where a connection breaks, go on behind them."""
        try:
            yield from self._pieces_of_many_connections(start, stop)
        except PreconditionFailedError as error:
            raise CorruptError(
                f"{self.artifact.path!a} was replaced in the store while it was read",
                advice="blobs are never replaced: run `bucketry fsck --deep`",
            ) from error

    def _pieces_of_many_connections(self, start: int, stop: int) -> Iterator[bytes]:
        buffer = memoryview(bytearray(min(PIECE_BYTES, stop - start)))
        position, backoff = start, Backoff(self._clock, most_tries=MOST_CONNECTIONS_BROKEN_IN_VAIN)
        for _ in range(MOST_CONNECTIONS_BROKEN):
            before = position
            # What fails here was tried again by the store; what breaks below, nobody but us tries again.
            with self._store.open_range(self._key, position, stop, etag=self._etag) as stream:
                try:
                    while position < stop:  # bounded: each round reads at least one byte or raises
                        count = self._read(stream, buffer[: stop - position])
                        position += count
                        yield bytes(buffer[:count])
                except UnavailableError as error:
                    broke = error
                else:
                    return
            # A reset takes with it what had come and was not read yet, which may be all of it.
            if position == before:
                backoff.pause_or_raise(broke)
            else:
                backoff.progressed()
        raise UnavailableError(
            f"the connection broke {MOST_CONNECTIONS_BROKEN} times while {self.artifact.path!a} was read",
            advice="check the network, then try again",
        )

    def _read(self, stream: ByteStream, buffer: memoryview) -> int:
        count = stream.readinto(buffer)
        if count == 0:
            raise UnavailableError(f"the store ended early while {self.artifact.path!a} was read")
        return count


def file_digest(artifact: Artifact) -> FileDigest:
    """Return what a manifest says of a file's bytes, as transfers take it."""
    chunks = artifact.chunks
    return FileDigest(
        artifact.size_bytes, artifact.sha256, ChunkDigests(chunks.size_bytes, chunks.sha256, chunks.xxh3_128)
    )


@contextmanager
def open_artifact(
    session: Session, resolved: ResolvedVersion, path: str, *, allow_rejected: bool = False
) -> Iterator[ArtifactReader]:
    """Open one file of a version; raise `NotFoundError` for a path that the version does not have.

    Raises `RejectedError` where an alias named a version that was refused, unless that is allowed.
    """
    check_not_refused(resolved, allow_rejected=allow_rejected)
    session.check_believed()
    artifact = resolved.artifact(path)
    key = resolved.blob_keys()[path]
    try:
        entry = session.store.stat(key)
    except ObjectNotFoundError as error:
        if session.registry.replica is None:
            raise
        raise missing_file(session, resolved) from error
    if entry.size_bytes != artifact.size_bytes:
        raise CorruptError(
            f"{key} has {entry.size_bytes} bytes, not {artifact.size_bytes}", advice="run `bucketry fsck`"
        )
    is_strict = session.strict is not None
    yield ArtifactReader(artifact, session.store, key, entry.etag, session.clock, strict=is_strict)
