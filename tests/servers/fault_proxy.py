"""A proxy on loopback that lets requests through to a server, or breaks one in the way that a script says."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from servers.misbehaving import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.process import S3Server

LONGEST_SILENCE_SECONDS = 60.0
NOT_PASSED_ON = frozenset({"connection", "expect", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Refused:
    """The server never hears of the request; this is said instead."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Changed:
    """The server answers, and something else arrives."""

    change: Callable[[Answer], Answer]


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks after so many bytes of the body."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is closed properly after so many bytes of the body, which is too early."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class Stalled:
    """After so many bytes of the body, nothing comes and nothing breaks."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class Trickled:
    """The body comes byte by byte."""

    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The server carries the request out, and its reply is lost."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The server never hears of the request, and nothing is said."""


Fault = Refused | Changed | Reset | Ended | Stalled | Trickled | Unanswered | Silent


def let_through(_: Asked) -> None:
    """Break nothing."""


def times(count: int, matches: Callable[[Asked], bool], fault: Fault) -> Callable[[Asked], Fault | None]:
    """Break the first `count` requests that match, and no other."""
    lock = threading.Lock()
    left = count

    def script(asked: Asked) -> Fault | None:
        nonlocal left
        if not matches(asked):
            return None
        with lock:
            left -= 1
            return fault if left >= 0 else None

    return script


def always(matches: Callable[[Asked], bool], fault: Fault) -> Callable[[Asked], Fault | None]:
    """Break every request that matches."""
    return lambda asked: fault if matches(asked) else None


@dataclass(slots=True)
class FaultProxy:
    """The running proxy, how it is reached, what was asked of it so far, and what it does; that may be changed."""

    server: S3Server
    script: Callable[[Asked], Fault | None] = let_through
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def run_fault_proxy(upstream: S3Server) -> Iterator[FaultProxy]:
    """Stand between a client and a server until the block ends."""

    class Handler(_Handler):
        pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    httpd = Server(("127.0.0.1", 0), Handler)
    proxy = FaultProxy(replace(upstream, endpoint_url=f"http://127.0.0.1:{httpd.server_address[1]}"))
    Handler.proxy, Handler.upstream = proxy, urlsplit(upstream.endpoint_url).netloc
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = LONGEST_SILENCE_SECONDS
    proxy: FaultProxy
    upstream: str

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.proxy.asked.append(asked)
        fault = self.proxy.script(asked)
        with suppress(OSError):  # the client went away, as it may
            match fault:
                case Refused(answer):
                    self._send(answer)
                case Changed(change):
                    self._send(change(self._forward(asked)))
                case Unanswered():
                    self._forward(asked)
                    self._reset()
                case Reset(after_bytes):
                    self._send(self._forward(asked), most_bytes=after_bytes)
                    self._reset()
                case Ended(after_bytes):
                    self._send(self._forward(asked), most_bytes=after_bytes)
                    self.close_connection = True
                case Stalled(after_bytes):
                    self._send(self._forward(asked), most_bytes=after_bytes)
                    self.proxy.over.wait(LONGEST_SILENCE_SECONDS)
                    self.close_connection = True
                case Silent():
                    self.proxy.over.wait(LONGEST_SILENCE_SECONDS)
                    self.close_connection = True
                case Trickled(bytes_per_second):
                    self._trickle(self._forward(asked), bytes_per_second)
                case None:
                    self._send(self._forward(asked))

    def _forward(self, asked: Asked) -> Answer:
        connection = http.client.HTTPConnection(self.upstream, timeout=LONGEST_SILENCE_SECONDS)
        try:
            connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in NOT_PASSED_ON:
                    connection.putheader(name, value)
            connection.endheaders(asked.body or None)
            reply = connection.getresponse()
            body = reply.read()
            headers = {k: v for k, v in reply.getheaders() if k.lower() not in {*NOT_PASSED_ON, "content-length"}}
            announced = int(reply.getheader("Content-Length") or 0) if asked.method == "HEAD" else len(body)
            return Answer(reply.status, headers, body, announced_bytes=announced)
        finally:
            connection.close()

    def _send(self, answer: Answer, *, most_bytes: int | None = None) -> None:
        self._send_head(answer)
        if self.command != "HEAD":
            self.wfile.write(answer.body[:most_bytes])

    def _send_head(self, answer: Answer) -> None:
        # Not `send_response`: it adds a Date of its own.
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 304:
            length = len(answer.body) if answer.announced_bytes is None else answer.announced_bytes
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _trickle(self, answer: Answer, bytes_per_second: float) -> None:
        self._send_head(answer)
        for position in range(len(answer.body)):
            if self.proxy.over.wait(1 / bytes_per_second):
                break
            self.wfile.write(answer.body[position : position + 1])

    def _reset(self) -> None:
        """Close so that the other side gets ECONNRESET and not an end of the stream."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass
