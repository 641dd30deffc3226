"""A server that is alive and gets nowhere: drops of a head or a body, a body taken in drops, a listing in circles."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from itertools import count, cycle
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UnavailableError
from bucketry.store.http.client import Pool
from bucketry.store.http.connection import Origin, SocketTimeouts
from bucketry.store.retry import RetryingStore
from bucketry.store.s3.store import MOST_EMPTY_PAGES, S3Settings, S3Store
from servers.scripted import reply, run_scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bucketry.store.contract import Entry, Folder
    from servers.misbehaving import Asked
    from servers.scripted import Step

MODIFIED = "Tue, 03 Mar 2026 12:00:00 GMT"
HASTY = SocketTimeouts(5.0, 5.0, grace_seconds=0.3, least_bytes_per_second=1_000.0, whole_seconds=0.8)
GET = b"GET /registry/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
DROPS = 600
"""Far more than the longest wait has room for, ten in a second."""


def drop_by_drop(whole: bytes, *, seconds: float = 0.1) -> list[Step]:
    return [step for index in range(min(len(whole), DROPS)) for step in (whole[index : index + 1], seconds)]


def pool_of(port: int, patience: SocketTimeouts = HASTY) -> Pool:
    return Pool(Origin("127.0.0.1", port, None), patience, most_idle=2)


def ask(script: Sequence[Step]) -> tuple[float, TimeoutError]:
    """Return after how long a reply by the script was given up, and why."""
    with run_scripted(lambda _: script) as running, closing(pool_of(port_of(running.server.endpoint_url))) as pool:
        began = time.monotonic()
        with pytest.raises(TimeoutError) as raised:
            read(pool)
        return time.monotonic() - began, raised.value


def read(pool: Pool) -> bytes:
    answered = pool.ask(GET, may_repeat=False)
    try:
        return answered.read_small()
    finally:
        answered.close()


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


WHOLE = reply(body=b"x" * 200)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW: dict[str, Sequence[Step]] = {
    "a head that drips": drop_by_drop(WHOLE),
    "an interim head that drips": drop_by_drop(b"HTTP/1.1 100 Continue\r\nX-Padding: " + b"x" * 200 + b"\r\n\r\n"),
    "a body that drips": [reply(body=b"x" * 200)[:-200], *drop_by_drop(b"x" * 200)],
    "a body without a length that drips": [b"HTTP/1.1 200 OK\r\n\r\n", *drop_by_drop(b"x" * 200)],
    "chunks that drip": [CHUNKED, *drop_by_drop(b"1\r\nx\r\n" * 100)],
    "trailers that drip": [CHUNKED, b"0\r\n", *drop_by_drop(b"X-Trailer: x\r\n" * 100)],
    "a refusal that drips": [reply(403, b"x" * 200)[:-200], *drop_by_drop(b"x" * 200)],
}


@pytest.mark.parametrize("script", SLOW.values(), ids=list(SLOW))
def test_drops_do_not_hold_a_request(script: Sequence[Step]) -> None:
    took_seconds, error = ask(script)
    assert took_seconds < 3.0
    assert "bytes came in" in str(error)


def test_a_document_at_the_least_rate_is_given_up_when_it_is_not_whole_in_time() -> None:
    piece = b"x" * 200
    script: list[Step] = [reply(body=piece * 50)[: -len(piece) * 50]]
    script += [step for _ in range(50) for step in (piece, 0.1)]  # 2,000 bytes a second, for 5 seconds
    took_seconds, error = ask(script)
    assert 0.7 < took_seconds < 3.0
    assert "bytes came in" in str(error)


def test_a_range_at_the_least_rate_is_read_to_its_end() -> None:
    piece = b"x" * 200
    script: list[Step] = [reply(body=piece * 20)[: -len(piece) * 20]]
    script += [step for _ in range(20) for step in (piece, 0.1)]  # 2 seconds, which is too long for a document
    with run_scripted(lambda _: script) as running, closing(pool_of(port_of(running.server.endpoint_url))) as pool:
        answered = pool.ask(GET, may_repeat=False)
        buffer = memoryview(bytearray(4_000))
        filled = 0
        while filled < len(buffer):
            filled += answered.readinto(buffer[filled:])
        answered.close()
    assert bytes(buffer) == piece * 20


def test_a_reader_that_takes_its_time_is_no_slow_server() -> None:
    body = b"x" * 1_000_000
    with (
        run_scripted(lambda _: [reply(body=body)]) as running,
        closing(pool_of(port_of(running.server.endpoint_url))) as pool,
    ):
        answered = pool.ask(GET, may_repeat=False)
        got = bytearray()
        buffer = memoryview(bytearray(250_000))
        while len(got) < len(body):
            time.sleep(0.3)
            got += buffer[: answered.readinto(buffer)]
        answered.close()
    assert bytes(got) == body


def test_a_server_that_takes_a_body_in_drops_does_not_hold_a_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        patience = SocketTimeouts(5.0, 0.5, grace_seconds=0.3, least_bytes_per_second=100_000_000.0)
        with closing(pool_of(listener.getsockname()[1], patience)) as pool:
            began = time.monotonic()
            with pytest.raises(TimeoutError, match="taken"):
                pool.ask(GET, memoryview(bytes(32 * 1024 * 1024)), may_repeat=False)
            assert time.monotonic() - began < 5.0


# Listings


def page(keys: Sequence[str], token: str) -> bytes:
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-03-03T12:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return reply(body=f"<ListBucketResult>{contents}{more}</ListBucketResult>".encode(), Content_Type="application/xml")


def listed(monkeypatch: pytest.MonkeyPatch, script: Callable[[Asked], Sequence[Step]]) -> tuple[list[str], str, int]:
    """Return the keys that were listed, the error that ended it, and how many pages were asked for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODY00000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with run_scripted(script) as running:
        settings = S3Settings(endpoint_url=running.server.endpoint_url)
        store = RetryingStore(S3Store("registry", "", settings), deadline_seconds=0.0)
        with closing(store):
            keys: list[str] = []
            error = ""
            try:
                keys.extend(key_of(item) for item in store.list("heads/"))
            except UnavailableError as ended:
                error = ended.message
        return keys, error, len(running.asked)


