"""Does a connection of ours read HTTP/1.1 to where a reply ends, and refuse what might end elsewhere?"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.store.http import client as http1
from bucketry.store.http.client import Pool
from bucketry.store.http.connection import Origin, SocketTimeouts, StaleConnectionError
from bucketry.store.http.head import LARGEST_HEAD_BYTES, LARGEST_USUAL_HEADER, MalformedReplyError, parse_head
from servers.scripted import Scripted, Step, reply, run_scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.misbehaving import Asked

REQUEST = b"GET /key HTTP/1.1\r\nHost: x\r\n\r\n"


def _pool(server: Scripted, *, stall_seconds: float = 5.0, most_idle: int = 4) -> Pool:
    port = int(server.server.endpoint_url.rpartition(":")[2])
    return Pool(Origin("127.0.0.1", port, None), SocketTimeouts(5.0, stall_seconds), most_idle=most_idle)


def _read(pool: Pool, *, may_repeat: bool = True) -> bytes:
    answer = pool.ask(REQUEST, may_repeat=may_repeat)
    try:
        buffer = memoryview(bytearray((answer.length_bytes or 0) + 1))
        filled = 0
        for _ in range(len(buffer)):
            count = answer.readinto(buffer[filled:])
            filled += count
            if count == 0:
                break
        return bytes(buffer[:filled])
    finally:
        answer.close()


def _in_turn(*scripts: list[Step]) -> Callable[[Asked], list[Step]]:
    left = iter(scripts)
    return lambda _: next(left)


def test_a_head_says_status_headers_and_length() -> None:
    head = parse_head(b'HTTP/1.1 206 Partial Content\r\nETag: "e1"\r\ncontent-LENGTH:  7 \r\nX: 1\r\nx: 2')
    assert (head.status, head.length_bytes, head.is_chunked, head.keeps_connection) == (206, 7, False, True)
    assert head.headers == {"etag": '"e1"', "content-length": "7", "x": "1, 2"}


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.1 999 No",
        b"HTTP/1.1 2000 No",
        b"ICY 200 OK",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded: 2",
        b"HTTP/1.1 200 OK\r\nA : 1",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\nA: 1\nB: 2",
        b"HTTP/1.1 200 OK\r\nA: \x00",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"HTTP/1.1 200 OK\r\nETag: a\r\nETag: b",
        b"HTTP/1.1 200 OK\r\nContent-Range: bytes 0-1/2\r\nContent-Range: bytes 0-1/3",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        parse_head(text)


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", True),
        (b"HTTP/1.1 204 No Content", True),
        (b"HTTP/1.1 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive, Close", False),
    ],
)
def test_a_connection_is_kept_only_if_the_reply_ends_by_itself(text: bytes, *, keeps: bool) -> None:
    assert parse_head(text).keeps_connection is keeps


def test_one_connection_serves_one_request_after_the_other() -> None:
    with run_scripted(lambda _: [reply(body=b"0123456789")]) as server:
        pool = _pool(server)
        assert [_read(pool) for _ in range(5)] == [b"0123456789"] * 5
        assert server.accepted == 1
        pool.close()


def test_a_head_that_comes_byte_by_byte_is_read() -> None:
    whole = reply(body=b"0123456789", ETag='"e"')
    with run_scripted(lambda _: [whole[index : index + 1] for index in range(len(whole))]) as server:
        pool = _pool(server)
        assert _read(pool) == b"0123456789"
        pool.close()


def test_a_body_that_comes_along_with_its_head_in_one_piece_is_read() -> None:
    # The connection's own memory is full at once then, with the end of the head in it.
    body = bytes(range(256)) * 1024
    with run_scripted(lambda _: [reply(body=body), 0.05]) as server:
        pool = _pool(server)
        for _ in range(3):
            assert _read(pool) == body
        pool.close()


def test_interim_replies_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with run_scripted(lambda _: [interim + reply(body=b"1")]) as server:
        pool = _pool(server)
        assert _read(pool) == b"1"
        pool.close()


@pytest.mark.parametrize(
    "steps",
    [
        [b"HTTP/1.1 200 OK\r\nX: " + b"x" * LARGEST_HEAD_BYTES, "hang up"],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "hang up"],
        [b"HTTP/1.1 200 OK\r\nContent-Le", "hang up"],
        [b"\x16\x03\x01 not http at all\r\n\r\n", "hang up"],
    ],
    ids=["endless head", "endless interim replies", "half a head", "no HTTP"],
)
def test_what_is_no_reply_is_refused(steps: list[Step]) -> None:
    with run_scripted(lambda _: steps) as server:
        pool = _pool(server)
        with pytest.raises(MalformedReplyError):
            _read(pool)
        pool.close()


@pytest.mark.parametrize("end", ["hang up", "reset"])
def test_a_kept_connection_that_proves_closed_is_replaced_once(end: Step) -> None:
    script = _in_turn([reply(body=b"1")], [end], [reply(body=b"2")])
    with run_scripted(script) as server:
        pool = _pool(server)
        assert [_read(pool), _read(pool)] == [b"1", b"2"]
        assert server.connections == [0, 0, 1]
        pool.close()


def test_a_request_that_must_not_be_repeated_is_not() -> None:
    with run_scripted(_in_turn([reply(body=b"1")], ["hang up"], [reply(body=b"2")])) as server:
        pool = _pool(server)
        _read(pool)
        with pytest.raises(StaleConnectionError):
            _read(pool, may_repeat=False)
        assert server.connections == [0, 0]
        pool.close()


def test_a_new_connection_that_is_closed_at_once_is_not_replaced() -> None:
    with run_scripted(lambda _: ["hang up"]) as server:
        pool = _pool(server)
        with pytest.raises(ConnectionResetError):
            _read(pool)
        assert server.accepted == 1
        pool.close()


def test_a_reply_that_had_begun_is_not_asked_for_again() -> None:
    with run_scripted(_in_turn([reply(body=b"1")], [b"HTTP/1.1 200", "hang up"], [reply(body=b"2")])) as server:
        pool = _pool(server)
        _read(pool)
        with pytest.raises(MalformedReplyError):
            _read(pool)
        assert server.accepted == 1
        pool.close()


def test_a_connection_on_which_a_second_reply_came_along_is_not_used_again() -> None:
    with run_scripted(_in_turn([reply(body=b"1") + reply(body=b"smuggled")], [reply(body=b"2")])) as server:
        pool = _pool(server)
        assert [_read(pool), _read(pool)] == [b"1", b"2"]
        assert server.connections == [0, 1]
        pool.close()


def test_a_connection_on_which_something_else_came_is_not_used_again() -> None:
    with run_scripted(_in_turn([reply(body=b"1"), reply(body=b"smuggled")], [reply(body=b"2")])) as server:
        pool = _pool(server)
        assert _read(pool) == b"1"
        time.sleep(0.1)
        assert _read(pool) == b"2"
        assert server.connections == [0, 1]
        pool.close()


def test_a_connection_with_an_unread_body_is_not_used_again() -> None:
    with run_scripted(lambda _: [reply(body=b"0123456789")]) as server:
        pool = _pool(server)
        pool.ask(REQUEST, may_repeat=True).close()
        assert _read(pool) == b"0123456789"
        assert server.connections == [0, 1]
        pool.close()


def test_an_old_connection_is_closed_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_scripted(lambda _: [reply(body=b"1")]) as server:
        pool = _pool(server)
        _read(pool)
        monkeypatch.setattr(http1, "IDLE_SECONDS", -1.0)
        _read(pool)
        assert server.connections == [0, 1]
        pool.close()


def test_no_more_connections_are_kept_than_allowed() -> None:
    with run_scripted(lambda _: [reply(body=b"1")]) as server:
        pool = _pool(server, most_idle=2)
        open_ones = [pool.ask(REQUEST, may_repeat=True) for _ in range(4)]
        for one in open_ones:
            assert one.read_small() == b"1"
        # The last to become idle are the ones that were kept, and the very last is taken first.
        open_ones = [pool.ask(REQUEST, may_repeat=True) for _ in range(3)]
        assert server.connections[4:] == [3, 2, 4]
        for one in open_ones:
            assert one.read_small() == b"1"
        pool.close()


def test_a_body_in_chunks_is_joined_and_the_connection_kept() -> None:
    chunked = (
        b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\n<Err\r\n3\r\nor>\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    with run_scripted(lambda _: [chunked]) as server:
        pool = _pool(server)
        for _ in range(2):
            assert pool.ask(REQUEST, may_repeat=True).read_small() == b"<Error>"
        assert server.accepted == 1
        pool.close()


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"x" * 5000, b"5\r\nab"])
def test_a_body_in_broken_chunks_is_refused(chunks: bytes) -> None:
    with run_scripted(
        lambda _: [b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, "hang up"]
    ) as server:
        pool = _pool(server)
        answer = pool.ask(REQUEST, may_repeat=True)
        with pytest.raises(MalformedReplyError):
            answer.read_small()
        answer.close()
        pool.close()


def test_a_body_without_a_length_is_read_to_its_limit() -> None:
    with run_scripted(lambda _: [b"HTTP/1.1 500 No\r\n\r\n", b"x" * 1000, "hang up"]) as server:
        pool = _pool(server)
        for limit, expected in ((10, 10), (2000, 1000)):
            answer = pool.ask(REQUEST, may_repeat=True)
            assert len(answer.read_small(limit)) == expected
            answer.close()
        pool.close()


def test_silence_ends_after_the_time_given_and_not_before() -> None:
    with run_scripted(lambda _: [reply(body=b"0123456789")[:-5], 30.0]) as server:
        pool = _pool(server, stall_seconds=1.4)
        answer = pool.ask(REQUEST, may_repeat=True)
        buffer = memoryview(bytearray(10))
        assert answer.readinto(buffer) == 5
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            answer.readinto(buffer)
        assert 1.3 < time.monotonic() - began < 4.0
        answer.close()
        pool.close()


def test_a_slow_body_is_handed_on_before_it_fills_the_buffer() -> None:
    drip: list[Step] = [step for _ in range(20) for step in (b"x", 0.1)]
    with run_scripted(lambda _: [reply(body=b"x" * 20)[:-20], *drip]) as server:
        pool = _pool(server, stall_seconds=5.0)
        answer = pool.ask(REQUEST, may_repeat=True)
        began = time.monotonic()
        assert 0 < answer.readinto(memoryview(bytearray(20))) < 20
        assert time.monotonic() - began < 1.5
        answer.close()
        pool.close()


def test_a_fast_body_fills_the_buffer_though_it_comes_in_pieces() -> None:
    pieces: list[Step] = [step for _ in range(5) for step in (b"x" * 2, 0.02)]
    with run_scripted(lambda _: [reply(body=b"x" * 10)[:-10], *pieces]) as server:
        pool = _pool(server)
        answer = pool.ask(REQUEST, may_repeat=True)
        buffer = memoryview(bytearray(10))
        # What came along with the head is handed on with what follows.
        assert answer.readinto(buffer[:8]) == 8
        assert answer.readinto(buffer) == 2
        pool.close()


def test_closing_the_pool_ends_what_others_wait_for() -> None:
    with run_scripted(lambda _: [reply(body=b"0123456789")[:-9], 30.0]) as server:
        pool = _pool(server, stall_seconds=30.0)
        answer = pool.ask(REQUEST, may_repeat=True)
        ended = threading.Event()

        def wait() -> None:
            buffer = memoryview(bytearray(10))
            while answer.readinto(buffer):
                pass
            ended.set()

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        pool.close()
        assert ended.wait(2.0)
        thread.join()
        answer.close()
        with pytest.raises(ConnectionAbortedError):
            pool.ask(REQUEST, may_repeat=True)


def test_a_refusal_in_the_middle_of_an_upload_is_heard() -> None:
    refusal = reply(503, b"later")
    with run_scripted(lambda _: [refusal, 1.0, "hang up"], is_deaf=lambda _: True) as server:
        pool = _pool(server)
        body = memoryview(bytes(64 * 1024 * 1024))
        head = b"PUT /key HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        answer = pool.ask(head, body, may_repeat=False)
        assert (answer.status, answer.read_small()) == (503, b"later")
        pool.close()


def test_a_success_before_the_upload_has_ended_is_not_believed() -> None:
    with run_scripted(lambda _: [reply(200), 1.0, "hang up"], is_deaf=lambda _: True) as server:
        pool = _pool(server)
        body = memoryview(bytes(64 * 1024 * 1024))
        head = b"PUT /key HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with pytest.raises(OSError):  # noqa: PT011 - a reset or a broken pipe, as the system likes
            pool.ask(head, body, may_repeat=False)
        pool.close()


def test_an_upload_that_nobody_takes_ends() -> None:
    with run_scripted(lambda _: [30.0], is_deaf=lambda _: True) as server:
        pool = _pool(server, stall_seconds=0.3)
        body = memoryview(bytes(64 * 1024 * 1024))
        head = b"PUT /key HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with pytest.raises(TimeoutError):
            pool.ask(head, body, may_repeat=False)
        pool.close()


@pytest.mark.parametrize("end", ["hang up", "reset"])
def test_a_warm_connection_that_proves_closed_is_replaced_for_a_request_that_was_begun(end: Step) -> None:
    script = _in_turn([reply(body=b"1")], [end], [reply(body=b"2")])
    with run_scripted(script) as server:
        pool = _pool(server)
        assert _read(pool) == b"1"
        assert pool.begin(REQUEST).reply().read_small() == b"2"
        assert server.connections == [0, 0, 1]
        pool.close()


def test_a_connection_on_which_something_else_came_is_not_used_for_a_request_that_is_begun_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http1, "WARM_SECONDS", 1e-9)
    with run_scripted(_in_turn([reply(body=b"1"), reply(body=b"smuggled")], [reply(body=b"2")])) as server:
        pool = _pool(server)
        assert _read(pool) == b"1"
        time.sleep(0.1)
        assert pool.begin(REQUEST).reply().read_small() == b"2"
        assert server.connections == [0, 1]
        pool.close()


@pytest.mark.parametrize("length", [1, LARGEST_USUAL_HEADER, 10 * LARGEST_USUAL_HEADER])
def test_a_line_that_comes_again_is_understood_again_however_long_it_is(length: int) -> None:
    for value in ("a" * length, "b" * length, "a" * length):
        head = parse_head(f"HTTP/1.1 200 OK\r\nX-Tag: {value}\r\nContent-Length: 0".encode())
        assert head.headers == {"x-tag": value, "content-length": "0"}
        with pytest.raises(MalformedReplyError):
            parse_head(f"HTTP/1.1 200 OK\r\n X-Tag: {value}".encode())
