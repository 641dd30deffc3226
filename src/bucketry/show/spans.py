"""A line of text is spans, each with a role; here they are measured, cut, padded and wrapped.

A role says what a text means (`good`, `dim`), never how it looks: the screens give it a colour, the command line prints
the text alone. Foreign text is made displayable before it is measured, so that a width is what a terminal will use.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from bucketry.frozen import frozen
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Role = Literal[
    "plain",
    "dim",
    "strong",
    "title",
    "header",
    "good",
    "bad",
    "warn",
    "accent",
    "production",
    "cursor",
    "marked",
    "typed",
]

MOST_WRAPPED_LINES = 400
LEAST_WRAPPED_COLUMNS = 8
VARIATION_SELECTOR_16 = "\ufe0f"
"""Makes an emoji, two columns wide, of the character before it."""
_MARKS = frozenset({"Mn", "Me", "Mc"})
_NO_COLUMN = frozenset(
    {*map(chr, range(0x1160, 0x1200)), *map(chr, range(0xD7B0, 0xD800)), "\u3164", "\uffa0"}
    | set(map(chr, range(0x1F3FB, 0x1F400)))
)
"""Letters of Hangul that join the one before them, fillers, and the colours of an emoji's skin."""
_TWO_COLUMNS = frozenset(
    {*map(chr, range(0x2630, 0x2638)), *map(chr, range(0x268A, 0x2690)), *map(chr, range(0x4DC0, 0x4E00))}
    | set(map(chr, range(0x1D300, 0x1D357)))
    | set(map(chr, range(0x1D360, 0x1D377)))
)
"""Wide since Unicode 16, which is newer than the table of some of our Pythons."""


@frozen
class Span:
    """A piece of text, and what it means."""

    text: str
    role: Role = "plain"


Line = tuple[Span, ...]
"""One line, before it is cut."""


@frozen
class TextPage:
    """What lines are made for: so many columns (None: nothing is cut), `gap` of them between two columns of a table.

    `ascii_only`: nothing else can be shown, and an escape of another character is wider than the character.
    """

    width: int | None = None
    ascii_only: bool = False
    gap: int = 1

    @property
    def ellipsis(self) -> str:
        """What stands for text that was cut off."""
        return "~" if self.ascii_only else "…"

    def text(self, text: str) -> str:
        """Return the text as it can be shown: on one line, without anything that a terminal would act on."""
        shown = displayable(text)
        if shown.isascii() or not self.ascii_only:
            return shown
        ascii_of = {"…": "~"}
        return "".join(one if one.isascii() else ascii_of.get(one, f"<U+{ord(one):04X}>") for one in shown)

    def of(self, width: int | None) -> TextPage:
        """Return the page with another width."""
        return replace(self, width=width)


def line(*parts: str | Span) -> Line:
    """Return a line of texts and spans."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def plain_text(shown: Line) -> str:
    """Return a line's text."""
    return "".join(span.text for span in shown)


def text_width(text: str) -> int:
    """Return how many columns of a terminal a displayable text takes."""
    if text.isascii():
        return len(text)
    widened = text.count(VARIATION_SELECTOR_16) and sum(
        _character_width(before) == 1 for before, character in pairwise(text) if character == VARIATION_SELECTOR_16
    )
    return sum(map(_character_width, text)) + widened


def cut(text: str, width: int, *, ellipsis: str = "…") -> str:
    """Return the text if it fits the width, else its beginning and an ellipsis: exactly `width` columns."""
    if text_width(text) <= width:
        return text
    if width <= 0:
        return ""
    kept = _beginning(text, width - len(ellipsis))
    return pad(kept, width - len(ellipsis)) + ellipsis


def cut_left(text: str, width: int, *, ellipsis: str = "~") -> str:
    """Return the end of a text that is too long: of a path, that is what tells it from others."""
    if text_width(text) <= width:
        return text
    return ellipsis + _beginning(text[::-1], max(0, width - len(ellipsis)))[::-1].lstrip()


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return the text with spaces up to a width; a longer one stays as it is."""
    spaces = " " * (width - text_width(text))
    return spaces + text if right else text + spaces


def fit_line(shown: Line, width: int, page: TextPage) -> Line:
    """Return a line of exactly so many columns."""
    spans: list[Span] = []
    left = width
    for span in shown:
        text = cut(page.text(span.text), left, ellipsis=page.ellipsis)
        left -= text_width(text)
        spans.append(Span(text, span.role))
    return (*spans, Span(" " * left))


def beside(left: Sequence[Line], right: Sequence[Line], width: int, page: TextPage) -> list[Line]:
    """Return two texts side by side, the left one `width` columns wide."""
    bar = Span(" | ", "dim")
    places = range(max(len(left), len(right)))
    return [(*fit_line(_at(left, place), width, page), bar, *_at(right, place)) for place in places]


def flowing(pieces: Sequence[Span], width: int | None, *, between: str = "  ", indent: str = " ") -> list[Line]:
    """Return pieces one after another, as many on a line as fit; a piece is never broken."""
    lines: list[Line] = []
    spans: list[Span] = []
    used = 0
    for piece in pieces:
        size = text_width(piece.text)
        if spans and width is not None and used + len(between) + size > width:
            lines.append(tuple(spans))
            spans = []
        if spans:
            spans.append(Span(between, "dim"))
            used += len(between)
        else:
            first = indent if lines else ""
            spans.append(Span(first))
            used = len(first)
        spans.append(piece)
        used += size
    return [*lines, tuple(spans)] if spans else lines


def wrapped(
    text: str, width: int | None, *, indent: int = 0, role: Role = "plain", most_lines: int = MOST_WRAPPED_LINES
) -> list[Line]:
    """Return a text's lines, broken between words where they are too long, each behind an indent."""
    parts = displayable(text, newlines=True).split("\n")
    if width is None:
        pieces = parts
    else:
        room = max(LEAST_WRAPPED_COLUMNS, width - indent)
        pieces = [piece for part in parts for piece in _broken(part, room)]
    shown = [line(Span(" " * indent + piece, role)) for piece in pieces[:most_lines]]
    if len(pieces) > most_lines:
        shown.append(line(Span(f"{' ' * indent}and {len(pieces) - most_lines:,} more lines", "dim")))
    return shown


def _broken(text: str, room: int) -> Iterator[str]:
    """Yield the pieces of one line, none of them wider than the room."""
    now = ""
    for word in text.split(" "):
        longer = f"{now} {word}" if now else word
        if text_width(longer) <= room:
            now = longer
            continue
        if now:
            yield now
        now = word
        while text_width(now) > room:
            piece = _beginning(now, room)
            yield piece
            now = now[len(piece) :]
    yield now


def _beginning(text: str, width: int) -> str:
    """Return as much of a text as fits."""
    if text.isascii():
        return text[:width]
    used = 0
    for place, character in enumerate(text):
        used += 1 if character == VARIATION_SELECTOR_16 else _character_width(character)
        if used > width:
            return text[:place]
    return text


@lru_cache(4_096)
def _character_width(character: str) -> int:
    if unicodedata.category(character) in _MARKS or character in _NO_COLUMN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" or character in _TWO_COLUMNS else 1


def _at(lines: Sequence[Line], place: int) -> Line:
    return lines[place] if place < len(lines) else ()
