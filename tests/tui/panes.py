"""How do tests see the screens as their users do: in a window of tmux?"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

TMUX = shutil.which("tmux")
PROGRAM = (sys.executable, "-c", "from bucketry.cli.main import run; run()")
LONGEST_SECONDS = 30.0
PAUSE_SECONDS = 0.1


class Pane:
    """A tmux server of our own, with one window."""

    def __init__(self, folder: Path) -> None:
        self.environment = dict(os.environ) | {"TMUX_TMPDIR": str(folder)}
        self.environment.pop("TMUX", None)

    def tmux(self, *arguments: str) -> str:
        assert TMUX is not None
        command = [TMUX, "-L", "bucketry", "-f", os.devnull, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Send text as it is, then enter."""
        self.tmux("send-keys", "-l", text)
        self.press("Enter")

    def close(self) -> None:
        """Take the terminal away, as a broken line does; do nothing if it has gone."""
        with suppress(subprocess.CalledProcessError):
            self.tmux("kill-server")

    def wait_for(self, *texts: str) -> str:
        """Return what is shown once all of these are on the screen at the same time."""
        return self._wait(lambda shown: all(text in shown for text in texts), " and ".join(map(repr, texts)))

    def wait_for_line(self, pattern: str) -> str:
        """Return what is shown once a line of it has this pattern."""
        return self._wait(lambda shown: re.search(pattern, shown), pattern)

    def _wait(self, is_there: Callable[[str], object], what: str) -> str:
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            shown = self.tmux("capture-pane", "-p")
            if is_there(shown):
                return shown
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{what} did not appear:\n{shown}")


@contextmanager
def open_pane(folder: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[Pane]:
    """Open the screens at 80x24, with this in the environment, until the block ends or the window is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    pane = Pane(folder)
    words = [f"{name}={value}" for name, value in {**environment, "TERM": "tmux-256color"}.items()]
    start = shlex.join(["env", *words, *PROGRAM, *arguments, "tui"])
    pane.tmux("new-session", "-d", "-x", "80", "-y", "24", f"{start}; echo left with $?; sleep {LONGEST_SECONDS:.0f}")
    try:
        yield pane
    finally:
        pane.close()
