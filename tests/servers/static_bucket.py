"""How is any store read over HTTP, as S3 answers? Enough for whoever reads; nothing can be written."""

from __future__ import annotations

import re
from contextlib import contextmanager
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bucketry.store.contract import ETag, NotModifiedError, ObjectNotFoundError
from servers.misbehaving import Answer, Asked, refusal, run_misbehaving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.store.contract import Store
    from servers.process import S3Server

BUCKET_PATH = "/registry/"
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)")


@contextmanager
def run_static_bucket(store: Store) -> Iterator[S3Server]:
    """Serve what is in the store now and later."""
    with run_misbehaving(lambda asked: _answer(store, asked)) as running:
        yield running.server


def _answer(store: Store, asked: Asked) -> Answer:
    """Return the object, or the range of it that is asked for."""
    key = unquote(urlsplit(asked.path).path).removeprefix(BUCKET_PATH)
    unless = asked.headers.get("if-none-match")
    try:
        found = store.get(key, unless=ETag(unless.strip('"')) if unless else None)
    except ObjectNotFoundError:
        return refusal(404, "NoSuchKey")
    except NotModifiedError:
        return Answer(304)
    headers = {
        "ETag": f'"{found.etag}"',
        "Last-Modified": format_datetime(found.modified_at, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    if asked.headers.get("if-match", f'"{found.etag}"').strip('"') != found.etag:
        return refusal(412, "PreconditionFailed")
    if asked.method == "HEAD":
        return Answer(200, headers, announced_bytes=len(found.body))
    return _body(found.body, asked.headers.get("range", ""), headers)


def _body(body: bytes, asked_range: str, headers: dict[str, str]) -> Answer:
    wanted = _RANGE.fullmatch(asked_range)
    if wanted is None:
        return Answer(200, headers, body)
    first, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
    if first > last:
        return refusal(416, "InvalidRange")
    return Answer(206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(body)}"}, body[first : last + 1])
