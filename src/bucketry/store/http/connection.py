"""Moves bytes between a socket and the caller's buffer, with nothing in between.

A body goes by `recv_into` straight to where the caller wants it. On a plain socket the kernel fills the whole
buffer in one call; TLS hands out a record at a time. Waits are short and counted, so that silence is found
out in time, and a slow body still reaches the caller bit by bit.
"""

from __future__ import annotations

import math
import select
import socket
import struct
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.store.contract import iter_slices
from bucketry.store.http.head import (
    END_OF_HEAD,
    LARGEST_HEAD_BYTES,
    EncryptedReplyError,
    MalformedReplyError,
    ReplyHead,
    parse_head,
)

if TYPE_CHECKING:
    import ssl

    from bucketry.store.contract import Body

# A socket wakes up this often while nothing comes, and a slow body is handed on this often.
TICK_SECONDS = 0.5
MOST_INTERIM_REPLIES = 10
# A small write returns to us often enough to see that the other side stands still.
TLS_SEND_BYTES = 256 * 1024
LARGEST_SIZE_LINE_BYTES = 1024
TLS_ALERT = b"\x15\x03"

# How a plain connection says that the other side has gone.
_GONE = (BrokenPipeError, ConnectionResetError)


class StaleConnectionError(ConnectionError):
    """A connection that had been kept turned out to be closed before any byte of the reply came."""


@frozen
class Origin:
    """Where requests go: `tls` checks the server's name and certificate, None means in the clear."""

    host: str
    port: int
    tls: ssl.SSLContext | None


@frozen
class SocketTimeouts:
    """How long to wait for a connection, for the next byte in either direction, and for all of a request.

    After `grace_seconds` of waiting, a request must have moved `least_bytes_per_second`: a reply that drips, and a
    server that takes a body in drops, would otherwise hold a command for ever, since each byte is a sign of life. A
    reply that is read in one piece (a document, a listing, a refusal) must be whole after `whole_seconds` of waiting.
    """

    connect_seconds: float
    stall_seconds: float
    grace_seconds: float = 10.0
    least_bytes_per_second: float = 1024.0
    whole_seconds: float = 60.0


