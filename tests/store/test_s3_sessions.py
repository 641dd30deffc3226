"""Are sessions that expire and clocks that are wrong settled, on either way to the server, without asking often?"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from bucketry.errors import DeniedError
from bucketry.store.s3 import connection as s3_connection
from bucketry.store.s3.account import Account
from bucketry.store.s3.signing import SigningClock
from bucketry.store.s3.store import S3Settings, S3Store
from servers.misbehaving import refusal
from servers.scripted import Scripted, Step, reply, run_scripted
from store.s3_stores import credentials
from store.s3_wires import BODY, http_now, opened, range_reply, raw_reply, read_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.misbehaving import Asked


def _refuse_until(is_right: Callable[[Asked], bool], answer: bytes) -> Callable[[Asked], list[Step]]:
    def script(asked: Asked) -> list[Step]:
        if not is_right(asked):
            return [reply(400) if asked.method == "HEAD" else answer]
        if asked.method == "HEAD":
            head = reply(200, BODY, ETag='"e1"', Last_Modified=http_now())
            return [head[: -len(BODY)]]
        return [range_reply() if asked.method == "GET" else reply(200, ETag='"p1"')]

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
        lambda asked: asked.headers["x-amz-security-token"] == "new-token", raw_reply(refusal(403, "ExpiredToken"))
    )
    calls: list[Callable[[S3Store], object]] = [
        read_range,
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
            return [range_reply()]
        all_were_refused.wait(10)
        return [raw_reply(refusal(400, "ExpiredToken"))]

    with run_scripted(script) as server, _outliving_its_session(server) as store:
        # How often a session is made is what counts.
        connect = mock.Mock(wraps=Account)
        monkeypatch.setattr(s3_connection, "Account", connect)
        with ThreadPoolExecutor(threads_count) as pool:
            found = list(pool.map(lambda _: read_range(store), range(threads_count)))
    assert found == [BODY[2:6]] * threads_count
    assert connect.call_count == 1


def test_an_expired_session_without_a_newer_one_is_denied_after_one_request() -> None:
    with run_scripted(lambda _: [raw_reply(refusal(403, "ExpiredToken"))]) as server, opened(server) as store:
        with pytest.raises(DeniedError, match="session has expired"):
            read_range(store)
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
        return _refuse_until(is_right, raw_reply(refusal(403, "RequestTimeTooSkewed"), Date=date))(asked)

    calls: list[Callable[[S3Store], object]] = [read_range, lambda store: store.stat("key")]
    for first, second in (calls, calls[::-1]):
        with run_scripted(script) as server, opened(server) as store:
            first(store)
            assert len(server.asked) == 2
            second(store)
            assert len(server.asked) == 3


def test_a_server_that_blames_a_clock_that_is_right_is_not_asked_again() -> None:
    with run_scripted(lambda _: [raw_reply(refusal(403, "RequestTimeTooSkewed"))]) as server, opened(server) as store:
        with pytest.raises(DeniedError, match="clock is wrong"):
            read_range(store)
        assert len(server.asked) == 1


def test_a_clock_is_corrected_only_by_a_date_that_is_far_away() -> None:
    clock = SigningClock(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for date in ("", "nonsense", "Thu, 01 Jan 2026 00:04:00 GMT"):
        assert not clock.correct(date)
    assert not clock.is_corrected
    assert clock.correct("Thu, 01 Jan 2026 01:00:00 GMT")
    assert clock.now() == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert not clock.correct("Thu, 01 Jan 2026 01:00:00 GMT")


def test_no_credentials_is_a_clear_denial() -> None:
    with credentials(None, None):
        store = S3Store("registry", "", S3Settings(endpoint_url="http://127.0.0.1:9"))
        with pytest.raises(DeniedError, match="no usable AWS credentials"):
            read_range(store)
        store.close()
