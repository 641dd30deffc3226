"""The app that holds the screens together: the views, who gets the keys, what is asked, and what runs behind."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from textual.containers import Container
from textual.screen import Screen

from bucketry.errors import ContendedError, UnavailableError
from bucketry.registry.core.counting import counted
from bucketry.show.figures import short_digests
from bucketry.show.spans import Span, line, plain_text, text_width
from bucketry.tui.data.transfer_board import TransferBoard
from bucketry.tui.drawing.clipboard import copy_text
from bucketry.tui.drawing.display import DisplayedApp
from bucketry.tui.drawing.lineview import LineView
from bucketry.tui.drawing.marks import failure_words
from bucketry.tui.drawing.paint import Painter
from bucketry.tui.screens.opening import view_of, where_it_belongs
from bucketry.tui.shell.asking import Asking, Choice, Question
from bucketry.tui.shell.background import Background, Finished
from bucketry.tui.shell.command_log import CommandLog, LogEntry, command_line
from bucketry.tui.shell.commands import (
    Command,
    KeyFaults,
    hint_texts,
    key_of,
    lower_first,
    shown_key,
    why_unmoved,
)
from bucketry.tui.shell.everywhere import EVERYWHERE
from bucketry.tui.shell.frame import (
    Notice,
    OneLine,
    Panel,
    Rule,
    actor_span,
    hints_line,
    too_small_lines,
    top_line,
    wrapped_lines,
)
from bucketry.tui.shell.places import ModelsPlace
from bucketry.tui.shell.refreshing import Refreshing
from bucketry.tui.shell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events
    from textual.app import ComposeResult
    from textual.widget import Widget

    from bucketry.errors import BucketryError
    from bucketry.registry.core.session import Session
    from bucketry.show.spans import Role
    from bucketry.tui.data.source import Source
    from bucketry.tui.drawing.terminal import Terminal
    from bucketry.tui.shell.places import Place
    from bucketry.tui.shell.view import View

Result = TypeVar("Result")

MOST_VIEWS = 32
"""How deep views may be stacked; the oldest behind the first is closed beyond that."""
TOO_SMALL = "-too-small"
FIRST_LOOK_PAUSE_SECONDS = 0.3
"""Where rows are shown, the user's first keys come before loading what looks at the bucket, and before its reply."""
EMPTY_VIEW_SECONDS = 0.08
"""How long the view before stays while the new one has nothing to show yet."""


class Frame(Screen[None], inherit_bindings=False):
    """The one screen of the toolkit's kind; views come and go in its body."""


