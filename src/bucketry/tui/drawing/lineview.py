"""A text of many lines that can be scrolled: a version's tab, a card, the help.

Of some texts a block is chosen; in others some lines open something, and the keys that scroll move a cursor.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from textual.geometry import Offset, Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from bucketry.show.spans import Line, Span
from bucketry.tui.drawing.paint import changed_region

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from textual import events

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


class LinkedLineView(LineView):
    """Lines, some of which open something. `chosen` is the position of the line with the cursor, None for no cursor.

    A text without such lines is only scrolled.
    """

    def __init__(self, painter: Painter) -> None:
        super().__init__(painter)
        self.chosen: int | None = None
        self._links: list[int] = []

    @property
    def cursor_offset(self) -> Offset:
        """Where in the widget the cursor is."""
        return Offset(0, 0 if self.chosen is None else self.chosen - self._top)

    @property
    def position(self) -> str:
        """Which of the lines that open something has the cursor; without one, how far down the text is scrolled."""
        if self.chosen is None:
            return super().position
        return f"{bisect_right(self._links, self.chosen):,}/{len(self._links):,}"

    def show_linked(self, lines: Sequence[Line], links: Collection[int], *, keep_place: bool = False) -> None:
        """Show other lines and which of them open something; the cursor begins on the first of those."""
        before, self.chosen, self._links = self.chosen, None, sorted(links)
        self.show(lines, keep_place=keep_place)
        if links:
            kept = before if keep_place and before is not None else self._links[0]
            self.chosen = min(kept, len(lines) - 1)
            self._follow(None)

    def reveal(self, position: int, count: int) -> None:
        """Bring so many lines on the screen: the cursor stays where it is if it can, else it goes to the first."""
        if self.chosen is None:
            return
        last = min(position + count, len(self.lines)) - 1
        below = last - (self._top + self.size.height - 1)
        if position >= self._top and below <= 0:
            return
        if 0 < below <= self.chosen - self._top:
            super().scroll_lines(below)
            self._follow(None)
        else:
            self.scroll_lines(last - self.chosen)
            self.scroll_lines(position - self.chosen)

    @property
    def whereabouts(self) -> Hashable:
        """The line that is in sight first, and that of the cursor."""
        return (self._top, self.chosen)

    def scroll_lines(self, count: int) -> None:
        """Move the cursor by lines, down if positive; without a cursor, the text."""
        if self.chosen is None or not count:
            super().scroll_lines(count)
            return
        before = self.chosen
        self.chosen = max(0, min(before + count, len(self.lines) - 1))
        self._follow(before)

    def render_line(self, y: int) -> Strip:
        """Return one line; that of the cursor is marked by a sign and a colour."""
        position = self._top + y
        if position != self.chosen or position >= len(self.lines):
            return super().render_line(y)
        width, shown = self.size.width, self.lines[position]
        if shown and shown[0].text.startswith(" "):  # the margin, where the sign goes
            shown = (Span(shown[0].text[1:], shown[0].role), *shown[1:])
        shown = (Span(">", "strong"), *shown)
        return Strip(self._painter.segments(shown, width, under="cursor"), width)

    def on_resize(self, event: events.Resize) -> None:
        """Keep the cursor on the screen."""
        super().on_resize(event)
        if self.chosen is not None:
            self._follow(None)

    def _follow(self, before: int | None) -> None:
        """Bring the cursor's line on the screen and draw the two lines that changed."""
        assert self.chosen is not None, "whoever calls has set it"  # noqa: S101 - states what callers have shown
        top, height = self._top, max(1, self.size.height)
        if self.chosen < top:
            super().scroll_lines(self.chosen - top)
        elif self.chosen >= top + height:
            super().scroll_lines(self.chosen - top - height + 1)
        if self._top == top:
            for position in (before, self.chosen):
                if position is not None:
                    self.refresh(Region(0, position - top, self.size.width, 1))
