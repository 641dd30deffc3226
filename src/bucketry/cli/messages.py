"""Everything that is said on stderr while a command runs: progress, notes, and the one line of a failure.

The only module that writes there. Nothing said here is a result: a script may ignore all of it.
"""

# ruff: noqa: D102 - the protocols below say of each value only that it is there

from __future__ import annotations

import getpass
import io
import os
import shutil
import sys
import threading
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bucketry.errors import UsageError
from bucketry.schema.text import displayable
from bucketry.show.figures import clock_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bucketry.errors import BucketryError

BAR_COLUMNS = 10
FEWEST_COUNTED = 32
SILENCE_SECONDS = 3.0
"""How long work without a moving line may say nothing."""
"""A walk over fewer objects than this is over before a bar could be read."""
LONGEST_ETA_SECONDS = 100 * 3_600
MOST_FILES_SHOWN = 8
LONGEST_LABEL_COLUMNS = 40

_RED, _PLAIN, _ERASE_LINE, _ERASE_LINE_ABOVE = "\x1b[1;31m", "\x1b[0m", "\r\x1b[2K", "\x1b[1A\x1b[2K"


class FileState(Protocol):
    """What a progress line needs to know of one file whose bytes are moving."""

    @property
    def label(self) -> str: ...
    @property
    def done_bytes(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def bytes_per_second(self) -> float: ...


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
    @property
    def retries(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def active(self) -> Sequence[FileState]: ...


@dataclass(slots=True)
class Messages:
    """Standard error for one run."""

    quiet: bool = False
    verbose: bool = False
    colour: bool = False

    def note(self, text: str) -> None:
        """Say something worth knowing that is neither result nor failure."""
        if not self.quiet:
            _say(f"note: {_one_line(text)}\n")

    def damage(self, reasons: Iterable[str]) -> None:
        """Say what is damaged of what is shown, each reason once."""
        for reason in dict.fromkeys(reason for reason in reasons if reason):
            self.note(f"damaged: {reason}; run `bucketry fsck`")

    def detail(self, text: str) -> None:
        """Say something that only `--verbose` asks for."""
        if self.verbose:
            _say(f"{_one_line(text)}\n")

    def failure(self, error: BucketryError) -> None:
        """Say in one line what failed and what to do now."""
        label = f"error[{error.kind}]:"
        label = f"{_RED}{label}{_PLAIN}" if self.colour else label
        advice = f"; do this: {_one_line(error.remedy)}" if error.remedy else ""
        _say(f"{label} {_one_line(error.message)}{advice}\n")

    def trace(self, error: BaseException) -> None:
        """Print where an error came from, under `--verbose` only."""
        if self.verbose:
            for block in traceback.format_exception(error):
                _say(displayable(block, newlines=True))

    def confirm(self, question: str) -> bool:
        """Ask a person; without a terminal nobody can answer, and the answer is no."""
        if not sys.stdin.isatty() or not is_terminal():
            return False
        _say(f"{_one_line(question)} [y/N] ")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def ask_passphrase(self, key: str) -> str:
        """Ask a person for a key's passphrase, which is not shown; raise `UsageError` where there is no terminal."""
        if not sys.stdin.isatty():
            raise UsageError(f"nobody can be asked for the passphrase of {key}", advice="use an agent, or a terminal")
        return getpass.getpass(f"passphrase of {_one_line(key)}: ")

    @contextmanager
    def progress(self) -> Iterator[ProgressLine]:
        """Show progress while the block runs; it is gone when the block ends, however it ends."""
        line = ProgressLine(shown=not self.quiet and is_terminal(), told=not self.quiet)
        try:
            yield line
        finally:
            line.close()


class ProgressLine:
    """A line, and one below for each active file, that are written again and again. Safe for threads."""

    def __init__(self, *, shown: bool, told: bool) -> None:
        self._shown = shown
        self._told = told
        self._written_lines = 0
        self._lock = threading.Lock()

    def listener(self, doing: str) -> Callable[[TransferState], None] | None:
        """Return what a transfer calls with its state, or None where nobody would see it."""
        if not self._shown:
            return None

        def show(state: TransferState) -> None:
            columns, rows = shutil.get_terminal_size((80, 24))
            self._show(*progress_lines(doing, state, width=columns - 1, height=rows - 1))

        return show

    def count_listener(self, doing: str) -> Callable[[int, int], None] | None:
        """Return what a walk over many objects calls with how many are done and how many there are."""
        if not self._shown:
            return None

        def show(done: int, total: int) -> None:
            if total >= FEWEST_COUNTED:
                self._show(f"{doing} {_bar(done, total)} {done:,}/{total:,}")

        return show

    @contextmanager
    def steps(self, doing: str) -> Iterator[Callable[[int, int], None]]:
        """Yield what work of some seconds calls with how many of its steps are done and how many there are.

        Where nobody sees a line that moves, it is said in one that stays, once it takes long.
        """

        def show(done: int, total: int) -> None:
            self._show(f"{doing} {_bar(done, total)} {done}/{total}")

        if self._shown:
            self._show(f"{doing} ...")
        timer = threading.Timer(SILENCE_SECONDS, lambda: _say(f"note: {doing} takes a while\n"))
        timer.daemon = True
        if self._told and not self._shown:
            timer.start()
        try:
            yield show
        finally:
            timer.cancel()

    def close(self) -> None:
        """Take the lines away. A report that comes later shows nothing."""
        with self._lock:
            self._shown = False
            sys.stderr.write(self._erasure())
            sys.stderr.flush()

    def _show(self, *lines: str) -> None:
        with self._lock:
            if self._shown:
                sys.stderr.write(self._erasure(anyway=True) + "\n".join(lines))
                sys.stderr.flush()
                self._written_lines = len(lines)

    def _erasure(self, *, anyway: bool = False) -> str:
        if self._written_lines == 0 and not anyway:
            return ""
        return _ERASE_LINE + _ERASE_LINE_ABOVE * (self._written_lines - 1)


def is_terminal() -> bool:
    """Return whether a person is looking at stderr."""
    return sys.stderr.isatty()


def prepare() -> None:
    """Make sure that no character can stop a message, whatever the locale says, nor a stderr that is closed."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    if sys.stdin is None:  # closed: there is nothing to read, and nobody to be asked
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def _say(text: str) -> None:
    """Write to stderr; where that fails nobody can be told, and the exit code must still say what happened."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())  # what is buffered would fail again at the end
        os.close(nowhere)


def progress_text(doing: str, state: TransferState, *, width: int) -> str:
    """Return what a transfer's state looks like in one line; what would go beyond `width` columns is left out."""
    parts = [
        f"{doing} {_bar(state.done_bytes, state.total_bytes)}",
        f"{size_text(state.done_bytes)}/{size_text(state.total_bytes)}",
        f"{size_text(state.bytes_per_second)}/s",
    ]
    if state.eta_seconds is not None and state.eta_seconds < LONGEST_ETA_SECONDS:
        parts.append(f"eta {clock_text(state.eta_seconds)}")
    parts.append(f"{state.done_files:,}/{state.total_files:,} files")
    if state.connections:
        parts.append(f"{state.connections} connections")
    if state.retries:
        parts.append(f"{state.retries:,} retries")
    text = parts[0]
    for part in parts[1:]:
        text += f"  {part}" if len(text) + 2 + len(part) <= width else ""
    return text[:width]


def progress_lines(doing: str, state: TransferState, *, width: int, height: int) -> list[str]:
    """Return the line of a transfer, and one for each active file as far as `height` lines allow."""
    shown = state.active[: max(0, min(MOST_FILES_SHOWN, height - 1))] if len(state.active) > 1 else ()
    return [progress_text(doing, state, width=width), *(_file_text(file, width=width) for file in shown)]


def _file_text(file: FileState, *, width: int) -> str:
    label = _one_line(file.label)
    if len(label) > LONGEST_LABEL_COLUMNS:
        label = "…" + label[1 - LONGEST_LABEL_COLUMNS :]
    amounts = f"{_bar(file.done_bytes, file.size_bytes)}  {size_text(file.size_bytes)}"
    return f"  {amounts}  {size_text(file.bytes_per_second)}/s  {label}"[:width]


def _bar(done: int, total: int) -> str:
    share = min(1.0, max(0.0, done / total)) if total else 1.0
    filled = int(share * BAR_COLUMNS)
    return f"[{'#' * filled}{'.' * (BAR_COLUMNS - filled)}] {int(share * 100):3d}%"


def _one_line(text: str) -> str:
    return displayable(" ".join(text.split()))
