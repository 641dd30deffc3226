"""What do the tests of our own connections to S3 share: the replies of a scripted server, and a store on it?"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from bucketry.store.contract import ETag
from bucketry.store.s3.store import S3Settings, S3Store
from servers.scripted import Scripted, reply
from store.s3_stores import open_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.misbehaving import Answer

BODY = b"0123456789"


def range_reply(body: bytes = BODY[2:6], content_range: str = "bytes 2-5/10", **headers: str) -> bytes:
    return reply(206, body, ETag='"e1"', Content_Range=content_range, **headers)


def http_now() -> str:
    """Return the present moment for a header; fixed at the import, it would be minutes old in a whole run."""
    return format_datetime(datetime.now(UTC), usegmt=True)


def raw_reply(answer: Answer, **headers: str) -> bytes:
    return reply(answer.status, answer.body, **{"Date": http_now(), **dict(answer.headers), **headers})


def read_range(store: S3Store, etag: str | None = "e1") -> bytes:
    buffer = memoryview(bytearray(5))
    filled = 0
    with store.open_range("key", 2, 6, etag=None if etag is None else ETag(etag)) as stream:
        for _ in range(5):
            count = stream.readinto(buffer[filled:])
            if count == 0:
                break
            filled += count
    return bytes(buffer[:filled])


@contextmanager
def opened(server: Scripted, prefix: str = "", **settings: float) -> Iterator[S3Store]:
    with open_s3(
        server.server,
        prefix,
        settings=S3Settings(endpoint_url=server.server.endpoint_url, **settings),  # type: ignore[arg-type]
    ) as store:
        yield store
