"""Sends a request to S3 and takes its reply without the SDK in between, and so the bytes of large objects.

Requests are built as `target` has seen the SDK build them, signed by its signer, and go over our own
connections, so that bytes pass from the socket into the caller's buffer and back without a copy. Replies are
understood by the same rules as all others. No redirect is followed: the SDK is asked to make such a request,
since it signs again for the region that S3 names, and for no other host than that region's.
"""

from __future__ import annotations

import threading
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import quote

from bucketry.frozen import frozen
from bucketry.store.http.client import Pool
from bucketry.store.http.connection import SocketTimeouts
from bucketry.store.s3.bytes import (
    CONTENT_TYPE,
    RangeHeaders,
    UploadReceipt,
    needs_digest_of_part,
    served_at,
    sha256_base64,
    sha256_of,
)
from bucketry.store.s3.connection import MOST_CURES, translated
from bucketry.store.s3.errors import S3Request, error_of_reply, is_elsewhere, parse_refusal
from bucketry.store.s3.heads import SHA256_OF_NOTHING, RangeHeads, spell_head
from bucketry.store.s3.signing import RequestSigner, Unsigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.store.contract import Body
    from bucketry.store.http.client import HttpReply, PendingReply
    from bucketry.store.s3.account import Account
    from bucketry.store.s3.bytes import ByteTransport, ClosableStream, ObjectPlace
    from bucketry.store.s3.connection import S3Connection
    from bucketry.store.s3.settings import S3Settings
    from bucketry.store.s3.signing import Keys
    from bucketry.store.s3.target import Target

CHECKSUM_HEADER = "x-amz-checksum-sha256"
LARGEST_REFUSAL_BYTES = 64 * 1024
# The first, and where its redirect led. Who is redirected again is left to the SDK.
MOST_TARGETS = 2
SAFE_IN_KEYS = "/~"
SAFE_IN_QUERIES = "-_.~"
PARTIAL_CONTENT = 206


@frozen
class WireRequest:
    """One request before it is signed, about an object, or about the bucket if the key is empty.

    `body` is None for a request without one, which an empty one is not. With `may_repeat` it is sent again if a
    connection that was kept proves closed.
    """

    method: str
    at: ObjectPlace
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    sha256: str = SHA256_OF_NOTHING
    conditional_write: bool = False
    may_repeat: bool = False


@frozen
class _Endpoint:
    """Where requests go, who signs them, and the connections to it."""

    target: Target
    signer: RequestSigner
    ranges: RangeHeads
    pool: Pool


@frozen
class OpenRequest:
    """A request under way, and as whom and over which line it was sent."""

    account: Account
    line: _Endpoint
    sent: PendingReply


@frozen
class _SignedReply:
    """The reply to a request, and as whom and over which line it was asked for."""

    account: Account
    line: _Endpoint
    reply: HttpReply


