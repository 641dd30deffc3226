"""How does an S3 bucket become a `Store`?

Each call is one request, sent once. Bodies are covered by the SHA-256 in the signature, and an object sent
whole also by a CRC-32, so that a store that checks them refuses what was damaged on the way. What differs
between stores (quoted or bare ETags, the order of listings) is settled here, by looking, once for each store.
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from bucketry.errors import BucketryError, UnsupportedError, UsageError
from bucketry.store.interface import (
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
)
from bucketry.store.s3_connection import S3Connection, translated_reading
from bucketry.store.s3_errors import oversized, unreadable
from bucketry.store.s3_settings import S3Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from botocore.response import StreamingBody

    from bucketry.store.interface import ByteStream, Condition

__all__ = ["S3Settings", "S3Store"]

T = TypeVar("T")

SMALL_OBJECT_BYTES = 64 * 1024 * 1024
MOST_PAGES = 1_000_000
# These servers list folder by folder: "a/b" before "a-b". Their listings are read to the end and sorted.
PRODUCTS_THAT_LIST_BY_FOLDER = ("SeaweedFS",)


class S3Store:
    """A bucket below one prefix, on Amazon S3 or a server that speaks like it; safe for many threads."""

    def __init__(self, bucket: str, prefix: str = "", settings: S3Settings | None = None) -> None:
        settings = settings or S3Settings()
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._connection = S3Connection(bucket, settings)
        self._encryption: dict[str, Any] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key_id} if settings.kms_key_id else {}
        )
        # Whether conditions are spelled with a quoted ETag; None until one held.
        self._quoted: bool | None = None

    @property
    def name(self) -> str:
        """The URL of the registry."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def endpoint(self) -> str:
        """The URL that requests go to, without the bucket."""
        return self._connection.endpoint

    @property
    def server_product(self) -> str:
        """What the server called itself in its last reply; empty before the first."""
        return self._connection.server_product

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object, or raise `NotModifiedError` if it is still the one with this ETag."""
        asked = self._at(key)
        if unless is not None:
            asked["IfNoneMatch"] = _spelled(unless, quoted=self._quoted is not False)
        reply = self._connection.send("get_object", self._where(key), **asked)
        with closing(reply["Body"]) as body:
            etag = self._etag(reply, key)
            if etag == unless:
                # A store that does not understand the condition sends the object, unchanged as it is.
                raise NotModifiedError(f"{self._where(key)} is unchanged")
            content = self._read_small(key, body, reply.get("ContentLength"))
        return Object(content, etag, reply["LastModified"].astimezone(UTC), _served_at(reply))

    def stat(self, key: str) -> Entry:
        """Return what a HEAD says; its reply has no body, so a missing bucket looks like a missing object."""
        reply = self._connection.send("head_object", self._where(key), **self._at(key))
        modified_at = reply["LastModified"].astimezone(UTC)
        return Entry(key, reply["ContentLength"], self._etag(reply, key), modified_at)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Write a small object under its condition, once."""
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        # No cache on the way may answer for a register; other small objects lose nothing by this.
        fixed = {"CacheControl": "no-cache", "ContentType": kind}
        match condition:
            case IfMatch(etag):
                return self._settling(
                    key,
                    etag,
                    lambda quoted: self._put(
                        key, body, conditional_write=True, IfMatch=_spelled(etag, quoted=quoted), **fixed
                    )[0],
                )
            case IfAbsent():
                return self._put(key, body, conditional_write=True, IfNoneMatch="*", **fixed)[0]
            case _:
                return self._put(key, body, conditional_write=False, **fixed)[0]

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield what lies below the prefix, page by page, in key order."""
        pages = self._pages(prefix, delimiter)
        first = next(pages)
        if self.server_product.startswith(PRODUCTS_THAT_LIST_BY_FOLDER):
            rest = (found for page in pages for found in page)
            yield from sorted([*first, *rest], key=_place)
            return
        yield from first
        for page in pages:
            yield from page

    def delete(self, key: str) -> None:
        """Delete the object, if there is one."""
        self._connection.send("delete_object", self._where(key), **self._at(key))

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag) -> Iterator[ByteStream]:
        """Open `start:stop` of the object with this ETag; a reply with any other bytes is an error."""
        if not 0 <= start <= stop:
            raise UsageError(f"{self._where(key)}: there is no range {start}:{stop}")
        if start == stop:
            # HTTP cannot ask for no bytes, but the promise about the ETag holds for them too.
            if self.stat(key).etag != etag:
                raise PreconditionFailedError(f"{self._where(key)} is another object now", advice="look it up again")
            yield _NoBytes()
            return
        asked = {**self._at(key), "Range": f"bytes={start}-{stop - 1}"}
        reply = self._settling(
            key,
            etag,
            lambda quoted: self._connection.send(
                "get_object", self._where(key), IfMatch=_spelled(etag, quoted=quoted), **asked
            ),
        )
        with closing(reply["Body"]) as body:
            self._check_range(key, reply, (start, stop), etag)
            yield _RangeStream(body, stop - start, self._where(key))

    def put_blob(self, key: str, body: memoryview) -> Entry:
        """Create a large object in one request, once."""
        # The SDK takes no memoryview; a copy is cheaper than its 16 KiB writes of a file-like body.
        content = bytes(body)
        kind = "application/octet-stream"
        etag, written_at = self._put(key, content, conditional_write=True, IfNoneMatch="*", ContentType=kind)
        return Entry(key, len(content), etag, written_at)

    def start_upload(self, key: str) -> str:
        """Begin a multipart upload."""
        parameters = {**self._at(key), **self._encryption, "ContentType": "application/octet-stream"}
        return str(self._connection.send("create_multipart_upload", self._where(key), **parameters)["UploadId"])

    def upload_part(self, key: str, upload: str, number: int, offset: int, body: memoryview) -> Part:
        """Send one part. S3 places parts by their number, so the offset is not sent."""
        del offset
        parameters = {**self._at(key), "UploadId": upload, "PartNumber": number, "Body": bytes(body)}
        reply = self._connection.send("upload_part", self._where(key), **parameters)
        return Part(number, str(self._etag(reply, key)), len(body))

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts that the store holds, in order."""
        found: list[Part] = []
        asked = {**self._at(key), "UploadId": upload}
        marker = 0
        for _ in range(MOST_PAGES):
            reply = self._connection.send("list_parts", self._where(key), PartNumberMarker=marker, **asked)
            page = reply.get("Parts", [])
            found += [Part(part["PartNumber"], _unquoted(part["ETag"]), part["Size"]) for part in page]
            following = int(reply.get("NextPartNumberMarker") or 0)
            if not reply.get("IsTruncated") or following <= marker:
                break
            marker = following
        # A server may list every sending of a part (SeaweedFS). Which of them it would use it does not say, so a
        # part that was sent with different bytes counts as not sent.
        etags = Counter(number for number, _ in {(part.number, part.etag) for part in found})
        certain = {part.number: part for part in found if etags[part.number] == 1}
        return tuple(certain[number] for number in sorted(certain))

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the object of its parts appear, if the key is free, once."""
        ordered = sorted(parts, key=lambda part: part.number)
        named = [{"PartNumber": part.number, "ETag": _spelled(part.etag, quoted=True)} for part in ordered]
        parameters = {
            **self._at(key),
            "UploadId": upload,
            "MultipartUpload": {"Parts": named},
            "IfNoneMatch": "*",
        }
        self._connection.send("complete_multipart_upload", self._where(key), conditional_write=True, **parameters)

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up the upload, if the store knows it."""
        with suppress(ObjectNotFoundError):
            self._connection.send("abort_multipart_upload", self._where(key), **self._at(key), UploadId=upload)

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield the unfinished uploads, page by page."""
        whole = self._prefix + prefix
        markers: dict[str, Any] = {}
        for _ in range(MOST_PAGES):
            reply = self._connection.send("list_multipart_uploads", self.name, Prefix=whole, **markers)
            for upload in reply.get("Uploads", []):
                # Some servers take the prefix for a hint.
                if upload["Key"].startswith(whole):
                    key = upload["Key"].removeprefix(self._prefix)
                    yield key, upload["UploadId"], upload["Initiated"].astimezone(UTC)
            following = {name: reply.get(f"Next{name}", "") for name in ("KeyMarker", "UploadIdMarker")}
            if not reply.get("IsTruncated") or following == markers:
                return
            markers = following

    def close(self) -> None:
        """Release the connections."""
        self._connection.close()

    def _put(self, key: str, body: bytes, *, conditional_write: bool, **parameters: str) -> tuple[ETag, datetime]:
        checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        fixed = {**self._at(key), **self._encryption, "Body": body, "ChecksumCRC32": checksum}
        reply = self._connection.send(
            "put_object", self._where(key), conditional_write=conditional_write, **fixed, **parameters
        )
        return self._etag(reply, key), _served_at(reply)

    def _settling(self, key: str, etag: ETag, call: Callable[[bool], T]) -> T:
        """Make a call under the condition `etag`, and find out once how this store spells ETags.

        A refusal is definite, so asking again in the other spelling breaks no promise.
        """
        try:
            result = call(self._quoted is not False)
        except PreconditionFailedError:
            if self._quoted is not None or not self._is_still(key, etag):
                raise
            result = call(False)
            self._quoted = False
            return result
        if self._quoted is None:
            self._quoted = True
        return result

    def _is_still(self, key: str, etag: ETag) -> bool:
        try:
            return self.stat(key).etag == etag
        except BucketryError:
            return False

    def _pages(self, prefix: str, delimiter: str | None) -> Iterator[Sequence[Entry | Folder]]:
        """Yield page after page, at least one, each in key order."""
        parameters: dict[str, Any] = {"Prefix": self._prefix + prefix}
        if delimiter is not None:
            parameters["Delimiter"] = delimiter
        for _ in range(MOST_PAGES):
            reply = self._connection.send("list_objects_v2", self.name, **parameters)
            found: list[Entry | Folder] = [self._entry(entry) for entry in reply.get("Contents", [])]
            found += [Folder(self._relative(folder["Prefix"])) for folder in reply.get("CommonPrefixes", [])]
            yield sorted(found, key=_place)
            token = reply.get("NextContinuationToken", "")
            if not reply.get("IsTruncated"):
                return
            if not token or token == parameters.get("ContinuationToken"):
                raise unreadable(self.name, "a page of a listing that leads to itself")
            parameters["ContinuationToken"] = token

    def _entry(self, listed: dict[str, Any]) -> Entry:
        modified_at = listed["LastModified"].astimezone(UTC)
        return Entry(self._relative(listed["Key"]), listed["Size"], _unquoted(listed.get("ETag", "")), modified_at)

    def _relative(self, whole: str) -> str:
        if not whole.startswith(self._prefix):
            raise unreadable(self.name, "a listing with keys outside of the prefix")
        return whole.removeprefix(self._prefix)

    def _at(self, key: str) -> dict[str, Any]:
        return {"Key": self._prefix + key}

    def _where(self, key: str) -> str:
        return f"{self.name}/{key}"

    def _etag(self, reply: dict[str, Any], key: str) -> ETag:
        etag = _unquoted(reply.get("ETag", ""))
        if not etag:
            raise UnsupportedError(
                f"{self._where(key)}: the store replied without an ETag, which every condition needs",
                advice="use another store, or take away the proxy that removes ETags",
            )
        return etag

    def _read_small(self, key: str, body: StreamingBody, length: int | None) -> bytes:
        if length is not None and length > SMALL_OBJECT_BYTES:
            raise oversized(self._where(key), SMALL_OBJECT_BYTES)
        with translated_reading(self._where(key)):
            # Only a read to the end compares what came with what was announced.
            content = body.read() if length is not None else body.read(SMALL_OBJECT_BYTES + 1)
        if len(content) > SMALL_OBJECT_BYTES:
            raise oversized(self._where(key), SMALL_OBJECT_BYTES)
        return content

    def _check_range(self, key: str, reply: dict[str, Any], asked: tuple[int, int], etag: ETag) -> None:
        """Raise unless the reply brings exactly these bytes, of the object that was meant."""
        start, stop = asked
        where = self._where(key)
        if self._etag(reply, key) != etag:
            raise PreconditionFailedError(f"{where} is another object now", advice="look it up again")
        said, _, total = reply.get("ContentRange", "").partition("/")
        if total.isdigit() and int(total) < stop:
            raise UsageError(f"{where} has {total} bytes, so not the range {start}:{stop}")
        if said != f"bytes {start}-{stop - 1}" or reply.get("ContentLength", stop - start) != stop - start:
            raise unreadable(where, f"{said or 'the whole object'} instead of bytes {start}-{stop - 1}")


class _NoBytes:
    """The bytes of an empty range."""

    def readinto(self, buffer: memoryview) -> int:
        """Return 0: the end."""
        del buffer
        return 0


class _RangeStream:
    """The body of a reply, which ends where the range does, or breaks."""

    def __init__(self, body: ByteStream, size_bytes: int, where: str) -> None:
        self._body = body
        self._size_bytes = size_bytes
        self._left_bytes = size_bytes
        self._where = where

    def readinto(self, buffer: memoryview) -> int:
        """Fill the front of the buffer; raise `UnavailableError` if the body ends before the range does."""
        wanted = min(len(buffer), self._left_bytes)
        if wanted == 0:
            return 0
        with translated_reading(self._where):
            count = self._body.readinto(buffer[:wanted])
        if count == 0:
            got = self._size_bytes - self._left_bytes
            raise unreadable(self._where, f"{got} of {self._size_bytes} bytes, then the end")
        self._left_bytes -= count
        return count


def _spelled(etag: str, *, quoted: bool) -> str:
    return f'"{etag}"' if quoted else etag


def _unquoted(etag: str) -> ETag:
    # A proxy that compresses marks ETags as weak (W/"..."); the object behind it still has the strong one.
    return ETag(etag.removeprefix("W/").strip('"'))


def _place(found: Entry | Folder) -> str:
    """Return what orders a listing; Python's order of text is that of its UTF-8 bytes."""
    return found.key if isinstance(found, Entry) else found.prefix


def _served_at(reply: dict[str, Any]) -> datetime:
    """Return the server's Date, or our own time if it sent none that can be read."""
    try:
        return parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)
