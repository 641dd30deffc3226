"""What goes to stdout, and in which form? The only module that writes there.

People get lines in which foreign text cannot move the cursor or hide: every line is made displayable here, whoever
wrote it, and colour is added afterwards. Scripts get one JSON document, exact. Files are streamed as they are.
"""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.schema.text import displayable
from bucketry.show.spans import Line, TextPage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDTH_WITHOUT_TERMINAL = 80
NARROWEST_TERMINAL = 40
GAP_COLUMNS = 2

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


_BOLD_ROLES = frozenset({"title", "header"})
Text = str | Line
"""A line for people: as it is, or of spans."""


@dataclass(slots=True)
class Output:
    """Standard output for one run. `has_bytes` says that a file's bytes, not text, were written."""

    colour: bool = False
    has_bytes: bool = False

    def write_lines(self, lines: Iterable[Text]) -> None:
        """Write lines for people. Of the roles, titles are told by bold type where there is colour."""
        for line in lines:
            if isinstance(line, str):
                sys.stdout.write(f"{displayable(line)}\n")
                continue
            text = ""
            for span in line:
                shown = displayable(span.text)
                is_bold = self.colour and span.role in _BOLD_ROLES and shown.strip()
                text += f"{_BOLD}{shown}{_PLAIN}" if is_bold else shown
            sys.stdout.write(f"{text.rstrip()}\n")

    def write_document(self, document: object) -> None:
        """Write one JSON document on one line: keys sorted, everything beyond printable ASCII as JSON escapes."""
        sys.stdout.write(json.dumps(document, sort_keys=True, allow_nan=False) + "\n")

    def write_script(self, text: str) -> None:
        """Write a text of our own as it is, to be read by a shell."""
        sys.stdout.write(text)

    def write_bytes(self, pieces: Iterable[bytes]) -> None:
        """Write a file: exactly to a pipe or a file, in visible form to a terminal."""
        if sys.stdout.isatty():
            decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
            for piece in self._noticed(pieces):
                sys.stdout.write(displayable(decoder.decode(piece), newlines=True))
            sys.stdout.write(displayable(decoder.decode(b"", final=True), newlines=True))
            return
        sys.stdout.flush()
        for piece in self._noticed(pieces):
            sys.stdout.buffer.write(piece)

    def flush(self) -> None:
        """Hand everything over; raise `BrokenPipeError` if nobody reads."""
        sys.stdout.flush()

    def abandon(self) -> None:
        """Write nothing more, not even what is buffered: the reader has gone."""
        if isinstance(getattr(getattr(sys.stdout, "buffer", None), "raw", None), _Closed):
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the program ends
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

    def _noticed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces; from the first one on, an error can no longer be the whole output."""
        for piece in pieces:
            self.has_bytes = self.has_bytes or bool(piece)
            yield piece


class _Closed(io.RawIOBase):
    """What stands for a stdout that was closed before the program began: an answer that nobody gets is a failure."""

    def writable(self) -> bool:
        """So that the failure is ours to explain."""
        return True

    def write(self, _body: object) -> int:
        """Refuse."""
        raise OSError(errno.EBADF, "stdout is closed, so the answer cannot be written")


def is_terminal() -> bool:
    """Return whether a person is looking at stdout."""
    return sys.stdout.isatty()


def is_unicode() -> bool:
    """Return whether stdout takes every character, so that one beyond ASCII arrives as itself."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def width_columns() -> int | None:
    """Return how many columns a line may have: the terminal's, or None where lines are never cut."""
    if not is_terminal():
        return None
    return max(NARROWEST_TERMINAL, shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns)


def page() -> TextPage:
    """Return what tables are made for."""
    return TextPage(width_columns(), gap=GAP_COLUMNS)


def prepare() -> None:
    """Make sure that no character can stop the output, whatever the locale says, nor a stdout that is closed."""
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Closed()), encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
