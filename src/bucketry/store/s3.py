"""How does an S3 bucket become a `Store`?

boto3 is used here and nowhere else, for what it knows better than anyone: where credentials come from and when they
expire, how requests are signed, proxies, regions. Its retries are off: each call is sent exactly once, and what may
be sent again is for `retry` or the committer to say. Bodies are covered by the SHA-256 in the signature, and an
object sent whole also by a CRC-32, so that a store that checks them refuses what was damaged on the way.
"""

from __future__ import annotations

import base64
import logging
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bucketry.errors import BucketryError, UnavailableError, UnsupportedError, UsageError
from bucketry.store.interface import (
    Entry,
    ETag,
    Folder,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    Object,
    Part,
    PreconditionFailedError,
)
from bucketry.store.s3_errors import Reply, Request, error_of_reply, oversized, unreadable
from bucketry.store.s3_failures import error_of_failure
from bucketry.store.s3_settings import S3Settings, check_endpoint, is_amazon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

    from bucketry.store.interface import ByteStream, Condition

__all__ = ["S3Settings", "S3Store"]

SMALL_OBJECT_BYTES = 64 * 1024 * 1024
MOST_PAGES = 1_000_000
RETRY_AFTER_SECONDS = 3600.0
# These servers list folder by folder: "a/b" before "a-b". Their listings are read to the end and sorted.
PRODUCTS_THAT_LIST_BY_FOLDER = ("SeaweedFS",)


