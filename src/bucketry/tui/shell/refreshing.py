"""When the bucket is looked at: behind the first picture, every half minute, after each change, and when users ask."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bucketry.registry.core.counting import counted
from bucketry.registry.core.opening import SILENCE_SECONDS
from bucketry.tui.drawing.marks import damage_words
from bucketry.tui.shell.background import Finished
from bucketry.tui.shell.command_log import LogEntry

if TYPE_CHECKING:
    from bucketry.errors import BucketryError
    from bucketry.tui.shell.host import Host

FRESHNESS_CHECK_SECONDS = 10.0
"""How often the word LIVE or STALE is looked at; nothing is sent while it stays."""
LISTED_WHILE_READING = 5
"""While the first refresh reads, the list is shown anew at most so many times for each hundred percent."""


class Refreshing:
    """The refresh of one app: at most one at a time, and one more if somebody asked meanwhile."""

    def __init__(self, app: Host) -> None:
        self.progress = ""
        self._app = app
        self._is_running = False
        self._started = 0
        self._again = False
        self._is_asked = False
        self._shown_part = 0

    def begin(self) -> None:
        """Look at the bucket now, and from now on."""
        self._app.set_interval(self._app.settings.refresh_seconds, self.start)
        self._app.set_interval(FRESHNESS_CHECK_SECONDS, self._app.update_frame)
        self.start()

    def ask(self) -> None:
        """Look at the bucket because the user wants to see it now, and say what came of that."""
        self._is_asked = True
        self._app.flash("looking at the bucket ...", "dim")
        self.start(forced=True)

    def start(self, *, forced: bool = False) -> None:
        """Look at the bucket; `forced` again, if that is being done already and may have passed what changed."""
        if self._is_running:
            self._again = self._again or forced
            return
        self._is_running = True
        self._started += 1
        app, started = self._app, self._started

        def say_silence() -> None:
            if self._is_running and started == self._started and not self.progress:
                self.progress = f"{app.session.store.name}, which has not answered yet"
                app.update_frame()
                if not app.source.is_filled:
                    app.view.data_changed()

        app.set_timer(SILENCE_SECONDS, say_silence)
        session, count = counted(app.session)
        at, began = session.clock.timestamp(), time.monotonic()

        def done(changed: bool) -> None:  # noqa: FBT001 - what the work returned
            is_first = not app.source.is_filled  # what waited for it has to say that there is nothing
            app.source.note_seen()
            self._end()
            if changed or forced:
                note = LogEntry(at, "(refresh)", count.made, time.monotonic() - began)
                app.log_of_commands.add(note)
            if changed or forced or is_first:
                app.view.data_changed()

        def failed(error: BucketryError) -> None:
            app.source.note_failure(error)
            self._end(error)
            app.view.data_changed()

        app.background.start("refresh", lambda: app.source.refresh(session, app.closing, self._tell), done, failed)

    def _end(self, failure: BucketryError | None = None) -> None:
        self._is_running = False
        self._shown_part = 0
        if self.progress:
            self.progress = ""
            self._app.update_frame()
        if self._again:
            self._again = False
            self.start(forced=True)
        elif self._is_asked:
            self._is_asked = False
            damage = self._app.source.damage
            if failure is not None:
                self._app.fail(failure)
            elif damage.count:
                self._app.flash(f"this is how the bucket is now, but {damage_words(damage)}", "bad")
            else:
                self._app.flash("this is how the bucket is now", "good")

    def _tell(self, what: str, done: int, total: int) -> None:
        """Hand over how far the refresh is; called in its thread."""
        part = done * LISTED_WHILE_READING // max(1, total)

        def show() -> None:
            self.progress = f"{what} {done:,} of {total:,}"
            if not self._app.source.is_filled and part != self._shown_part:
                self._shown_part = part
                self._app.view.data_changed()

        self._app.post_message(Finished(show))
