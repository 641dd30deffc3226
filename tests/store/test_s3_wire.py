"""Do the bytes of large objects travel over our own connections as safely as through the SDK?

What every store promises is tested by the contract, on real servers, over the same connections; the refusals of
a range are in `test_s3_faults`. Here is what can go wrong in between.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from bucketry.errors import BucketryError, DeniedError, UnavailableError, UsageError
from bucketry.store.contract import ObjectNotFoundError, SlowDownError
from bucketry.store.s3.store import S3Settings, S3Store
from servers.misbehaving import refusal
from servers.scripted import Step, reply, run_scripted
from store.s3_stores import credentials
from store.s3_wires import BODY, http_now, opened, range_reply, raw_reply, read_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.misbehaving import Asked


def test_a_range_is_asked_for_in_one_signed_request() -> None:
    with run_scripted(lambda _: [range_reply()]) as server, opened(server, "team/reg") as store:
        assert read_range(store) == read_range(store) == BODY[2:6]
        assert server.accepted == 1
        asked = server.asked[0]
        assert (asked.method, asked.path) == ("GET", "/registry/team/reg/key")
        assert (asked.headers["range"], asked.headers["if-match"]) == ("bytes=2-5", '"e1"')
        assert asked.headers["host"] == server.server.endpoint_url.removeprefix("http://")
        signed = asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        assert {"host", "range", "if-match", "x-amz-content-sha256", "x-amz-date"} <= set(signed)
        assert asked.headers["x-amz-content-sha256"] == hashlib.sha256(b"").hexdigest()


def test_without_an_etag_nothing_is_asked_before_and_no_condition_set() -> None:
    with run_scripted(lambda _: [range_reply()]) as server, opened(server) as store:
        assert read_range(store, None) == BODY[2:6]
        (asked,) = server.asked
        assert "if-match" not in asked.headers


def test_keys_are_spelled_as_the_sdk_spells_them() -> None:
    with run_scripted(lambda _: [reply(404, b"")]) as server, opened(server) as store:
        for key in ("a b/ä+%~.bin", "../x", "a//b", "q?x=1&y#z"):
            with pytest.raises(ObjectNotFoundError), store.open_range(key, 0, 1, etag=None):
                pass
    assert [asked.path for asked in server.asked] == [
        "/registry/a%20b/%C3%A4%2B%25~.bin",
        "/registry/../x",
        "/registry/a//b",
        "/registry/q%3Fx%3D1%26y%23z",
    ]


def test_the_caller_s_digest_is_signed_and_the_bytes_are_sent_as_they_are() -> None:
    with run_scripted(lambda _: [reply(200, ETag='"p1"', Date=http_now())]) as server, opened(server) as store:
        part = store.upload_part("key", "up load/=", 7, 0, memoryview(BODY), sha256="ab" * 32)
        entry = store.put_blob("blob", memoryview(BODY))
        store.put_blob("empty", memoryview(b""))
        sent, blob, empty = server.asked
    assert (part.number, part.etag, part.size_bytes) == (7, "p1", 10)
    assert (sent.path, sent.body) == ("/registry/key?partNumber=7&uploadId=up%20load%2F%3D", BODY)
    assert sent.headers["x-amz-content-sha256"] == "ab" * 32
    # Amazon refuses it for a part of an upload that was not begun with it.
    assert "x-amz-checksum-sha256" not in sent.headers
    assert (entry.size_bytes, entry.etag, blob.body) == (10, "p1", BODY)
    assert blob.headers["x-amz-content-sha256"] == hashlib.sha256(BODY).hexdigest()
    assert blob.headers["x-amz-checksum-sha256"] == base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    assert (empty.headers["content-length"], empty.body) == ("0", b"")
    assert blob.headers["if-none-match"] == "*"


def test_a_condition_that_would_break_the_request_is_not_sent() -> None:
    with run_scripted(lambda _: [range_reply()]) as server, opened(server) as store:
        with pytest.raises(UsageError, match="control character"):
            read_range(store, "e1\r\nX-Evil: 1")
        assert server.asked == []


@pytest.mark.parametrize(
    ("steps", "error", "words"),
    [
        ([range_reply(gzip.compress(BODY)[:4], Content_Encoding="gzip")], UnavailableError, "encoded as 'gzip'"),
        ([range_reply().replace(b"Content-Length: 4\r\n", b""), "hang up"], UnavailableError, "instead of|reply"),
        (
            [range_reply().replace(b"Content-Length: 4", b"Transfer-Encoding: chunked")],
            UnavailableError,
            "instead of",
        ),
        ([b"HTTP/1.1 206 P\r\nETag: a\r\nETag: b\r\n\r\n"], UnavailableError, "two headers etag"),
        ([b"not http\r\n\r\n"], UnavailableError, "not HTTP/1.1"),
        ([range_reply()[:-2], "hang up"], UnavailableError, "2 of 4 bytes"),
        ([range_reply()[:-2], "reset"], UnavailableError, "connection broke|2 of 4 bytes"),
        (["hang up"], UnavailableError, "connection broke"),
        ([range_reply()[:-2], 10.0], UnavailableError, "no byte came for 0.3 seconds"),
        ([10.0], UnavailableError, "no byte came for 0.3 seconds"),
        ([raw_reply(refusal(503, "SlowDown", Retry_After="7"))], SlowDownError, "fewer requests"),
        (
            [raw_reply(refusal(500, "InternalError", "a &amp; b\x1b[2J"))],
            UnavailableError,
            r"InternalError: a & b \[2J",
        ),
        ([reply(500, b"<html>not xml")], UnavailableError, "500"),
        ([reply(403, b"x" * 100_000)], DeniedError, "403"),
    ],
    ids=[
        "gzip",
        "no length",
        "chunks",
        "two etags",
        "no http",
        "short",
        "reset",
        "hung up",
        "stalls in the middle",
        "stalls at once",
        "slow down",
        "500",
        "no xml",
        "endless refusal",
    ],
)
def test_a_range_that_does_not_come_whole_is_a_clear_error(
    steps: list[Step], error: type[BucketryError], words: str
) -> None:
    with run_scripted(lambda _: steps) as server, opened(server, read_timeout_seconds=0.3) as store:
        with pytest.raises(error, match=words) as caught:
            read_range(store)
        assert type(caught.value) is error
        assert len(server.asked) == 1
        if isinstance(caught.value, SlowDownError):
            assert caught.value.retry_after_seconds == 7.0


def test_a_create_only_write_is_sent_once_even_if_the_connection_was_a_kept_one() -> None:
    answers: Iterator[list[Step]] = iter([[range_reply()], ["hang up"]])
    with run_scripted(lambda _: next(answers)) as server, opened(server) as store:
        read_range(store)
        with pytest.raises(UnavailableError):
            store.put_blob("blob", memoryview(BODY))
        assert [asked.method for asked in server.asked] == ["GET", "PUT"]


def test_a_part_is_sent_again_if_a_kept_connection_proves_closed() -> None:
    answers: Iterator[list[Step]] = iter([[range_reply()], ["hang up"], [reply(200, ETag='"p1"')]])
    with run_scripted(lambda _: next(answers)) as server, opened(server) as store:
        read_range(store)
        assert store.upload_part("key", "u", 1, 0, memoryview(BODY)).etag == "p1"
        assert [asked.body for asked in server.asked] == [b"", BODY, BODY]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_to_another_host_is_followed(status: int) -> None:
    with run_scripted(lambda _: [range_reply()]) as other:
        elsewhere = refusal(status, "TemporaryRedirect", Location=f"{other.server.endpoint_url}/registry/key")
        with run_scripted(lambda _: [raw_reply(elsewhere)]) as server, opened(server) as store:
            for call in (lambda: read_range(store), lambda: store.put_blob("key", memoryview(BODY))):
                with pytest.raises(UsageError):
                    call()
        assert other.asked == []


def test_a_bucket_in_another_region_is_read_there_from_the_second_request_on() -> None:
    def script(asked: Asked) -> list[Step]:
        if "/eu-central-1/s3/" in asked.headers["authorization"]:
            return [range_reply()]
        return [raw_reply(refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-central-1"))]

    with run_scripted(script) as server, opened(server) as store:
        assert read_range(store) == BODY[2:6]
        asked_first = len(server.asked)
        assert read_range(store) == BODY[2:6]
        assert len(server.asked) == asked_first + 1


def test_through_a_proxy_the_sdk_moves_the_bytes() -> None:
    with run_scripted(lambda _: [range_reply()]) as proxy, credentials("a", "b"):
        quiet = dict.fromkeys(("no_proxy", "NO_PROXY"), "")
        with mock.patch.dict(os.environ, {"http_proxy": proxy.server.endpoint_url, **quiet}):
            settings = S3Settings(endpoint_url="http://storage.example:9000", allow_http=True)
            with closing(S3Store("registry", "", settings)) as store:
                assert read_range(store) == BODY[2:6]
        assert [asked.path for asked in proxy.asked] == ["http://storage.example:9000/registry/key"]


def test_closing_the_store_ends_a_read_that_waits() -> None:
    with run_scripted(lambda _: [range_reply()[:-2], 30.0]) as server, opened(server) as store:
        errors: list[BaseException] = []

        def read() -> None:
            try:
                read_range(store)
            except BucketryError as error:
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.3)
        store.close()
        thread.join(3.0)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [UnavailableError]
