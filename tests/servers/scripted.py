"""A server on loopback that sends, for each request, exactly the bytes that a test spells, and pauses where it says.

`misbehaving` speaks proper HTTP and misbehaves in what it says; this one can break HTTP itself.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from servers.misbehaving import Asked
from servers.process import S3Server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

# Bytes are sent, a number is a pause in seconds, and the words end the connection, politely or not.
Step = bytes | float | Literal["hang up", "reset"]

PATIENCE_SECONDS = 20.0


@dataclass(slots=True)
class Scripted:
    """The running server: what it was asked, and on which connection, counted from 0."""

    server: S3Server
    asked: list[Asked] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    accepted: int = 0


def reply(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """Return a well-formed reply."""
    named = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@contextmanager
def run_scripted(
    script: Callable[[Asked], Sequence[Step]],
    *,
    tls: ssl.SSLContext | None = None,
    is_deaf: Callable[[str], bool] = lambda _: False,
) -> Iterator[Scripted]:
    """Run the script for each request; `is_deaf` says by the method whose body is never read."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    scheme = "https" if tls else "http"
    running = Scripted(S3Server(f"{scheme}://localhost:{port}", "registry", "AKIASOMEBODY00000000", "the-secret-key"))
    stopped = threading.Event()
    threads: list[threading.Thread] = []

    def serve(plain: socket.socket, number: int) -> None:
        plain.settimeout(PATIENCE_SECONDS)
        with suppress(OSError), plain:
            connection = tls.wrap_socket(plain, server_side=True) if tls else plain
            with connection:
                while not stopped.is_set():
                    asked = _read(connection, is_deaf)
                    if asked is None:
                        return
                    running.asked.append(asked)
                    running.connections.append(number)
                    if not _play(connection, script(asked), stopped):
                        return

    def accept() -> None:
        while not stopped.is_set():
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            if stopped.is_set():
                plain.close()
                return
            thread = threading.Thread(target=serve, args=(plain, running.accepted))
            running.accepted += 1
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield running
    finally:
        stopped.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        acceptor.join(PATIENCE_SECONDS)
        listener.close()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


def _read(connection: socket.socket, is_deaf: Callable[[str], bool]) -> Asked | None:
    text = b""
    while b"\r\n\r\n" not in text:
        came = connection.recv(65536)
        if not came:
            return None
        text += came
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    left = 0 if is_deaf(method) else int(headers.get("content-length", "0")) - len(body)
    chunks = [body]
    while left > 0:
        came = connection.recv(min(left, 1024 * 1024))
        if not came:
            return None
        chunks.append(came)
        left -= len(came)
    return Asked(method, path, headers, b"".join(chunks))


def _play(connection: socket.socket, steps: Sequence[Step], stopped: threading.Event) -> bool:
    """Do what the script says; return whether the connection goes on."""
    for step in steps:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, float):
            stopped.wait(step)
        else:
            if step == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
    return True
