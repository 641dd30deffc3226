"""A server on loopback that looks whether a condition holds and then writes: two steps where there must be one."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from servers.process import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Hasty:
    """The running server: of how many writes all but the last byte came, and of how many all of them."""

    server: S3Server
    window_seconds: float
    begun: int = 0
    whole: int = 0
    _objects: dict[str, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, *, begun: int = 0, whole: int = 0) -> None:
        with self._lock:
            self.begun += begun
            self.whole += whole

    def find(self, key: str) -> bytes | None:
        return self._objects.get(key)

    def write(self, key: str, body: bytes, condition: str) -> bool:
        """Look, wait, and write; tell whether the condition held when it was looked at."""
        found = self._objects.get(key)
        if condition != ("*" if found is None else etag_of(found)):
            return False
        time.sleep(self.window_seconds)
        self._objects[key] = body
        return True


def etag_of(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


@contextmanager
def run_hasty(window_seconds: float) -> Iterator[Hasty]:
    """Serve one bucket, in which objects can be put and got."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20
        disable_nagle_algorithm = True

        def do_PUT(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length - 1)
            hasty.note(begun=1)
            body += self.rfile.read(1)
            hasty.note(whole=1)
            condition = self.headers["If-Match"] or self.headers["If-None-Match"]
            self._answer(200 if hasty.write(self.path, body, condition) else 412, body, shows_body=False)

        def do_GET(self) -> None:
            body = hasty.find(self.path)
            self._answer(404 if body is None else 200, body or b"", shows_body=True)

        def _answer(self, status: int, body: bytes, *, shows_body: bool) -> None:
            self.send_response(status)
            self.send_header("ETag", etag_of(body))
            self.send_header("Last-Modified", self.date_time_string())
            self.send_header("Content-Length", str(len(body) if shows_body else 0))
            self.end_headers()
            if shows_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    httpd = Server(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{httpd.server_address[1]}"
    hasty = Hasty(S3Server(url, "registry", "AKIASOMEBODY00000000", "the-secret-key-itself"), window_seconds)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hasty
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
