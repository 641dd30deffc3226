"""Reads the head of an HTTP/1.1 reply, and refuses one of which it is not certain where its body ends.

Strict on purpose: whoever is lenient about where a reply ends can be made to read one reply as two.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_HEAD_BYTES = 64 * 1024
END_OF_HEAD = b"\r\n\r\n"
# Two of one of these, and it is not said where the reply ends, or which object it brings.
SAID_ONCE = frozenset({"content-length", "content-range", "content-encoding", "etag", "transfer-encoding"})

LARGEST_USUAL_HEADER = 256
USUAL_HEADERS = 256

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n\0]*)?")
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_LENGTH = re.compile(r"[0-9]{1,18}")


class MalformedReplyError(Exception):
    """The reply is not HTTP/1.1 as a server of objects speaks it; the text says in what."""


class EncryptedReplyError(MalformedReplyError):
    """The reply is the alert of a server that expects TLS."""


@frozen
class ReplyHead:
    """The status and the headers of a reply, under their names in lower case.

    `length_bytes` is how many bytes of body follow: None if the body is in chunks or ends with the connection.
    """

    status: int
    headers: Mapping[str, str]
    length_bytes: int | None
    is_chunked: bool
    keeps_connection: bool


def parse_head(text: bytes) -> ReplyHead:
    """Return what the bytes before the empty line say; raise `MalformedReplyError`."""
    first, *lines = text.decode("latin-1").split("\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    if status_line is None:
        raise MalformedReplyError("a first line that is not HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, value = _parse_usual_header(line) if len(line) <= LARGEST_USUAL_HEADER else _parse_header(line)
        if name in headers:
            if name in SAID_ONCE:
                raise MalformedReplyError(f"two headers {name}")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    status = int(status_line[2])
    coding = headers.get("transfer-encoding")
    is_chunked = coding is not None
    if coding is not None and coding.lower() != "chunked":
        raise MalformedReplyError("a transfer coding other than chunked")
    connection = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    length_bytes = _length_bytes(headers, status)
    if is_chunked and length_bytes is not None:
        raise MalformedReplyError("a length and chunks at once")
    ends_by_itself = is_chunked or length_bytes is not None
    return ReplyHead(
        status=status,
        headers=headers,
        length_bytes=length_bytes,
        is_chunked=is_chunked,
        # HTTP/1.0 closes unless it says otherwise; we need not rely on its word.
        keeps_connection=ends_by_itself and status_line[1] == "1" and "close" not in connection,
    )


def _parse_header(line: str) -> tuple[str, str]:
    # A line that begins with a space would continue the one before it, which HTTP/1.1 no longer allows.
    header = _HEADER.fullmatch(line)
    if header is None:
        raise MalformedReplyError("a header that is not one")
    return header[1].lower(), header[2]


# Most lines of one server's replies are the same in each.
_parse_usual_header = lru_cache(maxsize=USUAL_HEADERS)(_parse_header)


def _length_bytes(headers: Mapping[str, str], status: int) -> int | None:
    length = headers.get("content-length")
    if length is not None and not _LENGTH.fullmatch(length):
        raise MalformedReplyError("a length that is not a number")
    if status < 200 or status in {204, 304}:
        # They have no body, whatever they say about one.
        return None if "transfer-encoding" in headers else 0
    return None if length is None else int(length)
