"""Repeats the calls of a store that may simply be made again.

A call that has the same effect whether it arrives once or twice is repeated, until a deadline and as `Backoff` says.
The three writes that create or replace an object under a condition pass through once: after a lost reply only a look at
the object tells whether the write happened, and that is for the caller to decide. Repeating the start of an upload may
leave one behind that nobody knows; it holds no parts, and gc removes it.

Where a first reply takes long, `Silence` tells a person that it is the store that they wait for.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from bucketry.clock import MOST_TRIES, Backoff, Clock
from bucketry.errors import BucketryError, UnavailableError
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from bucketry.store.contract import Body, ByteStream, Condition, ETag, Folder, Object, Part, Store

T = TypeVar("T")

DEADLINE_SECONDS = 60.0


class RetryingStore:
    """A store that repeats what may be repeated, until `deadline_seconds` after the first try of a call.

    `silence` begins with the first call that may be repeated, other than a listing, and ends with the first reply to
    one, be it a refusal.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        silence: Silence | None = None,
    ) -> None:
        self._store = store
        self._clock = clock or Clock()
        self._deadline_seconds = deadline_seconds
        self._silence = silence

    @property
    def name(self) -> str:
        """The URL of the store below."""
        return self._store.name

    @property
    def endpoint(self) -> str:
        """The endpoint of the store below."""
        return self._store.endpoint

    @property
    def unretried(self) -> Store:
        """The store below, for a caller with a patience of its own."""
        return self._store

    @property
    def server_product(self) -> str:
        """What the server calls itself, if the store below knows."""
        return str(getattr(self._store, "server_product", ""))

    def local_path(self, key: str) -> Path | None:
        """Return the file that the store below keeps the object in, if it is one."""
        return self._store.local_path(key)

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object, trying again while the store is unavailable."""
        return self._again(lambda: self._store.get(key, unless=unless))

    def stat(self, key: str) -> Entry:
        """Return what a HEAD says, trying again while the store is unavailable."""
        return self._again(lambda: self._store.stat(key))

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Send the write once: the caller finds out what an unknown outcome was."""
        return self._store.put(key, body, condition)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield the listing; after a failure list again from the start and leave out what was yielded."""
        last: str | None = None
        backoff = self._new_backoff()
        for _ in range(MOST_TRIES):
            try:
                for found in self._store.list(prefix, delimiter=delimiter):
                    key = found.key if isinstance(found, Entry) else found.prefix
                    if last is None or key > last:
                        yield found
                        last = key
                        backoff.progressed()
            except UnavailableError as error:
                backoff.pause_or_raise(error)
            else:
                return
        raise UnavailableError(f"{self.name}: listing {prefix} failed {MOST_TRIES} times", advice="try again later")

    def delete(self, key: str) -> None:
        """Delete the object, trying again while the store is unavailable."""
        self._again(lambda: self._store.delete(key))

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[ByteStream]:
        """Open the range, trying again to open it; what breaks while it is read is for the reader."""
        with ExitStack() as stack:
            yield self._again(lambda: stack.enter_context(self._store.open_range(key, start, stop, etag=etag)))

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Send the object once: the caller finds out what an unknown outcome was."""
        return self._store.put_blob(key, body, sha256=sha256)

    def start_upload(self, key: str) -> str:
        """Begin an upload, trying again while the store is unavailable."""
        return self._again(lambda: self._store.start_upload(key))

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Send the part, again if need be: the same part replaces itself."""
        return self._again(lambda: self._store.upload_part(key, upload, number, offset, body, sha256=sha256))

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
        """Have the part copied, again if need be: the same part replaces itself."""
        held = source.unretried if source is not None else None
        return self._again(
            lambda: self._store.copy_part(key, upload, number, offset, source_key, start, stop, source=held)
        )

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts, trying again while the store is unavailable."""
        return self._again(lambda: self._store.list_parts(key, upload))

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Send the completion once: the caller finds out what an unknown outcome was."""
        self._store.complete_upload(key, upload, parts)

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up the upload, trying again while the store is unavailable."""
        self._again(lambda: self._store.abort_upload(key, upload))

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield the unfinished uploads, all read before the first is yielded: they are few."""
        yield from self._again(lambda: tuple(self._store.list_uploads(prefix)))

    def close(self) -> None:
        """Close the store below."""
        if self._silence is not None:
            self._silence.end()
        self._store.close()

    def _again(self, call: Callable[[], T]) -> T:
        return self._new_backoff().insist(lambda: self._hear(call))

    def _new_backoff(self) -> Backoff:
        return Backoff(
            self._clock, deadline_seconds=self._deadline_seconds, since_seconds=self._clock.monotonic_seconds()
        )

    def _hear(self, call: Callable[[], T]) -> T:
        if self._silence is None:
            return call()
        self._silence.begin()
        try:
            result = call()
        except UnavailableError:
            raise
        except BucketryError:
            self._silence.end()
            raise
        self._silence.end()
        return result


class Silence:
    """The time from the first call of a store to the first reply; `tell` is called once where that is long.

    In a thread of its own, which ends with the program.
    """

    def __init__(self, longest_seconds: float, tell: Callable[[], None]) -> None:
        self._longest_seconds = longest_seconds
        self._tell = tell
        self._ended = threading.Event()
        self._has_begun = False

    def begin(self) -> None:
        """Note that the store is being asked."""
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._wait, daemon=True).start()

    def end(self) -> None:
        """Note that the store replied, or that nobody waits any more."""
        self._ended.set()

    def _wait(self) -> None:
        if not self._ended.wait(self._longest_seconds):
            self._tell()
