"""Does the helper answer only its own user, and only what is asked properly?"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, DeniedError, UnsupportedError
from bucketry.jobs import client as jobs
from bucketry.jobs.files import job_folder
from bucketry.jobs.log import Log
from bucketry.jobs.model import read_job
from bucketry.jobs.queue import JobQueue
from bucketry.jobs.server import MOST_CONNECTIONS, JobServer
from bucketry.jobs.wire import LARGEST_REPLY_BYTES, LARGEST_REQUEST_BYTES, JobMessage, check_peer, connect, listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.jobs.files import JobFolder

HELLO = b'{"protocol": 1, "do": "hello"}\n'
NOBODY = 65_534
HOSTILE = {
    "nothing": b"\n",
    "not JSON": b"GET / HTTP/1.1\r\n",
    "not UTF-8": b'{"protocol": 1, "do": "\xff"}\n',
    "a list": b"[1, 2]\n",
    "deep": b"[" * 20_000 + b"\n",
    "a key twice": b'{"protocol": 1, "protocol": 1, "do": "hello"}\n',
    "no protocol": b'{"do": "hello"}\n',
    "not a number": b'{"protocol": NaN, "do": "hello"}\n',
    "a huge number": b'{"protocol": 1, "do": "pause", "job": 1' + b"0" * 5_000 + b"}\n",
    "a truth for a number": b'{"protocol": 1, "do": "pause", "job": true}\n',
    "no job": b'{"protocol": 1, "do": "pause"}\n',
    "an unknown job": b'{"protocol": 1, "do": "follow", "job": 77}\n',
    "an unknown request": b'{"protocol": 1, "do": "exec", "line": "rm -rf /"}\n',
    "an order of nothing": b'{"protocol": 1, "do": "submit"}\n',
    "a negative limit": b'{"protocol": 1, "do": "limit", "job": 1, "bytes_per_second": -1}\n',
    "too long": b'{"protocol": 1, "do": "' + b"a" * LARGEST_REQUEST_BYTES + b'"}\n',
    "too long without an end": b"a" * (LARGEST_REQUEST_BYTES + 1),
}


class Server:
    """A helper's own server, in this process."""

    def __init__(self, folder: JobFolder) -> None:
        log = Log(folder.log, lambda: "now")
        self.folder = folder
        self.server = JobServer(JobQueue(folder, {}, log, lambda: "now"), log)
        self._listener = listen(folder.socket)
        self._listener.settimeout(0.05)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                self.server.welcome(self._listener.accept()[0])
            except TimeoutError:
                continue

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()
        for _ in range(200):
            if not self.server.is_spoken_to:
                return
            time.sleep(0.05)
        raise AssertionError("a connection is still open")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    with closing(Server(job_folder().made())) as server:
        yield server


@contextmanager
def spoken_to(server: Server) -> Iterator[socket.socket]:
    connection = connect(server.folder.socket)
    assert connection is not None
    with connection:
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    received = b""
    with suppress(ConnectionResetError):  # what was not read when it closed
        for _ in range(1_000):
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
    return received


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_request_is_told_in_one_line_and_does_no_harm(server: Server, payload: bytes) -> None:
    with spoken_to(server) as connection:
        connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)
        answer = all_of(connection)
    assert answer.count(b"\n") == 1
    document = json.loads(answer)
    assert document["end"] is True
    assert set(document["error"]) == {"kind", "message", "advice"}
    assert "unforeseen" not in server.folder.log.read_text()
    assert jobs.find_helper() == os.getpid()
    assert jobs.list_jobs() == ()


def test_a_connection_serves_many_requests_and_goes_on_after_a_wrong_one(server: Server) -> None:
    with spoken_to(server) as connection:
        connection.sendall(HELLO + b'{"protocol": 1, "do": "pause", "job": 9}\n' + HELLO)
        connection.shutdown(socket.SHUT_WR)
        answers = [json.loads(line) for line in all_of(connection).splitlines()]
    assert [sorted(answer) for answer in answers] == [
        ["end", "pid", "protocol"],
        ["end", "error", "protocol"],
        ["end", "pid", "protocol"],
    ]


