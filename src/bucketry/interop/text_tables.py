"""What stands in the cells of a table that some program wrote: with commas, semicolons or tabs, and decimal commas?"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

SEPARATORS = (",", ";", "\t", "|")
MOST_COLUMNS = 512
MOST_ROWS = 20_000
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
"""The first line that a spreadsheet writes to say which character parts the cells."""
_NUMBERS = re.compile(r"[0-9][0-9.,]*|,[0-9]+")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_DECIMAL_COMMA = re.compile(r"[0-9]*,[0-9]+")


@frozen
class TextRow:
    """The cells of one row, and on which line it ends."""

    line: int
    cells: tuple[str, ...]


@frozen
class TextTable:
    """A table's titles and rows; `fault` says where it stopped being one."""

    titles: tuple[str, ...]
    rows: tuple[TextRow, ...]
    fault: str = ""


def read_text_table(text: str) -> TextTable | None:
    """Return the table in a text, by the character that parts most of it; None where it has no first line."""
    said = _SEPARATOR_LINE.match(text)
    body = text[said.end() :] if said else _without_frame(text)
    separators = (said[1],) if said else SEPARATORS
    tables = [_split(body, separator, said is not None) for separator in separators]
    found = [table for table in tables if table is not None]
    if not found:
        return None
    return max(found, key=lambda table: (not table.fault, _is_even(table), len(table.titles)))


def _without_frame(text: str) -> str:
    """Return the text of a Markdown table without what frames it; the lines keep their numbers."""
    lines = text.splitlines()
    if not all(line.strip().startswith("|") and line.strip().endswith("|") for line in lines if line.strip()):
        return text
    return "\n".join("" if not line.strip("|-: ") else line.strip().strip("|") for line in lines)


def with_points(table: TextTable, columns: Collection[int]) -> TextTable:
    """Return a table in some columns of which commas within numbers are points.

    They are taken for decimal commas if some number there can have no other and none has a point: `1,234` alone may be
    either, and stays as it is.
    """
    cells = [cell for row in table.rows for at, cell in enumerate(row.cells) if at in columns and is_numeric(cell)]
    numbers = [number for cell in cells for number in _NUMBERS.findall(cell)]
    has_point = any("." in number for number in numbers)
    has_comma = any(_DECIMAL_COMMA.fullmatch(number) and not _THOUSANDS.fullmatch(number) for number in numbers)
    if has_point or not has_comma:
        return table
    rows = [
        TextRow(row.line, tuple(_pointed(cell) if at in columns else cell for at, cell in enumerate(row.cells)))
        for row in table.rows
    ]
    return TextTable(table.titles, tuple(rows), table.fault)


def is_numeric(cell: str) -> bool:
    """Return whether a cell is a number with what may stand beside one: a sign, a percent, a deviation."""
    return any(map(str.isdigit, cell)) and not cell.strip("0123456789.,+-/±% eE()")


def _split(body: str, separator: str, has_separator_line: bool) -> TextTable | None:  # noqa: FBT001 - one call
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
    first = 1 + has_separator_line
    rows: list[TextRow] = []
    titles: tuple[str, ...] | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            cells = tuple(cell.strip() for cell in row)
            if titles is None:
                titles = cells
            else:
                rows.append(TextRow(reader.line_num + first - 1, cells))
            if len(cells) > MOST_COLUMNS or len(rows) > MOST_ROWS:
                return TextTable(titles, tuple(rows), f"it has more than {MOST_COLUMNS} columns or {MOST_ROWS:,} rows")
    except csv.Error as error:
        fault = f"line {reader.line_num + first - 1} is not CSV: {error}"
        return None if titles is None else TextTable(titles, tuple(rows), fault)
    return None if titles is None else TextTable(titles, tuple(rows))


def _is_even(table: TextTable) -> bool:
    return len(table.titles) > 1 and all(len(row.cells) == len(table.titles) for row in table.rows[:64])


def _pointed(cell: str) -> str:
    if not is_numeric(cell):
        return cell
    return _NUMBERS.sub(
        lambda found: found[0].replace(",", ".") if _DECIMAL_COMMA.fullmatch(found[0]) else found[0], cell
    )