class S3Store:
    """A bucket below one prefix, on Amazon S3 or a server that speaks like it. Safe for many threads at once."""

    def __init__(self, bucket: str, prefix: str = "", settings: S3Settings | None = None) -> None:
        settings = settings or S3Settings()
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = _connect(settings, self.name)
        payer: dict[str, str] = {"RequestPayer": "requester"} if settings.requester_pays else {}
        self._common: Mapping[str, Any] = {"Bucket": bucket, **payer}
        self._new: Mapping[str, Any] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key_id} if settings.kms_key_id else {}
        )
        self._server_product = ""
        # None until a condition with a quoted ETag held, or one with a bare ETag did where the quoted one had not.
        self._quoted: bool | None = None

    @property
    def name(self) -> str:
        """The URL of the registry."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def endpoint(self) -> str:
        """The URL that requests go to, without the bucket."""
        return self._client.meta.endpoint_url.rstrip("/")

    @property
    def server_product(self) -> str:
        """What the server called itself in its last reply; empty before the first."""
        return self._server_product

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object, or raise `NotModifiedError` if it is still the one with this ETag."""
        condition = {} if unless is None else {"IfNoneMatch": f'"{unless}"'}
        reply = self._send(self._client.get_object, key, **condition)
        headers = reply["ResponseMetadata"]["HTTPHeaders"]
        with reply["Body"] as body:
            etag = self._etag(reply, key)
            if etag == unless:
                # A store that understands only bare ETags here sends the object; it is the same all the same.
                raise NotModifiedError(f"{self._where(key)} is unchanged.)")
            content = self._read_small(key, body)
        return Object(content, etag, _utc(reply["LastModified"]), _date(headers))

    def stat(self, key: str) -> Entry:
        """Return what a HEAD says. A missing bucket looks like a missing object here: a HEAD has no body."""
        reply = self._send(self._client.head_object, key)
        return Entry(key, reply["ContentLength"], self._etag(reply, key), _utc(reply["LastModified"]))

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Write a small object under its condition, once."""
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        fixed = {"Body": body, "CacheControl": "no-cache", "ContentType": kind, "ChecksumCRC32": _crc32(body)}

        def write(quoted: bool) -> ETag:  # noqa: FBT001 - the one thing that varies
            reply = self._send(
                self._client.put_object,
                key,
                conditional=True,
                **fixed,
                **self._new,
                **_precondition(condition, quoted=quoted),
            )
            return self._etag(reply, key)

        if isinstance(condition, IfMatch):
            return self._with_etag(key, condition.etag, write)
        return write(True)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield what lies below the prefix, page by page, in key order."""
        pages = self._pages(prefix, delimiter)
        first = next(pages)
        if self._server_product.startswith(PRODUCTS_THAT_LIST_BY_FOLDER):
            yield from sorted([*first, *(found for page in pages for found in page)], key=_place)
            return
        yield from first
        for page in pages:
            yield from page

    def delete(self, key: str) -> None:
        """Delete the object, if there is one."""
        self._send(self._client.delete_object, key)

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag) -> Iterator[ByteStream]:
        """Open `start:stop` of the object with this ETag; a reply with any other bytes is an error."""
        if not 0 <= start <= stop:
            raise UsageError(f"{self._where(key)}: there is no range {start}:{stop}.")
        if start == stop:
            # HTTP cannot ask for no bytes, but the promise about the ETag holds for them too.
            self._with_etag(
                key,
                etag,
                lambda quoted: self._send(self._client.head_object, key, IfMatch=_spelled(etag, quoted=quoted)),
            )
            yield _NoBytes()
            return
        reply = self._with_etag(
            key,
            etag,
            lambda quoted: self._send(
                self._client.get_object,
                key,
                IfMatch=_spelled(etag, quoted=quoted),
                Range=f"bytes={start}-{stop - 1}",
            ),
        )
        with reply["Body"] as body:
            self._check_range(key, reply, (start, stop), etag)
            yield _RangeStream(body, stop - start, self._where(key))

    def put_blob(self, key: str, body: memoryview) -> Entry:
        """Create a large object in one request, once."""
        # The SDK takes no memoryview; a copy is cheaper than the 16 KiB writes that it makes of a file-like body.
        content = bytes(body)
        reply = self._send(
            self._client.put_object,
            key,
            conditional=True,
            Body=content,
            ChecksumCRC32=_crc32(content),
            ContentType="application/octet-stream",
            IfNoneMatch="*",
            **self._new,
        )
        return Entry(key, len(content), self._etag(reply, key), _date(reply["ResponseMetadata"]["HTTPHeaders"]))

    def start_upload(self, key: str) -> str:
        """Begin a multipart upload."""
        reply = self._send(
            self._client.create_multipart_upload, key, ContentType="application/octet-stream", **self._new
        )
        return str(reply["UploadId"])

    def upload_part(self, key: str, upload: str, number: int, offset: int, body: memoryview) -> Part:
        """Send one part; S3 places parts by their number, so the offset is not needed."""
        del offset
        content = bytes(body)
        reply = self._send(self._client.upload_part, key, UploadId=upload, PartNumber=number, Body=content)
        return Part(number, str(self._etag(reply, key)), len(content))

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts that the store holds, in order."""
        found: list[Part] = []
        marker = 0
        for _ in range(MOST_PAGES):
            reply = self._send(self._client.list_parts, key, UploadId=upload, PartNumberMarker=marker)
            found += [
                Part(part["PartNumber"], _unquoted(part["ETag"]), part["Size"]) for part in reply.get("Parts", [])
            ]
            last = int(reply.get("NextPartNumberMarker") or 0)
            if not reply.get("IsTruncated") or last <= marker:
                break
            marker = last
        return tuple(sorted(found, key=lambda part: part.number))

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the object of its parts appear, if the key is free, once."""
        ordered = sorted(parts, key=lambda part: part.number)
        self._send(
            self._client.complete_multipart_upload,
            key,
            conditional=True,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in ordered]},
            IfNoneMatch="*",
        )

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up the upload, if the store knows it."""
        try:
            self._send(self._client.abort_multipart_upload, key, UploadId=upload)
        except BucketryError as error:
            if _code(error) != "NoSuchUpload":
                raise

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield the unfinished uploads, page by page."""
        whole = self._prefix + prefix
        markers: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            reply = self._ask(self._client.list_multipart_uploads, self.name, Prefix=whole, **markers)
            for upload in reply.get("Uploads", []):
                if upload["Key"].startswith(whole):
                    yield upload["Key"].removeprefix(self._prefix), upload["UploadId"], _utc(upload["Initiated"])
            following = {"KeyMarker": reply.get("NextKeyMarker"), "UploadIdMarker": reply.get("NextUploadIdMarker")}
            advanced = {name: marker for name, marker in following.items() if marker}
            if not reply.get("IsTruncated") or advanced in ({}, markers):
                return
            markers = advanced

    def close(self) -> None:
        """Release the connections."""
        self._client.close()
