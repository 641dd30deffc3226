"""What can be tried by one writer alone, and what it means when it is broken.

Promises about one object are tried one after the other on the same one, as long as each is kept, since every request
takes its time. After one that was broken the next begins with an object of its own, so that it is judged by itself.
"""

# What is checked stands above each function: it is the promise that a report names.
# ruff: noqa: D103

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.store.contract import (
    Entry,
    ETag,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    ObjectNotFoundError,
    PreconditionFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from bucketry.store.contract import Condition, Object, Part, Store

STALE_ETAG = ETag("0123456789abcdef0123456789abcdef")
ODD_NAMES = tuple(f"~r\u00e9sum\u00e9{blank}\u6a21\u578b#b?c&d=e" for blank in (" ", "+", "%20"))
"""What a store that decodes keys once too often would take for one another."""
LISTED_OBJECTS = 3
BODY_BYTES = 1024
RANGES = ((0, 1), (100, BODY_BYTES))
DELETED_AT_ONCE = 8


class BrokenPromiseError(Exception):
    """The store did something that it must not do; the text says what, and what would come of it."""


def body_of(number: int) -> bytes:
    """Return a body that no other number below 256 has, and of which no range is like another near it."""
    return bytes((number + place) % 256 for place in range(BODY_BYTES))


@dataclass(slots=True)
class Scratch:
    """The part of the bucket that a probe may use, and what it has put there. Safe for threads.

    `skews_seconds` tell for each read how far the server's clock was ahead of ours.
    """

    store: Store
    prefix: str
    clock: Callable[[], datetime]
    skews_seconds: list[float] = field(default_factory=list)
    _keys: set[str] = field(default_factory=set)
    _uploads: set[tuple[str, str]] = field(default_factory=set)

    def key(self, name: str) -> str:
        """Return the key of a scratch object, which will be removed at the end."""
        key = self.prefix + name
        self._keys.add(key)
        return key

    def get(self, key: str) -> Object:
        """Return an object, and note what the server's clock says."""
        before = self.clock()
        found = self.store.get(key)
        self.skews_seconds.append((found.served_at - (before + (self.clock() - before) / 2)).total_seconds())
        return found

    def has(self, key: str) -> bool:
        """Return whether an object can be read."""
        try:
            self.get(key)
        except ObjectNotFoundError:
            return False
        return True

    def forget(self, key: str) -> None:
        """Leave an object that is known to be gone out of the clean-up."""
        self._keys.discard(key)

    def start_upload(self, key: str) -> str:
        """Begin an upload, which will be given up at the end."""
        upload = self.store.start_upload(key)
        self._uploads.add((key, upload))
        return upload

    def complete_upload(self, key: str, upload: str, parts: list[Part]) -> None:
        """Complete an upload, of which nothing is left to give up then."""
        self.store.complete_upload(key, upload, parts)
        self._uploads.discard((key, upload))

    def below(self, folder: str) -> Scratch:
        """Return a part of this part, which is cleaned up with it."""
        return Scratch(self.store, self.prefix + folder, self.clock, self.skews_seconds, self._keys, self._uploads)

    def clean_up(self) -> None:
        """Remove everything that was written, whatever a listing says."""
        with ThreadPoolExecutor(DELETED_AT_ONCE) as pool:
            for _ in pool.map(lambda upload: self.store.abort_upload(*upload), sorted(self._uploads)):
                pass
            for _ in pool.map(self.store.delete, sorted(self._keys)):
                pass
        self._uploads.clear()
        self._keys.clear()


@dataclass(slots=True)
class Subject:
    """The object on which promises are tried, as it must be by what the store acknowledged.

    `etag` is that of what is there, or was before it was deleted, and `previous` that of the state before; None where
    there was none. `etag_read` is what a read of this state said.
    """

    scratch: Scratch
    name: str
    body: bytes = b""
    etag: ETag | None = None
    previous: ETag | None = None
    etag_read: ETag | None = None
    is_deleted: bool = False
    _states: int = 0

    @property
    def key(self) -> str:
        """Where it lies."""
        return self.scratch.key(self.name)

    def begin(self) -> ETag:
        """Return the ETag of the object, which is created unless it is there."""
        if self.etag is None:
            self._put(IfAbsent())
        assert self.etag is not None  # noqa: S101 - it was just put
        return self.etag

    def replace(self) -> None:
        """Replace the object by another state."""
        self._put(IfMatch(self.begin()))

    def begin_replaced(self) -> tuple[ETag, ETag]:
        """Return the ETag of a state that was replaced, and that of the one that is there."""
        self.begin()
        if self.previous is None:
            self.replace()
        assert self.previous is not None  # noqa: S101 - it was just replaced
        return self.previous, self.begin()

    def take(self, body: bytes, etag: ETag | None) -> None:
        """Note what the store acknowledged to be there now."""
        self.previous, self.etag, self.etag_read, self.body = self.etag, etag, None, body

    def refuses(self, condition: Condition) -> bool:
        """Write under a condition that does not hold; return whether that was refused."""
        try:
            self.scratch.store.put(self.key, b"must not be there", condition)
        except PreconditionFailedError:
            return True
        return False

    def must_hold(self, broken: str) -> None:
        """Raise unless the object is still this one: a refusal that writes all the same is worse than none."""
        try:
            found = self.scratch.get(self.key)
        except ObjectNotFoundError:
            raise BrokenPromiseError(f"{broken}: the object is gone") from None
        if found.body != self.body:
            raise BrokenPromiseError(broken)
        self.etag_read = found.etag

    def _put(self, condition: Condition) -> None:
        self._states += 1
        body = body_of(self._states)
        self.take(body, self.scratch.store.put(self.key, body, condition))


@frozen
class Promise:
    """One promise; `check` raises `BrokenPromiseError`, or returns what was seen."""

    name: str
    text: str
    check: Callable[[Subject], str]


def promise(name: str, text: str) -> Callable[[Callable[[Subject], str]], Promise]:
    """Make a function that checks it a promise."""
    return lambda check: Promise(name, text, check)


@promise("create once", "a create-only write of a taken key is refused")
def create_once(subject: Subject) -> str:
    subject.begin()
    if not subject.refuses(IfAbsent()):
        raise BrokenPromiseError(
            "the store accepted a second create-only write: concurrent publishers would overwrite each other"
        )
    subject.must_hold("the store refused a second create-only write, but carried it out")
    return "the second write was refused"


@promise("etags", "an object has one ETag, in every reply")
def etags_agree(subject: Subject) -> str:
    written, key = subject.begin(), subject.key
    entries = [entry for entry in subject.scratch.store.list(key) if isinstance(entry, Entry) and entry.key == key]
    if subject.etag_read is None:
        subject.must_hold("the store acknowledged a write that is not there")
    said = {
        "reading": subject.etag_read,
        "a HEAD": subject.scratch.store.stat(key).etag,
        "a listing": entries[0].etag if entries else ETag(""),
    }
    for reply, etag in said.items():
        if etag != written:
            raise BrokenPromiseError(f"the ETag from {reply} ({etag!r}) is not the one from writing ({written!r})")
    return "writing, reading, a HEAD and a listing name the same ETag"


@promise("replace", "a write under the current ETag replaces the object and its ETag")
def replace(subject: Subject) -> str:
    first = subject.begin()
    subject.replace()
    if subject.etag == first:
        raise BrokenPromiseError("the ETag did not change with the object: a stale writer would not be noticed")
    subject.must_hold("the store acknowledged a write that is not there")
    return "a writer that knows the current state may replace it"


@promise("stale write", "a write under any other ETag is refused and changes nothing")
def stale(subject: Subject) -> str:
    previous, _ = subject.begin_replaced()
    for etag, whose in ((previous, "of an older state"), (STALE_ETAG, "that never was")):
        if not subject.refuses(IfMatch(etag)):
            raise BrokenPromiseError(
                f"the store accepted a write under an ETag {whose}: concurrent commits would be lost"
            )
    subject.must_hold("the store refused a stale write, but carried it out")
    return "stale writers were refused"


@promise("poll", "an unchanged object is not sent again")
def not_modified(subject: Subject) -> str:
    previous, etag = subject.begin_replaced()
    try:
        subject.scratch.store.get(subject.key, unless=etag)
    except NotModifiedError:
        pass
    else:
        raise BrokenPromiseError("the store sends an unchanged object again: every poll would cost a download")
    try:
        found = subject.scratch.store.get(subject.key, unless=previous)
    except NotModifiedError:
        raise BrokenPromiseError("the store called a changed object unchanged: servers would miss it") from None
    if found.body != subject.body:
        raise BrokenPromiseError("the store sent an older state of a changed object")
    return "an unchanged object is not sent again, a changed one is"


@promise("ranges", "a range is exact, and of the object that was meant")
def ranges(subject: Subject) -> str:
    previous, etag = subject.begin_replaced()
    for start, stop in RANGES:
        if _read(subject, (start, stop), etag) != subject.body[start:stop]:
            raise BrokenPromiseError(f"the store sent other bytes than the range {start}:{stop} that was asked for")
    try:
        _read(subject, (0, 16), previous)
    except PreconditionFailedError:
        return "a range is exact, and refused once the object is another one"
    raise BrokenPromiseError("the store sent a range of another object: a download would mix two objects")


@promise("read after write", "a read shows the last acknowledged write")
def read_after_write(subject: Subject) -> str:
    subject.replace()
    subject.must_hold("a read after an acknowledged write shows an older state")
    subject.scratch.store.delete(subject.key)
    if subject.scratch.has(subject.key):
        raise BrokenPromiseError("a deleted object can still be read")
    subject.is_deleted = True
    return "each read shows the last write"


@promise("replace nothing", "a write under an ETag is refused where no object is")
def replace_nothing(subject: Subject) -> str:
    if not subject.is_deleted:
        subject.name = "nothing"
    if not subject.refuses(IfMatch(subject.etag if subject.is_deleted and subject.etag else STALE_ETAG)):
        raise BrokenPromiseError("the store replaced an object that does not exist: a deleted one would come back")
    if subject.scratch.has(subject.key):
        raise BrokenPromiseError("the store refused to replace nothing, but created the object")
    subject.scratch.forget(subject.key)
    return "replacing nothing was refused"


@promise("list after write", "a listing shows the last acknowledged write")
def list_after_write(subject: Subject) -> str:
    scratch = subject.scratch
    wanted = [scratch.key(f"listed/{number}-{'x' * number}") for number in range(LISTED_OBJECTS)]
    for key in wanted:
        scratch.store.put_blob(key, memoryview(b"1"))
    _must_list(scratch, wanted, "a listing after an acknowledged write is not complete")
    scratch.store.delete(wanted[-1])
    _must_list(scratch, wanted[:-1], "a listing shows an object that was deleted")
    scratch.forget(wanted[-1])
    return "each listing shows the last write"


@promise("upload", "an upload appears whole, and never replaces an object")
def upload(subject: Subject) -> str:
    scratch, key = subject.scratch, subject.key
    uploads = [scratch.start_upload(key) for _ in range(2)]
    bodies = (b"first", b"second")
    parts: list[Part] = [
        scratch.store.upload_part(key, upload, 1, 0, memoryview(body))
        for upload, body in zip(uploads, bodies, strict=True)
    ]
    if scratch.has(key):
        raise BrokenPromiseError("an object can be seen before its upload is complete")
    scratch.complete_upload(key, uploads[0], parts[:1])
    subject.take(bodies[0], None)
    try:
        scratch.complete_upload(key, uploads[1], parts[1:])
    except PreconditionFailedError:
        subject.must_hold("of two uploads to the same key, the object is not the one that was acknowledged")
        return "the second upload to the same key was refused"
    raise BrokenPromiseError("the store let a second upload replace an artifact: its bytes could change")


@promise("create an artifact once", "an artifact is never replaced")
def create_blob_once(subject: Subject) -> str:
    if not subject.body:
        subject.scratch.store.put_blob(subject.key, memoryview(b"first"))
        subject.take(b"first", None)
    try:
        subject.scratch.store.put_blob(subject.key, memoryview(b"another"))
    except PreconditionFailedError:
        subject.must_hold("the store refused to replace an artifact, but replaced it")
        return "the second write was refused"
    raise BrokenPromiseError("the store accepted a second create-only write of an artifact: its bytes could change")


@promise("odd keys", "keys are kept as they are")
def odd_keys(subject: Subject) -> str:
    scratch = subject.scratch
    wanted = {scratch.key(f"odd/{name}"): name for name in ODD_NAMES}
    for key, name in wanted.items():
        scratch.store.put(key, name.encode(), IfAbsent())
    for key, name in wanted.items():
        if scratch.get(key).body != name.encode():
            raise BrokenPromiseError(f"the key {name!r} brings another object")
    if sorted(_listed(scratch, "odd/")) != sorted(wanted):
        raise BrokenPromiseError("a listing spells keys with spaces, plus or percent signs or accents otherwise")
    return "odd keys are kept as they are"


def _must_list(scratch: Scratch, wanted: list[str], broken: str) -> None:
    listed = list(_listed(scratch, "listed/"))
    if sorted(listed) != wanted:
        raise BrokenPromiseError(broken)
    if listed != wanted:
        raise BrokenPromiseError("a listing is not in the order of its keys")


def _listed(scratch: Scratch, folder: str) -> Iterator[str]:
    for entry in scratch.store.list(scratch.prefix + folder):
        if isinstance(entry, Entry):
            yield entry.key


def _read(subject: Subject, asked: tuple[int, int], etag: ETag) -> bytes:
    start, stop = asked
    buffer = bytearray(stop - start)
    view = memoryview(buffer)
    filled = 0
    with subject.scratch.store.open_range(subject.key, start, stop, etag=etag) as stream:
        for _ in range(len(buffer)):
            count = stream.readinto(view[filled:])
            filled += count
            if count == 0 or filled == len(buffer):
                break
    return bytes(buffer[:filled])
