"""Everything that is said on stderr while a command runs: progress, notes, and the one line of a failure.

The only module that writes there. Nothing said here is a result: a script may ignore all of it.
"""

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
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.schema.text import displayable
from bucketry.show.figures import share_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bucketry.errors import BucketryError
    from bucketry.transfer.pace.progress import Progress

FEWEST_COUNTED = 32
"""A walk over fewer objects than this is over before a bar could be read."""
SILENCE_SECONDS = 3.0
"""How long work without a moving line may say nothing."""

_RED, _PLAIN, _ERASE_LINE, _ERASE_LINE_ABOVE = "\x1b[1;31m", "\x1b[0m", "\r\x1b[2K", "\x1b[1A\x1b[2K"


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

    def listener(self, doing: str) -> Callable[[Progress], None] | None:
        """Return what a transfer calls with its state, or None where nobody would see it."""
        if not self._shown:
            return None

        from bucketry.show.transfers import progress_lines  # noqa: PLC0415 - most commands move no bytes

        def show(progress: Progress) -> None:
            columns, rows = shutil.get_terminal_size((80, 24))
            self._show(*progress_lines(doing, progress, width=columns - 1, height=rows - 1))

        return show

    def count_listener(self, doing: str) -> Callable[[int, int], None] | None:
        """Return what a walk over many objects calls with how many are done and how many there are."""
        if not self._shown:
            return None

        def show(done: int, total: int) -> None:
            if total >= FEWEST_COUNTED:
                self._show(f"{doing} {share_text(done, total)} {done:,}/{total:,}")

        return show

    @contextmanager
    def steps(self, doing: str) -> Iterator[Callable[[int, int], None]]:
        """Yield what work of some seconds calls with how many of its steps are done and how many there are.

        Where nobody sees a line that moves, it is said in one that stays, once it takes long.
        """

        def show(done: int, total: int) -> None:
            self._show(f"{doing} {share_text(done, total)} {done:,}/{total:,}")

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


def _one_line(text: str) -> str:
    return displayable(" ".join(text.split()))
