"""The line on which a text is typed, without more being sent than the character.

The line stands where the notice stands, and has the keys while something is asked. The focus stays where it is: to move
it would draw the whole view anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from textual.geometry import Offset

from bucketry.show.spans import Span, line
from bucketry.tui.shell.frame import OneLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events

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


class Notice(OneLine):
    """The line that answers, and on which a text is typed."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
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

    @property
    def is_open(self) -> bool:
        """Whether a text is being typed."""
        return self._is_open

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
        left = _last_columns(self._painter.page.text(self.value[: self._at]), room - 1)
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


def _last_columns(text: str, width: int) -> str:
    for begin in range(len(text) + 1):  # bounded by the text, which is short
        if cell_len(text[begin:]) <= width:
            return text[begin:]
    return ""