class Connection:
    """One connection, with one request under way at a time."""

    def __init__(self, origin: Origin, patience: SocketTimeouts) -> None:
        self._patience = patience
        self._pace = _ReadPace(patience)
        self._stall_seconds = patience.stall_seconds
        self._tick_seconds = min(TICK_SECONDS, patience.stall_seconds)
        self._most_ticks = math.ceil(patience.stall_seconds / self._tick_seconds)
        self._is_tls = origin.tls is not None
        self._gone = _GONE if origin.tls is None else _gone_of_tls()
        self._is_used = False
        self._was_used = False
        self._broken: OSError | None = None
        # What came with the head of a reply, beyond it: the first bytes of its body.
        self._bytes = bytearray(LARGEST_HEAD_BYTES)
        self._buffer = memoryview(self._bytes)
        self._held = self._buffer[:0]
        self._socket = _open_socket(origin, patience.connect_seconds)
        if not self._is_tls:
            # A blocking socket whose waits end by themselves: only so may one call fill a whole buffer.
            self._socket.settimeout(None)
            for option, seconds in (
                (socket.SO_RCVTIMEO, self._tick_seconds),
                (socket.SO_SNDTIMEO, self._stall_seconds),
            ):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _timeval(seconds))

    @property
    def holds_nothing(self) -> bool:
        """Whether every byte that came was read."""
        return not self._held

    def is_quiet(self) -> bool:
        """Whether the other side has neither closed nor said anything that nobody asked for."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def fileno(self) -> int:
        """Return the socket's descriptor, for whoever waits for several connections at once."""
        return self._socket.fileno()

    def begin(self, head: bytes, body: Body | None) -> None:
        """Send a request. What breaks meanwhile is told by `finish`: a server that refuses may have said why."""
        self._was_used, self._is_used = self._is_used, True
        self._pace = _ReadPace(self._patience)
        self._broken = self._send(head, body)

    def finish(self) -> ReplyHead:
        """Return the head of the reply to the request that was sent, after any interim ones."""
        self._pace.begin_reply()
        try:
            for _ in range(MOST_INTERIM_REPLIES):
                found = parse_head(self._read_head())
                if found.status >= 200:
                    break
            else:
                raise MalformedReplyError("interim replies without end")
        except self._gone as error:
            if self._was_used:
                raise StaleConnectionError("the connection was closed") from error
            raise
        if self._broken is not None and found.status < 400:
            # It cannot have all that it was sent, so this is no answer to it.
            raise self._broken
        return found

    def fill(self, buffer: memoryview) -> int:
        """Put bytes into the buffer until it is full, the bytes pause, or a tick is over; 0 if the stream ended."""
        count = self._take_held(buffer)
        if count == len(buffer):
            return count
        if not self._is_tls:
            return count + self._receive(buffer[count:], socket.MSG_WAITALL, may_wait=count == 0)
        # TLS gives one record of 16 KiB at most in each call.
        ends_at = time.monotonic() + TICK_SECONDS
        while count < len(buffer):  # bounded: each round reads at least one byte or leaves
            got = self._receive(buffer[count:], 0, may_wait=count == 0)
            count += got
            if got == 0 or time.monotonic() > ends_at:
                break
        return count

    def read_up_to(self, limit_bytes: int) -> bytes:
        """Return the next bytes, as many as the limit unless the stream ends before: they must all come in time."""
        self._pace.is_whole = True
        body = bytearray(limit_bytes)
        filled = 0
        while filled < limit_bytes:  # bounded: each round reads at least one byte or leaves
            count = self.fill(memoryview(body)[filled:])
            if count == 0:
                break
            filled += count
        return bytes(memoryview(body)[:filled])  # one copy: of a bytearray, a slice is another

    def read_chunks(self, limit_bytes: int) -> bytes | None:
        """Return a body that comes in chunks; None if it is longer than the limit, and then it was not read."""
        body = b""
        for _ in range(limit_bytes + 1):  # a chunk has one byte at least
            size = self._read_line().partition(b";")[0].strip()
            if not 0 < len(size) <= 8 or size.strip(b"0123456789abcdefABCDEF"):
                raise MalformedReplyError("a chunk whose size is not a number")
            size_bytes = int(size, 16)
            if len(body) + size_bytes > limit_bytes:
                return None
            if size_bytes == 0:
                self._skip_trailers()
                return body
            body += self.read_up_to(size_bytes)
            if self.read_up_to(2) != b"\r\n":
                raise MalformedReplyError("a chunk that does not end where it said")
        return None

    def interrupt(self) -> None:
        """End what another thread waits for on this connection."""
        # The plain socket's own way: that of a TLS socket would take away what the other thread uses.
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        with suppress(OSError):
            self._socket.close()

    def _send(self, head: bytes, body: Body | None) -> OSError | None:
        """Send the request; return what broke it, for a server that refuses a body may have said why."""
        if self._is_tls:
            self._socket.settimeout(self._stall_seconds)
        try:
            self._send_all(memoryview(head))
            if body is not None:
                with closing(iter_slices(body)) as slices:
                    for one in slices:
                        self._send_all(memoryview(one))
        except BlockingIOError as error:
            raise TimeoutError(f"nothing was taken for {self._stall_seconds:g} seconds") from error
        except self._gone as error:
            return error
        finally:
            if self._is_tls:
                self._socket.settimeout(self._tick_seconds)
        return None

    def _send_all(self, body: memoryview) -> None:
        """Send bytes. One call may take as long as a stall: it is asked after each whether enough of them went."""
        step = TLS_SEND_BYTES if self._is_tls else max(1, len(body))
        done = 0
        while done < len(body):  # bounded: each round sends at least one byte or raises
            began = time.monotonic()
            count = self._socket.send(body[done : done + step])
            done += count
            self._pace.add_sent(count, time.monotonic() - began)

    def _read_head(self) -> bytes:
        """Return the next head; what follows it stays held."""
        # An interim reply may have brought the next head along.
        filled = len(self._held)
        self._buffer[:filled] = bytes(self._held)
        self._held = self._buffer[:0]
        searched = 0
        for _ in range(LARGEST_HEAD_BYTES + 1):  # each round receives at least one byte, or ends
            end = self._bytes.find(END_OF_HEAD, searched, filled)
            if end >= 0:
                self._held = self._buffer[end + len(END_OF_HEAD) : filled]
                return bytes(self._buffer[:end])
            if filled == LARGEST_HEAD_BYTES:
                break
            searched = max(0, filled - len(END_OF_HEAD))
            count = self._receive(self._buffer[filled:], 0, may_wait=True)
            if count == 0:
                if filled and self._bytes.startswith(TLS_ALERT):
                    raise EncryptedReplyError("the alert of a server that expects TLS")
                if filled:
                    raise MalformedReplyError("the beginning of a reply, then the end")
                raise ConnectionResetError("the connection was closed without a reply")
            filled += count
        raise MalformedReplyError(f"a head of more than {LARGEST_HEAD_BYTES} bytes")

    def _read_line(self) -> bytes:
        line = b""
        for _ in range(LARGEST_SIZE_LINE_BYTES):
            byte = self.read_up_to(1)
            line += byte
            if line.endswith(b"\r\n"):
                return line[:-2]
            if not byte:
                raise MalformedReplyError("chunks that do not end")
        raise MalformedReplyError("a line that is far too long between chunks")

    def _skip_trailers(self) -> None:
        for _ in range(LARGEST_SIZE_LINE_BYTES):
            if not self._read_line():
                return
        raise MalformedReplyError("trailers without end")

    def _take_held(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def _receive(self, buffer: memoryview, flags: int, *, may_wait: bool) -> int:
        """Return how many bytes came: 0 if the stream ended, or if none came at once and we may not wait."""
        began = time.monotonic()
        for _ in range(self._most_ticks if may_wait else 1):
            try:
                count = self._socket.recv_into(buffer, 0, flags)
            except (BlockingIOError, TimeoutError):
                continue
            except self._gone:
                if may_wait:
                    raise
                # The caller has bytes that came before the break; the next call finds the end.
                return 0
            self._pace.add_received(count, time.monotonic() - began)
            return count
        if may_wait:
            raise TimeoutError(f"no byte came for {self._stall_seconds:g} seconds")
        return 0


class _ReadPace:
    """How long one request has waited for the other side, and how many bytes that brought or took.

    Only waiting counts: a caller that takes its time between two reads, or is held to a rate, is none of its fault.
    """

    def __init__(self, patience: SocketTimeouts) -> None:
        self._patience = patience
        self._waited_seconds = 0.0
        self._moved_bytes = 0
        self._has_begun = False
        self.is_whole = False

    def begin_reply(self) -> None:
        """Count from here on what comes; how long a server thinks before its first byte is a stall or none."""
        self._waited_seconds, self._moved_bytes, self._has_begun, self.is_whole = 0.0, 0, False, False

    def add_received(self, count: int, seconds: float) -> None:
        """Note bytes that came after a wait; raise `TimeoutError` if they come too slowly."""
        self._moved_bytes += count
        if self._has_begun:
            self._waited_seconds += seconds
            if count:
                self._check("came")
        self._has_begun = True

    def add_sent(self, count: int, seconds: float) -> None:
        """Note bytes that were taken after a wait; raise `TimeoutError` if they are taken too slowly."""
        self._moved_bytes += count
        self._waited_seconds += seconds
        self._check("were taken")

    def _check(self, what: str) -> None:
        patience, waited = self._patience, self._waited_seconds
        earned_seconds = self._moved_bytes / patience.least_bytes_per_second
        if waited > patience.grace_seconds + earned_seconds or (self.is_whole and waited > patience.whole_seconds):
            raise TimeoutError(f"only {self._moved_bytes:,} bytes {what} in {waited:.0f} seconds")


def _open_socket(origin: Origin, connect_seconds: float) -> socket.socket:
    plain = socket.create_connection((origin.host, origin.port), timeout=connect_seconds)
    try:
        # A request is written at once, so there is nothing to gather.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if origin.tls is None:
            return plain
        return origin.tls.wrap_socket(plain, server_hostname=origin.host)
    except BaseException:
        plain.close()
        raise


def _gone_of_tls() -> tuple[type[OSError], ...]:
    import ssl  # noqa: PLC0415 - who has a context has loaded it, and nobody else needs it

    return (*_GONE, ssl.SSLEOFError, ssl.SSLZeroReturnError)


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("ll", whole, int((seconds - whole) * 1_000_000))
