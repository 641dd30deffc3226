"""Brings immutable objects to a replica: documents one by one, the bytes of artifacts many at once.

A document is compared with the digest in its name, and read as its readers will, before it is written. Bytes are
compared with the digests in their manifest while they move, unless the store copies them by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.registry.core.artifacts import file_digest
from bucketry.registry.core.immutable import Immutable, find_object, put_immutable
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.store.contract import Entry, ObjectNotFoundError
from bucketry.transfer.up.stored import StoredFile
from bucketry.transfer.up.upload import UploadOutcome, upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.schema.names import Digest, ModelName
    from bucketry.store.contract import Store
    from bucketry.transfer.plan import TransferOptions

MOST_PENDING = 2_000
"""So many files wait until they are copied together."""
FEW_KEYS = 8
"""Up to so many objects are asked for one by one; of more, what is there is listed."""
DOCUMENT_SECONDS = 60.0

CopyFiles = Callable[["Store", Sequence[StoredFile]], Sequence[UploadOutcome]]
"""Makes each file an object of the store, unless it is there, and returns what was done, in their order."""


@frozen
class Named:
    """A document that something names: by its digest, or a block of audit records by its first generation alone."""

    key: str
    digest: Digest | None = None


@dataclass(slots=True)
class Carried:
    """How much was brought, or would be; what was there already is `skipped`."""

    objects: int = 0
    size_bytes: int = 0
    skipped: int = 0
    unverified: int = 0


@dataclass(slots=True)
class Carrier:
    """Brings objects from one registry to a replica of it; with `acts` unset it only counts. Safe for threads.

    `is_new` says that nothing can be there yet. `by_store` lets a store that both sides are in copy by itself.
    """

    source: Session
    target: Session
    copy_files: CopyFiles
    acts: bool
    is_new: bool
    by_store: bool
    carried: Carried = field(default_factory=Carried)
    _pending: dict[str, StoredFile] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _copying: threading.Lock = field(default_factory=threading.Lock)

    def bring(self, documents: Sequence[Named], there: Holdings) -> list[bytes]:
        """Make sure that the replica has these documents, and return them, as the source has them, in their order."""
        absent = set(there.missing([document.key for document in documents]))
        return self.source.map_in_parallel(lambda one: self._bring(one, is_there=one.key not in absent), documents)

    def bring_unread(self, documents: Sequence[Named], there: Holdings) -> None:
        """Make sure that the replica has these documents, without reading those that it has."""
        absent = set(there.missing([document.key for document in documents]))
        self.count_skipped(len(documents) - len(absent))
        self.source.map_in_parallel(
            lambda one: self._bring(one, is_there=False), [one for one in documents if one.key in absent]
        )

    def bring_files(self, named: Mapping[str, Artifact], there: Holdings) -> None:
        """Remember files to be copied, and copy all of them where there are many."""
        missing = there.missing(list(named), sizes_bytes={key: artifact.size_bytes for key, artifact in named.items()})
        self.count_skipped(len(named) - len(missing))
        with self._lock:
            self._pending.update((key, self._stored(key, named[key])) for key in missing)
            is_full = len(self._pending) >= MOST_PENDING
        if is_full:
            self.copy_pending()

    def copy_pending(self) -> None:
        """Copy the files that wait."""
        with self._copying:
            with self._lock:
                files, self._pending = list(self._pending.values()), {}
            if not self.acts:
                self.count(len(files), sum(file.digest.size_bytes for file in files))
                return
            if files:
                self._count_files(self.copy_files(self.target.store, files))

    def forget_pending(self) -> None:
        """Copy none of the files that wait."""
        with self._lock:
            self._pending = {}

    def _bring(self, document: Named, *, is_there: bool) -> bytes:
        found = find_object(self.source.store, document.key)
        if found is None:
            raise ObjectNotFoundError(f"{document.key} is missing at the source", advice="run `bucketry fsck` there")
        body = found.body
        if document.digest is not None and digest_of(body) != document.digest:
            raise CorruptError(
                f"the bytes of {document.key} at the source are not those that its name says",
                advice="run `bucketry fsck` there",
            )
        if is_there:
            self.count_skipped(1)
            return body
        if self.acts:
            clock = self.target.clock
            item = Immutable(document.key, body)
            deadline_seconds = clock.monotonic_seconds() + DOCUMENT_SECONDS
            put_immutable(self.target.store, item, clock=clock, deadline_seconds=deadline_seconds)
        self.count(1, len(body))
        return body

    def _stored(self, key: str, artifact: Artifact) -> StoredFile:
        return StoredFile(self.source.store.unretried, key, key, file_digest(artifact), key, by_store=self.by_store)

    def _count_files(self, done: Sequence[UploadOutcome]) -> None:
        new = [outcome for outcome in done if not outcome.already_there]
        self.count(len(new), sum(outcome.size_bytes for outcome in new))
        self.count_skipped(len(done) - len(new))
        copied = [outcome for outcome in new if outcome.copied_bytes]
        for outcome in copied:
            self._check_size(outcome)
        with self._lock:
            self.carried.unverified += len(copied)

    def _check_size(self, outcome: UploadOutcome) -> None:
        """Compare what can be compared of an object that the store copied without looking at it."""
        size_bytes = self.target.store.stat(outcome.key).size_bytes
        if size_bytes != outcome.size_bytes:
            raise CorruptError(
                f"{outcome.key} has {size_bytes:,} bytes at the source, where its manifest says {outcome.size_bytes:,}",
                advice="run `bucketry fsck` there; delete the object in the replica",
            )

    def count(self, objects: int, size_bytes: int) -> None:
        """Count objects that were brought, or would be."""
        with self._lock:
            self.carried.objects += objects
            self.carried.size_bytes += size_bytes

    def count_skipped(self, objects: int) -> None:
        """Count objects that are there already."""
        with self._lock:
            self.carried.skipped += objects


class Holdings:
    """What a replica has of one model: asked for key by key where few are wanted, else each kind is listed once."""

    def __init__(self, target: Session, model: ModelName, *, is_new: bool) -> None:
        self._target = target
        self._model = model
        self._is_new = is_new
        self._listed: dict[str, dict[str, int]] = {}

    def missing(self, wanted: Sequence[str], *, sizes_bytes: Mapping[str, int] | None = None) -> list[str]:
        """Return those that are not there; one with another size than it must have is an error of the replica's."""
        if self._is_new or not wanted:
            return list(wanted)
        sizes = self._find(wanted)
        for key in wanted if sizes_bytes else ():
            found = sizes.get(key)
            if found is not None and sizes_bytes is not None and found != sizes_bytes[key]:
                raise CorruptError(
                    f"{key} has {found:,} bytes in the replica; it must have {sizes_bytes[key]:,}",
                    advice="delete the object in the replica, and run `bucketry mirror` again",
                )
        return [key for key in wanted if key not in sizes]

    def _find(self, wanted: Sequence[str]) -> dict[str, int]:
        prefixes = {keys.prefix_of_model(key, self._model) for key in wanted}
        unknown = prefixes - self._listed.keys()
        if unknown and len(wanted) <= FEW_KEYS:
            found = self._target.map_in_parallel(self._stat, wanted)
            return {entry.key: entry.size_bytes for entry in found if entry is not None}
        for prefix in unknown:
            listed = (item for item in self._target.store.list(prefix) if isinstance(item, Entry))
            self._listed[prefix] = {entry.key: entry.size_bytes for entry in listed}
        return {key: size for prefix in prefixes for key, size in self._listed[prefix].items()}

    def _stat(self, key: str) -> Entry | None:
        try:
            return self._target.store.stat(key)
        except ObjectNotFoundError:
            return None


def copying_by(options: TransferOptions) -> CopyFiles:
    """Return what copies files with threads of its own, as an upload does."""

    def copy_files(store: Store, files: Sequence[StoredFile]) -> Sequence[UploadOutcome]:
        return upload(store, files, options)

    return copy_files


def named_by_digest(digests: Iterable[Digest], key_of: Callable[[Digest], str]) -> list[Named]:
    """Return documents that are named by their digests, each once."""
    return [Named(key_of(digest), digest) for digest in dict.fromkeys(digests)]
