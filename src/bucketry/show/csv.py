"""Rows become CSV for a spreadsheet, which must not take foreign text for a formula. Numbers are exact here."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from bucketry.schema.text import csv_cell, displayable

if TYPE_CHECKING:
    from collections.abc import Sequence


def csv_row(cells: Sequence[str]) -> str:
    """Return the line of a row, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([csv_cell(displayable(cell)) for cell in cells])
    return line.getvalue()
