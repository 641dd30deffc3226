"""Tables become Markdown, for a review or a chat, in which foreign text is nothing but text."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bucketry.schema.text import markdown_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.show.tables import Column

Row = TypeVar("Row")


def markdown_table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a table; the cells are those of the table on a screen, uncut."""
    yield _row([column.title for column in columns])
    yield "|" + "|".join(" ---: " if column.right else " --- " for column in columns) + "|"
    for row in rows:
        said = (column.cell(row) for column in columns)
        yield _row([cell if isinstance(cell, str) else cell.text for cell in said])


def markdown_heading(text: str, level: int) -> str:
    """Return a heading of a level."""
    return f"{'#' * level} {markdown_text(text)}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) or " " for cell in cells) + " |"
