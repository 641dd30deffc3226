"""The bytes that turn what a terminal shows into what it should show.

Only the cells that differ are sent: after a step of the cursor two lines of a hundred columns are drawn anew, and a few
cells of them are other than before. What is not known to be on the terminal counts as different.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, split_graphemes
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.color import ColorSystem
    from rich.segment import Segment


class CellStyle(NamedTuple):
    """How a cell looks, in the parameters of the terminal's own sequence; what is empty is the terminal's default."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""


PLAIN = CellStyle()

Cell = tuple[str, CellStyle]
"""A grapheme and its look; the second column of a wide one has an empty text."""

SPACE: Cell = (" ", PLAIN)
VISIBLE_ON_SPACES = frozenset({"4", "7", "9", "21", "51", "52", "53"})
"""Underlined, reversed, struck out, framed and the like. A space in any other attribute or colour is only a space."""
FIRST_UNSURE = "\U0001f000"
"""Terminals disagree on how wide emoji are, and all that is made of several code points."""
COLOUR_PARAMETERS = {"5": 3, "2": 5}
"""How many parameters a colour has that begins with 38 or 48, by its second one."""


class DrawnPiece(NamedTuple):
    """Something that is drawn on one line, from a column on."""

    x: int
    y: int
    segments: Iterable[Segment]


class KnownCells:
    """The cells of a terminal, as far as they are known."""

    def __init__(self, width: int, height: int, colours: ColorSystem) -> None:
        self.width = width
        self.height = height
        self._colours = colours
        self._rows: list[list[Cell | None]] = []
        self.forget()

    def forget(self) -> None:
        """Take nothing for known any more: somebody else has written on the terminal, or it has another size."""
        self._rows = [[None] * self.width for _ in range(self.height)]

    def update(self, pieces: Iterable[DrawnPiece]) -> str:
        """Return what the terminal has to be sent so that it shows the pieces too; empty if it shows them already."""
        drawn: dict[int, list[Cell | None]] = {}
        for piece in pieces:
            if 0 <= piece.y < self.height:
                row = drawn.get(piece.y)
                if row is None:
                    row = drawn[piece.y] = self._rows[piece.y].copy()
                self._draw(row, piece)
        pen = _Pen()
        for y, row in sorted(drawn.items()):
            _mend_halves(row)
            if row != self._rows[y]:
                _send_row(pen, y, self._rows[y], row)
                self._rows[y] = row
        return pen.lift()

    def _draw(self, row: list[Cell | None], piece: DrawnPiece) -> None:
        x = piece.x
        for text, style, control in piece.segments:
            if control:
                continue
            look = PLAIN if style is None else _parse_look(Strip.render_ansi(style, self._colours))
            cells = _cells(text, look)
            row[x : x + len(cells)] = cells[: max(0, self.width - x)]
            x += len(cells)


class _Pen:
    """What is sent so far, and where and how the terminal would write on."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._at: tuple[int, int] | None = None
        self.look = PLAIN

    def move(self, x: int, y: int) -> None:
        """Go to a cell."""
        if self._at != (x, y):
            self._sent.append(move_to(x, y))
            self._at = (x, y)

    def write(self, cell: Cell, columns: int) -> None:
        """Write one grapheme."""
        text, look = cell
        if not _shows_alike(cell, self.look):
            self._sent.append(_turn(self.look, look))
            self.look = look
        self._sent.append(text)
        if self._at is not None:
            x, y = self._at
            self._at = None if _is_unsure(text) else (x + columns, y)

    def lift(self) -> str:
        """Return all that is to be sent; the terminal's look is the default one behind it."""
        if self.look != PLAIN:
            self._sent.append(_turn(self.look, PLAIN))
            self.look = PLAIN
        return "".join(self._sent)


def move_to(x: int, y: int) -> str:
    """Return the sequence that moves the terminal's cursor, counted from zero."""
    return f"\x1b[{y + 1};{x + 1}H"


def _send_row(pen: _Pen, y: int, before: Sequence[Cell | None], after: Sequence[Cell | None]) -> None:
    """Send the cells of a row that differ. One with graphemes of unsure width is sent as a whole: it may be shifted."""
    is_whole = _has_unsure(before) or _has_unsure(after)
    sent_until: int | None = None
    for x, cell in enumerate(after):
        if cell is None or not cell[0] or (cell == before[x] and not is_whole):
            continue
        columns = 2 if _is_wide(after, x) else 1
        if sent_until is not None and sent_until < x and _is_bridge_cheaper(pen, after, sent_until, x, y):
            for place in range(sent_until, x):
                gap = after[place]
                if gap is not None and gap[0]:
                    pen.write(gap, 2 if _is_wide(after, place) else 1)
        pen.move(x, y)
        pen.write(cell, columns)
        sent_until = x + columns


