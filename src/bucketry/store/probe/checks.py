"""Which promises can be tried by one writer alone, and what does it mean when one is broken?"""

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

    from bucketry.store.contract import Part, Store

STALE_ETAG = ETag("0123456789abcdef0123456789abcdef")
ODD_NAMES = ("a b", "a+b", "a%20b", "a%2Bb", "r\u00e9sum\u00e9.bin", "\u6a21\u578b", "a#b?c&d=e", "~.bashrc")
LISTED_OBJECTS = 5
WRITES_READ_BACK = 5
DELETED_AT_ONCE = 8


class BrokenPromiseError(Exception):
    """The store did something that it must not do; the text says what, and what would come of it."""


@dataclass(slots=True)
class Scratch:
    """The part of the bucket that a probe may use, and what it has put there. Safe for threads."""

    store: Store
    prefix: str
    _keys: set[str] = field(default_factory=set)
    _uploads: set[tuple[str, str]] = field(default_factory=set)

    def key(self, name: str) -> str:
        """Return the key of a scratch object, which will be removed at the end."""
        key = self.prefix + name
        self._keys.add(key)
        return key

    def create(self, name: str, body: bytes) -> ETag:
        """Create a scratch object."""
        return self.store.put(self.key(name), body, IfAbsent())

    def start_upload(self, key: str) -> str:
        """Begin an upload, which will be given up at the end."""
        upload = self.store.start_upload(key)
        self._uploads.add((key, upload))
        return upload

    def below(self, folder: str) -> Scratch:
        """Return a part of this part, which is cleaned up with it."""
        return Scratch(self.store, self.prefix + folder, self._keys, self._uploads)

    def clean_up(self) -> None:
        """Remove everything that was written, whatever a listing says."""
        with ThreadPoolExecutor(DELETED_AT_ONCE) as pool:
            for _ in pool.map(lambda upload: self.store.abort_upload(*upload), sorted(self._uploads)):
                pass
            for _ in pool.map(self.store.delete, sorted(self._keys)):
                pass
        self._uploads.clear()
        self._keys.clear()


@frozen
class Promise:
    """One promise; `check` raises `BrokenPromiseError`, or returns what was seen."""

    name: str
    text: str
    check: Callable[[Scratch], str]


def must_hold(key: str, body: bytes, store: Store, broken: str) -> None:
    """Raise unless the object is still this one: a refusal that writes all the same is worse than none."""
    try:
        found = store.get(key).body
    except ObjectNotFoundError:
        raise BrokenPromiseError(f"{broken}: the object is gone") from None
    if found != body:
        raise BrokenPromiseError(broken)


def _create_once(scratch: Scratch) -> str:
    key = scratch.key("create-once.json")
    scratch.create("create-once.json", b"first")
    try:
        scratch.store.put(key, b"second", IfAbsent())
    except PreconditionFailedError:
        must_hold(key, b"first", scratch.store, "the store refused a second create-only write, but carried it out")
        return "the second write was refused"
    raise BrokenPromiseError(
        "the store accepted a second create-only write: concurrent publishers would overwrite each other"
    )


def _create_blob_once(scratch: Scratch) -> str:
    key = scratch.key("blob-once")
    scratch.store.put_blob(key, memoryview(b"first"))
    try:
        scratch.store.put_blob(key, memoryview(b"second"))
    except PreconditionFailedError:
        must_hold(key, b"first", scratch.store, "the store refused to replace an artifact, but replaced it")
        return "the second write was refused"
    raise BrokenPromiseError("the store accepted a second create-only write of an artifact: its bytes could change")


def _replace(scratch: Scratch) -> str:
    key = scratch.key("replace.json")
    first = scratch.create("replace.json", b"first")
    second = scratch.store.put(key, b"second", IfMatch(first))
    if second == first:
        raise BrokenPromiseError("the ETag did not change with the object: a stale writer would not be noticed")
    must_hold(key, b"second", scratch.store, "the store acknowledged a write that is not there")
    return "a writer that knows the current state may replace it"


def _stale(scratch: Scratch) -> str:
    key = scratch.key("stale.json")
    first = scratch.create("stale.json", b"first")
    scratch.store.put(key, b"second", IfMatch(first))
    for etag, whose in ((first, "of an older state"), (STALE_ETAG, "that never was")):
        try:
            scratch.store.put(key, b"lost", IfMatch(etag))
        except PreconditionFailedError:
            broken = "the store refused a stale write, but carried it out"
            must_hold(key, b"second", scratch.store, broken)
        else:
            raise BrokenPromiseError(
                f"the store accepted a write under an ETag {whose}: concurrent commits would be lost"
            )
    return "stale writers were refused"


def _match_nothing(scratch: Scratch) -> str:
    key = scratch.key("nothing.json")
    try:
        scratch.store.put(key, b"ghost", IfMatch(STALE_ETAG))
    except PreconditionFailedError:
        with_object = _exists(scratch.store, key)
        if with_object:
            raise BrokenPromiseError("the store refused to replace nothing, but created the object") from None
        return "replacing nothing was refused"
    raise BrokenPromiseError("the store replaced an object that does not exist: a deleted one would come back")


def _etags_agree(scratch: Scratch) -> str:
    key = scratch.key("etags.json")
    written = scratch.create("etags.json", b"first")
    entries = [entry for entry in scratch.store.list(key) if isinstance(entry, Entry) and entry.key == key]
    said = {
        "writing": written,
        "reading": scratch.store.get(key).etag,
        "a HEAD": scratch.store.stat(key).etag,
        "a listing": entries[0].etag if entries else ETag(""),
    }
    for reply, etag in said.items():
        if etag != written:
            raise BrokenPromiseError(f"the ETag from {reply} ({etag!r}) is not the one from writing ({written!r})")
    scratch.store.put(key, b"second", IfMatch(said["a listing"]))
    must_hold(key, b"second", scratch.store, "the store acknowledged a write that is not there")
    return "writing, reading, a HEAD and a listing name the same ETag, and it can be used as a condition"


