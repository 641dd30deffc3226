"""What does a store far away look like? A proxy on loopback that adds latency and bounds what passes.

`python shaped.py REPORT LISTEN_PORT UPSTREAM_PORT LATENCY_SECONDS CONNECTION_BYTES_PER_SECOND PIPE_BYTES_PER_SECOND`

A new connection and each request cost the latency once; bytes of replies are spliced in the kernel and wait until the
connection and the pipe that all share have paid for them. Made for downloads: what goes up is not bounded. When it is
terminated it writes the processor seconds that it took itself to REPORT.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STEP_BYTES = 256 * 1024
REQUEST_BYTES = 64 * 1024
CREDIT_SECONDS = 0.02  # what was not used may be made up for, or each late wake-up would narrow the pipe
BACKLOG = 512


class Meter:
    """A rate: whoever passes bytes is told how long to wait first."""

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0
        self._lock = threading.Lock()

    def pay(self, size_bytes: int) -> float:
        """Return the moment at which these bytes have passed."""
        with self._lock:
            start = max(self._free_at, time.monotonic() - CREDIT_SECONDS)
            self._free_at = start + size_bytes / self._bytes_per_second
            return self._free_at


@dataclass(frozen=True, slots=True)
class Shape:
    """What all connections have in common."""

    upstream_port: int
    latency_seconds: float
    connection_bytes_per_second: float
    pipe: Meter


def serve(client: socket.socket, shape: Shape) -> None:
    """Carry one connection until either side ends it."""
    time.sleep(shape.latency_seconds)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with client, socket.create_connection(("127.0.0.1", shape.upstream_port)) as upstream:
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        requests = threading.Thread(target=carry_requests, args=(client, upstream, shape), daemon=True)
        requests.start()
        with suppress(OSError):
            carry_replies(upstream, client, shape)
        for one in (client, upstream):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        requests.join()


def carry_requests(client: socket.socket, upstream: socket.socket, shape: Shape) -> None:
    with suppress(OSError):
        while asked := client.recv(REQUEST_BYTES):  # until the client ends the connection
            time.sleep(shape.latency_seconds)
            upstream.sendall(asked)
        upstream.shutdown(socket.SHUT_WR)


def carry_replies(upstream: socket.socket, client: socket.socket, shape: Shape) -> None:
    own = Meter(shape.connection_bytes_per_second)
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, STEP_BYTES)
        while size := os.splice(upstream.fileno(), writer, STEP_BYTES):  # until the server ends the connection
            wait = max(own.pay(size), shape.pipe.pay(size)) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            left = size
            while left > 0:  # bounded: each step moves at least one byte or raises
                left -= os.splice(reader, client.fileno(), left)
    finally:
        os.close(reader)
        os.close(writer)


def main(report: Path, listen_port: int, shape: Shape) -> None:
    """Listen until terminated."""

    def stop(*_: object) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        report.write_text(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime}))
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    with socket.create_server(("127.0.0.1", listen_port), backlog=BACKLOG) as listener:
        while True:  # until terminated
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, shape), daemon=True).start()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        Shape(int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]), Meter(float(sys.argv[6]))),
    )
