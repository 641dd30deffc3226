"""The way of text onto the screen: made displayable, cut to its width, and coloured by what it means.

Every widget draws `Line`s, and every line passes through `Painter.segments`: foreign text is made displayable there,
so that no screen can forget it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region

from bucketry.show.spans import TextPage, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bucketry.show.spans import Line, Role

ThemeName = Literal["dark", "light", "terminal"]
_PAGE, _ASCII_PAGE = TextPage(), TextPage(ascii_only=True)

THEMES: Mapping[ThemeName, Mapping[Role, Style]] = {
    "dark": {
        "plain": Style.null(),
        "dim": Style(color="#9097a0"),
        "strong": Style(bold=True),
        "title": Style(color="#8ab4f8", bold=True),
        "header": Style(color="#9097a0", bold=True),
        "good": Style(color="#7bc275"),
        "bad": Style(color="#f47067", bold=True),
        "warn": Style(color="#e0b050"),
        "accent": Style(color="#8ab4f8"),
        "production": Style(color="#ffffff", bgcolor="#b3261e", bold=True),
        "cursor": Style(bgcolor="#2f3b52"),
        "marked": Style(color="#e0b050", bold=True),
        "typed": Style(reverse=True),
    },
    "light": {
        "plain": Style.null(),
        "dim": Style(color="#5f6670"),
        "strong": Style(bold=True),
        "title": Style(color="#0b57d0", bold=True),
        "header": Style(color="#5f6670", bold=True),
        "good": Style(color="#1a7f37"),
        "bad": Style(color="#b3261e", bold=True),
        "warn": Style(color="#8a5a00"),
        "accent": Style(color="#0b57d0"),
        "production": Style(color="#ffffff", bgcolor="#b3261e", bold=True),
        "cursor": Style(bgcolor="#d7e3f8"),
        "marked": Style(color="#8a5a00", bold=True),
        "typed": Style(reverse=True),
    },
    "terminal": {
        "plain": Style.null(),
        "dim": Style(dim=True),
        "strong": Style(bold=True),
        "title": Style(bold=True),
        "header": Style(underline=True),
        "good": Style(color="green"),
        "bad": Style(color="red", bold=True),
        "warn": Style(color="yellow"),
        "accent": Style(color="cyan"),
        "production": Style(color="red", bold=True, reverse=True),
        "cursor": Style(reverse=True),
        "marked": Style(color="yellow", bold=True),
        "typed": Style(reverse=True),
    },
}
"""`terminal` uses the sixteen colours that the terminal itself gives a meaning."""


@dataclass(slots=True)
class Painter:
    """Turns lines into segments, in the theme that is set now. With `ascii_only`, other characters are escaped."""

    theme: ThemeName = "dark"
    ascii_only: bool = False

    def style(self, role: Role) -> Style:
        """Return how a role looks."""
        return THEMES[self.theme][role]

    @property
    def page(self) -> TextPage:
        """What lines are made for, but for their width."""
        return _ASCII_PAGE if self.ascii_only else _PAGE

    def segments(self, line: Line, width: int, *, under: Role = "plain") -> list[Segment]:
        """Return the line cut or padded to a width in columns; `under` is the role of the line as a whole."""
        base = self.style(under)
        pieces: list[tuple[str, Style]] = []
        left = width
        for span in line:
            if left <= 0:
                break
            text = self.page.text(span.text)
            if cell_len(text) > left:
                text = set_cell_size(text, left - 1) + self.page.ellipsis
            left -= cell_len(text)
            style = self.style(span.role)
            if base.reverse:  # there a colour would become a block behind the text
                style = Style(bold=style.bold)
            pieces.append((text, base + style))
        if left > 0:
            pieces.append((" " * left, base))
        return _merged(pieces)


def _merged(pieces: Iterable[tuple[str, Style]]) -> list[Segment]:
    """Join neighbours of one style: each change of style costs up to 20 bytes on the line."""
    segments: list[Segment] = []
    for text, style in pieces:
        if segments and segments[-1].style == style:
            segments[-1] = Segment(segments[-1].text + text, style)
        elif text:
            segments.append(Segment(text, style))
    return segments


def changed_region(before: Line, after: Line, width: int, *, y: int = 0) -> Region:
    """Return the part of a line that differs: one word costs twenty bytes, a whole line hundreds."""
    old = [(character, span.role) for span in before for character in span.text]
    new = [(character, span.role) for span in after for character in span.text]
    same = next((place for place, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), None)
    same = min(len(old), len(new)) if same is None else same
    first = cell_len("".join(character for character, _ in new[:same]))
    last = max(cell_len(plain_text(before)), cell_len(plain_text(after)))
    return Region(min(first, width), y, max(0, min(last, width) - first), 1)
