"""Makes several places of one content one store: reads go to the first that answers, writes to the first of all.

The first place is the one that people write to, the others are copies of it. A place that does not answer is left out
for a while, so that not every read waits for it; one that has no such object is no answer, since a copy may lack it, or
have it still. An ETag of a copy is marked as such: it never satisfies a condition of a write, so that nothing is ever
decided on a copy and written to the first place.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from bucketry.clock import Clock
from bucketry.errors import NotFoundError, UnavailableError
from bucketry.store.contract import (
    Entry,
    ETag,
    IfMatch,
    NotModifiedError,
    NotSentError,
    Object,
    ObjectNotFoundError,
)
from bucketry.store.late import LateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from bucketry.store.contract import Body, ByteStream, Condition, Folder, Part, Store

LEFT_OUT_SECONDS = 30.0
"""How long a place that did not answer is asked after all others."""
OF_A_COPY = "place-"

T = TypeVar("T")


class PlacesStore:
    """The same content in several places. Safe for threads."""

    def __init__(self, places: Sequence[Store], *, clock: Clock | None = None) -> None:
        self._places = tuple(places)
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._left_out_until_seconds: dict[int, float] = {}
        self._served_by = 0

    @property
    def name(self) -> str:
        """The URL of the first place."""
        return self._places[0].name

    @property
    def endpoint(self) -> str:
        """The endpoint of the first place, which is written to."""
        return self._places[0].endpoint

    @property
    def served_by(self) -> str:
        """The URL of the place that answered the last read."""
        return self._places[self._served_by].name

    @property
    def unretried(self) -> PlacesStore:
        """The same places with every request sent once to each."""
        # One that is opened by its first use repeats nothing, and must not be opened to say so.
        places = [place if isinstance(place, LateStore) else place.unretried for place in self._places]
        return PlacesStore(places, clock=self._clock)

    @property
    def server_product(self) -> str:
        """What the server of the first place calls itself, if it is known."""
        return str(getattr(self._places[0], "server_product", ""))

    def local_path(self, key: str) -> Path | None:
        """Return the file of the first place that can be opened, if it is in a folder of this machine."""
        for number in self._order():
            try:
                return self._places[number].local_path(key)
            except (UnavailableError, NotFoundError):
                continue
        return None

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object of the first place that has it."""

        def ask(number: int) -> Object:
            found = self._places[number].get(key, unless=_own_etag(unless, number))
            return Object(found.body, _marked(found.etag, number), found.modified_at, found.served_at)

        return self._first(ask)

    def stat(self, key: str) -> Entry:
        """Return what the first place that has the object says of it."""

        def ask(number: int) -> Entry:
            found = self._places[number].stat(key)
            return Entry(found.key, found.size_bytes, _marked(found.etag, number), found.modified_at)

        return self._first(ask)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield what the first place that answers lists."""

        def ask(number: int) -> tuple[Sequence[Entry | Folder], Iterator[Entry | Folder], int]:
            found = iter(self._places[number].list(prefix, delimiter=delimiter))
            first = next(found, None)
            return (() if first is None else (first,)), found, number

        begun, rest, number = self._first(ask)
        for part in (begun, rest):
            for item in part:
                if isinstance(item, Entry):
                    yield Entry(item.key, item.size_bytes, _marked(item.etag, number), item.modified_at)
                else:
                    yield item

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[ByteStream]:
        """Open the range at the first place that has the object; whose ETag it was decides only in its own place."""
        with ExitStack() as stack:
            yield self._first(
                lambda number: stack.enter_context(
                    self._places[number].open_range(key, start, stop, etag=_own_etag(etag, number))
                )
            )

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Write to the first place; raise `NotSentError` for a condition that was read from a copy."""
        if isinstance(condition, IfMatch) and is_of_copy(condition.etag):
            raise NotSentError(
                f"{self.name} does not answer; {key} was read from a copy, and nothing is decided by a copy",
                advice="try again when the first place of the registry answers",
            )
        return self._places[0].put(key, body, condition)

    def delete(self, key: str) -> None:
        """Delete the object in the first place."""
        self._places[0].delete(key)

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Create a large object in the first place."""
        return self._places[0].put_blob(key, body, sha256=sha256)

    def start_upload(self, key: str) -> str:
        """Begin an upload to the first place."""
        return self._places[0].start_upload(key)

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Send a part to the first place."""
        return self._places[0].upload_part(key, upload, number, offset, body, sha256=sha256)

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
        """Have the first place copy a part."""
        return self._places[0].copy_part(key, upload, number, offset, source_key, start, stop, source=source)

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts that the first place holds."""
        return self._places[0].list_parts(key, upload)

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Complete an upload to the first place."""
        self._places[0].complete_upload(key, upload, parts)

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up an upload to the first place."""
        self._places[0].abort_upload(key, upload)

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield the unfinished uploads to the first place."""
        return self._places[0].list_uploads(prefix)

    def close(self) -> None:
        """Close all places."""
        for place in self._places:
            place.close()

    def _first(self, ask: Callable[[int], T]) -> T:
        """Return the first answer; raise `ObjectNotFoundError` only where every place has answered so."""
        absent: NotFoundError | None = None
        away: UnavailableError | None = None
        for number in self._order():
            try:
                found = ask(number)
            except NotModifiedError:
                self._note_answer(number)
                raise
            except ObjectNotFoundError as error:
                absent = absent or error
            except (UnavailableError, NotFoundError) as error:  # the second: the bucket or the folder itself
                self._leave_out(number)
                away = away or _as_away(error)
            else:
                self._note_answer(number)
                return found
        if away is None and absent is not None:
            raise absent
        raise away or AssertionError("there is no place")

    def _order(self) -> Sequence[int]:
        """Return the places in their order, those that did not answer lately at the end."""
        now = self._clock.monotonic_seconds()
        with self._lock:
            left_out = {number for number, until in self._left_out_until_seconds.items() if until > now}
        numbers = range(len(self._places))
        return [n for n in numbers if n not in left_out] + [n for n in numbers if n in left_out]

    def _leave_out(self, number: int) -> None:
        with self._lock:
            self._left_out_until_seconds[number] = self._clock.monotonic_seconds() + LEFT_OUT_SECONDS

    def _note_answer(self, number: int) -> None:
        with self._lock:
            self._left_out_until_seconds.pop(number, None)
            self._served_by = number


def served_by(store: Store) -> str:
    """Return the URL of the place that answered the last read of a store."""
    return store.served_by if isinstance(store, PlacesStore) else store.name


def is_of_copy(etag: ETag) -> bool:
    """Return whether what has this ETag was read from another place than the first."""
    return etag.startswith(OF_A_COPY)


def _marked(etag: ETag, number: int) -> ETag:
    return etag if number == 0 else ETag(f"{OF_A_COPY}{number}:{etag}")


def _own_etag(etag: ETag | None, number: int) -> ETag | None:
    """Return an ETag as a place has it; None for one of another place, which says nothing there."""
    if etag is None or not is_of_copy(etag):
        return etag if number == 0 else None
    place, _, own = etag.removeprefix(OF_A_COPY).partition(":")
    return ETag(own) if place == str(number) else None


def _as_away(error: UnavailableError | NotFoundError) -> UnavailableError:
    return error if isinstance(error, UnavailableError) else UnavailableError(error.message, advice=error.advice)
