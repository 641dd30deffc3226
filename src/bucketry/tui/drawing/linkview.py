"""A text of which some lines open something, and the cursor that chooses among them.

A text without such lines is only scrolled. In one that has some, the keys that scroll move a cursor from line to line.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from textual.geometry import Offset, Region
from textual.strip import Strip

from bucketry.show.spans import Line, Span
from bucketry.tui.drawing.lineview import LineView

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from textual import events

    from bucketry.tui.drawing.paint import Painter


class LinkedLineView(LineView):
    """Lines, some of which open something. `chosen` is the position of the line with the cursor, None for no cursor."""

    def __init__(self, painter: Painter, *, id: str | None = None) -> None:  # noqa: A002 - the toolkit's name
        super().__init__(painter, id=id)
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
        width = self.size.width
        shown = (Span(">", "strong"), *_without_margin(self.lines[position]))
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


def _without_margin(shown: Line) -> Line:
    """Return the line without its first space, where the sign goes."""
    if shown and shown[0].text.startswith(" "):
        return (Span(shown[0].text[1:], shown[0].role), *shown[1:])
    return shown
