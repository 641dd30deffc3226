"""Asks over our own connections for everything but the bytes of large objects.

Documents, listings and the steps of an upload, each under the SDK's name for it and with its names for what is
sent and answered, so that the SDK can take any of them over where only it knows the way (docs/decisions/0042).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote_plus

from bucketry.frozen import frozen
from bucketry.store.contract import HeldBack
from bucketry.store.s3.bytes import ObjectPlace
from bucketry.store.s3.connection import translated
from bucketry.store.s3.errors import S3Request, error_of_reply, oversized, parse_refusal, unreadable
from bucketry.store.s3.text import escape, parse_date
from bucketry.store.s3.wire import SAFE_IN_QUERIES, WireRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from bucketry.store.http.client import HttpReply
    from bucketry.store.s3.connection import Operation, S3Connection
    from bucketry.store.s3.wire import WireTransport

# A page of a listing has 1,000 keys of at most 1,024 bytes, each of which may be spelled in three.
LARGEST_XML_BYTES = 16 * 1024 * 1024
HEADERS = {
    "CacheControl": "Cache-Control",
    "ChecksumCRC32": "x-amz-checksum-crc32",
    "ContentType": "Content-Type",
    "CopySource": "x-amz-copy-source",
    "CopySourceRange": "x-amz-copy-source-range",
    "IfMatch": "If-Match",
    "IfNoneMatch": "If-None-Match",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
}
QUERIES = {
    "ContinuationToken": "continuation-token",
    "Delimiter": "delimiter",
    "KeyMarker": "key-marker",
    "MaxKeys": "max-keys",
    "PartNumber": "partNumber",
    "PartNumberMarker": "part-number-marker",
    "Prefix": "prefix",
    "UploadId": "uploadId",
    "UploadIdMarker": "upload-id-marker",
}
BODIES = frozenset({"Body", "MultipartUpload"})
SAFE_IN_SOURCES = "-._~/"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_DIGITS = re.compile(r"[0-9]{1,18}")


class Requests(Protocol):
    """What sends a request under the SDK's names."""

    def send(
        self,
        operation: Operation,
        where: str,
        *,
        conditional_write: bool = False,
        **parameters: Any,  # noqa: ANN401 - as the SDK types them
    ) -> dict[str, Any]:
        """Send one request, once, and return the reply; raise our form of any failure."""
        ...


class WireRequests:
    """The requests over our own connections; `sdk` makes those that need the SDK."""

    def __init__(self, wire: WireTransport, sdk: S3Connection) -> None:
        self._wire = wire
        self._sdk = sdk

    def send(
        self,
        operation: Operation,
        where: str,
        *,
        conditional_write: bool = False,
        **parameters: Any,  # noqa: ANN401 - as the SDK types them
    ) -> dict[str, Any]:
        """Send one request, once, and return the reply; raise our form of any failure."""
        form = FORMS[operation]
        reply = self._wire.ask(_asked(form, where, parameters, conditional_write=conditional_write))
        if reply is None:
            return self._sdk.send(operation, where, conditional_write=conditional_write, **parameters)
        common = {"ETag": reply.headers.get("etag", ""), "ResponseMetadata": {"HTTPHeaders": reply.headers}}
        if form.brings_object:
            try:
                return {**common, "Body": ReplyBody(reply, where), **_described(reply, where)}
            except BaseException:
                reply.close()
                raise
        try:
            with translated(where):
                content = reply.read_small(LARGEST_XML_BYTES)
        finally:
            reply.close()
        if form.brings_text:
            return {**common, form.brings_text: content.decode("utf-8", "replace")}
        if form.parse is None:
            return common
        request = S3Request(where, self._sdk.bucket, conditional_write=conditional_write)
        try:
            return {**common, **form.parse(_parse_xml(request, reply, content))}
        except (SyntaxError, ValueError, LookupError) as error:  # the first is what a parser of XML raises
            raise unreadable(where, "a document that is not the one for this request") from error


