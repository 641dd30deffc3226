"""Says what a bucket is for everything above it: bytes under keys, ETags, conditions, ranges and uploads.

A store knows bytes, keys, ETags and conditions, and no word of models. Keys are relative to the registry's prefix.
A write carries its one precondition as a value; there is no unconditional write of a register. Differences between
stores are settled below this interface: an ETag is opaque and unquoted, and every way to say "the condition does not
hold" (HTTP 404, 409 and 412) is one `PreconditionFailedError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType, Protocol, runtime_checkable

from bucketry.errors import ContendedError, NotFoundError, UnavailableError
from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

ETag = NewType("ETag", str)

SMALL_OBJECT_BYTES = 64 * 1024 * 1024
"""The most that `get` reads at once. Documents have 8 MiB at most: whatever is larger is none, and fills no memory."""


@frozen
class IfAbsent:
    """Write only if nothing is at the key (`If-None-Match: *`)."""


@frozen
class IfMatch:
    """Write only if the object at the key still has this ETag."""

    etag: ETag


@frozen
class Unconditional:
    """Write whatever is there: only for objects that one writer alone owns, such as a deployment receipt."""


Condition = IfAbsent | IfMatch | Unconditional


@frozen
class Object:
    """A small object, whole: its bytes, the ETag of exactly these bytes, and the server's times (UTC).

    `served_at` is the Date of the reply that brought it, so that ages are differences of one clock.
    """

    body: bytes
    etag: ETag
    modified_at: datetime
    served_at: datetime


@frozen
class Entry:
    """What a listing or a HEAD says about one object. `modified_at` is the server's, in UTC."""

    key: str
    size_bytes: int
    etag: ETag
    modified_at: datetime


@frozen
class Folder:
    """What a listing with a delimiter says about the keys below one prefix (which ends in the delimiter)."""

    prefix: str


@frozen
class Part:
    """One uploaded part of a large object; `etag` is what the store wants to see again at completion."""

    number: int
    etag: str
    size_bytes: int


class ObjectNotFoundError(NotFoundError):
    """Nothing is at the key."""


class NotModifiedError(Exception):
    """The object still has the ETag given as `unless`. Not a failure, hence not a `BucketryError`."""


class PreconditionFailedError(ContendedError):
    """The condition of a write, or the `etag` of a ranged read, does not hold (or the store says that it may not)."""


class SlowDownError(UnavailableError):
    """The store asks for fewer requests (429, 503); `retry_after_seconds` is its own figure, if it gave one."""

    def __init__(self, message: str, *, advice: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message, advice=advice)
        self.retry_after_seconds = retry_after_seconds


class NotSentError(UnavailableError):
    """A write was not even sent, or refused for good: nothing is under the key, and trying again changes nothing."""

    may_pass = False


class StoreFullError(NotSentError):
    """The store has no room. A refusal: nothing was put under the key, and trying again frees no space."""


class NoSecureConnectionError(UnavailableError):
    """Both sides do not agree on how to encrypt: https and http, or a certificate. Trying again changes nothing."""

    may_pass = False


@runtime_checkable
class ByteStream(Protocol):
    """The bytes of one range, read once from front to back."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill the front of `buffer` and return how many bytes were written; 0 only at the end of the range.

        Raises `UnavailableError` when the connection breaks.
        """
        ...


class Streamed(Protocol):
    """Bytes to be sent that need not lie in memory all at once."""

    def __len__(self) -> int:
        """Return how many they are."""
        ...

    def slices(self) -> Iterator[memoryview]:
        """Yield them from front to back, each slice as it is only until the next is asked for.

        Whoever sends them again asks again. Raises before the last slice if they are not those that are meant, so
        that no request is ever complete with others.
        """
        ...


Body = memoryview | Streamed


class HeldBack(bytes):
    """Bytes of which the last is sent only when `wait` has returned, which is called once: for writers that race.

    A store that does not send bytes one after the other takes them as any others, and does not call it.
    """

    wait: Callable[[], None]

    @classmethod
    def until(cls, body: bytes, wait: Callable[[], None]) -> HeldBack:
        """Return bytes that are held back."""
        held = cls(body)
        held.wait = wait
        return held

    def slices(self) -> Iterator[memoryview]:
        """Yield them, as `Streamed` does."""
        yield memoryview(self)[:-1]
        wait, self.wait = self.wait, lambda: None
        wait()
        yield memoryview(self)[-1:]


def iter_slices(body: bytes | Body) -> Generator[memoryview, None, None]:
    """Yield the bytes of a body, those that lie in memory as one slice; to be closed by who may not come to the end."""
    if isinstance(body, bytes | memoryview) and not isinstance(body, HeldBack):
        yield memoryview(body)
    else:
        yield from body.slices()


