"""Checks that the artifacts' bytes are where the rows say, and are the right ones."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, CorruptError
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.reading import Unreadable, list_entries, reason_of
from bucketry.schema import keys
from bucketry.schema.documents.placement import decode_placement
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.maintenance.fsck.verified import VerifiedBlobs
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Artifact, Manifest
    from bucketry.schema.documents.placement import Placement
    from bucketry.schema.names import ModelName
    from bucketry.store.contract import ByteStream

READ_BYTES = 1024 * 1024


def named_blobs(model: ModelName, placement: Placement, manifest: Manifest) -> dict[str, Artifact] | None:
    """Return which artifact lies at which key, or None where the placement does not fit the manifest."""
    try:
        epochs = decode_placement(placement, artifacts=len(manifest.artifacts), what="placement")
    except CorruptError:
        return None
    return {
        keys.blob(model, epoch, artifact.sha256): artifact
        for epoch, artifact in zip(epochs, manifest.artifacts, strict=True)
    }


class BlobCheck:
    """All blobs of a model, from one listing taken before the head is read."""

    def __init__(
        self, session: Session, model: ModelName, findings: Findings, verified: VerifiedBlobs | None = None
    ) -> None:
        store = session.store
        self._store = store
        self._map_in_parallel = session.map_in_parallel
        self._findings = findings
        self._verified = verified
        self._etags: dict[str, str] = {}  # of what need not be read, if anybody read it since
        self._sizes_bytes: dict[str, int] = {}
        for entry in list_entries(store, keys.blobs(model), findings):
            self._sizes_bytes[entry.key] = entry.size_bytes
            if verified is not None:
                self._etags[entry.key] = entry.etag
        self._named: dict[str, Artifact] = {}

    def check(self, who: str, named: Mapping[str, Artifact], *, must_be_here: bool = True) -> None:
        """Report every blob that somebody names and that has another size, or is missing unless it need not be here."""
        for key, artifact in named.items():
            self._named.setdefault(key, artifact)
            size_bytes = self._find_size_bytes(key)
            if size_bytes is None and not must_be_here:
                continue
            path = self._store.local_path(key)
            if path is not None and path.is_symlink():
                self._findings.add(
                    Kind.BLOB_ALTERED, key, f"The bytes of {artifact.path} of {who} are a symbolic link."
                )
            elif size_bytes is None:
                self._findings.add(Kind.BLOB_LOST, key, f"The bytes of {artifact.path} of {who} are missing.")
            elif isinstance(size_bytes, Unreadable):
                self._findings.add(
                    Kind.BLOB_LOST, key, f"The bytes of {artifact.path} of {who} cannot be read: {size_bytes.reason}."
                )
            elif size_bytes != artifact.size_bytes:
                self._findings.add(
                    Kind.BLOB_ALTERED,
                    key,
                    f"The bytes of {artifact.path} of {who} are {size_bytes:,}; they must be {artifact.size_bytes:,}.",
                )

    def find_garbage(self) -> None:
        """Report every listed blob that nobody named."""
        for key, size_bytes in self._sizes_bytes.items():
            if key not in self._named:
                self._findings.add(Kind.BLOB_UNNAMED, key, f"No version names these {size_bytes:,} bytes.")

    def compare_bytes(self) -> None:
        """Read every named blob that has the right size, and report each one whose digests differ."""
        chosen = [
            (key, artifact)
            for key, artifact in self._named.items()
            if self._sizes_bytes.get(key) == artifact.size_bytes and not self._is_verified(key, artifact)
        ]
        problems = self._map_in_parallel(lambda item: self._find_difference(*item), chosen)
        for (key, _), problem in zip(chosen, problems, strict=True):
            if problem is not None:
                kind, words = problem
                self._findings.add(kind, key, words)

    def _is_verified(self, key: str, artifact: Artifact) -> bool:
        chunks = artifact.chunks
        etag = self._etags.get(key)
        return (
            self._verified is not None
            and etag is not None
            and self._verified.has(key, etag, chunks.size_bytes, chunks.sha256)
        )

    def _find_size_bytes(self, key: str) -> int | Unreadable | None:
        """Return the size by the listing, or by asking: a version may be younger than the listing."""
        if key not in self._sizes_bytes:
            try:
                self._sizes_bytes[key] = self._store.stat(key).size_bytes
            except ObjectNotFoundError:
                return None
            except UNREADABLE as error:
                return Unreadable(reason_of(error))
        return self._sizes_bytes[key]

    def _find_difference(self, key: str, artifact: Artifact) -> tuple[Kind, str] | None:
        whole = hashlib.sha256()
        try:
            etag = self._store.stat(key).etag
            for number, expected in enumerate(artifact.chunks.sha256):
                start = number * artifact.chunks.size_bytes
                stop = min(artifact.size_bytes, start + artifact.chunks.size_bytes)
                chunk = hashlib.sha256()
                with self._store.open_range(key, start, stop, etag=etag) as stream:
                    _hash_stream(stream, stop - start, chunk, whole)
                if chunk.hexdigest() != expected:
                    return (
                        Kind.BLOB_ALTERED,
                        f"The bytes of {artifact.path} differ from its manifest in chunk {number + 1}.",
                    )
        except (ObjectNotFoundError, PreconditionFailedError):
            return Kind.BLOB_ALTERED, f"The bytes of {artifact.path} were replaced or removed while they were read."
        except UNREADABLE as error:
            return Kind.BLOB_LOST, f"The bytes of {artifact.path} cannot be read: {reason_of(error)}."
        if whole.hexdigest() != artifact.sha256:
            return (
                Kind.BLOB_ALTERED,
                f"The bytes of {artifact.path} are not those of its SHA-256, though each chunk is right.",
            )
        return None


def _hash_stream(stream: ByteStream, size_bytes: int, *hashes: hashlib._Hash) -> None:
    buffer = memoryview(bytearray(min(READ_BYTES, max(1, size_bytes))))
    for _ in range(size_bytes + 1):  # each round reads a byte at least
        count = stream.readinto(buffer)
        if count == 0:
            return
        for one in hashes:
            one.update(buffer[:count])