def _is_wide(row: Sequence[Cell | None], x: int) -> bool:
    following = row[x + 1] if x + 1 < len(row) else None
    return following is not None and not following[0]


def _is_bridge_cheaper(pen: _Pen, row: Sequence[Cell | None], start: int, end: int, y: int) -> bool:
    """Return whether to send the cells between two runs again costs less than to move the cursor over them."""
    following = row[end]
    assert following is not None, "the caller is about to send it"  # noqa: S101 - states what callers have shown
    room = len(move_to(end, y)) + _turn_bytes(pen.look, following)
    if end - start > room:
        return False
    look, cost = pen.look, 0
    for x in range(start, end):
        cell = row[x]
        if cell is None or _is_unsure(cell[0]):
            return False
        cost += _turn_bytes(look, cell) + len(cell[0].encode())
        look = look if _shows_alike(cell, look) else cell[1]
    return cost + _turn_bytes(look, following) <= room


def _turn_bytes(look: CellStyle, cell: Cell) -> int:
    return 0 if _shows_alike(cell, look) else len(_turn(look, cell[1]))


def _shows_alike(cell: Cell, look: CellStyle) -> bool:
    """Return whether a cell looks as it should when it is written in this look."""
    text, wanted = cell
    if wanted == look or not text:
        return True
    return cell == (" ", wanted) and wanted == _on_space(look)


@lru_cache(maxsize=4_096)
def _turn(before: CellStyle, after: CellStyle) -> str:
    """Return the shortest sequence from one look to another."""
    anew = [*after.attributes, *filter(None, after[1:])]
    reset = f"\x1b[{';'.join(['0', *anew] if anew else [])}m"
    if not set(before.attributes) <= set(after.attributes):
        return reset
    changes = [attribute for attribute in after.attributes if attribute not in before.attributes]
    if before.foreground != after.foreground:
        changes.append(after.foreground or "39")
    if before.background != after.background:
        changes.append(after.background or "49")
    return min(f"\x1b[{';'.join(changes)}m", reset, key=len)


@lru_cache(maxsize=4_096)
def _on_space(look: CellStyle) -> CellStyle:
    """Return what of a look is seen on a space."""
    return look if VISIBLE_ON_SPACES.intersection(look.attributes) else CellStyle(background=look.background)


@lru_cache(maxsize=4_096)
def _parse_look(parameters: str) -> CellStyle:
    """Return the look that the parameters of a sequence stand for."""
    attributes: list[str] = []
    foreground = background = ""
    left = parameters.split(";") if parameters else []
    while left:  # bounded: each turn takes at least one away
        count = COLOUR_PARAMETERS.get(left[1], 1) if left[0] in {"38", "48"} and len(left) > 1 else 1
        taken, left = left[:count], left[count:]
        number = int(taken[0])
        if number == 39 or 30 <= number <= 38 or 90 <= number <= 97:
            foreground = "" if number == 39 else ";".join(taken)
        elif number == 49 or 40 <= number <= 48 or 100 <= number <= 107:
            background = "" if number == 49 else ";".join(taken)
        else:
            attributes.append(taken[0])
    return CellStyle(tuple(attributes), foreground, background)


def _cells(text: str, look: CellStyle) -> list[Cell]:
    blank = (" ", _on_space(look))
    if text.isascii():
        return [blank if character == " " else (character, look) for character in text]
    cells: list[Cell] = []
    for start, end, columns in split_graphemes(text)[0]:
        if columns:  # what has no width and nothing before it has no place either
            grapheme = text[start:end]
            cells.append(blank if grapheme == " " else (grapheme, look))
            cells.extend([("", look)] * (columns - 1))
    return cells


def _mend_halves(row: list[Cell | None]) -> None:
    """Put a space where only one half of a wide grapheme is left, as terminals do."""
    if "".join(cell[0] if cell else " " for cell in row).isascii() and all(cell is None or cell[0] for cell in row):
        return
    is_second_due = False
    for x, (cell, following) in enumerate(pairwise([*row, SPACE])):
        if cell is None:
            is_second_due = False
            continue
        is_half = not is_second_due if not cell[0] else cell_len(cell[0]) == 2 and (following is None or following[0])
        if is_half:
            row[x] = (" ", _on_space(cell[1]))
        is_second_due = not is_half and cell_len(cell[0]) == 2


def _has_unsure(row: Sequence[Cell | None]) -> bool:
    texts = [cell[0] for cell in row if cell]
    return not "".join(texts).isascii() and any(map(_is_unsure, texts))


def _is_unsure(text: str) -> bool:
    return len(text) > 1 or text >= FIRST_UNSURE
