"""Does what a perfect bucket would do, in memory: the reference for the other stores, and for tests.

The reference for every other store, and the bucket of tests and of the simulation: a dictionary behind one
lock. An ETag is the number of the write, so it never recurs. Time comes from the clock it is given.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from contextlib import contextmanager
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnavailableError, UnsupportedError, UsageError
from bucketry.frozen import frozen
from bucketry.store.contract import (
    SMALL_OBJECT_BYTES,
    Entry,
    ETag,
    Folder,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    Object,
    ObjectNotFoundError,
    Part,
    PreconditionFailedError,
    iter_slices,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bucketry.store.contract import Body, Condition, Store


class MemoryStore:
    """A bucket in this process, gone with it."""

    def __init__(self, *, clock: Callable[[], datetime] | None = None, name: str = "memory:") -> None:
        self._name = name
        self._clock = clock or (lambda: datetime.now(UTC))
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._objects: dict[str, _StoredObject] = {}
        self._uploads: dict[str, _Upload] = {}

    @property
    def name(self) -> str:
        """Return the name that messages use."""
        return self._name

    @property
    def endpoint(self) -> str:
        """Return what a conformance result is recorded for."""
        return "memory"

    @property
    def unretried(self) -> MemoryStore:
        """This store, which sends each request once, as there is nothing to retry."""
        return self

    def local_path(self, key: str) -> None:
        """No object is a file of this machine."""

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object."""
        with self._lock:
            stored = self._find(key)
            if stored.etag == unless:
                raise NotModifiedError
            if len(stored.body) > SMALL_OBJECT_BYTES:
                raise CorruptError(f"memory: {key} is larger than {SMALL_OBJECT_BYTES} bytes, so it is no document")
            return Object(stored.body, stored.etag, stored.modified_at, served_at=self._clock())

    def stat(self, key: str) -> Entry:
        """Return size, ETag and time."""
        with self._lock:
            return _entry(key, self._find(key))

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Write the object if the condition holds."""
        with self._lock:
            self._check(key, condition)
            return self._write(key, bytes(body)).etag

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield what was below `prefix` when the listing began."""
        with self._lock:
            entries = [_entry(key, self._objects[key]) for key in self._objects if key.startswith(prefix)]
        entries.sort(key=lambda entry: entry.key.encode())
        if delimiter is None:
            yield from entries
            return
        for folder, group in itertools.groupby(entries, lambda entry: _fold(entry.key, prefix, delimiter)):
            if folder is None:
                yield from group
            else:
                yield folder

    def delete(self, key: str) -> None:
        """Delete the object, if there is one."""
        with self._lock:
            self._objects.pop(key, None)

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[_BytesStream]:
        """Open the bytes `start:stop` of the object that has this ETag."""
        with self._lock:
            stored = self._find(key)
        if etag is not None and stored.etag != etag:
            raise PreconditionFailedError(f"memory: {key} is another object now", advice="look it up again")
        yield _BytesStream(stored.range(key, start, stop))

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Create a large object in one request."""
        content = b"".join(bytes(one) for one in iter_slices(body))
        _check_digest(key, content, sha256)
        with self._lock:
            self._check(key, IfAbsent())
            return _entry(key, self._write(key, content))

    def start_upload(self, key: str) -> str:
        """Begin a large object in parts."""
        with self._lock:
            upload = f"upload-{next(self._numbers)}"
            self._uploads[upload] = _Upload(key, self._clock())
            return upload

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Keep one part."""
        content = b"".join(bytes(one) for one in iter_slices(body))
        _check_digest(key, content, sha256)
        with self._lock:
            part = Part(number, sha256 or f"part-{next(self._numbers)}", len(content))
            self._find_upload(key, upload).parts[number] = (part, offset, content)
            return part

    def copy_part(  # noqa: PLR0917 - a range of one object and its place in another
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
        """Keep one part that lies in another object."""
        held = self if source is None else source
        if not isinstance(held, MemoryStore):
            raise UnsupportedError(f"memory: {source_key} lies in another kind of store", advice="send its bytes")
        with held._lock:  # noqa: SLF001 - one of us
            body = held._find(source_key).range(source_key, start, stop)  # noqa: SLF001 - the same
        if not body:
            raise UsageError(f"memory: a part of {key} would be empty")
        return self.upload_part(key, upload, number, offset, memoryview(body))

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts, by number."""
        with self._lock:
            parts = self._find_upload(key, upload).parts
            return [parts[number][0] for number in sorted(parts)]

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Join the parts and create the object."""
        with self._lock:
            kept = self._find_upload(key, upload).parts
            body = bytearray()
            for part in sorted(parts, key=lambda part: part.number):
                held, offset, content = kept.get(part.number, (None, 0, b""))
                if held != part or offset != len(body):
                    raise UsageError(f"memory: part {part.number} of {key} is missing, or not where it belongs")
                body += content
            self._check(key, IfAbsent())
            self._write(key, bytes(body))
            del self._uploads[upload]

    def abort_upload(self, key: str, upload: str) -> None:
        """Forget the upload, if it is known."""
        with self._lock:
            found = self._uploads.get(upload)
            if found is not None and found.key == key:
                del self._uploads[upload]

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield what was unfinished when the listing began."""
        with self._lock:
            found = [
                (kept.key, upload, kept.started_at)
                for upload, kept in self._uploads.items()
                if kept.key.startswith(prefix)
            ]
        yield from sorted(found)

    def close(self) -> None:
        """Release nothing: the objects stay for whoever still holds the store."""

    def _find(self, key: str) -> _StoredObject:
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectNotFoundError(f"memory: there is no {key}") from None

    def _find_upload(self, key: str, upload: str) -> _Upload:
        found = self._uploads.get(upload)
        if found is None or found.key != key:
            raise ObjectNotFoundError(f"memory: there is no upload {upload} of {key}")
        return found

    def _check(self, key: str, condition: Condition) -> None:
        stored = self._objects.get(key)
        if isinstance(condition, IfAbsent) and stored is not None:
            raise PreconditionFailedError(f"memory: {key} exists already", advice="read it again")
        if isinstance(condition, IfMatch) and (stored is None or stored.etag != condition.etag):
            raise PreconditionFailedError(f"memory: {key} was changed by another", advice="read it again")

    def _write(self, key: str, body: bytes) -> _StoredObject:
        stored = _StoredObject(body, ETag(str(next(self._numbers))), self._clock())
        self._objects[key] = stored
        return stored


@frozen
class _StoredObject:
    body: bytes
    etag: ETag
    modified_at: datetime

    def range(self, key: str, start: int, stop: int) -> memoryview:
        if not 0 <= start <= stop <= len(self.body):
            raise UsageError(f"memory: {key} has {len(self.body)} bytes, so not the range {start}:{stop}")
        return memoryview(self.body)[start:stop]


@frozen
class _Upload:
    key: str
    started_at: datetime
    parts: dict[int, tuple[Part, int, bytes]] = field(default_factory=dict)


class _BytesStream:
    def __init__(self, body: memoryview) -> None:
        self._rest = body

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _check_digest(key: str, body: bytes, sha256: str | None) -> None:
    """Refuse bytes that are not those that the caller means, as a store does that verifies."""
    if sha256 is not None and hashlib.sha256(body).hexdigest() != sha256:
        raise UnavailableError(f"memory: the bytes of {key} were damaged on their way", advice="send them again")


def _entry(key: str, stored: _StoredObject) -> Entry:
    return Entry(key, len(stored.body), stored.etag, stored.modified_at)


def _fold(key: str, prefix: str, delimiter: str) -> Folder | None:
    """Return the folder that hides this key from a listing with a delimiter, if one does."""
    end = key.find(delimiter, len(prefix))
    return None if end < 0 else Folder(key[: end + len(delimiter)])
