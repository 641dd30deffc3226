"""What every screen that is one long text does: it scrolls, and says how far down one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.drawing.lineview import LineView
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.view import View

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult
    from textual.widget import Widget

    from bucketry.tui.shell.view import Shell


class TextView(View):
    """A text that can be scrolled. Subclasses show lines in `self.text`."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.text = LineView(shell.painter)

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield self.text

    @property
    def target(self) -> Widget:
        """The text has the keys."""
        return self.text

    @property
    def whereabouts(self) -> Hashable:
        """Where in the text one is."""
        return self.text.whereabouts

    @property
    def place(self) -> str:
        """How far down one is."""
        return self.text.position

    def draw(self) -> None:
        """Lay the text out as it is now, and for the width that there is; where one was in it stays."""

    def data_changed(self) -> None:
        """Draw the text anew: what it says, or the zone of its times, may be another."""
        self.draw()

    def on_resize(self) -> None:
        """Lay the text out for the new width."""
        self.draw()

    def on_line_view_resized(self) -> None:
        """Say how far down one is."""
        self.shell.update_frame()


PAGING: tuple[Command[TextView], ...] = (
    Command("half-down", ("ctrl+d",), "Half a page down", lambda view, _: view.text.scroll_pages(0.5), group="Move"),
    Command("half-up", ("ctrl+u",), "Half a page up", lambda view, _: view.text.scroll_pages(-0.5), group="Move"),
    Command(
        "page-down",
        ("pagedown", "ctrl+f", "space"),
        "A page down",
        lambda view, _: view.text.scroll_pages(1),
        group="Move",
    ),
    Command("page-up", ("pageup",), "A page up", lambda view, _: view.text.scroll_pages(-1), group="Move"),
)
SCROLLING: tuple[Command[TextView], ...] = (
    Command("down", ("j", "down"), "Down", lambda view, _: view.text.scroll_lines(1), group="Move"),
    Command("up", ("k", "up"), "Up", lambda view, _: view.text.scroll_lines(-1), group="Move"),
    Command(
        "top",
        ("g", "home"),
        "To the beginning",
        lambda view, _: view.text.scroll_lines(-len(view.text.lines)),
        group="Move",
    ),
    Command(
        "bottom", ("G", "end"), "To the end", lambda view, _: view.text.scroll_lines(len(view.text.lines)), group="Move"
    ),
    *PAGING,
)
