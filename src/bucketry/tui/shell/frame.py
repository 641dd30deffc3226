"""What stands around every screen: the top line, a rule, the line that answers, and the line of hints."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from textual.geometry import Offset
from textual.strip import Strip
from textual.widget import Widget

from bucketry.show.spans import Line, Role, Span, cut, line, plain_text, text_width
from bucketry.tui.drawing.paint import changed_region
from bucketry.tui.drawing.terminal import LEAST_COLUMNS, LEAST_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events
    from textual.geometry import Size

    from bucketry.tui.drawing.paint import Painter

LEAST_CRUMBS_COLUMNS = 20
LEAST_REGISTRY_COLUMNS = 6
PANEL_MARGIN = 2
MOST_SAID_LINES = 6
MOST_IDENTITY_COLUMNS = 16
WIDE_COLUMNS = 110
LONGEST_TEXT = 4_000
"""Longer texts belong in a file."""

_MOVES: dict[str, Callable[[str, int], int]] = {
    "left": lambda _text, at: at - 1,
    "right": lambda _text, at: at + 1,
    "home": lambda _text, _at: 0,
    "ctrl+a": lambda _text, _at: 0,
    "end": lambda text, _at: len(text),
    "ctrl+e": lambda text, _at: len(text),
}
"""Where the cursor goes, given the text and where it is."""
_CUTS: dict[str, Callable[[str, int], tuple[int, int]]] = {
    "backspace": lambda _, at: (at - 1, at),
    "ctrl+h": lambda _, at: (at - 1, at),
    "delete": lambda _, at: (at, at + 1),
    "ctrl+d": lambda _, at: (at, at + 1),
    "ctrl+u": lambda _, at: (0, at),
    "ctrl+k": lambda text, at: (at, len(text)),
    "ctrl+w": lambda text, at: (len(text[:at].rstrip().rpartition(" ")[0]), at),
}
"""What goes away: from where to where."""


class OneLine(Widget):
    """One line, which is sent only when it changes."""

    DEFAULT_CSS = "OneLine { height: 1; width: 1fr; }"

    def __init__(self, painter: Painter, *, id: str | None = None) -> None:  # noqa: A002 - the toolkit's name
        super().__init__(id=id)
        self._painter = painter
        self._line: Line = ()

    def show(self, shown: Line) -> None:
        """Show another line; only what differs is drawn."""
        if shown != self._line:
            before, self._line = self._line, shown
            self.refresh(changed_region(before, shown, self.size.width))

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        width = self.size.width
        return Strip(self._painter.segments(self._line if y == 0 else (), width), width)


class Rule(OneLine):
    """A line from side to side."""

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - it has one line
        """Return the rule."""
        width = self.size.width
        bar = "-" if self._painter.ascii_only else "─"
        return Strip(self._painter.segments((Span(bar * width, "dim"),), width), width)


class Notice(OneLine):
    """The line that answers, and on which a text is typed without more being sent than the character.

    It has the keys while something is asked. The focus stays where it is: to move it would draw the whole view anew.
    """

    def __init__(self, painter: Painter) -> None:
        super().__init__(painter)
        self.value = ""
        self._label = ""
        self._at = 0
        self._remark = ""
        self._is_open = False
        self._cursor_x = 0

    @property
    def cursor_offset(self) -> Offset:
        """Where in the line one types on."""
        return Offset(self._cursor_x, 0)

    def open(self, label: str, initial: str) -> None:
        """Begin to type, behind an initial text."""
        self._label, self.value, self._at, self._remark = label, initial, len(initial), ""
        self._is_open = True
        self._draw()

    def close(self) -> None:
        """End it; the notice comes back with the next `show`."""
        self._is_open = False

    def say(self, remark: str) -> None:
        """Say something about the text at the right edge, such as why it will not do."""
        self._remark = remark
        self._draw()

    def set_value(self, text: str) -> None:
        """Take another text, with the cursor behind it."""
        self.value, self._at = text[:LONGEST_TEXT], len(text[:LONGEST_TEXT])
        self._draw()

    def insert(self, text: str) -> None:
        """Put a text where the cursor is; several lines become one."""
        lines = text.splitlines()
        if len(lines) > 1:
            text = " ".join(part for part in map(str.strip, lines) if part)
        room = LONGEST_TEXT - len(self.value)
        kept = text.rstrip("\r\n")[: max(0, room)]
        self.value = self.value[: self._at] + kept + self.value[self._at :]
        self._at += len(kept)
        self._draw()

    def take_key(self, event: events.Key) -> bool:
        """Edit the text by a key; return whether it changed."""
        before, at = self.value, self._at
        if event.key in _MOVES:
            self._at = max(0, min(_MOVES[event.key](self.value, at), len(self.value)))
        elif event.key in _CUTS:
            begin, end = _CUTS[event.key](self.value, at)
            self.value = self.value[: max(0, begin)] + self.value[end:]
            self._at = max(0, begin)
        elif event.is_printable and event.character:
            self.insert(event.character)
        self._draw()
        return self.value != before

    def _draw(self) -> None:
        if not self._is_open:
            return
        label = f" {self._label} "
        remark = f"  {self._remark}" if self._remark else ""
        room = max(1, self.size.width - cell_len(label) - cell_len(remark) - 1)
        before = self._painter.page.text(self.value[: self._at])
        left = next(end for end in (before[begin:] for begin in range(len(before) + 1)) if cell_len(end) < room)
        under, right = self.value[self._at : self._at + 1] or " ", self.value[self._at + 1 :]
        self.show(
            line(
                Span(label, "strong"),
                left,
                Span(under, "typed"),
                set_cell_size(self._painter.page.text(right), max(0, room - cell_len(left) - 1)),
                Span(remark, "warn"),
            )
        )
        self._cursor_x = cell_len(label) + cell_len(left)


class Panel(Widget):
    """Lines in a box above the prompt: what is about to happen."""

    DEFAULT_CSS = "Panel { height: 0; width: 1fr; }"

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self._painter = painter
        self._lines: tuple[Line, ...] = ()
        self._title = ""
        self._role: Role = "dim"

    @property
    def text(self) -> str:
        """What the box says."""
        return "\n".join([self._title, *map(plain_text, self._lines)])

    def show(self, title: str, lines: Sequence[Line], *, is_production: bool) -> None:
        """Show lines in a box, or nothing."""
        if (title, tuple(lines)) == (self._title, self._lines):
            return
        self._lines, self._title = tuple(lines), title
        self._role = "production" if is_production else "dim"
        self.styles.height = len(lines) + 2 if lines else 0
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the box."""
        width = self.size.width
        inner = max(0, width - 2 * PANEL_MARGIN)
        if y in {0, len(self._lines) + 1}:
            title = f"- {self._title} " if y == 0 and self._title else ""
            edge = f"+{title}{'-' * max(0, width - 2 - text_width(title))}+"
            return Strip(self._painter.segments((Span(edge, self._role),), width), width)
        shown = self._lines[y - 1] if 0 < y <= len(self._lines) else ()
        inside = self._painter.segments(shown, inner)
        left, right = (self._painter.segments((Span(bar, self._role),), 1) for bar in "||")
        space = self._painter.segments((), PANEL_MARGIN - 1)
        return Strip([*left, *space, *inside, *space, *right], width)


