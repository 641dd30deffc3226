"""What the transfer worker did: the end of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bucketry.errors import UnavailableError
from bucketry.jobs import client as jobs
from bucketry.show.spans import Line, Span, cut_left, line, wrapped
from bucketry.tui.screens.text import SCROLLING, TextView

if TYPE_CHECKING:
    from bucketry.errors import BucketryError
    from bucketry.tui.shell.commands import Command
    from bucketry.tui.shell.view import Shell

MOST_READ_BYTES = 64 * 1024
"""Of a log that has grown, the end is what somebody looks for."""


class TransfersLogView(TextView):
    """The end of the worker's log, as it was when the screen was opened."""

    CALLED = "what the transfers did (t, then o)"
    crumbs = ("transfers", "log")

    COMMANDS: ClassVar[tuple[Command[TransfersLogView], ...]] = SCROLLING

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._read: list[str] | None = None
        self._is_at_end = False

    @property
    def notice(self) -> Line:
        """Which file it is."""
        return line(" ", Span(cut_left(str(jobs.log_path()), self.shell.size.width - 2), "dim"))

    def shown(self) -> None:
        """Read the log."""

        def done(read: list[str]) -> None:
            self._read = read
            self.draw()

        def failed(error: BucketryError) -> None:
            if self._read is None:
                self.text.show([line(), line("  ", Span(error.message, "bad")), line("  r tries again.")])
            self.shell.fail(error)

        self.shell.background.start(f"worker-log-{id(self)}", _read_end, done, failed)

    def data_changed(self) -> None:
        """Read the log again."""
        self.shown()

    def draw(self) -> None:
        """Lay out what is known now."""
        width = self.size.width
        if self._read is None or not width:
            return
        lines = [line(" ", *shown) for text in self._read for shown in wrapped(text, width - 2)]
        nothing = [line(), line("  No worker has done anything here yet."), line("  h goes back.")]
        self.text.show(lines or nothing, keep_place=True)
        if not self._is_at_end and self.text.size.height:
            self._is_at_end = True
            self.text.scroll_lines(len(lines))
        self.shell.update_frame()


def _read_end() -> list[str]:
    """Return the last lines of the log; not for the screen's thread."""
    path = jobs.log_path()
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_READ_BYTES))
            read = file.read(MOST_READ_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read ({error.strerror})", advice="check whose file it is") from error
    lines = read.decode("utf-8", "replace").splitlines()
    return lines[1:] if size > MOST_READ_BYTES else lines