class AskedRange(Protocol):
    """A range that was asked for and not waited for; it is opened once, or closed."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the reply comes."""
        ...

    def opened(self) -> AbstractContextManager[ByteStream]:
        """Give the bytes, as `open_range` would; raises as it does."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


@runtime_checkable
class AsksAhead(Protocol):
    """A store of which one thread can ask for many ranges at once, as many small files need it."""

    def begin_range(self, key: str, start: int, stop: int) -> AskedRange | None:
        """Ask for a range of whatever object is there now, without waiting; None if that is not possible."""
        ...


@runtime_checkable
class ReadsMany(Protocol):
    """A store that reads many small objects below one prefix in much less time than each by itself."""

    def read_many(self, prefix: str, names: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the bytes of each create-only object, or None for one that `get` has to be asked for.

        Nothing says that they are right: whoever asks has their digests.
        """
        ...


@frozen
class Leftover:
    """Something that a killed writer left in the store's own bookkeeping, beside all keys. `name` is for people."""

    name: str
    size_bytes: int
    modified_at: datetime


@runtime_checkable
class HasLeftovers(Protocol):
    """A store that keeps what is not written to its end where no key lies."""

    def list_leftovers(self) -> Iterator[Leftover]:
        """Yield what is half written, by living writers as well: only its age tells. Uploads are listed elsewhere."""
        ...

    def remove_leftover(self, leftover: Leftover) -> bool:
        """Remove it; return False if it is gone, or was written to since it was listed."""
        ...


@runtime_checkable
class KeepsReadableCopies(Protocol):
    """A store that keeps, beside the states of an object that is replaced, a file for people."""

    def renew_readable_copy(self, key: str) -> None:
        """Make the file the object's state as it is now; raise `ObjectNotFoundError` where there is none."""
        ...


class Store(Protocol):
    """A bucket below one prefix. Safe for use by many threads at once."""

    @property
    def name(self) -> str:
        """The URL as a person would write it, without any credential."""
        ...

    @property
    def endpoint(self) -> str:
        """What a conformance result is recorded for: the same text wherever the same server is reached alike."""
        ...

    @property
    def unretried(self) -> Store:
        """The same bucket with every request sent once, for a caller with a patience of its own; else itself."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Return the file of this machine that a create-only object is, for copies by the kernel; None elsewhere.

        Nothing says that the file is there, or right.
        """
        ...

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object; raise `ObjectNotFoundError`, or `NotModifiedError` if it still has `unless`.

        Raises `CorruptError` for an object over `SMALL_OBJECT_BYTES`, which `open_range` reads.
        """
        ...

    def stat(self, key: str) -> Entry:
        """Return size, ETag and time without the bytes; raise `ObjectNotFoundError`."""
        ...

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Write a small object, sent exactly once, and return its new ETag.

        Raises `PreconditionFailedError`, `StoreFullError` where nothing was written, or any other `UnavailableError`
        when the outcome is unknown (a reply of 5xx, a time-out, a reset): the write may have happened, or may still
        happen. A refused condition, too, may follow a write that happened (its reply was lost and it was repeated, or
        others wrote on at once): who must know reads it back.
        """
        ...

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield what lies below `prefix` in key order, lazily. With a delimiter, deeper keys fold into `Folder`s."""
        ...

    def delete(self, key: str) -> None:
        """Delete the object; succeed if there is none."""
        ...

    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> AbstractContextManager[ByteStream]:
        """Open the bytes `start:stop` of the object that has this ETag.

        Raises `PreconditionFailedError` if another object is there now, so that two objects never mix. With None
        they are those of whatever object is there: for a caller who reads all in one request and verifies it.
        """
        ...

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Create a large object in one request, if absent; raise `PreconditionFailedError` if the key is taken.

        `sha256` is the hexadecimal digest of exactly these bytes, if the caller has computed it: then nobody
        computes it again. The returned `modified_at` may be the local clock's.
        """
        ...

    def start_upload(self, key: str) -> str:
        """Begin a large object in parts and return the id of the upload. Nothing is at the key until it completes."""
        ...

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Send part `number` (from 1), whose first byte lies at `offset` of the object; sent again, it is replaced.

        `sha256` as for `put_blob`.
        """
        ...

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
        """Make the bytes `start:stop` of another object, at least one, a part, without moving them through here.

        The object is one of this store, or of `source`, another one of the same kind at the same server. A range that
        begins the object and has no more than 5 MiB must be all of it.

        Raises `ObjectNotFoundError` if there is no such object or upload, `UsageError` if the object is shorter,
        and `UnsupportedError` where the store cannot do it: then send the bytes. They are not verified.
        """
        ...

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts that the store holds; raise `ObjectNotFoundError` if it does not know the upload."""
        ...

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the object appear at once, if absent; raise `PreconditionFailedError` if the key is taken."""
        ...

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up an upload and free its parts; succeed if the store does not know it."""
        ...

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield (key, upload id, start time in UTC) of every unfinished upload below the prefix."""
        ...

    def close(self) -> None:
        """Release connections; the store is not used afterwards."""
        ...