def actor_span(actor: str, width: int, *, is_locked: bool) -> Span:
    """Return who acts, shortened on a narrow screen, and whether they may write."""
    if width < WIDE_COLUMNS and len(actor) > MOST_IDENTITY_COLUMNS:
        actor = actor[: MOST_IDENTITY_COLUMNS - 1] + "~"
    return Span(f"{actor} {'ro' if is_locked else 'rw'}", "dim" if is_locked else "strong")


def top_line(crumbs: Sequence[str], right: Sequence[Span], width: int) -> Line:
    """Return the top line: where one is on the left, and on the right as much of the state as there is room for."""
    kept = list(right)
    while kept and width - _width(kept) < min(LEAST_CRUMBS_COLUMNS, width):
        kept.pop(0)
    room = max(0, width - _width(kept) - 1)
    shown = list(crumbs)
    while len(shown) > 2 and text_width(" > ".join(shown)) > room:  # the registry and the last one stay the longest
        shown = [shown[0], "..", *shown[3:]] if len(shown) > 3 else shown[1:]
    text = f" {' > '.join(shown)}"
    if text_width(text) > room and len(shown) > 1:  # the name of the registry is what one knows best
        rest = f" > {' > '.join(shown[1:])}"
        text = f" {cut(shown[0], max(LEAST_REGISTRY_COLUMNS, room - 1 - text_width(rest)), ellipsis='~')}{rest}"
    if text_width(text) > room:
        text = cut(text, room, ellipsis="~")
    spans: list[Span] = [Span(text + " " * (room - text_width(text)), "title")]
    for span in kept:
        spans += [Span("  "), span]
    return tuple(spans)


def wrapped_lines(shown: Line, width: int) -> tuple[Line, ...]:
    """Return a line that is too long for the screen as the lines of a box; its last span is what is long."""
    text, role = plain_text(shown).strip(), shown[-1].role
    return tuple(
        (Span(part, role),) for part in textwrap.wrap(text, max(1, width - 2 * PANEL_MARGIN))[:MOST_SAID_LINES]
    )


def hints_line(hints: Sequence[tuple[str, str]], width: int) -> Line:
    """Return the keys and their words, as many as fit, and always the last.

    Only the keys are coloured: the line is drawn anew with each prompt, and each change of colour costs 20 bytes.
    """
    spans: list[Span] = [Span(" ")]
    room = width - 1 - sum(text_width(f"{key} {word}") for key, word in hints[-1:])
    for place, (key, word) in enumerate(hints, 1):
        size = text_width(f"{key} {word}  ")
        if place == len(hints):
            spans += [Span(key, "accent"), Span(f" {word}")]
        elif size <= room:
            spans += [Span(key, "accent"), Span(f" {word}  ")]
            room -= size
    return tuple(spans)


def too_small_lines(size: Size) -> list[Line]:
    """Return what is said where there is too little room, and what works in any terminal; else nothing."""
    if size.width >= LEAST_COLUMNS and size.height >= LEAST_ROWS:
        return []
    needed = f"The screens need {LEAST_COLUMNS}x{LEAST_ROWS} characters."
    return [
        line(text) for text in (needed, f"This is {size.width}x{size.height}; q leaves.", "Or use: bucketry models")
    ]


def _width(spans: Sequence[Span]) -> int:
    return sum(text_width(span.text) + 2 for span in spans)
