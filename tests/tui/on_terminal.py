"""How do tests run the screens on a real pseudo-terminal, and count what is sent to it?"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tui.cells import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM = [sys.executable, "-c", "from bucketry.cli.main import run; run()"]
LONGEST_SECONDS = 30.0
QUIET_SECONDS = 0.4
SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[P_^X][^\x1b]*\x1b\\|[ -/]*[0-~])")


@dataclass
class Session:
    """A program on a pseudo-terminal, seen from the terminal's side."""

    process: int
    descriptor: int
    screen: Screen
    _unread: bytes = field(default=b"", init=False)

    @property
    def text(self) -> str:
        """What the terminal shows."""
        unread, self._unread = self._unread, b""
        self.screen.feed(unread.decode(errors="replace"))
        return self.screen.text()

    def read(
        self, *, quiet_seconds: float = QUIET_SECONDS, until: bytes | tuple[bytes, ...] = (), gone: bytes | None = None
    ) -> bytes:
        """Return what is sent until nothing comes any more.

        Not before all of `until` came or is on the screen, and `gone` is there no more.
        """
        sent, wanted = b"", (until,) if isinstance(until, bytes) else until
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.descriptor], [], [], quiet_seconds)
            if not ready:
                has_come = all(word in sent or word.decode() in self.text for word in wanted)
                if has_come and (gone is None or gone.decode() not in self.text):
                    return sent
                continue
            try:
                piece = os.read(self.descriptor, 65_536)
            except OSError:  # the other side is closed
                return sent
            if not piece:
                return sent
            sent += piece
            self._unread += piece
        raise AssertionError(f"{until!r} did not come: {sent[-400:]!r}\n{self.text}")

    def press(
        self,
        keys: bytes,
        *,
        quiet_seconds: float = QUIET_SECONDS,
        until: bytes | tuple[bytes, ...] = (),
        gone: bytes | None = None,
    ) -> bytes:
        """Send keys and return what they cause."""
        os.write(self.descriptor, keys)
        return self.read(quiet_seconds=quiet_seconds, until=until, gone=gone)

    def resize(self, columns: int, rows: int, *, until: bytes = b"") -> bytes:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = Screen(columns, rows)
        return self.read(until=until)

    def wait(self) -> int:
        """Return the exit code."""
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return os.waitstatus_to_exitcode(status)


@contextmanager
def on_terminal(
    *arguments: str, environment: Mapping[str, str], columns: int = 120, rows: int = 40, program: str = PROGRAM[-1]
) -> Iterator[Session]:
    """Run the program, or one that does something besides, on a pseudo-terminal of this size."""
    process, descriptor = pty.fork()
    if process == 0:
        try:
            os.execve(PROGRAM[0], [*PROGRAM[:-1], program, *arguments], dict(os.environ) | dict(environment))
        finally:
            os._exit(127)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    session = Session(process, descriptor, Screen(columns, rows))
    try:
        yield session
    finally:
        if session.process:
            os.kill(session.process, 9)
            os.waitpid(session.process, 0)
        os.close(descriptor)


def without_sequences(sent: bytes) -> str:
    """Return the text alone."""
    return SEQUENCE.sub(b"", sent).decode(errors="replace")
