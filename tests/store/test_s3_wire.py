"""Do the bytes of large objects travel over our own connections as safely as through the SDK?

What every store promises is tested by the contract, on real servers, over the same connections; the refusals of
a range are in `test_s3_faults`. Here is what can go wrong in between.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import shutil
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from bucketry.errors import BucketryError, DeniedError, UnavailableError, UsageError
from bucketry.store import s3_connection
from bucketry.store.interface import ETag, ObjectNotFoundError, SlowDownError
from bucketry.store.s3 import S3Settings, S3Store
from bucketry.store.s3_account import Account
from bucketry.store.s3_signing import SigningClock
from servers.misbehaving import refusal
from servers.scripted import Scripted, Step, reply, run_scripted
from store.s3_stores import credentials, open_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.misbehaving import Answer, Asked

BODY = b"0123456789"
NOW = format_datetime(datetime.now(UTC), usegmt=True)


def _range(body: bytes = BODY[2:6], content_range: str = "bytes 2-5/10", **headers: str) -> bytes:
    return reply(206, body, ETag='"e1"', Content_Range=content_range, **headers)


def _raw(answer: Answer, **headers: str) -> bytes:
    return reply(answer.status, answer.body, **{"Date": NOW, **dict(answer.headers), **headers})


def _read(store: S3Store, etag: str | None = "e1") -> bytes:
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
def _open(server: Scripted, prefix: str = "", **settings: float) -> Iterator[S3Store]:
    with open_s3(
        server.server,
        prefix,
        settings=S3Settings(endpoint_url=server.server.endpoint_url, **settings),  # type: ignore[arg-type]
    ) as store:
        yield store


def test_a_range_is_asked_for_in_one_signed_request() -> None:
    with run_scripted(lambda _: [_range()]) as server, _open(server, "team/reg") as store:
        assert _read(store) == _read(store) == BODY[2:6]
        assert server.accepted == 1
        asked = server.asked[0]
        assert (asked.method, asked.path) == ("GET", "/registry/team/reg/key")
        assert (asked.headers["range"], asked.headers["if-match"]) == ("bytes=2-5", '"e1"')
        assert asked.headers["host"] == server.server.endpoint_url.removeprefix("http://")
        signed = asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        assert {"host", "range", "if-match", "x-amz-content-sha256", "x-amz-date"} <= set(signed)
        assert asked.headers["x-amz-content-sha256"] == hashlib.sha256(b"").hexdigest()


def test_without_an_etag_nothing_is_asked_before_and_no_condition_set() -> None:
    with run_scripted(lambda _: [_range()]) as server, _open(server) as store:
        assert _read(store, None) == BODY[2:6]
        (asked,) = server.asked
        assert "if-match" not in asked.headers


def test_keys_are_spelled_as_the_sdk_spells_them() -> None:
    with run_scripted(lambda _: [reply(404, b"")]) as server, _open(server) as store:
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
    with run_scripted(lambda _: [reply(200, ETag='"p1"', Date=NOW)]) as server, _open(server) as store:
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
    with run_scripted(lambda _: [_range()]) as server, _open(server) as store:
        with pytest.raises(UsageError, match="control character"):
            _read(store, "e1\r\nX-Evil: 1")
        assert server.asked == []


@pytest.mark.parametrize(
    ("steps", "error", "words"),
    [
        ([_range(gzip.compress(BODY)[:4], Content_Encoding="gzip")], UnavailableError, "encoded as 'gzip'"),
        ([_range().replace(b"Content-Length: 4\r\n", b""), "hang up"], UnavailableError, "instead of|reply"),
        (
            [_range().replace(b"Content-Length: 4", b"Transfer-Encoding: chunked")],
            UnavailableError,
            "instead of",
        ),
        ([b"HTTP/1.1 206 P\r\nETag: a\r\nETag: b\r\n\r\n"], UnavailableError, "two headers etag"),
        ([b"not http\r\n\r\n"], UnavailableError, "not HTTP/1.1"),
        ([_range()[:-2], "hang up"], UnavailableError, "2 of 4 bytes"),
        ([_range()[:-2], "reset"], UnavailableError, "connection broke|2 of 4 bytes"),
        (["hang up"], UnavailableError, "connection broke"),
        ([_range()[:-2], 10.0], UnavailableError, "no byte came for 0.3 seconds"),
        ([10.0], UnavailableError, "no byte came for 0.3 seconds"),
        ([_raw(refusal(503, "SlowDown", Retry_After="7"))], SlowDownError, "fewer requests"),
        ([_raw(refusal(500, "InternalError", "a &amp; b\x1b[2J"))], UnavailableError, r"InternalError: a & b \[2J"),
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
    with run_scripted(lambda _: steps) as server, _open(server, read_timeout_seconds=0.3) as store:
        with pytest.raises(error, match=words) as caught:
            _read(store)
        assert type(caught.value) is error
        assert len(server.asked) == 1
        if isinstance(caught.value, SlowDownError):
            assert caught.value.retry_after_seconds == 7.0


def test_a_create_only_write_is_sent_once_even_if_the_connection_was_a_kept_one() -> None:
    answers: Iterator[list[Step]] = iter([[_range()], ["hang up"]])
    with run_scripted(lambda _: next(answers)) as server, _open(server) as store:
        _read(store)
        with pytest.raises(UnavailableError):
            store.put_blob("blob", memoryview(BODY))
        assert [asked.method for asked in server.asked] == ["GET", "PUT"]


def test_a_part_is_sent_again_if_a_kept_connection_proves_closed() -> None:
    answers: Iterator[list[Step]] = iter([[_range()], ["hang up"], [reply(200, ETag='"p1"')]])
    with run_scripted(lambda _: next(answers)) as server, _open(server) as store:
        _read(store)
        assert store.upload_part("key", "u", 1, 0, memoryview(BODY)).etag == "p1"
        assert [asked.body for asked in server.asked] == [b"", BODY, BODY]


def _refuse_until(is_right: Callable[[Asked], bool], answer: bytes) -> Callable[[Asked], list[Step]]:
    def script(asked: Asked) -> list[Step]:
        if not is_right(asked):
            return [reply(400) if asked.method == "HEAD" else answer]
        if asked.method == "HEAD":
            head = reply(200, BODY, ETag='"e1"', Last_Modified=NOW)
            return [head[: -len(BODY)]]
        return [_range() if asked.method == "GET" else reply(200, ETag='"p1"')]

    return script


@contextmanager
def _outliving_its_session(server: Scripted) -> Iterator[S3Store]:
    """Open a store with one session, while the environment already holds the next."""
    settings = S3Settings(endpoint_url=server.server.endpoint_url)
    with credentials("old", "secret", "old-token"), closing(S3Store("registry", "", settings)) as store:
        os.environ["AWS_SESSION_TOKEN"] = "new-token"
        yield store


def test_an_expired_session_is_renewed_once_by_whoever_notices() -> None:
    script = _refuse_until(
        lambda asked: asked.headers["x-amz-security-token"] == "new-token", _raw(refusal(403, "ExpiredToken"))
    )
    calls: list[Callable[[S3Store], object]] = [
        _read,
        lambda store: store.upload_part("key", "u", 1, 0, memoryview(BODY)),
        lambda store: store.stat("key"),
    ]
    for call in calls:
        with run_scripted(script) as server, _outliving_its_session(server) as store:
            for _ in range(2):
                call(store)
        tokens = [asked.headers["x-amz-security-token"] for asked in server.asked]
        assert tokens == ["old-token", "new-token", "new-token"]


def test_many_threads_renew_an_expired_session_once(monkeypatch: pytest.MonkeyPatch) -> None:
    threads_count = 6
    all_were_refused = threading.Barrier(threads_count)

    def script(asked: Asked) -> list[Step]:
        if asked.headers["x-amz-security-token"] == "new-token":
            return [_range()]
        all_were_refused.wait(10)
        return [_raw(refusal(400, "ExpiredToken"))]

    with run_scripted(script) as server, _outliving_its_session(server) as store:
        # How often a session is made is what counts.
        connect = mock.Mock(wraps=Account)
        monkeypatch.setattr(s3_connection, "Account", connect)
        with ThreadPoolExecutor(threads_count) as pool:
            found = list(pool.map(lambda _: _read(store), range(threads_count)))
    assert found == [BODY[2:6]] * threads_count
    assert connect.call_count == 1


def test_an_expired_session_without_a_newer_one_is_denied_after_one_request() -> None:
    with run_scripted(lambda _: [_raw(refusal(403, "ExpiredToken"))]) as server, _open(server) as store:
        with pytest.raises(DeniedError, match="session has expired"):
            _read(store)
        assert len(server.asked) == 1


@pytest.mark.parametrize("hours", [-3, 5])
def test_a_wrong_clock_is_corrected_by_the_server_s(hours: int) -> None:
    right = datetime.now(UTC) + timedelta(hours=hours)
    date = format_datetime(right, usegmt=True)

    def is_right(asked: Asked) -> bool:
        stamp = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return abs(stamp - right) < timedelta(minutes=5)

    def script(asked: Asked) -> list[Step]:
        if asked.method == "HEAD" and not is_right(asked):
            return [reply(403, Date=date)]
        return _refuse_until(is_right, _raw(refusal(403, "RequestTimeTooSkewed"), Date=date))(asked)

    calls: list[Callable[[S3Store], object]] = [_read, lambda store: store.stat("key")]
    for first, second in (calls, calls[::-1]):
        with run_scripted(script) as server, _open(server) as store:
            first(store)
            assert len(server.asked) == 2
            second(store)
            assert len(server.asked) == 3


def test_a_server_that_blames_a_clock_that_is_right_is_not_asked_again() -> None:
    with run_scripted(lambda _: [_raw(refusal(403, "RequestTimeTooSkewed"))]) as server, _open(server) as store:
        with pytest.raises(DeniedError, match="clock is wrong"):
            _read(store)
        assert len(server.asked) == 1


def test_a_clock_is_corrected_only_by_a_date_that_is_far_away() -> None:
    clock = SigningClock(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for date in ("", "nonsense", "Thu, 01 Jan 2026 00:04:00 GMT"):
        assert not clock.correct(date)
    assert not clock.is_corrected
    assert clock.correct("Thu, 01 Jan 2026 01:00:00 GMT")
    assert clock.now() == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert not clock.correct("Thu, 01 Jan 2026 01:00:00 GMT")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_to_another_host_is_followed(status: int) -> None:
    with run_scripted(lambda _: [_range()]) as other:
        elsewhere = refusal(status, "TemporaryRedirect", Location=f"{other.server.endpoint_url}/registry/key")
        with run_scripted(lambda _: [_raw(elsewhere)]) as server, _open(server) as store:
            for call in (lambda: _read(store), lambda: store.put_blob("key", memoryview(BODY))):
                with pytest.raises(UsageError):
                    call()
        assert other.asked == []


def test_a_bucket_in_another_region_is_read_there_from_the_second_request_on() -> None:
    def script(asked: Asked) -> list[Step]:
        if "/eu-central-1/s3/" in asked.headers["authorization"]:
            return [_range()]
        return [_raw(refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-central-1"))]

    with run_scripted(script) as server, _open(server) as store:
        assert _read(store) == BODY[2:6]
        asked_first = len(server.asked)
        assert _read(store) == BODY[2:6]
        assert len(server.asked) == asked_first + 1


def test_through_a_proxy_the_sdk_moves_the_bytes() -> None:
    with run_scripted(lambda _: [_range()]) as proxy, credentials("a", "b"):
        quiet = dict.fromkeys(("no_proxy", "NO_PROXY"), "")
        with mock.patch.dict(os.environ, {"http_proxy": proxy.server.endpoint_url, **quiet}):
            settings = S3Settings(endpoint_url="http://storage.example:9000", allow_http=True)
            with closing(S3Store("registry", "", settings)) as store:
                assert _read(store) == BODY[2:6]
        assert [asked.path for asked in proxy.asked] == ["http://storage.example:9000/registry/key"]


def test_no_credentials_is_a_clear_denial() -> None:
    with credentials(None, None):
        store = S3Store("registry", "", S3Settings(endpoint_url="http://127.0.0.1:9"))
        with pytest.raises(DeniedError, match="no usable AWS credentials"):
            _read(store)
        store.close()


def test_closing_the_store_ends_a_read_that_waits() -> None:
    with run_scripted(lambda _: [_range()[:-2], 30.0]) as server, _open(server) as store:
        errors: list[BaseException] = []

        def read() -> None:
            try:
                _read(store)
            except BucketryError as error:
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.3)
        store.close()
        thread.join(3.0)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [UnavailableError]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with certificates for `localhost` and for another name, each its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is missing")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("localhost", "other.example"):
        subprocess.run(
            f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name}"
            f" -keyout {name}.key -out {name}.pem".split(),
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=60,
        )
    return folder


def _serving_as(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@contextmanager
def _trusting(server: Scripted, **variables: str) -> Iterator[S3Store]:
    with credentials("a", "b"), mock.patch.dict(os.environ, variables):
        if "REQUESTS_CA_BUNDLE" not in variables:
            os.environ.pop("REQUESTS_CA_BUNDLE", None)
        settings = S3Settings(endpoint_url=server.server.endpoint_url, read_timeout_seconds=0.5)
        with closing(S3Store("registry", "", settings)) as store:
            yield store


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_bytes_travel_encrypted_with_the_authority_that_is_named(authority: Path, variable: str) -> None:
    body = bytes(range(256)) * 8192
    size = len(body)

    def script(asked: Asked) -> list[Step]:
        if asked.method == "PUT":
            return [reply(200, ETag='"p1"')]
        return [_range(body, f"bytes 0-{size - 1}/{size}")]

    named = {variable: str(authority / "localhost.pem")}
    with run_scripted(script, tls=_serving_as(authority, "localhost")) as server, _trusting(server, **named) as store:
        for _ in range(2):
            buffer = memoryview(bytearray(size))
            filled = 0
            with store.open_range("key", 0, size, etag=ETag("e1")) as stream:
                while filled < size:
                    filled += stream.readinto(buffer[filled:])
            assert bytes(buffer) == body
        store.upload_part("key", "u", 1, 0, memoryview(body))
        assert server.asked[-1].body == body
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("served", "trusted"), [("localhost", "other.example"), ("other.example", "other.example")], ids=["who", "name"]
)
def test_a_server_that_is_not_who_it_should_be_gets_nothing(authority: Path, served: str, trusted: str) -> None:
    named = {"AWS_CA_BUNDLE": str(authority / f"{trusted}.pem")}
    with run_scripted(lambda _: [_range()], tls=_serving_as(authority, served)) as server:
        with (
            _trusting(server, **named) as store,
            pytest.raises(UnavailableError, match="no secure connection") as caught,
        ):
            _read(store)
        assert "AWS_CA_BUNDLE" in caught.value.advice
        assert server.asked == []


def test_silence_ends_on_an_encrypted_connection_too(authority: Path) -> None:
    named = {"AWS_CA_BUNDLE": str(authority / "localhost.pem")}
    serving = run_scripted(lambda _: [_range()[:-2], 10.0], tls=_serving_as(authority, "localhost"))
    silence = pytest.raises(UnavailableError, match=r"no byte came for 0\.5 seconds")
    with serving as server, _trusting(server, **named) as store, silence:
        _read(store)


def test_certificates_that_are_not_there_are_named(authority: Path) -> None:
    named = {"AWS_CA_BUNDLE": str(authority / "absent.pem")}
    serving = run_scripted(lambda _: [_range()], tls=_serving_as(authority, "localhost"))
    with serving as server, _trusting(server, **named) as store, pytest.raises(UsageError, match=r"absent\.pem"):
        _read(store)