def _not_modified(scratch: Scratch) -> str:
    key = scratch.key("poll.json")
    first = scratch.create("poll.json", b"first")
    try:
        scratch.store.get(key, unless=first)
    except NotModifiedError:
        scratch.store.put(key, b"second", IfMatch(first))
    else:
        raise BrokenPromiseError("the store sends an unchanged object again: every poll would cost a download")
    try:
        found = scratch.store.get(key, unless=first)
    except NotModifiedError:
        raise BrokenPromiseError("the store called a changed object unchanged: servers would miss it") from None
    if found.body != b"second":
        raise BrokenPromiseError("the store sent an older state of a changed object")
    return "an unchanged object is not sent again, a changed one is"


def _ranges(scratch: Scratch) -> str:
    key = scratch.key("range")
    body = bytes(range(256)) * 4
    etag = scratch.create("range", body)
    for start, stop in ((0, 1), (100, 612), (1023, 1024)):
        if _read(scratch.store, key, (start, stop), etag) != body[start:stop]:
            raise BrokenPromiseError(f"the store sent other bytes than the range {start}:{stop} that was asked for")
    scratch.store.put(key, body[::-1], IfMatch(etag))
    try:
        _read(scratch.store, key, (0, 16), etag)
    except PreconditionFailedError:
        return "a range is exact, and refused once the object is another one"
    raise BrokenPromiseError("the store sent a range of another object: a download would mix two objects")


def _read_after_write(scratch: Scratch) -> str:
    key = scratch.key("fresh.json")
    etag = scratch.create("fresh.json", b"0")
    for number in range(1, WRITES_READ_BACK + 1):
        body = str(number).encode()
        etag = scratch.store.put(key, body, IfMatch(etag))
        must_hold(key, body, scratch.store, "a read after an acknowledged write shows an older state")
    scratch.store.delete(key)
    if _exists(scratch.store, key):
        raise BrokenPromiseError("a deleted object can still be read")
    return "each read shows the last write"


def _list_after_write(scratch: Scratch) -> str:
    names = [f"listed/{number}-{'x' * number}" for number in range(LISTED_OBJECTS)]
    for name in names:
        scratch.create(name, b"1")
    wanted = sorted(scratch.key(name) for name in names)
    _must_list(scratch, wanted, "a listing after an acknowledged write is not complete")
    scratch.store.delete(wanted.pop())
    _must_list(scratch, wanted, "a listing shows an object that was deleted")
    return "each listing shows the last write"


def _upload(scratch: Scratch) -> str:
    key = scratch.key("upload")
    uploads = [scratch.start_upload(key) for _ in range(2)]
    bodies = (b"first", b"second")
    parts: list[Part] = [
        scratch.store.upload_part(key, upload, 1, 0, memoryview(body))
        for upload, body in zip(uploads, bodies, strict=True)
    ]
    if _exists(scratch.store, key):
        raise BrokenPromiseError("an object can be seen before its upload is complete")
    scratch.store.complete_upload(key, uploads[0], parts[:1])
    must_hold(key, bodies[0], scratch.store, "the store acknowledged an upload that is not there")
    try:
        scratch.store.complete_upload(key, uploads[1], parts[1:])
    except PreconditionFailedError:
        must_hold(key, bodies[0], scratch.store, "the store refused a second upload, but carried it out")
        return "the second upload to the same key was refused"
    raise BrokenPromiseError("the store let a second upload replace an artifact: its bytes could change")


def _odd_keys(scratch: Scratch) -> str:
    names = [f"odd/{name}" for name in ODD_NAMES]
    for name in names:
        scratch.create(name, name.encode())
    for name in names:
        must_hold(scratch.key(name), name.encode(), scratch.store, f"the key {name!r} brings another object")
    wanted = sorted(scratch.key(name) for name in names)
    listed = sorted(_listed(scratch, "odd/"))
    if listed != wanted:
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


def _exists(store: Store, key: str) -> bool:
    try:
        store.get(key)
    except ObjectNotFoundError:
        return False
    return True


def _read(store: Store, key: str, asked: tuple[int, int], etag: ETag) -> bytes:
    start, stop = asked
    buffer = bytearray(stop - start)
    view = memoryview(buffer)
    filled = 0
    with store.open_range(key, start, stop, etag=etag) as stream:
        for _ in range(len(buffer)):
            count = stream.readinto(view[filled:])
            filled += count
            if count == 0 or filled == len(buffer):
                break
    return bytes(buffer[:filled])


CHECKS = (
    Promise("create once", "a create-only write of a taken key is refused", _create_once),
    Promise("create an artifact once", "an artifact is never replaced", _create_blob_once),
    Promise("replace", "a write under the current ETag replaces the object and its ETag", _replace),
    Promise("stale write", "a write under any other ETag is refused and changes nothing", _stale),
    Promise("replace nothing", "a write under an ETag is refused where no object is", _match_nothing),
    Promise("etags", "an object has one ETag, in every reply", _etags_agree),
    Promise("poll", "an unchanged object is not sent again", _not_modified),
    Promise("ranges", "a range is exact, and of the object that was meant", _ranges),
    Promise("read after write", "a read shows the last acknowledged write", _read_after_write),
    Promise("list after write", "a listing shows the last acknowledged write", _list_after_write),
    Promise("upload", "an upload appears whole, and never replaces an object", _upload),
    Promise("odd keys", "keys are kept as they are", _odd_keys),
)
