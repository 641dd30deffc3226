"""A bundle while it is written: a store to which a mirror brings a registry, and of which one file is made at the end.

What is written is appended, by many threads at once: each asks for room, and fills it. So the parts of a large object
may lie apart, and what a failed request had begun stays as a hole. The file grows under another name and takes its own
when it is whole and on the disk: it is there complete, or not at all.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError, UnsupportedError
from bucketry.maintenance.bundle.layout import (
    HEADER,
    NAMESPACE,
    Footer,
    StoredObject,
    encode_footer,
    encode_index,
    signed_payload,
)
from bucketry.maintenance.bundle.reading import BundleStore
from bucketry.schema import keys
from bucketry.store.contract import (
    Entry,
    ETag,
    IfAbsent,
    IfMatch,
    ObjectNotFoundError,
    Part,
    PreconditionFailedError,
    iter_slices,
)
from bucketry.transfer.disk.durable import sync_directory
from bucketry.transfer.disk.local_files import disk_errors
from bucketry.transfer.disk.rename import CannotRenameInOneStepError, rename_without_replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bucketry.store.contract import Body, Condition, Store
    from bucketry.trust.signing import Signer


class BundleWriter(BundleStore):
    """The objects that a bundle will have. Safe for threads."""

    def __init__(self, path: Path) -> None:
        """Begin a file beside the path; raise `RejectedError` where something is at the path already."""
        self._target = path
        self._growing = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        if os.path.lexists(path):
            raise RejectedError(f"{path} exists already", advice="choose another name, or remove it")
        with disk_errors(str(path)):
            descriptor = os.open(self._growing, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        super().__init__(path.absolute(), descriptor, {})
        self._lock = threading.Lock()
        self._end = 0
        self._uploads: dict[str, tuple[str, dict[int, tuple[Part, StoredObject]]]] = {}
        self._append([memoryview(HEADER)], len(HEADER))

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Append a small object; one that is replaced leaves a hole."""
        held = self._append([memoryview(body)], len(body))
        with self._lock:
            there = self._objects.get(key)
            is_refused = isinstance(condition, IfAbsent) and there is not None
            if is_refused or (isinstance(condition, IfMatch) and (there is None or there.sha256 != condition.etag)):
                raise PreconditionFailedError(f"{self.name}: {key} is not as it was", advice="read it again")
            self._set(key, held)
        return ETag(held.sha256)

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Append a large object."""
        held = self._append(iter_slices(body), len(body))
        if sha256 is not None and sha256 != held.sha256:
            raise UnsupportedError(f"{self.name}: the bytes of {key} changed while they were written")
        self._create(key, held)
        return self._entry(key, held)

    def delete(self, key: str) -> None:
        """Forget an object; its bytes stay as a hole."""
        with self._lock:
            if self._objects.pop(key, None) is not None:
                del self._ordered[bisect_left(self._ordered, key)]

    def start_upload(self, key: str) -> str:
        """Begin an object in parts."""
        upload = secrets.token_hex(8)
        with self._lock:
            self._uploads[upload] = (key, {})
        return upload

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Append a part."""
        del offset
        held = self._append(iter_slices(body), len(body))
        part = Part(number, sha256 or held.sha256, len(body))
        with self._lock:
            self._parts(key, upload)[number] = (part, held)
        return part

    def copy_part(  # noqa: PLR0917 - the contract's
        self,
        key: str,
        upload: str,
        number: int,
        offset: int,
        source_key: str,
        start: int,
        stop: int,
        *,
        source: Store | None = None,
    ) -> Part:
        """Say that bytes are to be sent."""
        del key, upload, number, offset, source_key, start, stop, source
        raise UnsupportedError(f"{self.name}: nothing is copied into a bundle", advice="send the bytes")

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts, by number."""
        with self._lock:
            parts = self._parts(key, upload)
            return [parts[number][0] for number in sorted(parts)]

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Make an object of its parts. Its digest is the one in its key: each part was compared with its manifest's."""
        with self._lock:
            there = self._parts(key, upload)
            runs = [run for part in sorted(parts, key=lambda one: one.number) for run in there[part.number][1].pieces]
        self._create(key, StoredObject(key.rpartition("/")[2], tuple(runs)))
        self.abort_upload(key, upload)

    def abort_upload(self, key: str, upload: str) -> None:
        """Forget an upload."""
        del key
        with self._lock:
            self._uploads.pop(upload, None)

    def drop_notes(self) -> None:
        """Forget what only a mirror needs that goes on later."""
        for key in self._below(keys.REPLICA):
            self.delete(key)

    def seal(self, signer: Signer | None) -> str:
        """Write index, signature and footer, and give the file its name; return the digest of the index."""
        digest, index_at, index_bytes = hashlib.sha256(), self._end, 0
        for line in encode_index(self._objects):
            digest.update(line)
            index_bytes += len(line)
            self._append([memoryview(line)], len(line))
        sha256 = digest.hexdigest()
        signature = signer.sign(signed_payload(sha256), NAMESPACE).encode() if signer else b""
        footer = encode_footer(Footer(index_at, index_bytes, len(signature), sha256))
        self._append([memoryview(signature + footer)], len(signature) + len(footer))
        with disk_errors(str(self._target)):
            os.fsync(self._descriptor)
            try:
                rename_without_replacing(self._growing, self._target)
            except CannotRenameInOneStepError:
                os.link(self._growing, self._target)
                self._growing.unlink()
            sync_directory(self._target.absolute().parent)
        return sha256

    def abandon(self) -> None:
        """Remove what was written, unless it has its name."""
        self.close()
        self._growing.unlink(missing_ok=True)

    def _append(self, slices: Iterable[memoryview], size_bytes: int) -> StoredObject:
        """Write bytes behind all others, and return where they are and their digest."""
        with self._lock:
            start, self._end = self._end, self._end + size_bytes
        digest, position = hashlib.sha256(), start
        with disk_errors(str(self._target)):
            for one in slices:
                digest.update(one)
                rest = memoryview(one)
                while rest:  # bounded: each round writes at least one byte, or raises
                    count = os.pwrite(self._descriptor, rest, position)
                    position, rest = position + count, rest[count:]
        return StoredObject(digest.hexdigest(), ((start, size_bytes),) if size_bytes else ())

    def _create(self, key: str, held: StoredObject) -> None:
        with self._lock:
            if key in self._objects:
                raise PreconditionFailedError(f"{self.name}: {key} is there already")
            self._set(key, held)

    def _set(self, key: str, held: StoredObject) -> None:
        if key not in self._objects:
            insort(self._ordered, key)
        self._objects[key] = held

    def _parts(self, key: str, upload: str) -> dict[int, tuple[Part, StoredObject]]:
        found = self._uploads.get(upload)
        if found is None or found[0] != key:
            raise ObjectNotFoundError(f"{self.name}: there is no upload {upload} of {key}")
        return found[1]
