"""How do rows become aligned columns that fit the terminal? Pure; every cell is made displayable first."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from bucketry.cli.output import OutputHeading
from bucketry.frozen import frozen
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.cli.output import Line

GAP = "  "
NARROWEST_COLUMN = 8
"""A cell is never cut below this, even if the line then is too long."""


@frozen
class Column:
    """One column: its title, and whether it holds numbers (right-aligned) or may be cut to fit."""

    title: str
    number: bool = False
    flexible: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None) -> list[Line]:
    """Return a heading and one line for each row; `width` in columns, None to cut nothing."""
    cells = [[displayable(cell) for cell in row] for row in rows]
    widths = [
        max(_width(column.title), *(_width(row[index]) for row in cells), 0) for index, column in enumerate(columns)
    ]
    if width is not None:
        widths = _shrunk(columns, widths, width)
    titles = _line(columns, [column.title for column in columns], widths)
    return [OutputHeading(titles), *(_line(columns, row, widths) for row in cells)]


DAMAGED = "DAMAGED"
"""What a table says of what cannot be read."""


def facts(pairs: Sequence[tuple[str, str]]) -> list[Line]:
    """Return `name  value` lines with the values aligned, without the pairs whose value is empty.

    A value of several lines goes on under its first.
    """
    shown = [(name, displayable(value, newlines=True).split("\n")) for name, value in pairs if value]
    width = max((_width(name) for name, _ in shown), default=0)
    return [
        f"{_padded(name if index == 0 else '', width)}{GAP}{line}".rstrip()
        for name, lines in shown
        for index, line in enumerate(lines)
    ]


def _shrunk(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Take what is too much from the flexible columns, always from the widest."""
    left = list(widths)
    too_much = sum(left) + len(GAP) * (len(left) - 1) - width
    for _ in range(max(0, too_much)):
        flexible = [index for index, column in enumerate(columns) if column.flexible]
        widest = max(flexible, key=lambda index: left[index], default=None)
        if widest is None or left[widest] <= NARROWEST_COLUMN:
            break
        left[widest] -= 1
    return left


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(
        _padded(_cut(cell, width), width, right=column.number)
        for column, cell, width in zip(columns, cells, widths, strict=True)
    ).rstrip()


def _padded(text: str, width: int, *, right: bool = False) -> str:
    padding = " " * (width - _width(text))
    return padding + text if right else text + padding


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    kept, used = "", 1  # one column for the ellipsis
    for character in text:
        used += _character_width(character)
        if used > width:
            break
        kept += character
    return kept + "…"


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