class BucketryApp(DisplayedApp, inherit_bindings=False):
    """The screens of one registry."""

    CSS = """
    Frame { layout: vertical; background: ansi_default; color: ansi_default; overflow: hidden; }
    #body { height: 1fr; width: 1fr; layout: vertical; }
    #small { display: none; }
    Frame.-too-small > * { display: none; }
    Frame.-too-small > #small { display: block; }
    """

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    TITLE = "bucketry"

    def __init__(
        self,
        source: Source,
        terminal: Terminal,
        *,
        settings: Settings | None = None,
        read_only: bool = False,
        registry: str | None = None,
    ) -> None:
        self.settings = settings or Settings()
        super().__init__(cell_diff=self.settings.cell_diff, shows_cursor=self.settings.cursor)
        self.source = source
        self.terminal = terminal
        self.read_only = read_only
        self.write_lock = False
        self.registry = registry
        self.painter = Painter(self.settings.theme or terminal.theme, ascii_only=not terminal.is_unicode)
        self.zone = self.settings.time
        self.log_of_commands = CommandLog()
        self.undo: tuple[str, Callable[[], None]] | None = None
        self.background = Background(self)
        self.refreshing = Refreshing(self)
        self.transfers = TransferBoard(self)
        self.key_faults = KeyFaults(self.settings.keymap)
        self.closing = threading.Event()
        self._views: list[View] = []
        self._last: View | None = None
        self._flash: Span | None = None
        self._is_looking = False
        self.panel = Panel(self.painter)
        self.notice = Notice(self.painter)
        self.asking = Asking(self.panel, self.notice)

    @property
    def session(self) -> Session:
        """The opened registry."""
        return self.source.session

    @property
    def view(self) -> View:
        """The view in front."""
        return self._views[-1]

    @property
    def depth(self) -> int:
        """How many views are stacked."""
        return len(self._views)

    @property
    def cursor_widget(self) -> Widget | None:
        """The widget that the keys work on."""
        return self.notice if self.asking.has_question else self.view.target if self._views else None

    @property
    def commands(self) -> tuple[Command[Any], ...]:
        """Everything that can be done now, the view's own first."""
        return (*self.view.commands, *EVERYWHERE)

    def go(self, place: Place) -> None:
        """Open a screen in front of the one that is there."""
        view = view_of(self, place)
        self.asking.cancel()
        self._last = None
        if len(self._views) >= MOST_VIEWS:
            self._views.pop(1).remove()
        self._views.append(view)
        view.display = False
        self.query_one("#body").mount(view)

        def begin() -> None:
            view.shown()
            if view.is_ready:
                self.swap_in(view)
            else:
                self.set_timer(EMPTY_VIEW_SECONDS, lambda: self.swap_in(view))

        self.call_after_refresh(begin)

    def swap_in(self, view: View) -> None:
        """Show the view in front, now that it has something to show: an empty one would be sent for nothing."""
        if self._views and view is self.view and not view.display:
            self._show_front()

    def back(self) -> None:
        """Close the view in front, unless it is the first."""
        if len(self._views) > 1:
            gone = self._views.pop()
            if self._last is not None:
                self._last.remove()
            self._last = gone
            self._show_front()
            self.view.shown()

    def reopen_last(self) -> None:
        """Open the view again that was closed last."""
        if self._last is None:
            self.flash("there is no view to go back to", "warn")
            return
        view, self._last = self._last, None
        self._views.append(view)
        self._show_front()
        view.shown()

    def focus_view(self) -> None:
        """Give the keys to the view in front."""
        target = self.view.target if self._views else None
        if target is not None:
            target.focus(scroll_visible=False)

    def flash(self, text: str, role: Role = "plain") -> None:
        """Say something until the next key."""
        self._flash = Span(text, role)
        self.update_frame()

    def fail(self, error: BucketryError) -> None:
        """Say what went wrong, and what to do now."""
        self.flash(short_digests(failure_words(error)), "bad")

    def ask(self, question: Question) -> None:
        """Ask for a text on the line above the hints."""
        self._flash = None
        self.asking.ask(question)

    def choose(self, choice: Choice) -> None:
        """Ask for one key of several."""
        self.flash(self.asking.choose(choice), "strong")

    def command_line(self, *words: str) -> str:
        """Return the command line that does the same, for this registry."""
        return command_line(*words, registry=self.registry)

    def read(
        self,
        name: str,
        words: tuple[str, ...],
        work: Callable[[Session], Result],
        done: Callable[[Result], None],
        failed: Callable[[BucketryError], None] | None = None,
    ) -> None:
        """Read from the bucket behind the keys; `words` are the command that does the same, for the command log."""
        self._run(name, words, work, done, failed or self.fail, writes=False)

    def write(
        self,
        words: tuple[str, ...],
        work: Callable[[Session], Result],
        done: Callable[[Result], None],
        failed: Callable[[BucketryError], None] | None = None,
    ) -> None:
        """Change the registry by a service of it, then refresh. What fails is said, with its advice."""
        why_not = self.why_not_write()
        if why_not:
            self.flash(why_not, "warn")
            return
        why_offline = self.why_offline()
        if why_offline:
            (failed or self.fail)(UnavailableError(f"not done, {why_offline}"))
            return
        self.flash(f"{self.command_line(*words)} ...", "dim")

        def written(result: Result) -> None:
            self.undo = None  # of the last change alone
            done(result)
            self.refreshing.start(forced=True)

        def refused(error: BucketryError) -> None:
            (failed or self.fail)(error)
            self.refreshing.start(forced=True)

        self._run("write", words, work, written, refused, writes=True)

    def why_not_write(self) -> str:
        """Return why the registry cannot be changed from here, or ""."""
        if self.read_only:
            return "these screens were opened with --read-only"
        if self.session.read_only:
            return "the configuration says read_only for this registry"
        if self.write_lock:
            return "the write lock is on (W takes it off)"
        return ""

    def why_offline(self) -> str:
        """Return why the bucket cannot be written now, or ""; then it is looked at again behind the keys."""
        failure = self.source.freshness.failure
        if not isinstance(failure, UnavailableError):
            return ""
        self.refreshing.start(forced=True)
        return f"the bucket is offline ({short_digests(failure.message)}); it is being tried again"

    def copy(self, text: str, *, told: str = "") -> None:
        """Put a text into the clipboard, and show it or what is told of it, whatever became of that."""
        way = copy_text(text, self.terminal, self.copy_to_clipboard)
        self.flash(f"copied by {way}: {told or text}")

    def get_default_screen(self) -> Frame:
        """Return the frame."""
        return Frame(id="frame")

    def compose(self) -> ComposeResult:
        """Lay out what stands around the views."""
        yield OneLine(self.painter, id="top")
        yield Container(id="body")
        yield self.panel
        yield Rule(self.painter)
        yield self.notice
        yield OneLine(self.painter, id="hints")
        yield LineView(self.painter, id="small")

    def on_mount(self) -> None:
        """Open the first view."""
        self.go(ModelsPlace())

    def on_unmount(self) -> None:
        """Let what still reads behind the screens end soon."""
        self.closing.set()

    def update_frame(self) -> None:
        """Bring the lines around the view up to date; a line that stays the same is not sent."""
        if not self._views or not self.is_running or not self.view.display:
            return
        width, cannot_write = self.size.width, bool(self.why_not_write())
        crumbs = (self.session.store.name, *self.view.crumbs)
        moving = None if self.view.says_transfers else self.transfers.span()
        state = [
            *([Span(self.view.place)] if self.view.place else []),
            self.source.freshness.span(),
            *([moving] if moving else []),
            actor_span(self.session.actor, width, is_locked=cannot_write),
        ]
        self.query_one("#top", OneLine).show(top_line(crumbs, state, width))
        if not self.asking.has_question:
            said = line(" ", self._flash) if self._flash else self.view.notice
            long = wrapped_lines(said, width) if text_width(plain_text(said)) > width else ()
            self.panel.show("", long, is_production=False)
            self.notice.show(() if long else said)
        listed = [command for command in self.commands if not (command.writes and cannot_write)]
        hints = self.asking.hints() or hint_texts(
            listed, self.view, self.settings.keymap, has_nothing=self.view.has_nothing
        )
        self.query_one("#hints", OneLine).show(hints_line(hints, width))

    def repaint(self) -> None:
        """Draw everything anew, after a change of theme."""
        self.forget_display()
        for view in self._views:
            view.repaint()
        for widget in self.screen.children:
            widget.refresh()

    async def on_key(self, event: events.Key) -> None:
        """Find the command that a key stands for, and do it or say why not."""
        event.stop()
        event.prevent_default()
        if not self._views:
            return
        if self.screen.has_class(TOO_SMALL):  # nothing is done that nobody would see
            found = self.settings.keymap.find(self.commands, key_of(event))
            if found is not None and found.name in {"quit", "leave"}:
                self.leave()
            return
        if self.asking.has_question:
            self.asking.type_key(event)
            self.update_frame()
            return
        key = key_of(event)
        self.background.cancel("where")  # what is said of the key before would come too late
        had_flash, self._flash = self._flash is not None, None
        if self.asking.take_key(key):
            self.update_frame()
            return
        command = self.settings.keymap.find(self.commands, key)
        if command is not None:
            self.run_command(command, "", key=key)
            return
        if had_flash:
            self.update_frame()
        self.background.start(  # it may load screens
            "where",
            lambda: where_it_belongs(key, self.settings.keymap),
            lambda said: self.flash(said, "warn") if said else None,
            self.fail,
        )

    def run_command(self, command: Command[Any], argument: str, *, key: str = "") -> None:
        """Do what a command says, or say why it cannot be done now."""
        view = self.view
        why_not = "" if argument and command.is_typed_whole else command.why_not(view)
        if command.writes and not why_not:
            why_not = self.why_offline()
        if why_not:
            name = f"{shown_key(key)} " if key else ""
            self.flash(f"{name}{lower_first(command.title)}: not now, {why_not}", "warn")
            return
        before = view.whereabouts
        command.run(view, argument)
        if key and (said := why_unmoved(command, before, self.view.whereabouts)):
            self._flash = Span(said, "dim")
        self.update_frame()

    def on_paste(self, event: events.Paste) -> None:
        """Put a pasted text into the prompt; elsewhere it would be taken for keys."""
        if self.asking.has_question and not self.screen.has_class(TOO_SMALL):
            self.asking.paste(event.text)

    def on_resize(self, event: events.Resize) -> None:
        """Say so where there is too little room."""
        small = too_small_lines(event.size)
        self.screen.set_class(bool(small), TOO_SMALL)
        self.query_one("#small", LineView).show(small)
        self.call_after_refresh(self.update_frame)

    def on_finished(self, message: Finished) -> None:
        """Take what came from the background."""
        message.deliver()
        self.update_frame()

    def leave(self) -> None:
        """End the program; once not, if a change of the registry is under way."""
        if self.background.writing and not (self._flash and self._flash.text.startswith("a change")):
            self.flash("a change of the registry is under way; q again leaves without waiting for it", "warn")
            return
        self.exit()

    def _run(
        self,
        name: str,
        words: tuple[str, ...],
        work: Callable[[Session], Any],
        done: Callable[[Any], None],
        failed: Callable[[BucketryError], None],
        *,
        writes: bool,
    ) -> None:
        session, count = counted(self.session)
        at, began = self.session.clock.timestamp(), time.monotonic()
        said = self.command_line(*words)

        def note(failure: str = "") -> None:
            seconds = time.monotonic() - began
            self.log_of_commands.add(LogEntry(at, said, count.made, seconds, failure, writes))

        def noted(result: Any) -> None:  # noqa: ANN401 - whatever it returns
            note()
            done(result)

        def noted_failure(error: BucketryError) -> None:
            note(error.message)
            if isinstance(error, UnavailableError) and count.made:  # not the worker of the transfers
                self.source.note_failure(error)
            failed(error)
            if isinstance(error, ContendedError):  # the bucket has moved on from what is shown
                self.refreshing.start(forced=True)

        self.background.start(name, lambda: work(session), noted, noted_failure, writes=writes)

    def _begin_looking(self) -> None:
        """Look at the bucket and at the transfers from now on: at once where nothing can be shown yet."""

        def begin() -> None:
            self.refreshing.begin()
            self.transfers.begin()

        if self.source.is_filled:
            self.set_timer(FIRST_LOOK_PAUSE_SECONDS, begin)
        else:
            begin()

    def _show_front(self) -> None:
        with self.batch_update():
            for view in [*self._views[:-1], *([self._last] if self._last else [])]:
                view.display = False
            self.view.display = True
            self.focus_view()
        fault = self.key_faults.look(self.commands)
        self._flash = Span(fault, "warn") if fault else self._flash
        self.update_frame()
        self._is_looking = self._is_looking or self.call_after_refresh(self._begin_looking)
