"""What is said on stderr while a command runs: one progress line, notes, and the one line of a failure?

The only module that writes there. Nothing said here is a result: a script may ignore all of it.
"""

# ruff: noqa: D102 - the protocols below say of each value only that it is there

from __future__ import annotations

import io
import shutil
import sys
import threading
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bucketry.cli.figures import clock_time, human_size
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.errors import BucketryError

BAR_COLUMNS = 10
LONGEST_ETA_SECONDS = 100 * 3_600

_RED, _PLAIN, _ERASE_LINE = "\x1b[1;31m", "\x1b[0m", "\r\x1b[2K"


class TransferState(Protocol):
    """What a progress line needs to know of a transfer."""

    @property
    def total_bytes(self) -> int: ...
    @property
    def done_bytes(self) -> int: ...
    @property
    def total_files(self) -> int: ...
    @property
    def done_files(self) -> int: ...
    @property
    def bytes_per_second(self) -> float: ...
    @property
    def eta_seconds(self) -> float | None: ...


@dataclass(slots=True)
class Messages:
    """Standard error for one run."""

    quiet: bool = False
    verbose: bool = False
    colour: bool = False

    def note(self, text: str) -> None:
        """Say something worth knowing that is neither result nor failure."""
        if not self.quiet:
            sys.stderr.write(f"note: {_one_line(text)}\n")

    def detail(self, text: str) -> None:
        """Say something that only `--verbose` asks for."""
        if self.verbose:
            sys.stderr.write(f"{_one_line(text)}\n")

    def failure(self, error: BucketryError) -> None:
        """Say in one line what failed and what to do now."""
        label = f"error[{error.kind}]:"
        label = f"{_RED}{label}{_PLAIN}" if self.colour else label
        advice = f"; do this: {_one_line(error.advice)}" if error.advice else ""
        sys.stderr.write(f"{label} {_one_line(error.message)}{advice}\n")

    def trace(self, error: BaseException) -> None:
        """Print where an error came from, under `--verbose` only."""
        if self.verbose:
            for block in traceback.format_exception(error):
                sys.stderr.write(displayable(block, newlines=True))

    @contextmanager
    def progress(self) -> Iterator[ProgressLine]:
        """Show one progress line while the block runs; it is gone when the block ends, however it ends."""
        line = ProgressLine(shown=not self.quiet and is_terminal())
        try:
            yield line
        finally:
            line.close()


class ProgressLine:
    """One line that is written again and again. Safe for threads."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._is_written = False
        self._lock = threading.Lock()

    def listener(self, doing: str) -> Callable[[TransferState], None] | None:
        """Return what a transfer calls with its state, or None where nobody would see it."""
        if not self._shown:
            return None

        def show(state: TransferState) -> None:
            self._show(progress_text(doing, state, width=shutil.get_terminal_size((80, 24)).columns - 1))

        return show

    def count_listener(self, doing: str) -> Callable[[int, int], None] | None:
        """Return what a walk over many objects calls with how many are done and how many there are."""
        if not self._shown:
            return None
        return lambda done, total: self._show(f"{doing} {_bar(done, total)} {done:,}/{total:,}")

    def close(self) -> None:
        """Take the line away. A report that comes later shows nothing."""
        with self._lock:
            self._shown = False
            if self._is_written:
                sys.stderr.write(_ERASE_LINE)
                sys.stderr.flush()

    def _show(self, text: str) -> None:
        with self._lock:
            if self._shown:
                sys.stderr.write(f"{_ERASE_LINE}{text}")
                sys.stderr.flush()
                self._is_written = True


def is_terminal() -> bool:
    """Return whether a person is looking at stderr."""
    return sys.stderr.isatty()


def prepare() -> None:
    """Make sure that no character can stop a message, whatever the locale says."""
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def progress_text(doing: str, state: TransferState, *, width: int) -> str:
    """Return what a transfer's state looks like in one line; what would go beyond `width` columns is left out."""
    parts = [
        f"{doing} {_bar(state.done_bytes, state.total_bytes)}",
        f"{human_size(state.done_bytes)}/{human_size(state.total_bytes)}",
        f"{human_size(state.bytes_per_second)}/s",
    ]
    if state.eta_seconds is not None and state.eta_seconds < LONGEST_ETA_SECONDS:
        parts.append(f"eta {clock_time(state.eta_seconds)}")
    parts.append(f"{state.done_files:,}/{state.total_files:,} files")
    text = parts[0]
    for part in parts[1:]:
        text += f"  {part}" if len(text) + 2 + len(part) <= width else ""
    return text[:width]


def _bar(done: int, total: int) -> str:
    share = min(1.0, max(0.0, done / total)) if total else 1.0
    filled = int(share * BAR_COLUMNS)
    return f"[{'#' * filled}{'.' * (BAR_COLUMNS - filled)}] {int(share * 100):3d}%"


def _one_line(text: str) -> str:
    return displayable(" ".join(text.split()))