class ReplyBody:
    """The body of a reply, read at once."""

    def __init__(self, reply: HttpReply, where: str) -> None:
        self._reply = reply
        self._where = where

    def read(self, limit_bytes: int | None = None) -> bytes:
        """Return the body; raise `UnavailableError` if it is cut short, `CorruptError` if it is beyond the limit.

        Only a body that tells its length may be read without a limit.
        """
        announced = self._reply.length_bytes
        if announced is None and not self._reply.is_chunked:
            raise unreadable(self._where, "an object that does not say where it ends")
        limit = announced or limit_bytes or 0
        with translated(self._where):
            content = self._reply.read_small(limit)
        if announced is not None and len(content) != announced:
            raise unreadable(self._where, f"{len(content)} of {announced} bytes, then the end")
        if not self._reply.is_over:
            raise oversized(self._where, limit)
        return content

    def close(self) -> None:
        """Give up what was not read."""
        self._reply.close()


@frozen
class _Form:
    """What tells one operation from the others. `parse` reads the document of its reply, if that matters.

    `brings_text` is what the SDK calls the reply where it is no XML.
    """

    method: str
    query: Mapping[str, str] = field(default_factory=dict)
    parse: Callable[[_Element], dict[str, Any]] | None = None
    brings_object: bool = False
    brings_text: str = ""


