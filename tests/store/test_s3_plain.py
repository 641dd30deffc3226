"""Are requests sent where and how the SDK would send them, also where its client was never made to ask it?"""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import botocore
import pytest
from botocore.session import Session

from bucketry.errors import CorruptError, UnavailableError
from bucketry.store.contract import IfAbsent, Part, Unconditional
from bucketry.store.s3 import store as s3
from bucketry.store.s3.account import Account
from bucketry.store.s3.sdk.account import find_plain_by_session
from bucketry.store.s3.signing import SigningClock
from bucketry.store.s3.store import S3Settings, S3Store
from bucketry.store.s3.wire import WireTransport
from servers.misbehaving import Answer, Asked, run_misbehaving
from servers.scripted import reply, run_scripted
from store.s3_stores import credentials, open_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.store.s3.target import Target
    from servers.scripted import Step

WHEN = "Sun, 22 Nov 2026 10:00:00 GMT"
URL = "https://storage.example.com"
REGIONS = (
    "us-east-1",
    "eu-west-1",
    "us-west-2",
    "us-east-2",
    "ap-southeast-7",
    "ca-central-1",
    "sa-east-1",
    "me-south-1",
    "il-central-1",
)
OTHER_REGIONS = ("us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1", "nowhere")
KEYS = "aws_access_key_id = a\naws_secret_access_key = b"
SERVICES = f"[profile o]\nservices = s\n[services s]\ns3 =\n  endpoint_url = {URL}"
OTHER = f"region = a\n[profile other]\nendpoint_url = {URL}\nregion = b\n{KEYS}"
NOT_THIS_URL = {"AWS_ENDPOINT_URL": URL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
# Each is what a configuration may say, and whether it is plain: then the client is not made.
CONFIGURATIONS: list[tuple[str, S3Settings, dict[str, str], str, bool]] = [
    ("reg", S3Settings(endpoint_url=URL), {}, "", True),
    ("reg", S3Settings(endpoint_url=f"{URL}/"), {}, "", True),
    ("reg", S3Settings(endpoint_url=f"{URL}:443"), {}, "", True),
    ("reg", S3Settings(endpoint_url=f"{URL}:8443", region="eu-west-1"), {}, "", True),
    ("reg", S3Settings(endpoint_url="http://127.0.0.1:9000", region="garage"), {}, "", True),
    ("reg", S3Settings(endpoint_url="http://localhost:80", region="auto"), {}, "", True),
    ("reg", S3Settings(endpoint_url=URL, requester_pays=True), {}, "", True),
    ("reg", S3Settings(endpoint_url=URL, addressing="path"), {}, "", True),
    ("a.b-c.d", S3Settings(endpoint_url=URL), {}, "", True),
    ("reg", S3Settings(), {"AWS_ENDPOINT_URL": URL}, "", True),
    ("reg", S3Settings(), {"AWS_ENDPOINT_URL": "https://other", "AWS_ENDPOINT_URL_S3": URL}, "", True),
    ("reg", S3Settings(), {"AWS_ENDPOINT_URL_S3": URL, "AWS_DEFAULT_REGION": "eu-west-1"}, "", True),
    ("reg", S3Settings(), {}, f"endpoint_url = {URL}\nregion = eu-north-1", True),
    ("reg", S3Settings(profile="other"), {}, OTHER, True),
    ("reg", S3Settings(), {"AWS_PROFILE": "o"}, SERVICES, True),
    ("reg", S3Settings(endpoint_url=URL, addressing="virtual"), {}, "", False),
    ("reg", S3Settings(endpoint_url=f"{URL}/below"), {}, "", False),
    ("reg", S3Settings(endpoint_url="https://[::1]:9000"), {}, "", False),
    ("reg", S3Settings(endpoint_url="https://Storage.Example.com"), {}, "", False),
    ("Reg_ister", S3Settings(endpoint_url=URL), {}, "", False),
    *[("reg", S3Settings(region=region), {}, "", True) for region in REGIONS],
    ("reg", S3Settings(), {"AWS_DEFAULT_REGION": "ap-southeast-2"}, "", True),
    ("reg", S3Settings(region="eu-west-1", addressing="virtual", requester_pays=True), {}, "", True),
    *[("reg", S3Settings(region=region), {}, "", False) for region in OTHER_REGIONS],
    ("reg", S3Settings(), {}, "", False),
    ("re.g", S3Settings(region="eu-west-1"), {}, "", False),
    ("reg", S3Settings(region="eu-west-1", addressing="path"), {}, "", False),
    ("reg", S3Settings(region="eu-west-1"), {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}, "", False),
    ("reg", S3Settings(region="eu-west-1"), {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "", False),
    ("reg", S3Settings(region="eu-west-1"), {"AWS_USE_FIPS_ENDPOINT": "true"}, "", False),
    ("reg", S3Settings(region="eu-west-1"), {}, "s3 =\n  use_accelerate_endpoint = true", False),
    ("reg", S3Settings(endpoint_url="https://s3.eu-west-1.amazonaws.com", region="eu-west-1"), {}, "", False),
    ("reg", S3Settings(region="eu-west-1"), NOT_THIS_URL, "", True),
    ("reg", S3Settings(endpoint_url=URL), {}, "s3 =\n  addressing_style = virtual", False),
    ("reg", S3Settings(endpoint_url=URL), {}, "s3 =\n  signature_version = s3", False),
    ("reg", S3Settings(endpoint_url=URL), {"AWS_S3_USE_ARN_REGION": "true"}, "", False),
    ("reg", S3Settings(endpoint_url=URL), {"AWS_SIGV4A_SIGNING_REGION_SET": "*"}, "", False),
    ("reg", S3Settings(endpoint_url=URL), {"AWS_DEFAULTS_MODE": "standard"}, "", False),
    ("reg", S3Settings(endpoint_url=URL), {"AWS_SDK_UA_APP_ID": "mine"}, "", False),
    ("reg", S3Settings(endpoint_url=URL, region="aws-global"), {}, "", False),
]  # fmt: skip


@pytest.mark.parametrize(("bucket", "settings", "variables", "profile", "is_plain"), CONFIGURATIONS)
def test_the_target_is_the_one_that_the_client_of_the_sdk_would_choose(
    tmp_path: Path, bucket: str, settings: S3Settings, variables: dict[str, str], profile: str, *, is_plain: bool
) -> None:
    config = tmp_path / "config"
    if profile:
        config.write_text(f"[default]\n{profile}\n")
    common = {"Bucket": bucket, **({"RequestPayer": "requester"} if settings.requester_pays else {})}
    named = {"AWS_CONFIG_FILE": str(config), **variables}
    with (
        credentials("a", "b"),
        mock.patch.dict(os.environ, named),
        closing(Account(bucket, settings, SigningClock())) as account,
    ):
        assert account.has_client is not is_plain
        said_elsewhere = profile or settings.profile or "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" in variables
        assert account.has_sdk is (not is_plain or bool(said_elsewhere))
        ours, theirs = (account.find_target(common, ask_client=ask_client) for ask_client in (False, True))
        assert _comparable(ours) == _comparable(theirs)
        assert account.endpoint == account.client.meta.endpoint_url.rstrip("/")


def test_an_ordinary_region_is_one_of_amazon_s_main_partition() -> None:
    partitions = json.loads((Path(botocore.__file__).parent / "data" / "endpoints.json").read_text())["partitions"]
    settings = {name["partition"]: [S3Settings(region=region) for region in name["regions"]] for name in partitions}
    assert len(settings["aws"]) > 30
    with credentials("a", "b"):
        session = Session()
        for partition, asked in settings.items():
            for each in asked:
                session.set_config_variable("region", each.region)
                assert (find_plain_by_session(session, "reg", each) is None) is (partition != "aws"), each.region


def _comparable(target: Target | None) -> object:
    if target is None:
        return None
    headers = {name: value for name, value in target.headers.items() if name != "User-Agent"}
    origin = target.origin
    return target.base_url, target.host, target.scope, origin.host, origin.port, origin.tls is None, headers


@pytest.mark.parametrize("bucket", ["models--use1-az4--x-s3", "models--ol-s3", "alias-s3alias", "a..b", "arn:aws:s3:x"])
def test_a_bucket_of_a_special_kind_is_left_to_the_client(bucket: str) -> None:
    with credentials("a", "b"), closing(Account(bucket, S3Settings(endpoint_url=URL), SigningClock())) as account:
        assert account.has_client


def test_through_a_proxy_the_sdk_makes_every_request() -> None:
    answer = Answer(200, {"ETag": '"e1"', "Last-Modified": WHEN}, b"body")
    with run_misbehaving(lambda _: answer) as proxy, credentials("a", "b"):
        quiet = dict.fromkeys(("no_proxy", "NO_PROXY"), "")
        with mock.patch.dict(os.environ, {"http_proxy": proxy.server.endpoint_url, **quiet}):
            settings = S3Settings(endpoint_url="http://storage.example:9000", allow_http=True)
            with closing(S3Store("registry", "", settings)) as store:
                assert store.get("key").body == b"body"
        assert [asked.path for asked in proxy.asked] == ["http://storage.example:9000/registry/key"]


def test_no_client_is_made_for_what_a_registry_does_every_day() -> None:
    stamped = {"ETag": '"e1"', "Last-Modified": WHEN}

    def answer(asked: Asked) -> Answer:
        if asked.method == "POST" or asked.path.startswith("/registry?"):
            return Answer(200, stamped, b"<Result><UploadId>u</UploadId></Result>")
        if "partNumber" in asked.path:
            return Answer(200, stamped, b"<CopyPartResult><ETag>&quot;p1&quot;</ETag></CopyPartResult>")
        return Answer(200, stamped, b"body")

    with run_misbehaving(answer) as bad, open_s3(bad.server) as store:
        store.get("key")
        store.stat("key")
        store.put("key", b"1", IfAbsent())
        store.delete("key")
        list(store.list(""))
        upload = store.start_upload("key")
        assert store.copy_part("key", upload, 1, 0, "a source/\u00e9", 2, 5).etag == "p1"
        store.complete_upload("key", upload, [Part(1, "e1", 1)])
        store.abort_upload("key", upload)
        list(store.list_uploads(""))
        assert not store._connection.account.has_client  # noqa: SLF001 - nothing else shows what it cost
    assert len(bad.asked) == 10
    (copied,) = [asked for asked in bad.asked if "partNumber" in asked.path]
    assert copied.headers["x-amz-copy-source"] == "registry/a%20source/%C3%A9"
    assert copied.headers["x-amz-copy-source-range"] == "bytes=2-4"


@pytest.mark.parametrize("key", ["plain", "a b/\u00e9+~", "100%?", "?versionId=1"])
def test_where_a_copy_comes_from_is_spelled_as_the_sdk_does(key: str) -> None:
    def send(store: S3Store) -> str:
        asked_before = len(bad.asked)
        store.copy_part("key", "u", 1, 0, key, 0, 1)
        (asked,) = bad.asked[asked_before:]
        return asked.headers["x-amz-copy-source"]

    answer = Answer(200, {"ETag": '"e1"'}, b"<CopyPartResult><ETag>p1</ETag></CopyPartResult>")
    with run_misbehaving(lambda _: answer) as bad, open_s3(bad.server) as store:
        ours = send(store)
        with mock.patch.object(WireTransport, "ask", return_value=None):
            assert send(store) == ours
        assert store._connection.account.has_client  # noqa: SLF001 - else both were ours


@pytest.mark.parametrize(
    "listing",
    ["<a>", "", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a><Contents><Key>k</Key></Contents></a>",
     "<a><Contents><Key>k</Key><Size>-1</Size><LastModified>2026-11-22T10:00:00Z</LastModified></Contents></a>",
     "<a><Contents><Key>k</Key><Size>1</Size><LastModified>now</LastModified></Contents></a>"],
)  # fmt: skip
def test_a_listing_that_cannot_be_read_is_an_error(listing: str) -> None:
    with run_misbehaving(lambda _: Answer(200, {}, listing.encode())) as bad, open_s3(bad.server) as store:
        with pytest.raises(UnavailableError, match="reply is not what was asked for"):
            list(store.list(""))
        assert len(bad.asked) == 1


def test_what_follows_a_question_about_an_object_is_not_its_body() -> None:
    head = reply(200, b"12345", ETag='"e1"', Last_Modified=WHEN)
    with (
        run_scripted(lambda asked: [head[:-5] if asked.method == "HEAD" else head]) as server,
        open_s3(server.server) as store,
    ):
        assert store.stat("key").size_bytes == 5
        assert store.get("key").body == b"12345"
        assert store.stat("key").etag == "e1"
        assert server.accepted == 1


def _unmarked(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b'ETag: "e1"', f"Last-Modified: {WHEN}".encode(), *headers, b"", b""]
    return b"\r\n".join(lines) + body


def test_a_document_may_come_in_chunks() -> None:
    chunked = _unmarked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"Transfer-Encoding: chunked")
    with run_scripted(lambda _: [chunked]) as server, open_s3(server.server) as store:
        assert store.get("key").body == store.get("key").body == b"abcde"
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("came", "words"),
    [
        (_unmarked(b"abc"), "does not say where it ends"),
        (_unmarked(b"3\r\nabc\r\n", b"Transfer-Encoding: chunked"), "chunks that do not end"),
        (_unmarked(b"ab", b"Content-Length: 3"), "2 of 3 bytes"),
        (_unmarked(b"abc", b"Content-Length: 3").replace(b"Last-Modified", b"X-Modified"), "time of its last change"),
    ],
    ids=["no end", "half of the chunks", "short", "no time"],
)
def test_a_document_that_does_not_come_whole_is_an_error(came: bytes, words: str) -> None:
    with run_scripted(lambda _: [came, "hang up"]) as server, open_s3(server.server) as store:
        with pytest.raises(UnavailableError, match=words):
            store.get("key")
        assert len(server.asked) == 1


