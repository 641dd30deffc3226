"""Does a range that is asked for ahead come as surely as one that is waited for, whatever the server replies?"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import BucketryError
from bucketry.store.contract import ObjectNotFoundError, SlowDownError
from servers.misbehaving import refusal
from servers.scripted import Step, reply, run_scripted
from store.s3_wires import BODY, opened, range_reply, raw_reply

if TYPE_CHECKING:
    from bucketry.store.s3.store import S3Store
    from servers.misbehaving import Asked


def read_ahead(store: S3Store, key: str = "key") -> bytes:
    asked = store.begin_range(key, 2, 6)
    assert asked is not None
    buffer = memoryview(bytearray(5))
    filled = 0
    with closing(asked), asked.opened() as stream:
        for _ in range(5):
            count = stream.readinto(buffer[filled:])
            if count == 0:
                break
            filled += count
    return bytes(buffer[:filled])


def test_it_is_one_signed_request_over_a_connection_that_is_kept() -> None:
    with run_scripted(lambda _: [range_reply(Server="Somebody")]) as server, opened(server, "team/reg") as store:
        assert read_ahead(store, "a b/ä") == read_ahead(store) == BODY[2:6]
        assert server.accepted == 1
        assert [asked.path for asked in server.asked] == [
            "/registry/team/reg/a%20b/%C3%A4",
            "/registry/team/reg/key",
        ]
        for asked in server.asked:
            assert asked.headers["range"] == "bytes=2-5"
            assert "host;range;x-amz-content-sha256;x-amz-date" in asked.headers["authorization"]


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (reply(404, b""), ObjectNotFoundError),
        (raw_reply(refusal(503, "SlowDown")), SlowDownError),
        (reply(200, BODY, ETag='"e1"'), BucketryError),
        (range_reply(BODY[2:5], "bytes 2-4/5"), BucketryError),
        (range_reply(Content_Encoding="gzip"), BucketryError),
        (b"nothing of HTTP\r\n\r\n", BucketryError),
    ],
    ids=["gone", "slow down", "all of it", "shorter", "encoded", "no reply"],
)
def test_what_is_not_that_range_is_the_error_that_it_is(step: Step, kind: type[Exception]) -> None:
    with run_scripted(lambda _: [step]) as server, opened(server) as store, pytest.raises(kind):
        read_ahead(store)


def test_a_wrong_clock_is_corrected_and_the_range_asked_for_again() -> None:
    there = format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)

    def script(asked: Asked) -> list[Step]:
        is_right = asked.headers["x-amz-date"] > f"{datetime.now(UTC) + timedelta(hours=2):%Y%m%dT%H%M%SZ}"
        refused = raw_reply(refusal(403, "RequestTimeTooSkewed"), Date=there)
        return [range_reply() if is_right else refused]

    with run_scripted(script) as server, opened(server) as store:
        assert read_ahead(store) == BODY[2:6]
        assert len(server.asked) == 2
        assert read_ahead(store) == BODY[2:6]
        assert len(server.asked) == 3


def test_a_bucket_in_another_region_is_read_there() -> None:
    def script(asked: Asked) -> list[Step]:
        if "/eu-central-1/s3/" in asked.headers["authorization"]:
            return [range_reply()]
        return [raw_reply(refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-central-1"))]

    with run_scripted(script) as server, opened(server) as store:
        assert read_ahead(store) == BODY[2:6]
        asked_first = len(server.asked)
        assert read_ahead(store) == BODY[2:6]
        assert len(server.asked) == asked_first + 1
