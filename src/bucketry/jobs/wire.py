"""How do the helper and those who ask it speak, and who may?

One JSON document a line, each way, over a Unix socket in a folder that is its owner's alone. Whoever is at the other
end is asked of the kernel, since a folder's rights can be changed by mistake. A line has a limit, and silence too.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, DeniedError, UnavailableError, UnsupportedError
from bucketry.schema.codec import Fields, decode_foreign, encode
from bucketry.transfer.disk.local_files import open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.schema.codec import Document

PROTOCOL = 1
LARGEST_REQUEST_BYTES = 64 * 1024
LARGEST_REPLY_BYTES = 1024 * 1024
LONGEST_SILENCE_SECONDS = 10.0
RECEIVED_AT_ONCE_BYTES = 64 * 1024
LONGEST_SOCKET_PATH_BYTES = 100  # of the 104 to 108 that systems allow
MOST_WAITING_CONNECTIONS = 16
_CREDENTIALS = "iII"  # struct ucred: pid, uid, gid


class ConnectionLostError(Exception):
    """The other side is not there any more. Not a failure by itself, hence not a `BucketryError`: it may be back."""


class JobMessage:
    """One end of a conversation."""

    def __init__(self, connection: socket.socket, *, most_bytes: int) -> None:
        connection.settimeout(LONGEST_SILENCE_SECONDS)
        self.connection = connection
        self._most_bytes = most_bytes
        self._received = bytearray()

    def send(self, document: Document) -> None:
        """Send a document; raise `ConnectionLostError` if it cannot be delivered."""
        try:
            self.connection.sendall(encode({"protocol": PROTOCOL} | document) + b"\n")
        except OSError as error:
            raise ConnectionLostError("the other side of the socket takes nothing any more") from error

    def receive(self) -> Fields:
        """Return the next document; raise `ConnectionLostError`, or `CorruptError` for what is none."""
        while (end := self._received.find(b"\n")) < 0:  # bounded: each round takes bytes, of which a line has few
            if len(self._received) > self._most_bytes:
                raise CorruptError(f"a line on the socket is over the limit of {self._most_bytes:,} bytes")
            try:
                piece = self.connection.recv(RECEIVED_AT_ONCE_BYTES)
            except OSError as error:
                raise ConnectionLostError("the other side of the socket is silent") from error
            if not piece:
                raise ConnectionLostError("the other side of the socket has closed it")
            self._received += piece
        if end > self._most_bytes:
            raise CorruptError(f"a line on the socket is over the limit of {self._most_bytes:,} bytes")
        body = bytes(self._received[:end])
        del self._received[: end + 1]
        fields = Fields(decode_foreign(body, what="a line on the socket"), what="a line on the socket")
        if fields.integer("protocol") != PROTOCOL:
            raise UnsupportedError(
                "the transfer helper that runs is of another version of bucketry",
                advice="wait until its transfers have ended, then try again",
            )
        return fields


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path, in place of what a dead helper left there. Raises `OSError`."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        with _address(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(MOST_WAITING_CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(path: Path) -> socket.socket | None:
    """Return a connection to whoever listens at a path, or None where nobody does; raise `DeniedError`."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(LONGEST_SILENCE_SECONDS)
    try:
        with _address(path) as address:
            connection.connect(address)
        check_peer(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except PermissionError as error:
        connection.close()
        raise DeniedError(f"{path} may not be used", advice="check whose folder it is") from error
    except OSError as error:
        connection.close()
        raise UnavailableError(
            f"the transfer helper does not answer at {path} ({error.strerror or error})", advice="try again"
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


def check_peer(connection: socket.socket) -> None:
    """Raise `DeniedError` unless the process at the other end is this user's, as far as the kernel tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return  # not told here: the rights of the folder must do
    size = struct.calcsize(_CREDENTIALS)
    _, uid, _ = struct.unpack(_CREDENTIALS, connection.getsockopt(socket.SOL_SOCKET, option, size))
    if uid != os.geteuid():
        raise DeniedError("the transfer helper is another user's", advice="each user has a helper of his own")


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a path that is short enough for a socket, by way of its folder's descriptor if need be."""
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH_BYTES:
        yield str(path)
        return
    folder = open_directory(path.parent)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
