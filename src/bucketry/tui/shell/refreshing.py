"""When the bucket is looked at: behind the first picture, every half minute, after each change, and when users ask."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from bucketry.registry.core.counting import counted
from bucketry.registry.core.opening import SILENCE_SECONDS
from bucketry.tui.drawing.marks import damage_words
from bucketry.tui.shell.background import Finished
from bucketry.tui.shell.command_log import LogEntry

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from textual.message import Message

    from bucketry.errors import BucketryError
    from bucketry.registry.core.session import Session
    from bucketry.show.spans import Role
    from bucketry.tui.data.source import Source
    from bucketry.tui.shell.background import Background
    from bucketry.tui.shell.command_log import CommandLog
    from bucketry.tui.shell.settings import Settings

FRESHNESS_CHECK_SECONDS = 10.0
"""How often the word LIVE or STALE is looked at; nothing is sent while it stays."""
LISTED_WHILE_READING = 5
"""While the first refresh reads, the list is shown anew at most so many times for each hundred percent."""


class ShowsIndex(Protocol):
    """A view, as far as a refresh tells it something."""

    def data_changed(self) -> None:
        """Answer to a change of the local index."""


class RefreshingHost(Protocol):
    """What a refresh needs of the app."""

    settings: Settings
    source: Source
    background: Background
    log_of_commands: CommandLog
    closing: threading.Event

    @property
    def session(self) -> Session:
        """The opened registry."""

    @property
    def view(self) -> ShowsIndex:
        """The view in front."""

    def set_timer(self, delay: float, callback: Callable[[], object]) -> object:
        """Call something once, later."""

    def set_interval(self, interval: float, callback: Callable[[], object]) -> object:
        """Call something again and again."""

    def post_message(self, message: Message) -> bool:
        """Hand a message over to the thread of the screens."""

    def update_frame(self) -> None:
        """Bring the lines around the view up to date."""

    def flash(self, text: str, role: Role = "plain") -> None:
        """Say something until the next key."""

    def fail(self, error: BucketryError) -> None:
        """Say what went wrong, and what to do now."""


class Refreshing:
    """The refresh of one app: at most one at a time, and one more if somebody asked meanwhile."""

    def __init__(self, app: RefreshingHost) -> None:
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
        app = self._app
        app.set_timer(SILENCE_SECONDS, partial(self._say_silence, self._started))
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

    def _say_silence(self, started: int) -> None:
        if self._is_running and started == self._started and not self.progress:
            self.progress = f"{self._app.session.store.name}, which has not answered yet"
            self._app.update_frame()
            if not self._app.source.is_filled:
                self._app.view.data_changed()

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
            if failure is None:
                self._say_how_it_is()
            else:
                self._app.fail(failure)

    def _say_how_it_is(self) -> None:
        """Say that what is shown is what the bucket has, and, where some of it is damaged, that not all is well."""
        damage = self._app.source.damage
        if damage.count:
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
