"""Shares a few connections to one server among many threads, and gives each reply to the request that it belongs to.

Connections are kept and the last one used is taken first, so that few stay warm and the others are closed by
age. Nothing here knows S3. The figures behind it: `docs/decisions/0005-own-http-for-bytes.md`.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.store.http.connection import Connection, Origin, SocketTimeouts, StaleConnectionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.store.contract import Body
    from bucketry.store.http.head import ReplyHead

# Servers close what is idle, S3 after some 20 seconds.
IDLE_SECONDS = 15.0
# To ask the system whether a connection is still open costs as much as to find out by using it; of a request that is
# repeated if it was not, and whose bytes are verified, nothing else is lost.
WARM_SECONDS = 0.1
LARGEST_SMALL_BODY_BYTES = 1024 * 1024


class Pool:
    """The connections to one origin; safe for many threads."""

    def __init__(self, origin: Origin, patience: SocketTimeouts, *, most_idle: int) -> None:
        self._origin = origin
        self._patience = patience
        self._most_idle = most_idle
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Connection]] = []
        self._busy: set[Connection] = set()
        self._is_closed = False

    def ask(self, head: bytes, body: Body | None = None, *, may_repeat: bool, head_only: bool = False) -> HttpReply:
        """Send a request and return its reply, of which the head has arrived.

        `head_only` says that it is a HEAD, whose reply has no body whatever length it tells.
        With `may_repeat` it is sent once more over a new connection if one that was kept proves closed.
        Raises `OSError`, among them `TimeoutError` for silence, and `MalformedReplyError`.
        """
        if may_repeat:
            with suppress(StaleConnectionError):
                return self._ask(self._take(), head, body, head_only=head_only)
            return self._ask(self._connect(), head, body, head_only=head_only)
        return self._ask(self._take(), head, body, head_only=head_only)

    def begin(self, head: bytes) -> PendingReply:
        """Send a request that has no body and may be repeated; its reply is asked for later. Raises `OSError`."""
        connection = self._take(warm_seconds=WARM_SECONDS)
        try:
            connection.begin(head, None)
        except BaseException:
            self.discard(connection)
            raise
        return PendingReply(head, connection, self)

    def close(self) -> None:
        """Close every connection; whoever waits for bytes on one of them gets an error now."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            busy = tuple(self._busy)
        for _, connection in idle:
            connection.close()
        for connection in busy:
            connection.interrupt()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection on which nothing is under way, and close those that have grown old."""
        now = time.monotonic()
        with self._lock:
            self._busy.discard(connection)
            self._idle.append((now, connection))
            dropped = [] if self._is_closed else self._surplus(now)
            if self._is_closed:
                dropped, self._idle = self._idle, []
            else:
                del self._idle[: len(dropped)]
        for _, one in dropped:
            one.close()

    def discard(self, connection: Connection) -> None:
        """Close a connection that must not be used again."""
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _surplus(self, now: float) -> list[tuple[float, Connection]]:
        """Return the oldest ones, which lie in front, as far as they are too old or too many."""
        if now - self._idle[0][0] <= IDLE_SECONDS and len(self._idle) <= self._most_idle:
            return []
        old = sum(1 for since, _ in self._idle if now - since > IDLE_SECONDS)
        return self._idle[: max(old, len(self._idle) - self._most_idle)]

    def _take(self, *, warm_seconds: float = 0.0) -> Connection:
        """Return a connection on which nothing is under way; one that was used so recently is not asked whether."""
        now = time.monotonic()
        for _ in range(self._most_idle + 1):
            with self._lock:
                if not self._idle:
                    break
                since, connection = self._idle.pop()
                self._busy.add(connection)
            if now - since <= warm_seconds or (now - since <= IDLE_SECONDS and connection.is_quiet()):
                return connection
            self.discard(connection)
        return self._connect()

    def _connect(self) -> Connection:
        connection = Connection(self._origin, self._patience)
        with self._lock:
            if not self._is_closed:
                self._busy.add(connection)
                return connection
        connection.close()
        raise ConnectionAbortedError("the store was closed")

    def _ask(self, connection: Connection, head: bytes, body: Body | None, *, head_only: bool) -> HttpReply:
        try:
            connection.begin(head, body)
        except BaseException:
            self.discard(connection)
            raise
        return self.finish(connection, head_only=head_only)

    def finish(self, connection: Connection, *, head_only: bool = False) -> HttpReply:
        """Return the reply to the request that was sent over a connection, of which the head has arrived."""
        try:
            reply_head = connection.finish()
        except BaseException:
            self.discard(connection)
            raise
        return HttpReply(reply_head, connection, self, head_only=head_only)


class PendingReply:
    """A request under way, of which nothing was read yet; ask for its `reply`, or `close` it."""

    def __init__(self, head: bytes, connection: Connection, pool: Pool) -> None:
        self._head = head
        self._connection: Connection | None = connection
        self._pool = pool

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the reply comes, or -1."""
        return -1 if self._connection is None else self._connection.fileno()

    def reply(self) -> HttpReply:
        """Return the reply as `Pool.ask` does, for a request that may be repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(StaleConnectionError):
                return self._pool.finish(connection)
        return self._pool.ask(self._head, may_repeat=True)

    def close(self) -> None:
        """Give the request up."""
        if self._connection is not None:
            self._pool.discard(self._connection)
            self._connection = None


class HttpReply:
    """A reply whose body is still on the wire; `close` it in any case."""

    def __init__(self, head: ReplyHead, connection: Connection, pool: Pool, *, head_only: bool = False) -> None:
        self.status = head.status
        self.headers: Mapping[str, str] = head.headers
        self.length_bytes = head.length_bytes
        self.is_chunked = head.is_chunked
        self._keeps_connection = head.keeps_connection
        self._left_bytes = 0 if head_only else head.length_bytes or 0
        self._connection: Connection | None = connection
        self._pool = pool
        if head_only or head.length_bytes == 0:
            self._finish()

    @property
    def is_over(self) -> bool:
        """Whether the body was read to its end, or given up."""
        return self._connection is None

    def readinto(self, buffer: memoryview) -> int:
        """Fill the front of the buffer with what the announced length still holds; 0 at its end, or if it breaks.

        A slow body is handed on in pieces, a fast one fills the buffer.
        """
        connection = self._connection
        wanted = min(len(buffer), self._left_bytes)
        if wanted == 0 or connection is None:
            return 0
        count = connection.fill(buffer[:wanted])
        self._left_bytes -= count
        if self._left_bytes == 0:
            self._finish()
        return count

    def read_small(self, limit_bytes: int = LARGEST_SMALL_BODY_BYTES) -> bytes:
        """Return the whole body, however its end is marked, or its first bytes if it is longer than the limit."""
        connection = self._connection
        if connection is None:
            return b""
        if self.is_chunked:
            body = connection.read_chunks(limit_bytes)
            if body is None:
                return b""
            self._finish()
            return body
        wanted = limit_bytes if self.length_bytes is None else min(limit_bytes, self._left_bytes)
        body = connection.read_up_to(wanted)
        if len(body) == self.length_bytes:
            self._finish()
        return body

    def close(self) -> None:
        """Give up what was not read, and the connection with it: reading it to the end could take for ever."""
        if self._connection is not None:
            self._pool.discard(self._connection)
            self._connection = None

    def _finish(self) -> None:
        if self._connection is not None and self._keeps_connection and self._connection.holds_nothing:
            self._pool.give_back(self._connection)
            self._connection = None
        self.close()
