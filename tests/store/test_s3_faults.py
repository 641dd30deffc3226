"""Is every failure of an S3 server one clear error, sent once, and without a secret in it?"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import (
    BucketryError,
    DeniedError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from bucketry.store.contract import (
    ETag,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    ObjectNotFoundError,
    Part,
    PreconditionFailedError,
    SlowDownError,
    Unconditional,
)
from bucketry.store.s3.settings import check_endpoint
from bucketry.store.s3.store import S3Settings, S3Store
from servers.misbehaving import Answer, Asked, refusal, run_misbehaving
from servers.process import S3Server, find_free_ports
from store.s3_stores import credentials, leave_to_the_sdk, open_s3

if TYPE_CHECKING:
    from bucketry.store.contract import Condition

Way = Callable[[S3Store], None]
BODY = b"0123456789"
STAMPED = {"ETag": '"e1"', "Last-Modified": "Sun, 22 Nov 2026 10:00:00 GMT"}


@pytest.fixture(params=["wire", "sdk"])
def way(request: pytest.FixtureRequest) -> Way:
    """Return what decides who makes the requests of a store: we, or the SDK."""
    return leave_to_the_sdk if request.param == "sdk" else lambda _: None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(404, "NoSuchBucket"), NotFoundError),
        (refusal(403, "AccessDenied"), DeniedError),
        (refusal(401, "Unauthorized"), DeniedError),
        (refusal(403, "InvalidAccessKeyId"), DeniedError),
        (refusal(403, "SignatureDoesNotMatch"), DeniedError),
        (refusal(400, "ExpiredToken"), DeniedError),
        (refusal(400, "InvalidToken"), DeniedError),
        (refusal(403, "RequestTimeTooSkewed"), DeniedError),
        (refusal(429, "TooManyRequests"), SlowDownError),
        (refusal(503, "SlowDown"), SlowDownError),
        (refusal(503, "ServiceUnavailable"), SlowDownError),
        (refusal(501, "NotImplemented"), UnsupportedError),
        (refusal(500, "InternalError"), UnavailableError),
        (refusal(502, "BadGateway"), UnavailableError),
        (refusal(504, "GatewayTimeout"), UnavailableError),
        (refusal(400, "BadDigest"), UnavailableError),
        (refusal(412, "PreconditionFailed"), PreconditionFailedError),
        (refusal(409, "ConditionalRequestConflict"), PreconditionFailedError),
        (refusal(404, "NoSuchKey"), PreconditionFailedError),
        (refusal(400, "InvalidBucketName"), UsageError),
        (refusal(400, "SomethingNew"), UnsupportedError),
        (Answer(500, {}, b"<html>not xml at all"), UnavailableError),
        (Answer(hang_up=True), UnavailableError),
    ],
    ids=lambda value: value.body.decode()[13:50] if isinstance(value, Answer) else "",
)
def test_a_conditional_write_is_sent_once_and_its_refusal_is_understood(
    answer: Answer, error: type[BucketryError], way: Way
) -> None:
    def reply(asked: Asked) -> Answer:
        return answer if asked.method == "PUT" else refusal(404, "NoSuchKey")

    for condition in (IfAbsent(), IfMatch(ETag("e1"))):
        with run_misbehaving(reply) as bad, open_s3(bad.server) as store:
            way(store)
            with pytest.raises(error) as caught:
                store.put("heads/a.json", b"{}", condition)
            assert type(caught.value) is error
            assert [asked.method for asked in bad.asked].count("PUT") == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(404, "NoSuchKey"), ObjectNotFoundError),
        (refusal(304, "NotModified"), NotModifiedError),
        (refusal(500, "InternalError"), UnavailableError),
        (Answer(200, STAMPED, BODY, announced_bytes=20, hang_up=True), UnavailableError),
        (Answer(200, {"Last-Modified": STAMPED["Last-Modified"]}, BODY), UnsupportedError),
        (Answer(200, STAMPED, b"", announced_bytes=2**40, hang_up=True), UnavailableError),
    ],
)
def test_a_read_that_brings_no_whole_object_is_an_error(answer: Answer, error: type[Exception], way: Way) -> None:
    with run_misbehaving(lambda _: answer) as bad, open_s3(bad.server) as store:
        way(store)
        with pytest.raises(error):
            store.get("key")
        assert len(bad.asked) == 1


def test_a_refusal_reads_the_same_whoever_asked() -> None:
    answer = refusal(500, "InternalError", "a &amp; b")
    said = []
    for leave_to in (lambda _: None, leave_to_the_sdk):
        with run_misbehaving(lambda _: answer) as bad, open_s3(bad.server) as store:
            leave_to(store)
            for call in (
                lambda: store.get("key"),
                lambda: store.put("key", b"1", IfAbsent()),
                lambda: store.delete("key"),
                lambda: list(store.list("")),
                lambda: store.start_upload("key"),
                lambda: store.list_parts("key", "u"),
                lambda: store.complete_upload("key", "u", []),
                lambda: store.abort_upload("key", "u"),
                lambda: list(store.list_uploads("")),
            ):
                with pytest.raises(UnavailableError) as caught:
                    call()
                said.append(f"{caught.value} {caught.value.advice}".replace(str(bad.server.endpoint_url), ""))
    assert said[:9] == said[9:]


def test_a_write_that_is_redirected_is_sent_again_by_the_sdk_alone_and_refused() -> None:
    with run_misbehaving(lambda _: refusal(301, "PermanentRedirect")) as bad, open_s3(bad.server) as store:
        with pytest.raises(UsageError, match="another region"):
            store.put("key", b"1", IfAbsent())
        assert [asked.method for asked in bad.asked] == ["PUT", "PUT"]


def test_an_upload_that_fails_after_a_promising_start_is_no_success(way: Way) -> None:
    body = b"<?xml version='1.0'?>\n  <Error><Code>InternalError</Code><Message>sorry</Message></Error>"
    with run_misbehaving(lambda _: Answer(200, {}, body)) as bad, open_s3(bad.server) as store:
        way(store)
        with pytest.raises(UnavailableError, match="InternalError"):
            store.complete_upload("key", "u", [Part(1, "e1", 1)])
        assert len(bad.asked) == 1


def test_the_store_s_own_time_to_wait_is_told() -> None:
    answer = refusal(503, "SlowDown", Retry_After="7")
    with run_misbehaving(lambda _: answer) as bad, open_s3(bad.server) as store:
        with pytest.raises(SlowDownError) as caught:
            store.get("key")
        assert caught.value.retry_after_seconds == 7.0


def test_an_unchanged_object_that_is_sent_all_the_same_is_not_modified() -> None:
    answer = Answer(200, STAMPED, BODY)
    with run_misbehaving(lambda _: answer) as bad, open_s3(bad.server) as store:
        assert store.get("key").body == BODY
        with pytest.raises(NotModifiedError):
            store.get("key", unless=ETag("e1"))


def _partial(content_range: str, body: bytes, **more: object) -> Answer:
    headers = {**STAMPED, "Content-Range": content_range}
    return Answer(206, headers, body, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(200, STAMPED, BODY), UnavailableError),
        (Answer(206, STAMPED, BODY[2:6]), UnavailableError),
        (_partial("bytes 0-3/10", BODY[0:4]), UnavailableError),
        (_partial("bytes 2-6/10", BODY[2:7]), UnavailableError),
        (_partial("bytes 2-5/10", BODY[2:9]), UnavailableError),
        (_partial("bytes 2-5/10", BODY[2:4], announced_bytes=4, hang_up=True), UnavailableError),
        (_partial("bytes 2-4/5", BODY[2:5]), UsageError),
        (refusal(416, "InvalidRange"), UsageError),
        (refusal(412, "PreconditionFailed"), PreconditionFailedError),
        (Answer(206, {**STAMPED, "ETag": '"e2"', "Content-Range": "bytes 2-5/10"}, BODY[2:6]), PreconditionFailedError),
    ],
)
def test_a_range_that_is_not_the_one_asked_for_is_an_error(answer: Answer, error: type[BucketryError]) -> None:
    def read(store: S3Store) -> None:
        buffer = memoryview(bytearray(4))
        with store.open_range("key", 2, 6, etag=ETag("e1")) as stream:
            filled = 0
            for _ in range(4):
                filled += stream.readinto(buffer[filled:])

    def reply(asked: Asked) -> Answer:
        return refusal(404, "NoSuchKey") if asked.method == "HEAD" else answer

    with run_misbehaving(reply) as bad, open_s3(bad.server) as store, pytest.raises(error) as caught:
        read(store)
    assert type(caught.value) is error


def test_the_right_range_is_read() -> None:
    with run_misbehaving(lambda _: _partial("bytes 2-5/10", BODY[2:6])) as bad, open_s3(bad.server) as store:
        buffer = bytearray(9)
        with store.open_range("key", 2, 6, etag=ETag("e1")) as stream:
            assert stream.readinto(memoryview(buffer)) == 4
            assert stream.readinto(memoryview(buffer)) == 0
        assert bytes(buffer[:4]) == BODY[2:6]
        (asked,) = bad.asked
        assert (asked.headers["range"], asked.headers["if-match"]) == ("bytes=2-5", '"e1"')


def test_a_store_that_wants_bare_etags_is_found_out_once() -> None:
    def reply(asked: Asked) -> Answer:
        if asked.method == "HEAD" or asked.headers.get("if-match") == "e1":
            return Answer(200, STAMPED)
        return refusal(412, "PreconditionFailed")

    with run_misbehaving(reply) as bad, open_s3(bad.server) as store:
        store.put("key", b"1", IfMatch(ETag("e1")))
        assert [asked.headers.get("if-match") for asked in bad.asked] == ['"e1"', None, "e1"]
        store.put("key", b"1", IfMatch(ETag("e1")))
        assert len(bad.asked) == 4
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"1", IfMatch(ETag("stale")))
        assert len(bad.asked) == 5


def test_a_stale_write_to_a_store_with_quoted_etags_is_not_sent_again() -> None:
    def reply(asked: Asked) -> Answer:
        return Answer(200, STAMPED) if asked.method == "HEAD" else refusal(412, "PreconditionFailed")

    with run_misbehaving(reply) as bad, open_s3(bad.server) as store:
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"1", IfMatch(ETag("stale")))
        assert [asked.method for asked in bad.asked] == ["PUT", "HEAD"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_to_another_host_is_followed(status: int) -> None:
    with run_misbehaving(lambda _: Answer(200, STAMPED, BODY)) as other:
        elsewhere = refusal(status, "TemporaryRedirect", Location=f"{other.server.endpoint_url}/registry/key")
        with run_misbehaving(lambda _: elsewhere) as bad, open_s3(bad.server) as store:
            with pytest.raises(UsageError):
                store.get("key")
            assert other.asked == []


@pytest.mark.parametrize(
    ("condition", "expected"),
    [(IfAbsent(), ("*", None)), (IfMatch(ETag("e1")), (None, '"e1"')), (Unconditional(), (None, None))],
)
def test_what_a_write_says_in_its_headers(
    condition: Condition, expected: tuple[str | None, str | None], way: Way
) -> None:
    with run_misbehaving(lambda _: Answer(200, STAMPED)) as bad, open_s3(bad.server, "team/reg") as store:
        way(store)
        store.put("heads/a.json", b"{}", condition)
        (asked,) = bad.asked
    assert asked.path == "/registry/team/reg/heads/a.json"
    assert asked.body == b"{}"
    assert (asked.headers.get("if-none-match"), asked.headers.get("if-match")) == expected
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["cache-control"] == "no-cache"
    assert asked.headers["x-amz-checksum-crc32"]
    assert len(asked.headers["x-amz-content-sha256"]) == 64
    assert "x-amz-server-side-encryption" not in asked.headers
    assert "x-amz-request-payer" not in asked.headers


def test_encryption_and_payment_are_asked_for_where_the_settings_say_so() -> None:
    with run_misbehaving(lambda _: Answer(200, STAMPED)) as bad:
        settings = S3Settings(
            endpoint_url=bad.server.endpoint_url, kms_key_id="key-1", requester_pays=True, region="eu-west-1"
        )
        with open_s3(bad.server, settings=settings) as store:
            store.put("a", b"1", IfAbsent())
            store.put_blob("b", memoryview(b"2"))
            store.get("a")
        put, blob, get = (asked.headers for asked in bad.asked)
    for headers in (put, blob):
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
    assert "x-amz-server-side-encryption" not in get
    assert {headers["x-amz-request-payer"] for headers in (put, blob, get)} == {"requester"}
    assert "/eu-west-1/s3/" in put["authorization"]


def test_a_server_that_is_not_there_is_unavailable() -> None:
    (port,) = find_free_ports(1)
    nobody = S3Server(f"http://127.0.0.1:{port}", "registry", "AKIASOMEBODY00000000", "secret")
    with open_s3(nobody) as store, pytest.raises(UnavailableError, match="Connection refused"):
        store.get("key")


def test_a_server_that_does_not_answer_in_time_is_unavailable() -> None:
    release = threading.Event()

    def reply(_: Asked) -> Answer:
        release.wait(10)
        return Answer(200, STAMPED)

    with run_misbehaving(reply) as bad:
        settings = S3Settings(endpoint_url=bad.server.endpoint_url, read_timeout_seconds=0.2)
        with open_s3(bad.server, settings=settings) as store, pytest.raises(UnavailableError, match="no byte came"):
            store.put("key", b"1", IfAbsent())
        release.set()
        assert len(bad.asked) == 1


def test_no_credentials_is_a_clear_denial() -> None:
    with credentials(None, None):
        store = S3Store("registry", "", S3Settings(endpoint_url="http://127.0.0.1:9"))
        with pytest.raises(DeniedError, match="no usable AWS credentials") as caught:
            store.get("key")
        assert "AWS_PROFILE" in caught.value.advice
        store.close()


def test_an_unknown_profile_is_a_mistake_of_the_caller() -> None:
    with credentials("a", "b"), pytest.raises(UsageError, match="no AWS profile 'no-such-profile'"):
        S3Store("registry", "", S3Settings(profile="no-such-profile"))


@pytest.mark.parametrize(
    "url",
    ["http://storage.example.com", "http://10.0.0.1:9000", "ftp://example.com", "example.com", "https://",
     "https://example.com:99999", "https://example.com:x"],
)  # fmt: skip
def test_an_endpoint_that_is_not_private_is_refused(url: str) -> None:
    with credentials("a", "b"), pytest.raises(UsageError):
        S3Store("registry", "", S3Settings(endpoint_url=url))


@pytest.mark.parametrize("tail", ["?x=1", "?", "/?region=x", "#x", "/a#", "/../x", "/a/./b", "/%2e%2e/x", "/.."])
def test_an_endpoint_with_a_query_or_dots_is_refused(tail: str) -> None:
    with credentials("a", "b"), pytest.raises(UsageError, match="endpoint has a"):
        S3Store("registry", "", S3Settings(endpoint_url=f"https://storage.example.com{tail}"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost", "http://[::1]:80", "https://example.com"])
def test_an_endpoint_that_is_private_is_accepted(url: str) -> None:
    check_endpoint(url, allow_http=False)


def test_http_can_be_allowed() -> None:
    check_endpoint("http://storage.example.com", allow_http=True)


def test_credentials_in_an_endpoint_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        check_endpoint("https://user:hidden-word@example.com", allow_http=True)
    assert "hidden-word" not in f"{caught.value} {caught.value.advice}"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://storage.example.com", "not encrypted"),
        ("https://user:hidden-word@example.com", "contains credentials"),
        ("hidden-word", "not a URL"),
    ],
)
def test_an_endpoint_of_the_environment_is_checked_too(url: str, words: str) -> None:
    with credentials("a", "b"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(UsageError, match=words) as caught:
            S3Store("registry")
    assert "hidden-word" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        (S3Settings(region="eu-west-1"), "https://s3.eu-west-1.amazonaws.com"),
        (S3Settings(endpoint_url="https://minio.example.com:9000/"), "https://minio.example.com:9000"),
    ],
)
def test_the_endpoint_names_the_server_and_not_the_bucket(settings: S3Settings, endpoint: str) -> None:
    with credentials("a", "b"):
        store = S3Store("registry", "/team/reg/", settings)
    assert store.endpoint == endpoint
    assert store.name == "s3://registry/team/reg"
    store.close()


def test_no_secret_reaches_a_log_or_an_error(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([Answer(200, STAMPED), Answer(200, STAMPED, BODY), *[refusal(403, "SignatureDoesNotMatch")] * 2])
    secret, token = "the-secret-key-itself", "the-session-token-itself"
    with run_misbehaving(lambda _: next(answers)) as bad, credentials("AKIASOMEBODY00000000", secret, token):
        store = S3Store("registry", "", S3Settings(endpoint_url=bad.server.endpoint_url))
        # As a program does that wants to see everything.
        caplog.set_level(logging.DEBUG)
        for name in ("botocore", "botocore.auth", "botocore.endpoint", "boto3", "urllib3"):
            caplog.set_level(logging.DEBUG, logger=name)
        errors = _provoke(
            lambda: store.put("key", b"1", IfAbsent()),
            lambda: store.get("key"),
            lambda: store.get("key"),
            lambda: store.put("key", b"1", IfAbsent()),
        )
        store.close()
        signature = bad.asked[0].headers["authorization"].rpartition("Signature=")[2]
        assert bad.asked[0].headers["x-amz-security-token"] == token
    assert len(errors) == 2
    shown = caplog.text + "".join(errors)
    for word in (secret, token, signature):
        assert word
        assert word not in shown


def _provoke(*calls: Callable[[], object]) -> list[str]:
    """Return everything that the errors of these calls say, causes included."""
    said = []
    for call in calls:
        try:
            call()
        except BucketryError as error:
            said.append("".join(traceback.format_exception(error)) + error.advice)
    return said


def test_only_who_needs_the_sdk_loads_it() -> None:
    program = (
        "import sys, bucketry.store.contract, bucketry.store.folder.store, bucketry.store.memory, "
        "bucketry.store.retry, bucketry.store.probe.probe, bucketry.store.s3.store\n"
        "from bucketry.store.s3.settings import S3Settings\n"
        "assert not {'boto3', 'botocore', 'urllib3'} & set(sys.modules)\n"
        "bucketry.store.s3.store.S3Store('registry', '', S3Settings(endpoint_url='https://storage.example')).close()\n"
        "assert 'botocore' in sys.modules\n"
        "assert 'boto3' not in sys.modules\n"
    )
    paths = os.pathsep.join(sys.path)
    with credentials(None, None):
        environment = {**os.environ, "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)
