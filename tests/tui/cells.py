"""What does a terminal show after what was sent to it? A small terminal that takes only what it knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rich.cells import cell_len, get_character_cell_size, split_graphemes

SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[([0-9]+);([0-9]+)H|(\x1b[\[\]][?<>0-9;$a-z]*(?:[hlpu]|\x07))|([\r\n])")
SEEN_ON_SPACES = {"4", "7", "9"}

Look = tuple[frozenset[str], str, str]
NO_LOOK: Look = (frozenset(), "", "")


@dataclass
class Screen:
    """A terminal of some size. One that `disagrees` takes each code point for itself, as older terminals do."""

    columns: int
    rows: int
    disagrees: bool = False
    at: tuple[int, int] = (0, 0)
    look: Look = NO_LOOK
    cells: dict[tuple[int, int], tuple[str, Look]] = field(default_factory=dict)

    def feed(self, sent: str) -> None:
        """Take what a program sends."""
        place = 0
        for found in SEQUENCE.finditer(sent):
            self._write(sent[place : found.start()])
            place = found.end()
            parameters, row, column, _mode, _line_end = found.groups()
            if parameters is not None:
                self.look = turned(self.look, parameters)
            elif row:
                self.at = (min(int(column), self.columns) - 1, min(int(row), self.rows) - 1)
        self._write(sent[place:])

    def shown(self) -> list[list[tuple[str, Look]]]:
        """Return the cells of each row; a space has only the looks that are seen on one."""
        lines = []
        for y in range(self.rows):
            row = [self.cells.get((x, y), (" ", NO_LOOK)) for x in range(self.columns)]
            lines.append([(text, on_space(look) if text == " " else look) for text, look in row])
        return lines

    def text(self) -> str:
        return "\n".join("".join(text for text, _ in row).rstrip() for row in self.shown())

    def _write(self, text: str) -> None:
        assert "\x1b" not in text, f"a sequence that is not known: {text[:40]!r}"
        pieces = list(text) if self.disagrees else [text[start:end] for start, end, _ in split_graphemes(text)[0]]
        for piece in pieces:
            width = get_character_cell_size(piece) if self.disagrees else cell_len(piece)
            x, y = self.at
            if width and x + width <= self.columns:
                self._clear(x, y)
                self._clear(x + width - 1, y)
                self.cells[x, y] = (piece, self.look)
                if width == 2:
                    self.cells[x + 1, y] = ("", self.look)
                self.at = (x + width, y)

    def _clear(self, x: int, y: int) -> None:
        """Take both halves of what is there away."""
        text, _ = self.cells.get((x, y), (" ", NO_LOOK))
        if not text:
            self.cells[x - 1, y] = (" ", self.cells[x - 1, y][1])
        elif (x + 1, y) in self.cells and not self.cells[x + 1, y][0]:
            self.cells[x + 1, y] = (" ", self.cells[x + 1, y][1])


def turned(look: Look, parameters: str) -> Look:
    """Return the look after a sequence with these parameters."""
    attributes, foreground, background = look
    left = parameters.split(";")
    while left:
        code = left.pop(0)
        colour = code
        if code in {"38", "48"}:
            count = {"5": 2, "2": 4}[left[0]]
            colour = ";".join([code, *left[:count]])
            left = left[count:]
        number = int(code or 0)
        if number == 0:
            attributes, foreground, background = NO_LOOK
        elif 30 <= number <= 39 or 90 <= number <= 97:
            foreground = "" if number == 39 else colour
        elif 40 <= number <= 49 or 100 <= number <= 107:
            background = "" if number == 49 else colour
        else:
            assert number in range(1, 10), f"an attribute that is not known: {number}"
            attributes |= {code}
    return attributes, foreground, background


def on_space(look: Look) -> Look:
    return look if look[0] & SEEN_ON_SPACES else (frozenset(), "", look[2])