class WireTransport:
    """Requests over our own connections, among them the three for bytes; `sdk` makes those that need the SDK."""

    def __init__(
        self, connection: S3Connection, settings: S3Settings, encryption: Mapping[str, str], sdk: ByteTransport
    ) -> None:
        self._connection = connection
        self._patience = SocketTimeouts(
            settings.connect_timeout_seconds,
            settings.read_timeout_seconds,
            grace_seconds=settings.grace_seconds,
            least_bytes_per_second=settings.least_bytes_per_second,
        )
        self._most_idle = settings.max_connections
        self._encryption = encryption
        self._sdk = sdk
        self._lock = threading.Lock()
        self._line: _Endpoint | None = None
        self._is_for_sdk = False
        self._is_closed = False
        self._retired: list[Pool] = []

    def ask(self, asked: WireRequest, answered: _SignedReply | None = None) -> HttpReply | None:
        """Return the reply to a request that was carried out; None if the SDK has to make it.

        `answered` is the same request, with the reply to it that came already.
        """
        request = S3Request(asked.at.where, self._connection.bucket, conditional_write=asked.conditional_write)
        for attempt in range(MOST_CURES + 1):
            account = self._connection.account
            with translated(asked.at.where):
                if answered is not None and attempt == 0:
                    account, line, reply = answered.account, answered.line, answered.reply
                else:
                    found = self._find_line()
                    if found is None:
                        return None
                    line, head = found, _head_of(asked, found, account.credentials())
                    is_head = asked.method == "HEAD"
                    reply = line.pool.ask(head, asked.body, may_repeat=asked.may_repeat, head_only=is_head)
                self._connection.note_server(reply.headers)
                if 200 <= reply.status < 300:
                    return reply
                try:
                    refusal = parse_refusal(reply.status, reply.headers, reply.read_small(LARGEST_REFUSAL_BYTES))
                finally:
                    reply.close()
            if is_elsewhere(refusal):
                self._forget(line)
                return None
            date = reply.headers.get("date", "")
            if attempt == MOST_CURES or not self._connection.cure(account, refusal, date):
                raise error_of_reply(request, refusal)
        raise AssertionError(MOST_CURES)  # the last attempt returns or raises

    def open(self, at: ObjectPlace, start: int, stop: int, if_match: str | None) -> RangeHeaders:
        """Ask for a range."""
        reply = self.ask(_range_of(at, start, stop, if_match))
        return self._sdk.open(at, start, stop, if_match) if reply is None else _opened(reply, at.where)

    def begin(self, at: ObjectPlace, start: int, stop: int) -> OpenRequest | None:
        """Send the request for a range, whose reply `finish` brings; None if the SDK has to make it."""
        account = self._connection.account
        with translated(at.where):
            line = self._find_line()
            if line is None:
                return None
            head = line.ranges.head(_path_of(line.target, at.key), f"bytes={start}-{stop - 1}", account.credentials())
            return OpenRequest(account, line, line.pool.begin(head))

    def finish(self, begun: OpenRequest, at: ObjectPlace, start: int, stop: int) -> RangeHeaders:
        """Return what `open` would."""
        with translated(at.where):
            first = begun.sent.reply()
        if first.status == PARTIAL_CONTENT:
            self._connection.note_server(first.headers)
            return _opened(first, at.where)
        reply = self.ask(_range_of(at, start, stop, None), _SignedReply(begun.account, begun.line, first))
        return self._sdk.open(at, start, stop, None) if reply is None else _opened(reply, at.where)

    def put(self, at: ObjectPlace, body: Body, sha256: str | None) -> UploadReceipt:
        """Create the object."""
        digest = sha256 or sha256_of(body)
        headers = {"If-None-Match": "*", "Content-Type": CONTENT_TYPE, CHECKSUM_HEADER: sha256_base64(digest)}
        if self._encryption:
            headers["x-amz-server-side-encryption"] = self._encryption["ServerSideEncryption"]
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self._encryption["SSEKMSKeyId"]
        asked = WireRequest("PUT", at, headers=headers, body=body, sha256=digest, conditional_write=True)
        return self._send(asked) or self._sdk.put(at, body, digest)

    def put_part(self, at: ObjectPlace, upload: str, number: int, body: Body, sha256: str | None) -> UploadReceipt:
        """Send one part."""
        digest = sha256 or sha256_of(body)
        headers = {}
        if needs_digest_of_part(self._connection.server_product):
            headers[CHECKSUM_HEADER] = sha256_base64(digest)
        query = f"partNumber={number}&uploadId={quote(upload, safe=SAFE_IN_QUERIES)}"
        asked = WireRequest("PUT", at, query=query, headers=headers, body=body, sha256=digest, may_repeat=True)
        return self._send(asked) or self._sdk.put_part(at, upload, number, body, digest)

    def close(self) -> None:
        """Close every connection; a thread that waits for bytes gets an error now."""
        with self._lock:
            if self._line is not None:
                self._retired.append(self._line.pool)
            self._line = None
            self._is_closed = True
        for pool in self._retired:
            pool.close()

    def _send(self, asked: WireRequest) -> UploadReceipt | None:
        """Send bytes and return what the store says; None if the SDK has to."""
        reply = self.ask(asked)
        if reply is None:
            return None
        try:
            with translated(asked.at.where):
                reply.read_small()
        finally:
            reply.close()
        return UploadReceipt(reply.headers.get("etag", ""), served_at(reply.headers))

    def _find_line(self) -> _Endpoint | None:
        with self._lock:
            if self._is_closed:
                raise ConnectionAbortedError("the store was closed")
            if self._line is None and not self._is_for_sdk:
                target = self._connection.find_target(ask_client=bool(self._retired))
                if target is None:
                    self._is_for_sdk = True
                else:
                    pool = Pool(target.origin, self._patience, most_idle=self._most_idle)
                    signer = RequestSigner(target.scope, self._connection.clock)
                    self._line = _Endpoint(target, signer, RangeHeads(target, signer), pool)
            return self._line

    def _forget(self, line: _Endpoint) -> None:
        """Ask the SDK anew where requests go: it remembers where a redirect led. Requests under way go on."""
        with self._lock:
            if self._line is line:
                self._line = None
                self._retired.append(line.pool)
                self._is_for_sdk = len(self._retired) >= MOST_TARGETS


class _WireStream:
    """The body of a reply, with our errors."""

    def __init__(self, reply: ClosableStream, where: str) -> None:
        self._reply = reply
        self._where = where

    def readinto(self, buffer: memoryview) -> int:
        with translated(self._where):
            return self._reply.readinto(buffer)

    def close(self) -> None:
        self._reply.close()


def _range_of(at: ObjectPlace, start: int, stop: int, if_match: str | None) -> WireRequest:
    headers = {"Range": f"bytes={start}-{stop - 1}"}
    if if_match is not None:
        headers["If-Match"] = if_match
    return WireRequest("GET", at, headers=headers, may_repeat=True)


def _opened(reply: HttpReply, where: str) -> RangeHeaders:
    return RangeHeaders(
        etag=reply.headers.get("etag", ""),
        content_range=reply.headers.get("content-range", ""),
        content_encoding=reply.headers.get("content-encoding", ""),
        length_bytes=reply.length_bytes,
        stream=_WireStream(reply, where),
    )


def _head_of(asked: WireRequest, line: _Endpoint, keys: Keys) -> bytes:
    """Return the head of the request, signed, as it goes over the wire."""
    target = line.target
    path = _path_of(target, asked.at.key)
    headers = line.signer.sign(
        Unsigned(
            asked.method, path, asked.query, {**target.headers, "Host": target.host, **asked.headers}, asked.sha256
        ),
        keys,
    )
    if asked.body is not None:
        headers["Content-Length"] = str(len(asked.body))
    place = f"{path}{'?' if asked.query else ''}{asked.query}"
    return spell_head(asked.method, place, headers, where=asked.at.where).encode("latin-1")


def _path_of(target: Target, key: str) -> str:
    return target.base_path + quote(key, safe=SAFE_IN_KEYS) if key else target.bucket_path