class _Element:
    """An element of a reply, whatever its namespace."""

    def __init__(self, element: Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        return self._element.tag.rpartition("}")[2]

    @property
    def content(self) -> str:
        return self._element.text or ""

    def all(self, name: str | None = None) -> Sequence[_Element]:
        return [found for found in map(_Element, self._element) if name in {None, found.name}]

    def text(self, name: str) -> str:
        """Return what an element within this one says; raise `LookupError` without it."""
        return self.all(name)[0].content

    def optional(self, name: str) -> str:
        return self.text(name) if self.all(name) else ""

    def number(self, name: str) -> int:
        return _number(self.text(name))

    def time(self, name: str) -> datetime:
        found = datetime.fromisoformat(self.text(name))
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def is_true(self, name: str) -> bool:
        return self.optional(name).strip().lower() == "true"


def _asked(form: _Form, where: str, parameters: Mapping[str, Any], *, conditional_write: bool) -> WireRequest:
    unknown = parameters.keys() - HEADERS.keys() - QUERIES.keys() - BODIES - {"Key"}
    if unknown:
        raise AssertionError(unknown)  # this module sends what it is told, or it is wrong
    query = {**form.query, **{QUERIES[name]: str(value) for name, value in parameters.items() if name in QUERIES}}
    body = parameters.get("Body")
    if "MultipartUpload" in parameters:
        listed = "".join(
            f"<Part><ETag>{escape(part['ETag'])}</ETag><PartNumber>{part['PartNumber']}</PartNumber></Part>"
            for part in parameters["MultipartUpload"]["Parts"]
        )
        body = f'<CompleteMultipartUpload xmlns="{NAMESPACE}">{listed}</CompleteMultipartUpload>'.encode()
    elif body is None and form.method in {"POST", "PUT"}:
        body = b""
    return WireRequest(
        form.method,
        ObjectPlace(parameters.get("Key", ""), where),
        query="&".join(f"{name}={quote(value, safe=SAFE_IN_QUERIES)}" for name, value in query.items()),
        headers={HEADERS[name]: _spelled(value) for name, value in parameters.items() if name in HEADERS},
        body=body if body is None or isinstance(body, HeldBack) else memoryview(body),
        sha256=hashlib.sha256(body or b"").hexdigest(),
        conditional_write=conditional_write,
        may_repeat=form.method in {"GET", "HEAD"} or "CopySource" in parameters,
    )


def _spelled(value: str | Mapping[str, str]) -> str:
    """Return what a header says; of an object that is copied, where it is, as the SDK spells it."""
    return value if isinstance(value, str) else quote(f"{value['Bucket']}/{value['Key']}", safe=SAFE_IN_SOURCES)


def _described(reply: HttpReply, where: str) -> dict[str, Any]:
    """Return what the headers say about an object."""
    try:
        modified_at = parse_date(reply.headers["last-modified"])
    except (LookupError, ValueError) as error:
        raise unreadable(where, "an object without the time of its last change") from error
    length = {} if reply.length_bytes is None else {"ContentLength": reply.length_bytes}
    return {**length, "LastModified": modified_at}


def _parse_xml(request: S3Request, reply: HttpReply, content: bytes) -> _Element:
    """Return the document of a reply; raise what it says if it is an error after all.

    S3 begins to answer what takes long with "200 OK" before it knows the end.
    """
    if reply.length_bytes is not None and len(content) != reply.length_bytes:
        raise unreadable(request.where, f"{len(content)} of {reply.length_bytes} bytes, then the end")
    if b"<!DOCTYPE" in content:
        # Nothing that S3 sends has one, and it could make a small document expand into a huge one.
        raise ValueError(content[:0])
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - what reads documents only needs none

    root = _Element(ET.fromstring(content))  # noqa: S314 - see above
    if root.name == "Error":
        raise error_of_reply(request, parse_refusal(500, reply.headers, content))
    return root


def _parse_objects(root: _Element) -> dict[str, Any]:
    plain = unquote_plus if root.optional("EncodingType") == "url" else str
    return {
        "Contents": [
            {
                "Key": plain(listed.text("Key")),
                "Size": listed.number("Size"),
                "ETag": listed.optional("ETag"),
                "LastModified": listed.time("LastModified"),
            }
            for listed in root.all("Contents")
        ],
        "CommonPrefixes": [{"Prefix": plain(folder.text("Prefix"))} for folder in root.all("CommonPrefixes")],
        "IsTruncated": root.is_true("IsTruncated"),
        "NextContinuationToken": root.optional("NextContinuationToken"),
    }


def _parse_parts(root: _Element) -> dict[str, Any]:
    return {
        "Parts": [
            {"PartNumber": part.number("PartNumber"), "ETag": part.text("ETag"), "Size": part.number("Size")}
            for part in root.all("Part")
        ],
        "IsTruncated": root.is_true("IsTruncated"),
        "NextPartNumberMarker": _number(root.optional("NextPartNumberMarker") or "0"),
    }


def _parse_uploads(root: _Element) -> dict[str, Any]:
    return {
        "Uploads": [
            {"Key": one.text("Key"), "UploadId": one.text("UploadId"), "Initiated": one.time("Initiated")}
            for one in root.all("Upload")
        ],
        "IsTruncated": root.is_true("IsTruncated"),
        **{name: root.optional(name) for name in ("NextKeyMarker", "NextUploadIdMarker")},
    }


def _parse_settings(root: _Element, repeated: Container[str] = ("Rule", "Tag", "Transition")) -> dict[str, Any]:
    """Return the elements of a document of settings by their names, as the SDK does: what may repeat is a list."""
    found: dict[str, Any] = {}
    for element in root.all():
        value = _parse_settings(element, repeated) or element.content
        if element.name in repeated:
            found.setdefault(f"{element.name}s", []).append(value)
        else:
            found[element.name] = value
    return found


def _number(text: str) -> int:
    if not _DIGITS.fullmatch(text.strip()):
        raise ValueError(text[:20])
    return int(text)


FORMS: Mapping[Operation, _Form] = {
    "get_object": _Form("GET", brings_object=True),
    "head_object": _Form("HEAD", brings_object=True),
    "put_object": _Form("PUT"),
    "delete_object": _Form("DELETE"),
    "list_objects_v2": _Form("GET", {"list-type": "2", "encoding-type": "url"}, _parse_objects),
    "create_multipart_upload": _Form("POST", {"uploads": ""}, lambda root: {"UploadId": root.text("UploadId")}),
    "complete_multipart_upload": _Form("POST", {}, lambda _: {}),
    "abort_multipart_upload": _Form("DELETE"),
    "list_parts": _Form("GET", {}, _parse_parts),
    "list_multipart_uploads": _Form("GET", {"uploads": ""}, _parse_uploads),
    "upload_part_copy": _Form("PUT", {}, lambda root: {"CopyPartResult": {"ETag": root.text("ETag")}}),
    "get_bucket_encryption": _Form("GET", {"encryption": ""}, lambda root: {root.name: _parse_settings(root)}),
    "get_bucket_lifecycle_configuration": _Form("GET", {"lifecycle": ""}, _parse_settings),
    "get_bucket_policy": _Form("GET", {"policy": ""}, brings_text="Policy"),
    "get_bucket_versioning": _Form("GET", {"versioning": ""}, _parse_settings),
    "get_object_lock_configuration": _Form(
        "GET", {"object-lock": ""}, lambda root: {root.name: _parse_settings(root, ())}
    ),
}
