"""An HTTP server on loopback that answers as it is told: well, badly, or not at all."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from servers.process import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back. `hang_up` ends the connection without a word, or, with a body, in the middle of it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    announced_bytes: int | None = None
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Misbehaving:
    """The running server, and what it was asked so far."""

    server: S3Server
    asked: list[Asked]


def refusal(status: int, code: str, message: str = "no", **headers: str) -> Answer:
    """Return an error as S3 writes it."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/xml", **named}, body)


@contextmanager
def run_misbehaving(answer: Callable[[Asked], Answer]) -> Iterator[Misbehaving]:
    """Answer each request with what `answer` returns for it."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            request = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            asked.append(request)
            reply = answer(request)
            if reply.hang_up and not reply.body:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            length = len(reply.body) if reply.announced_bytes is None else reply.announced_bytes
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if request.method != "HEAD":
                self.wfile.write(reply.body)
            self.close_connection = self.close_connection or reply.hang_up

        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return self._serve
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        url = f"http://127.0.0.1:{httpd.server_address[1]}"
        yield Misbehaving(S3Server(url, "registry", "AKIASOMEBODY00000000", "the-secret-key-itself"), asked)
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
