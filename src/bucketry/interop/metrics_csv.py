"""What does a table of metrics say?

A CSV file with a heading: `name` and `value`, and as wanted `unit`, `direction`, `slice.<attribute>`, `low`, `high`,
`level`, `samples`, `kind`, `dataset`, `version`, `split`, `digest`. Rows on the same data are one evaluation.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.schema.evidence import MOST_METRICS, Confidence, Evidence, Metric, check_number
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = frozenset(
    {"name", "value", "unit", "direction", "low", "high", "level", "samples"}
    | {"kind", "dataset", "version", "split", "digest"}
)
SLICE = "slice."
MOST_COLUMNS = 64
_MARK = "\ufeff"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATA = (("dataset", "name"), ("version", "version"), ("split", "split"), ("digest", "digest"))


def is_metrics_csv(body: bytes) -> bool:
    """Return whether the first line of a file is a heading with `name` and `value`."""
    first = body.split(b"\n", 1)[0].decode("utf-8", errors="replace").removeprefix(_MARK)
    try:
        titles = [title.strip() for row in csv.reader([first]) for title in row]
    except csv.Error:
        return False
    return {"name", "value"} <= set(titles)


def read_metrics_csv(body: bytes, *, what: str) -> list[Evidence]:
    """Return one evaluation for each kind and data set; raise `CorruptError` that names the line."""
    try:
        text = body.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        raise CorruptError(f"{what} is not UTF-8 text", advice="save it as CSV in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    groups: dict[tuple[str, ...], list[Metric]] = {}
    try:
        titles = _titles(next(reader), what)
        for row in reader:
            if not row:
                continue
            place = f"{what}: line {reader.line_num}"
            if len(row) != len(titles):
                raise CorruptError(f"{place} has {len(row)} cells, not {len(titles)}")
            cells = {title: cell.strip() for title, cell in zip(titles, row, strict=True)}
            data = tuple(cells.get(column, "") for column in ("kind", *(column for column, _ in _DATA)))
            groups.setdefault(data, []).append(_metric(cells, place))
            if reader.line_num > MOST_METRICS + 1:
                raise CorruptError(f"{what} has more than {MOST_METRICS:,} lines")
    except csv.Error as error:
        raise CorruptError(f"{what}: line {reader.line_num} is not CSV: {error}") from error
    return [
        Evidence(
            kind or "automated",
            tuple(metrics),
            dataset={field: text for (_, field), text in zip(_DATA, data, strict=True) if text},
        )
        for (kind, *data), metrics in groups.items()
    ]


def _titles(row: list[str], what: str) -> list[str]:
    titles = [title.strip() for title in row]
    for title in titles:
        if title not in COLUMNS and not (title.startswith(SLICE) and title != SLICE):
            raise CorruptError(
                f"{what}: column {displayable(title)!a} is not known",
                advice=f"use {', '.join(sorted(COLUMNS))}, or {SLICE}<attribute>",
            )
    if len(set(titles)) != len(titles) or len(titles) > MOST_COLUMNS:
        raise CorruptError(f"{what}: a column stands twice, or there are more than {MOST_COLUMNS}")
    return titles


def _metric(cells: Mapping[str, str], place: str) -> Metric:
    low, high = (_optional_number(cells, name, place) for name in ("low", "high"))
    if (low is None) != (high is None):
        raise CorruptError(f"{place}: low and high go together")
    level = _optional_number(cells, "level", place)
    samples = cells.get("samples", "")
    if samples and not re.fullmatch(r"[0-9]{1,15}", samples):
        raise CorruptError(f"{place}: samples is not a whole number")
    if not cells["name"]:
        raise CorruptError(f"{place}: the metric has no name")
    return Metric(
        name=cells["name"],
        value=_number(cells["value"], f"{place}: value"),
        unit=cells.get("unit") or None,
        direction=cells.get("direction") or None,
        slice={title.removeprefix(SLICE): cell for title, cell in cells.items() if title.startswith(SLICE) and cell},
        confidence=None if low is None or high is None else Confidence(low, high, 0.95 if level is None else level),
        samples=int(samples) if samples else None,
    )


def _optional_number(cells: Mapping[str, str], name: str, place: str) -> float | None:
    text = cells.get(name, "")
    return _number(text, f"{place}: {name}") if text else None


def _number(text: str, what: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise CorruptError(f"{what} is {displayable(text[:40])!a}, not a number", advice="write it like 0.91 or 1e-3")
    return check_number(float(text), what=what)