def test_whoever_says_nothing_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucketry.jobs.wire.LONGEST_SILENCE_SECONDS", 0.2)
    with spoken_to(server) as connection:
        connection.settimeout(5)
        connection.sendall(HELLO[:5])
        assert all_of(connection) == b""


def test_more_connections_than_anybody_needs_are_refused_and_the_next_is_served(server: Server) -> None:
    crowd = []
    try:
        for _ in range(MOST_CONNECTIONS):
            crowd.append(connect(server.folder.socket))
            time.sleep(0.005)
        with spoken_to(server) as connection:
            assert b"speak with the helper already" in all_of(connection)
    finally:
        for one in crowd:
            assert one is not None
            one.close()
    time.sleep(0.2)
    assert jobs.find_helper() == os.getpid()


def test_a_helper_of_another_version_is_told_apart(server: Server) -> None:
    with spoken_to(server) as connection:
        connection.sendall(b'{"protocol": 2, "do": "hello"}\n')
        with pytest.raises(UnsupportedError, match="another version"):
            raise jobs.JobFailure(**json.loads(connection.recv(65_536))["error"]).as_error()


def test_a_reply_that_is_none_is_not_believed(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'{"protocol": 1, "job": {"id": 0}}\n')
        line = JobMessage(ours, most_bytes=LARGEST_REPLY_BYTES)
        with pytest.raises(CorruptError):
            read_job(line.receive().inner("job"))
    assert list(tmp_path.iterdir()) == []


def test_the_socket_is_its_owners_alone_and_works_however_deep_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / ("deep" * 40) / "state"))
    folder = job_folder().made()
    assert len(os.fsencode(folder.socket)) > 108
    with closing(Server(folder)) as server:
        assert folder.socket.stat().st_mode & 0o777 == 0o600
        assert folder.path.stat().st_mode & 0o777 == 0o700
        with spoken_to(server) as connection:
            check_peer(connection)
        assert jobs.find_helper() == os.getpid()


def test_rights_that_were_widened_are_narrowed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    folder = job_folder().made()
    folder.path.chmod(0o777)
    assert job_folder().made().path.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    os.chown(job_folder().made().path, NOBODY, NOBODY)
    with pytest.raises(DeniedError, match="not a folder of this user"):
        jobs.pause(jobs.JobId(1))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_though_every_right_were_given(server: Server) -> None:
    server.folder.path.chmod(0o777)
    server.folder.socket.chmod(0o777)
    answer = _asked_as(NOBODY, server.folder.path, HELLO)
    assert b"another user's" in answer
    assert b"pid" not in answer
    assert "another user" in server.folder.log.read_text()
    assert b'"pid"' in _asked_as(os.geteuid(), server.folder.path, HELLO)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_helper_of_another_user_is_not_spoken_to(tmp_path: Path) -> None:
    listener = listen(tmp_path / "socket")
    with listener:
        # What the kernel tells of a peer is who it was when it began to listen.
        pid = os.fork()
        if pid == 0:
            os.fchdir(os.open(tmp_path, os.O_RDONLY))
            os.setresuid(NOBODY, NOBODY, NOBODY)
            listener.listen(1)
            time.sleep(30)
            os._exit(0)
        try:
            time.sleep(0.3)
            with pytest.raises(DeniedError, match="another user's"):
                connect(tmp_path / "socket")
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def _asked_as(uid: int, folder: Path, request: bytes) -> bytes:
    """Ask the helper as another user, who stands in the folder, and return what it says."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect("socket")
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                os.write(writable, all_of(connection))
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as file:
        answer = file.read()
    os.waitpid(pid, 0)
    return answer