def test_a_document_in_chunks_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "SMALL_OBJECT_BYTES", 4)
    chunked = _unmarked(b"3\r\nabc\r\n3\r\nabc\r\n", b"Transfer-Encoding: chunked")
    with (
        run_scripted(lambda _: [chunked, 5.0]) as server,
        open_s3(server.server) as store,
        pytest.raises(CorruptError, match="larger than"),
    ):
        store.get("key")


def test_a_store_that_was_closed_asks_nobody() -> None:
    with run_misbehaving(lambda _: Answer(200, {"ETag": '"e1"'})) as bad, open_s3(bad.server) as store:
        store.close()
        with pytest.raises(UnavailableError, match="ConnectionAbortedError"):
            store.put("key", b"1", IfAbsent())
        assert bad.asked == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_write_is_not_repeated_over_a_connection_that_was_kept(status: int) -> None:
    answers: Iterator[list[Step]] = iter([[reply(200, ETag='"e1"')], ["hang up"], [reply(status)]])
    with run_scripted(lambda _: next(answers)) as server, open_s3(server.server) as store:
        store.put("key", b"1", IfAbsent())
        with pytest.raises(UnavailableError):
            store.put("key", b"2", Unconditional())
        with pytest.raises(UnavailableError):
            store.start_upload("key")
        assert [asked.body for asked in server.asked] == [b"1", b"2", b""]
