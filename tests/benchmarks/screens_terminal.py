"""How do the screens look and what do they send, seen from the other side of a pseudo-terminal?

What is sent is put into cells as a terminal would, so that a measurement can end when the right text stands there,
whether the program sends whole lines or only what differs.
"""

from __future__ import annotations

import codecs
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
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROGRAM = (sys.executable, "-c", "from bucketry.cli.main import run; run()")
COLUMNS, ROWS = 120, 40
LONGEST_SECONDS = 60.0
READ_BYTES = 65_536
_TOKEN = re.compile(r"\x1b\[([0-9]+);([0-9]+)H|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\r|\n|[^\x1b\r\n]+")
"""The cursor's place, another sequence, and text: all that the screens send."""


@dataclass
class Cells:
    """The text that stands on the terminal."""

    lines: list[list[str]] = field(default_factory=lambda: [[" "] * COLUMNS for _ in range(ROWS)])
    row: int = 0
    column: int = 0
    _rest: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def feed(self, sent: bytes) -> None:
        """Take what was sent."""
        text = self._rest + self._decoder.decode(sent)
        at = 0
        while at < len(text):  # bounded: each token takes a character at least
            found = _TOKEN.match(text, at)
            if found is None:  # a sequence whose end is still to come
                break
            self._take(found)
            at = found.end()
        self._rest = text[at:]

    def shows(self, text: str, *, line: int | None = None) -> bool:
        """Whether a text stands on one of the lines, or on this one."""
        lines = self.lines if line is None else [self.lines[line]]
        return any(text in "".join(each) for each in lines)

    def _take(self, found: re.Match[str]) -> None:
        token = found.group()
        if found.group(1) is not None:
            self.row, self.column = int(found.group(1)) - 1, int(found.group(2)) - 1
        elif token == "\r":
            self.column = 0
        elif token == "\n":
            self.row += 1
        elif not token.startswith("\x1b"):
            for character in token:
                if self.row < ROWS and self.column < COLUMNS:
                    self.lines[self.row][self.column] = character
                self.column += 1


@dataclass
class Screens:
    """The program on a pseudo-terminal of 120x40 in true colour."""

    process: int
    descriptor: int
    began_at: float
    cells: Cells = field(default_factory=Cells)

    def wait_for(self, is_there: Callable[[Cells], bool], what: str) -> float:
        """Read until the cells fulfil a condition and return when the bytes that did so came."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while not is_there(self.cells):  # bounded: by the deadline
            if not self._read_some(deadline - time.monotonic()):
                raise RuntimeError(f"the screens did not show {what}: {self.text()[-3000:]}")
        return time.monotonic()

    def press(self, keys: bytes, is_there: Callable[[Cells], bool], what: str) -> float:
        """Send keys and return how many seconds it took until the cells fulfil a condition."""
        began_at = time.monotonic()
        os.write(self.descriptor, keys)
        return self.wait_for(is_there, what) - began_at

    def press_timed(self, keys: bytes) -> float:
        """Send a key and return how many seconds it took until the first byte came."""
        began_at = time.monotonic()
        os.write(self.descriptor, keys)
        ready, _, _ = select.select([self.descriptor], [], [], LONGEST_SECONDS)
        if not ready:
            raise RuntimeError(f"the key {keys!r} caused nothing")
        return time.monotonic() - began_at

    def settle(self, quiet_seconds: float = 0.5) -> int:
        """Read until nothing comes for so long and return how many bytes came."""
        count, deadline = 0, time.monotonic() + LONGEST_SECONDS
        while (size := self._read_some(quiet_seconds)) and time.monotonic() < deadline:  # bounded: by the deadline
            count += size
        return count

    def resident_bytes(self) -> int:
        """Return how much memory the program has now."""
        status = Path(f"/proc/{self.process}/status").read_text("ascii", "replace")
        return int(re.findall(r"^VmRSS:\s*([0-9]+) kB$", status, re.MULTILINE)[0]) * 1024

    def cpu_seconds(self) -> float:
        """Return how much processor time the program has taken, all its threads together."""
        fields = Path(f"/proc/{self.process}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def text(self) -> str:
        """Return what stands on the terminal."""
        return "\n".join("".join(line).rstrip() for line in self.cells.lines)

    def _read_some(self, seconds: float) -> int:
        ready, _, _ = select.select([self.descriptor], [], [], max(0.0, seconds))
        if not ready:
            return 0
        try:
            sent = os.read(self.descriptor, READ_BYTES)
        except OSError:  # the program has ended
            return 0
        self.cells.feed(sent)
        return len(sent)


@contextmanager
def open_screens(registry: str, environment: Mapping[str, str]) -> Iterator[Screens]:
    """Start the program as a shell would; it is ended at the end."""
    began_at = time.monotonic()
    process, descriptor = pty.fork()
    if process == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execve(PROGRAM[0], [*PROGRAM, "-r", registry, "tui"], dict(environment))
        finally:
            os._exit(127)
    try:
        yield Screens(process, descriptor, began_at)
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(descriptor)
