"""A text of many lines that can be scrolled: a version's tab, a card, the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from bucketry.tui.drawing.paint import changed_region

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual import events

    from bucketry.show.spans import Line
    from bucketry.tui.drawing.paint import Painter


class LineView(Widget, can_focus=True):
    """Lines, from the top one on. Text is cut at the right edge: whoever makes the lines knows the width."""

    DEFAULT_CSS = "LineView { height: 1fr; width: 1fr; }"

    class Resized(Message):
        """How much of the text is on the screen changed."""

    def __init__(self, painter: Painter, *, id: str | None = None) -> None:  # noqa: A002 - the toolkit's name
        super().__init__(id=id)
        self._painter = painter
        self._lines: tuple[Line, ...] = ()
        self._top = 0

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    @property
    def cursor_offset(self) -> Offset:
        """Where in the widget one reads on."""
        return Offset(0, 0)

    @property
    def position(self) -> str:
        """How far down the text is scrolled; empty where all of it is on the screen."""
        if len(self._lines) <= self.size.height:
            return ""
        return f"{min(len(self._lines), self._top + self.size.height)}/{len(self._lines)}"

    def show(self, lines: Sequence[Line], *, keep_place: bool = False) -> None:
        """Show other lines, from the top or from where one was."""
        before, top = self._lines, self._top
        self._lines = tuple(lines)
        if not keep_place:
            self._top = 0
        self.scroll_lines(0)
        if self._top != top or not before:
            self.refresh()
            return
        for y in range(self.size.height):  # only what differs is drawn
            old, new = _line_at(before, top + y), _line_at(self._lines, top + y)
            if old != new:
                self.refresh(changed_region(old, new, self.size.width, y=y))

    @property
    def whereabouts(self) -> Hashable:
        """Where in the text one is."""
        return self._top

    def scroll_lines(self, count: int) -> None:
        """Scroll by lines, down if positive."""
        last = max(0, len(self._lines) - max(1, self.size.height))
        top = max(0, min(self._top + count, last))
        if top != self._top:
            self._top = top
            self.refresh()

    def scroll_pages(self, pages: float) -> None:
        """Scroll by pages or parts of one."""
        self.scroll_lines(int(max(1, self.size.height) * pages))

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        width = self.size.width
        shown = _line_at(self._lines, self._top + y)
        return Strip(self._painter.segments(shown, width), width)

    def on_resize(self, _event: events.Resize) -> None:
        """Stay inside the text; the toolkit draws what has a new size."""
        self.scroll_lines(0)
        self.post_message(self.Resized())

    def on_mouse_scroll_down(self, _event: events.MouseScrollDown) -> None:
        """Scroll down."""
        self.scroll_lines(3)

    def on_mouse_scroll_up(self, _event: events.MouseScrollUp) -> None:
        """Scroll up."""
        self.scroll_lines(-3)


def _line_at(lines: Sequence[Line], place: int) -> Line:
    return lines[place] if place < len(lines) else ()


class BlockLines(LineView):
    """Lines of which a block is chosen."""

    _first = 0

    @property
    def cursor_offset(self) -> Offset:
        """Where in the widget the block begins."""
        return Offset(0, max(0, self._first - self._top))

    def bring(self, first: int, end: int) -> None:
        """Scroll so that a block is on the screen, its first line in any case."""
        self._first, height = first, max(1, self.size.height)
        if first < self._top:
            self.scroll_lines(first - self._top)
        elif end > self._top + height:
            self.scroll_lines(min(end - height, first) - self._top)
