"""Makes the three requests that move the bytes of large objects by the SDK.

They have two ways: `wire`, which is faster, and this one for wherever the SDK knows more: proxies, redirects to
another region, special kinds of buckets.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from bucketry.frozen import frozen
from bucketry.store.contract import iter_slices
from bucketry.store.s3.connection import translated
from bucketry.store.s3.errors import unreadable
from bucketry.store.s3.text import parse_date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bucketry.store.contract import Body, ByteStream
    from bucketry.store.http.client import PendingReply
    from bucketry.store.s3.connection import S3Connection

CONTENT_TYPE = "application/octet-stream"
# They do not compare a body with the SHA-256 in its signature, but they do with one in a header of its own. Others
# do the first, and Amazon refuses the second for a part of an upload that was not begun with it.
PRODUCTS_THAT_TRUST_THE_SIGNED_DIGEST = ("SeaweedFS",)


class ClosableStream(Protocol):
    """The bytes of a reply: `readinto` as in `ByteStream`, and `close` in any case."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill the front of the buffer; 0 at the end, also at one that comes too early."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


@frozen
class RangeHeaders:
    """A reply that brings a range, as its headers describe it; empty where they say nothing."""

    etag: str
    content_range: str
    content_encoding: str
    length_bytes: int | None
    stream: ClosableStream


@frozen
class UploadReceipt:
    """What a store says about bytes that it took."""

    etag: str
    served_at: datetime


@frozen
class ObjectPlace:
    """The object that is meant: its whole key, and what messages call it."""

    key: str
    where: str


class ByteTransport(Protocol):
    """The three requests. `sha256` is that of the body, if it is known."""

    def open(self, at: ObjectPlace, start: int, stop: int, if_match: str | None) -> RangeHeaders:
        """Ask for a range, under a condition as the store spells it."""
        ...

    def put(self, at: ObjectPlace, body: Body, sha256: str | None) -> UploadReceipt:
        """Create the object, if absent; sent at most once."""
        ...

    def put_part(self, at: ObjectPlace, upload: str, number: int, body: Body, sha256: str | None) -> UploadReceipt:
        """Send one part; it may be sent twice."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class SdkTransport:
    """The three requests, made by the SDK, which computes a SHA-256 for its signature whether it is known or not."""

    def __init__(self, connection: S3Connection, encryption: Mapping[str, str]) -> None:
        self._connection = connection
        self._encryption = encryption

    def open(self, at: ObjectPlace, start: int, stop: int, if_match: str | None) -> RangeHeaders:
        """Ask for a range."""
        asked: dict[str, Any] = {"Key": at.key, "Range": f"bytes={start}-{stop - 1}"}
        if if_match is not None:
            asked["IfMatch"] = if_match
        reply = self._connection.send("get_object", at.where, **asked)
        return RangeHeaders(
            etag=reply.get("ETag", ""),
            content_range=reply.get("ContentRange", ""),
            content_encoding=reply.get("ContentEncoding", ""),
            length_bytes=reply.get("ContentLength", stop - start),
            stream=_SdkStream(reply["Body"], at.where),
        )

    def put(self, at: ObjectPlace, body: Body, sha256: str | None) -> UploadReceipt:
        """Create the object."""
        # The SDK takes no memoryview; a copy is cheaper than its 16 KiB writes of a file-like body.
        content = _joined(body)
        checksum = sha256_base64(sha256 or hashlib.sha256(content).hexdigest())
        parameters: dict[str, Any] = {**self._encryption, "ChecksumSHA256": checksum, "ContentType": CONTENT_TYPE}
        reply = self._connection.send(
            "put_object", at.where, conditional_write=True, Key=at.key, Body=content, IfNoneMatch="*", **parameters
        )
        return UploadReceipt(reply.get("ETag", ""), served_at(reply["ResponseMetadata"]["HTTPHeaders"]))

    def put_part(self, at: ObjectPlace, upload: str, number: int, body: Body, sha256: str | None) -> UploadReceipt:
        """Send one part."""
        content = _joined(body)
        parameters: dict[str, Any] = {"Key": at.key, "UploadId": upload, "PartNumber": number, "Body": content}
        if needs_digest_of_part(self._connection.server_product):
            parameters["ChecksumSHA256"] = sha256_base64(sha256 or hashlib.sha256(content).hexdigest())
        reply = self._connection.send("upload_part", at.where, **parameters)
        return UploadReceipt(reply.get("ETag", ""), served_at(reply["ResponseMetadata"]["HTTPHeaders"]))

    def close(self) -> None:
        """Leave it to the connection."""


class RangeStream:
    """The body of a reply, which ends where the range does, or breaks."""

    def __init__(self, body: ByteStream | None, size_bytes: int, where: str) -> None:
        self._body = body
        self._size_bytes = size_bytes
        self._left_bytes = size_bytes
        self._where = where

    def readinto(self, buffer: memoryview) -> int:
        """Fill the front of the buffer; raise `UnavailableError` if the body ends before the range does."""
        wanted = min(len(buffer), self._left_bytes)
        if wanted == 0 or self._body is None:
            return 0
        count = self._body.readinto(buffer[:wanted])
        if count == 0:
            got = self._size_bytes - self._left_bytes
            raise unreadable(self._where, f"{got} of {self._size_bytes} bytes, then the end")
        self._left_bytes -= count
        return count


class BegunRange:
    """A range that was asked for: `fileno` becomes readable when it comes, and it is `opened` once, or `closed`."""

    def __init__(self, sent: PendingReply, finish: Callable[[], tuple[ClosableStream, ByteStream]]) -> None:
        self._sent = sent
        self._finish = finish

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._sent.fileno()

    @contextmanager
    def opened(self) -> Iterator[ByteStream]:
        """Give the bytes, as `open_range` would."""
        reply, stream = self._finish()
        with closing(reply):
            yield stream

    def close(self) -> None:
        """Give it up."""
        self._sent.close()


class _SdkStream:
    """The body of a reply of the SDK, with our errors."""

    def __init__(self, body: ByteStream, where: str) -> None:
        self._body = body
        self._where = where

    def readinto(self, buffer: memoryview) -> int:
        with translated(self._where):
            return self._body.readinto(buffer)

    def close(self) -> None:
        self._body.close()  # type: ignore[attr-defined] # it is the SDK's StreamingBody


def sha256_of(body: Body) -> str:
    """Return the hexadecimal digest of a body."""
    digest = hashlib.sha256()
    for one in iter_slices(body):
        digest.update(one)
    return digest.hexdigest()


def needs_digest_of_part(server_product: str) -> bool:
    """Whether this server verifies the bytes of a part only if their SHA-256 is also in a header of its own."""
    return server_product.startswith(PRODUCTS_THAT_TRUST_THE_SIGNED_DIGEST)


def sha256_base64(sha256: str) -> str:
    """Return a hexadecimal digest as S3 spells it in a header."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def crc32_base64(body: bytes | memoryview) -> str:
    """Return the checksum as S3 spells it in a header."""
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def _joined(body: Body) -> bytes:
    return b"".join(bytes(one) for one in iter_slices(body))


def served_at(headers: Mapping[str, str]) -> datetime:
    """Return the server's Date, or our own time if it sent none that can be read."""
    try:
        return parse_date(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)
