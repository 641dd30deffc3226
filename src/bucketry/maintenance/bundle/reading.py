"""A bundle as a store that is only read: so whatever reads a registry reads one in a file, without unpacking it."""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.maintenance.bundle.layout import (
    ADVICE,
    FOOTER_BYTES,
    HEADER,
    NAMESPACE,
    NO_BUNDLE,
    StoredObject,
    decode_footer,
    decode_index,
    signed_payload,
)
from bucketry.store.contract import (
    SMALL_OBJECT_BYTES,
    Entry,
    ETag,
    Folder,
    NotModifiedError,
    Object,
    ObjectNotFoundError,
    PreconditionFailedError,
)
from bucketry.transfer.disk.local_files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bucketry.store.contract import Body, Condition, Part, Store

LINE_BYTES = 1024 * 1024
LAST_CHARACTER = chr(0x10FFFF)
READ_ONLY = "a bundle is not written to once it is there"


class BundleStore:
    """The objects of one bundle. Safe for threads; the bytes are those of the file, which nothing keeps in memory."""

    def __init__(self, path: Path, descriptor: int, objects: dict[str, StoredObject]) -> None:
        self._path = path
        self._descriptor = descriptor
        self._objects = objects
        self._ordered = sorted(objects)
        self._written_at = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC)

    @property
    def name(self) -> str:
        """Return the file as a URL."""
        return f"bundle://{self._path}"

    @property
    def endpoint(self) -> str:
        """Return what stands for all bundles."""
        return "bundle"

    @property
    def unretried(self) -> Store:
        """Return itself: a file is not asked again."""
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in their order."""
        return tuple(self._ordered)

    def sha256_of(self, key: str) -> str:
        """Return the digest that the index has for an object."""
        return self._find(key).sha256

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - the contract's
        """Return None: no object is a file by itself."""
        return None

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return a small object."""
        held = self._find(key)
        if held.sha256 == unless:
            raise NotModifiedError
        if held.size_bytes > SMALL_OBJECT_BYTES:
            raise CorruptError(f"{self.name}: {key} has {held.size_bytes:,} bytes, which is no document")
        body = bytearray(held.size_bytes)
        _Pieces(self, held, 0, held.size_bytes).readinto(memoryview(body))
        return Object(bytes(body), ETag(held.sha256), self._written_at, datetime.now(UTC))

    def stat(self, key: str) -> Entry:
        """Return what the index says of an object."""
        return self._entry(key, self._find(key))

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Refuse."""
        del key, body, condition
        self._refuse()

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield what lies below a prefix, in key order."""
        last = ""
        for key in self._below(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0 or delimiter is None:
                yield self._entry(key, self._find(key))
            elif key[: end + len(delimiter)] != last:
                last = key[: end + len(delimiter)]
                yield Folder(last)

    def delete(self, key: str) -> None:
        """Refuse."""
        del key
        self._refuse()

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[_Pieces]:
        """Open some bytes of an object."""
        held = self._find(key)
        if etag is not None and etag != held.sha256:
            raise PreconditionFailedError(f"{self.name}: {key} is another object", advice="look it up again")
        if not 0 <= start <= stop <= held.size_bytes:
            raise UsageError(f"{self.name}: {key} has {held.size_bytes} bytes, so not the range {start}:{stop}")
        yield _Pieces(self, held, start, stop)

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Refuse."""
        del key, body, sha256
        self._refuse()

    def start_upload(self, key: str) -> str:
        """Refuse."""
        del key
        self._refuse()

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Refuse."""
        del key, upload, number, offset, body, sha256
        self._refuse()

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
        """Refuse."""
        del key, upload, number, offset, source_key, start, stop, source
        self._refuse()

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Refuse: there are no uploads."""
        del key, upload
        self._refuse()

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Refuse."""
        del key, upload, parts
        self._refuse()

    def abort_upload(self, key: str, upload: str) -> None:
        """Do nothing: there are no uploads."""
        del key, upload

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield nothing."""
        del prefix
        yield from ()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read_at(self, buffer: memoryview, position: int) -> int:
        """Fill the front of a buffer with bytes of the file, and return how many."""
        with disk_errors(str(self._path)):
            count = os.preadv(self._descriptor, [buffer], position)
        if count == 0:
            raise CorruptError(f"{self._path} is shorter than it was when it was opened", advice=ADVICE)
        return count

    def _below(self, prefix: str) -> Sequence[str]:
        first = bisect_left(self._ordered, prefix)
        return self._ordered[first : bisect_left(self._ordered, prefix + LAST_CHARACTER, lo=first)]

    def _find(self, key: str) -> StoredObject:
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectNotFoundError(f"{self.name} has no {key}") from None

    def _entry(self, key: str, held: StoredObject) -> Entry:
        return Entry(key, held.size_bytes, ETag(held.sha256), self._written_at)

    def _refuse(self) -> NoReturn:
        raise RejectedError(f"{self.name}: {READ_ONLY}", advice="export another")


class Bundle(BundleStore):
    """A bundle that was opened: `digest` stands for all that is in it, `signed_by` is whose key signed that, or ""."""

    def __init__(self, path: Path) -> None:
        """Open a file; raise `CorruptError` for what is no whole bundle, `RejectedError` for a wrong signature."""
        what = str(path)
        with disk_errors(what):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            is_long = stat.S_ISREG(found.st_mode) and found.st_size >= len(HEADER) + FOOTER_BYTES
            head = os.pread(descriptor, len(HEADER), 0) if is_long else b""
            tail = os.pread(descriptor, FOOTER_BYTES, found.st_size - FOOTER_BYTES) if is_long else b""
            footer = decode_footer(head, tail, file_bytes=found.st_size, what=what)
            lines = _lines(descriptor, footer.index_at, footer.index_bytes, what)
            objects = decode_index(lines, footer, what=what)
            signature = os.pread(descriptor, footer.signature_bytes, footer.index_at + footer.index_bytes)
            self.signed_by = _signer_of(signature, footer.sha256, what) if signature else ""
        except BaseException:
            os.close(descriptor)
            raise
        super().__init__(path.absolute(), descriptor, objects)
        self.digest = footer.sha256
        self.size_bytes = found.st_size


@contextmanager
def open_bundle(path: Path, *, signer: str | None = None) -> Iterator[Bundle]:
    """Open a bundle until the block ends; raise `RejectedError` unless the key with this fingerprint signed it."""
    bundle = Bundle(path)
    try:
        if signer is not None and bundle.signed_by != signer:
            told = f"by {bundle.signed_by}" if bundle.signed_by else "by nobody"
            raise RejectedError(f"{path} is signed {told}, not by {signer}", advice="get it from who signs it")
        yield bundle
    finally:
        bundle.close()


class _Pieces:
    """A range of an object, read from front to back, over the runs in which it lies."""

    def __init__(self, store: BundleStore, held: StoredObject, start: int, stop: int) -> None:
        self._store = store
        self._runs: list[tuple[int, int]] = []
        offset = 0
        for at, size_bytes in held.pieces:
            first, last = max(start, offset), min(stop, offset + size_bytes)
            if first < last:
                self._runs.append((at + first - offset, last - first))
            offset += size_bytes
        self._runs.reverse()

    def readinto(self, buffer: memoryview) -> int:
        """Fill the front of the buffer as far as the range goes; 0 at its end."""
        done = 0
        while self._runs and done < len(buffer):  # bounded: each round reads at least one byte, or raises
            at, size_bytes = self._runs.pop()
            count = self._store.read_at(buffer[done : done + size_bytes], at)
            done += count
            if count < size_bytes:
                self._runs.append((at + count, size_bytes - count))
        return done


def _lines(descriptor: int, start: int, size_bytes: int, what: str) -> Iterator[bytes]:
    position, rest = start, b""
    while position < start + size_bytes:  # bounded: each round reads at least one byte, or raises
        some = os.pread(descriptor, min(LINE_BYTES, start + size_bytes - position), position)
        if not some or len(rest) > LINE_BYTES:
            raise CorruptError(f"{what}: {NO_BUNDLE}", advice=ADVICE)
        position += len(some)
        *whole, rest = (rest + some).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        raise CorruptError(f"{what}: {NO_BUNDLE}", advice=ADVICE)


def _signer_of(signature: bytes, sha256: str, what: str) -> str:
    from bucketry.trust.ssh.sshsig import verify_signature  # noqa: PLC0415 - loads cryptography

    try:
        armored = signature.decode("ascii")
    except UnicodeDecodeError as error:
        raise CorruptError(f"{what}: its signature is none", advice=ADVICE) from error
    return verify_signature(armored, signed_payload(sha256), namespace=NAMESPACE).fingerprint
