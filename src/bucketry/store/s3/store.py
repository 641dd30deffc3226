"""Makes an S3 bucket a `Store`.

Each call is one request, sent once. Bodies are covered by the SHA-256 in the signature, and an object sent
whole also by a checksum of its own (CRC-32, or SHA-256 where it is large), so that a store that checks them
refuses what was damaged on the way. Requests go over connections of our own, or through the SDK where it knows
more. What differs between stores (quoted or bare ETags, the order of listings) is settled here, by looking, once
for each store.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from bucketry.errors import BucketryError, UnsupportedError, UsageError
from bucketry.store.contract import (
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
from bucketry.store.s3.bytes import BegunRange, ObjectPlace, RangeStream, SdkTransport, crc32_base64, served_at
from bucketry.store.s3.connection import S3Connection, translated
from bucketry.store.s3.errors import oversized, unreadable
from bucketry.store.s3.requests import WireRequests
from bucketry.store.s3.settings import S3Settings
from bucketry.store.s3.wire import WireTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bucketry.errors import UnavailableError
    from bucketry.store.contract import Body, ByteStream, Condition, Store
    from bucketry.store.description import BucketDescription, NotKnown, Right
    from bucketry.store.s3.bytes import ByteTransport, ClosableStream, RangeHeaders
    from bucketry.store.s3.requests import Requests

__all__ = ["S3Settings", "S3Store"]

T = TypeVar("T")

SMALL_OBJECT_BYTES = 64 * 1024 * 1024
LARGEST_COPIED_WHOLE_BYTES = 5 * 1024 * 1024
MOST_PAGES = 1_000_000
MOST_EMPTY_PAGES = 100
# The last is how an upload by the SDK was framed; some stores keep the word, but it says nothing of the bytes.
PLAIN_ENCODINGS = frozenset({"", "identity", "aws-chunked"})
# These servers list folder by folder: "a/b" before "a-b". Their listings are read to the end and sorted.
PRODUCTS_THAT_LIST_BY_FOLDER = ("SeaweedFS",)


class S3Store:
    """A bucket below one prefix, on Amazon S3 or a server that speaks like it; safe for many threads."""

    def __init__(self, bucket: str, prefix: str = "", settings: S3Settings | None = None) -> None:
        settings = settings or S3Settings()
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._connection = S3Connection(bucket, settings)
        self._encryption: dict[str, str] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key_id} if settings.kms_key_id else {}
        )
        sdk = SdkTransport(self._connection, self._encryption)
        wire = WireTransport(self._connection, settings, self._encryption, sdk)
        self._bytes: ByteTransport = wire
        self._wire = wire
        self._requests: Requests = WireRequests(wire, self._connection)
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

    @property
    def unretried(self) -> S3Store:
        """This store, which sends each request once."""
        return self

    def local_path(self, key: str) -> None:
        """No object is a file of this machine."""

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object, or raise `NotModifiedError` if it is still the one with this ETag."""
        asked = self._at(key)
        if unless is not None:
            asked["IfNoneMatch"] = _spelled(unless, quoted=self._quoted is not False)
        reply = self._requests.send("get_object", self._where(key), **asked)
        with closing(reply["Body"]) as body:
            etag = self._etag(reply.get("ETag", ""), key)
            if etag == unless:
                # A store that does not understand the condition sends the object, unchanged as it is.
                raise NotModifiedError(f"{self._where(key)} is unchanged")
            length = reply.get("ContentLength")
            if length is not None and length > SMALL_OBJECT_BYTES:
                raise oversized(self._where(key), SMALL_OBJECT_BYTES)
            with translated(self._where(key)):
                # Only a read to the end compares what came with what was announced.
                content = body.read() if length is not None else body.read(SMALL_OBJECT_BYTES + 1)
            if len(content) > SMALL_OBJECT_BYTES:
                raise oversized(self._where(key), SMALL_OBJECT_BYTES)
        return Object(
            content, etag, reply["LastModified"].astimezone(UTC), served_at(reply["ResponseMetadata"]["HTTPHeaders"])
        )

    def stat(self, key: str) -> Entry:
        """Return what a HEAD says; its reply has no body, so a missing bucket looks like a missing object."""
        reply = self._requests.send("head_object", self._where(key), **self._at(key))
        modified_at = reply["LastModified"].astimezone(UTC)
        return Entry(key, reply["ContentLength"], self._etag(reply.get("ETag", ""), key), modified_at)

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
                    ),
                )
            case IfAbsent():
                return self._put(key, body, conditional_write=True, IfNoneMatch="*", **fixed)
            case _:
                return self._put(key, body, conditional_write=False, **fixed)

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
        self._requests.send("delete_object", self._where(key), **self._at(key))

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[ByteStream]:
        """Open `start:stop` of the object with this ETag; a reply with any other bytes is an error."""
        where = self._where(key)
        if not 0 <= start <= stop:
            raise UsageError(f"{where}: there is no range {start}:{stop}")
        if start == stop:
            # HTTP cannot ask for no bytes, but the promise about the object holds for them too.
            if self.stat(key).etag != etag is not None:
                raise PreconditionFailedError(f"{where} is another object now", advice="look it up again")
            yield RangeStream(None, 0, where)
            return
        at = ObjectPlace(self._prefix + key, where)
        if etag is None:
            opened = self._bytes.open(at, start, stop, None)
        else:
            opened = self._settling(
                key, etag, lambda quoted: self._bytes.open(at, start, stop, _spelled(etag, quoted=quoted))
            )
        with closing(opened.stream):
            self._check_range(key, opened, (start, stop), etag)
            yield RangeStream(opened.stream, stop - start, where)

    def begin_range(self, key: str, start: int, stop: int) -> BegunRange | None:
        """Ask for a range of any object and do not wait for the reply; None if that is not possible."""
        at = ObjectPlace(self._prefix + key, self._where(key))
        begun = self._wire.begin(at, start, stop) if 0 <= start < stop else None
        if begun is None:
            return None

        def finish() -> tuple[ClosableStream, ByteStream]:
            opened = self._wire.finish(begun, at, start, stop)
            try:
                self._check_range(key, opened, (start, stop), None)
            except BaseException:
                opened.stream.close()
                raise
            return opened.stream, RangeStream(opened.stream, stop - start, at.where)

        return BegunRange(begun.sent, finish)

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Create a large object in one request, once."""
        sent = self._bytes.put(ObjectPlace(self._prefix + key, self._where(key)), body, sha256)
        return Entry(key, len(body), self._etag(sent.etag, key), sent.served_at)

    def start_upload(self, key: str) -> str:
        """Begin a multipart upload."""
        parameters = {**self._at(key), **self._encryption, "ContentType": "application/octet-stream"}
        return str(self._requests.send("create_multipart_upload", self._where(key), **parameters)["UploadId"])

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Send one part. S3 places parts by their number, so the offset is not sent."""
        del offset
        sent = self._bytes.put_part(ObjectPlace(self._prefix + key, self._where(key)), upload, number, body, sha256)
        return Part(number, str(self._etag(sent.etag, key)), len(body))

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
        """Have the store copy one part. Amazon copies ranges of objects of more than 5 MiB, and others whole."""
        del offset
        held = self if source is None else source
        if not isinstance(held, S3Store) or held.endpoint != self.endpoint:
            raise UnsupportedError(f"{source_key} does not lie at {self.endpoint}", advice="send its bytes")
        where, place = held._source(source_key)  # noqa: SLF001 - one of us
        if not 0 <= start < stop:
            raise UsageError(f"{where}: there is no range {start}:{stop} to copy")
        asked: dict[str, Any] = {**self._at(key), "UploadId": upload, "PartNumber": number, "CopySource": place}
        if start > 0 or stop > LARGEST_COPIED_WHOLE_BYTES:
            asked["CopySourceRange"] = f"bytes={start}-{stop - 1}"
        # Of the two it is the source that may well be missing.
        reply = self._requests.send("upload_part_copy", where, **asked)
        etag = self._etag(reply.get("CopyPartResult", {}).get("ETag", ""), key)
        return Part(number, str(etag), stop - start)

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts that the store holds, in order."""
        found: list[Part] = []
        asked = {**self._at(key), "UploadId": upload}
        marker = 0
        for _ in range(MOST_PAGES):
            reply = self._requests.send("list_parts", self._where(key), PartNumberMarker=marker, **asked)
            page = reply.get("Parts", [])
            found += [Part(part["PartNumber"], _unquoted(part["ETag"]), part["Size"]) for part in page]
            following = int(reply.get("NextPartNumberMarker") or 0)
            if not reply.get("IsTruncated") or following <= marker:
                break
            marker = following
        else:
            raise _Way(self._where(key)).endless()
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
        self._requests.send("complete_multipart_upload", self._where(key), conditional_write=True, **parameters)

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up the upload, if the store knows it."""
        with suppress(ObjectNotFoundError):
            self._requests.send("abort_multipart_upload", self._where(key), **self._at(key), UploadId=upload)

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield the unfinished uploads, page by page."""
        whole = self._prefix + prefix
        markers: dict[str, Any] = {}
        way = _Way(self.name)
        for _ in range(MOST_PAGES):
            reply = self._requests.send("list_multipart_uploads", self.name, Prefix=whole, **markers)
            for upload in reply.get("Uploads", []):
                # Some servers take the prefix for a hint.
                if upload["Key"].startswith(whole):
                    key = upload["Key"].removeprefix(self._prefix)
                    yield key, upload["UploadId"], upload["Initiated"].astimezone(UTC)
            following = {name: reply.get(f"Next{name}", "") for name in ("KeyMarker", "UploadIdMarker")}
            if not reply.get("IsTruncated") or following == markers:
                return
            way.check_token("\n".join(following.values()))
            markers = following
        raise way.endless()

    def describe_bucket(self) -> BucketDescription:
        """Ask for the settings of the bucket."""
        from bucketry.store.s3.description import describe_bucket  # noqa: PLC0415 - for `doctor` alone

        return describe_bucket(self._requests, self._bucket, self._prefix)

    def may(self, right: Right, prefix: str) -> bool | NotKnown:
        """Find out by a request that can only be refused."""
        from bucketry.store.s3.description import find_right  # noqa: PLC0415 - for `doctor` alone

        def look_below(prefix: str) -> None:
            self._requests.send("list_objects_v2", self.name, Prefix=self._prefix + prefix, MaxKeys=1)

        return find_right(self, look_below, right, prefix)

    def close(self) -> None:
        """Release the connections; what waits for bytes on one of them gets an error now."""
        self._bytes.close()
        self._connection.close()

    def _put(self, key: str, body: bytes, *, conditional_write: bool, **parameters: str) -> ETag:
        fixed = {**self._at(key), **self._encryption, "Body": body, "ChecksumCRC32": crc32_base64(body)}
        reply = self._requests.send(
            "put_object", self._where(key), conditional_write=conditional_write, **fixed, **parameters
        )
        return self._etag(reply.get("ETag", ""), key)

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
        way = _Way(self.name)
        for _ in range(MOST_PAGES):
            reply = self._requests.send("list_objects_v2", self.name, **parameters)
            found: list[Entry | Folder] = [self._entry(entry) for entry in reply.get("Contents", [])]
            found += [Folder(self._relative(folder["Prefix"])) for folder in reply.get("CommonPrefixes", [])]
            found.sort(key=_place)
            # Keys of a server that lists by folder go up in each folder only.
            by_folder = self.server_product.startswith(PRODUCTS_THAT_LIST_BY_FOLDER)
            way.check_page([] if by_folder else [_place(one) for one in found], is_empty=not found)
            yield found
            token = reply.get("NextContinuationToken", "")
            if not reply.get("IsTruncated"):
                return
            way.check_token(token)
            parameters["ContinuationToken"] = token
        raise way.endless()

    def _entry(self, listed: dict[str, Any]) -> Entry:
        modified_at = listed["LastModified"].astimezone(UTC)
        return Entry(self._relative(listed["Key"]), listed["Size"], _unquoted(listed.get("ETag", "")), modified_at)

    def _relative(self, whole: str) -> str:
        if not whole.startswith(self._prefix):
            raise unreadable(self.name, "a listing with keys outside of the prefix")
        return whole.removeprefix(self._prefix)

    def _source(self, key: str) -> tuple[str, dict[str, str]]:
        """Return what messages call an object that is copied, and where it is, as the SDK spells it."""
        return self._where(key), {"Bucket": self._bucket, "Key": self._prefix + key}

    def _at(self, key: str) -> dict[str, Any]:
        return {"Key": self._prefix + key}

    def _where(self, key: str) -> str:
        return f"{self.name}/{key}"

    def _etag(self, said: str, key: str) -> ETag:
        etag = _unquoted(said)
        if not etag:
            raise UnsupportedError(
                f"{self._where(key)}: the store replied without an ETag, which every condition needs",
                advice="use another store, or take away the proxy that removes ETags",
            )
        return etag

    def _check_range(self, key: str, opened: RangeHeaders, asked: tuple[int, int], etag: ETag | None) -> None:
        """Raise unless the reply brings exactly these bytes, of the object that was meant."""
        start, stop = asked
        where = self._where(key)
        if self._etag(opened.etag, key) != etag is not None:
            raise PreconditionFailedError(f"{where} is another object now", advice="look it up again")
        said, _, total = opened.content_range.partition("/")
        if total.isdigit() and int(total) < stop:
            raise UsageError(f"{where} has {total} bytes, so not the range {start}:{stop}")
        if opened.content_encoding not in PLAIN_ENCODINGS:
            raise unreadable(where, f"bytes encoded as {opened.content_encoding[:40]!a}")
        if said != f"bytes {start}-{stop - 1}" or opened.length_bytes != stop - start:
            raise unreadable(where, f"{said or 'the whole object'} instead of bytes {start}-{stop - 1}")


class _Way:
    """Where a listing has been: it ends, since its keys go up and no page is asked for twice."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._last = ""
        self._empty_pages = 0
        self._tokens: set[str] = set()

    def check_page(self, ordered: Sequence[str], *, is_empty: bool) -> None:
        """Raise `UnavailableError` for a page that begins before the last one ended, or for too many empty ones."""
        self._empty_pages = self._empty_pages + 1 if is_empty else 0
        if self._empty_pages > MOST_EMPTY_PAGES:
            raise unreadable(self._where, f"more than {MOST_EMPTY_PAGES} empty pages of a listing in a row")
        if ordered:
            if self._last and ordered[0] <= self._last:
                raise unreadable(self._where, "a page of a listing that goes back")
            self._last = ordered[-1]

    def check_token(self, token: str) -> None:
        """Raise `UnavailableError` for a page that was there already, or for none where there must be one."""
        if not token or token in self._tokens:
            raise unreadable(self._where, "a page of a listing that leads to itself")
        self._tokens.add(token)

    def endless(self) -> UnavailableError:
        """Return the error for a listing that has not ended after all pages that anybody can have."""
        return unreadable(self._where, f"a listing of more than {MOST_PAGES:,} pages")


def _spelled(etag: str, *, quoted: bool) -> str:
    return f'"{etag}"' if quoted else etag


def _unquoted(etag: str) -> ETag:
    # A proxy that compresses marks ETags as weak (W/"..."); the object behind it still has the strong one.
    return ETag(etag.removeprefix("W/").strip('"'))


def _place(found: Entry | Folder) -> str:
    """Return what orders a listing; Python's order of text is that of its UTF-8 bytes."""
    return found.key if isinstance(found, Entry) else found.prefix