def key_of(item: Entry | Folder) -> str:
    return str(getattr(item, "key", ""))


def test_tokens_that_go_in_a_circle_are_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = cycle("AB")
    _, error, pages = listed(monkeypatch, lambda _: [page([], next(tokens))])
    assert "leads to itself" in error
    assert pages == 3


def test_pages_that_go_back_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()
    keys, error, pages = listed(monkeypatch, lambda _: [page(["heads/a", "heads/b"], f"token-{next(numbers)}")])
    assert keys == ["heads/a", "heads/b"]
    assert "goes back" in error
    assert pages == 2


def test_empty_pages_without_end_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()
    _, error, pages = listed(monkeypatch, lambda _: [page([], f"token-{next(numbers)}")])
    assert "empty pages" in error
    assert pages == MOST_EMPTY_PAGES + 1


def test_a_listing_that_goes_up_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: Iterator[bytes] = iter([page(["heads/a"], "A"), page([], "B"), page(["heads/b"], "")])
    assert listed(monkeypatch, lambda _: [next(pages)]) == (["heads/a", "heads/b"], "", 3)


def test_a_document_that_drips_ends_a_read_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODY00000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    script = [reply(body=b"x" * 200, ETag='"e"', Last_Modified=MODIFIED)[:-200], *drop_by_drop(b"x" * 200)]
    with run_scripted(lambda _: script) as running:
        settings = S3Settings(endpoint_url=running.server.endpoint_url, grace_seconds=0.3)
        with closing(RetryingStore(S3Store("registry", "", settings), deadline_seconds=0.5)) as store:
            began = time.monotonic()
            with pytest.raises(UnavailableError, match="bytes came in"):
                store.get("registry.json")
            assert time.monotonic() - began < 5.0
