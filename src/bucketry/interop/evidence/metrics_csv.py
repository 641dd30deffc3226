"""Reads a table of metrics, with commas, semicolons, tabs or bars between its cells, and decimal commas.

A file with a heading: `name` (or `metric`) and `value`, and as wanted `unit`, `direction`, `slice.<attribute>`, `low`,
`high`, `level`, `samples`, `standard_error`, `deviation`, `kind`, and the data: `dataset`, `title`, `config`,
`version`, `split`, `task`, `args`, `digest`. Rows on the same data are one evaluation. A wide table has a column for
each metric instead. Of a table with a `step` or an `epoch`, the newest value counts.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.interop.evidence.metric_tables import base_of_deviation, base_of_error
from bucketry.interop.evidence.sklearn_report import read_classification_report, report_of_table
from bucketry.schema.documents.evidence import MOST_METRICS, Evidence, check_evidence
from bucketry.schema.foreign_values import NoValueError, make_metric, read_number, read_value
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from bucketry.schema.documents.evidence import Metric
    from bucketry.schema.foreign_values import LeftOut

SEPARATORS = (",", ";", "\t", "|")
MOST_COLUMNS = 512
MOST_ROWS = 20_000
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
"""The first line that a spreadsheet writes to say which character parts the cells."""
_NUMBER = re.compile(r"[0-9][0-9.,]*|,[0-9]+")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_DECIMAL_COMMA = re.compile(r"[0-9]*,[0-9]+")
SLICE = "slice."
_SAME = {"metric": "name", "metric_name": "name", "key": "name", "score": "value", "stderr": "standard_error"}
_SAME |= {"std": "deviation", "n": "samples", "global_step": "step", "iteration": "step"}
"""Other titles of a column, for ours."""
_DATA = {"dataset": "name", "digest": "digest"}
_DATA |= {name: name for name in ("title", "config", "version", "split", "task", "args")}
_NUMBERS = ("value", "low", "high", "level", "samples", "standard_error", "deviation")
_STEPS = ("step", "epoch")
COLUMNS = frozenset({"name", "unit", "direction", "kind", *_NUMBERS, *_DATA, *_STEPS})


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


@frozen
class Cell:
    """One value, what it is called, and the other cells that say something about it."""

    place: str
    name: str
    value: str
    about: Mapping[str, str]


def is_metrics_csv(text: str) -> bool:
    """Return whether a file is a table with titles, and numbers below them."""
    table = _read_text_table(text)
    if table is None or not table.rows:
        return table is not None and {"name", "value"} <= set(map(title_of, table.titles))
    titles = [title_of(title) for title in table.titles]
    if {"name", "value"} <= set(titles) or _is_pairs(table):
        return True
    first = table.rows[0].cells
    return (
        all(titles[1:])
        and len(first) == len(titles)
        and any(map(_is_number, first))
        and not any(map(_is_number, titles))
    )


def read_metrics_csv(text: str, left_out: LeftOut, *, what: str) -> list[Evidence]:
    """Return one evaluation for each kind and data set; raise `CorruptError` that names the line."""
    table = _read_text_table(text)
    if table is None:
        raise CorruptError(f"{what} is no table")
    if table.fault:
        raise CorruptError(f"{what}: {table.fault}", advice="save it as CSV anew")
    if len(table.rows) > MOST_METRICS:
        raise CorruptError(f"{what} has more than {MOST_METRICS:,} lines", advice="split it")
    titles = ["name", "value"] if _is_pairs(table) else [title_of(title) for title in table.titles]
    if "" in titles[:1] and all(row.cells[:1] and row.cells[0].isdigit() for row in table.rows):
        titles[0] = "\0"  # the numbers of the rows, as pandas writes them
    if len(set(titles)) != len(titles):
        raise CorruptError(f"{what}: a column stands twice", advice="give each column a title of its own")
    for row in table.rows:
        if len(row.cells) != len(titles):
            raise CorruptError(
                f"{what}: line {row.line} has {len(row.cells)} cells, not {len(titles)}",
                advice="put texts that hold the separator between quotation marks",
            )
    numbers = {at for at, title in enumerate(titles) if title in {*_NUMBERS, *_STEPS} or not _is_known(title)}
    table = _with_points(table, numbers)
    report = report_of_table(titles, [row.cells for row in table.rows])
    if report is not None:
        return [check_evidence(read_classification_report(report, left_out, "", {}), what=what)]
    cells = (
        [*_long(table, titles, what)] if {"name", "value"} <= set(titles) else [*_wide(table, titles, left_out, what)]
    )
    return [check_evidence(evidence, what=what) for evidence in evaluations_of_cells(cells, left_out)]


def _long(table: TextTable, titles: Sequence[str], what: str) -> Iterator[Cell]:
    for title in titles:
        if title not in COLUMNS and title != "\0" and not _is_slice(title):
            raise CorruptError(
                f"{what}: column {displayable(title)!a} is not known",
                advice=f"use {', '.join(sorted(COLUMNS))}, or {SLICE}<attribute>",
            )
    for row in table.rows:
        about = {title: cell for title, cell in zip(titles, row.cells, strict=True) if cell}
        name, value = about.pop("name", ""), about.pop("value", "")
        yield Cell(f"line {row.line} ({name!a})", name, value, about)


def _wide(table: TextTable, titles: Sequence[str], left_out: LeftOut, what: str) -> Iterator[Cell]:
    """Yield the values of a table with a column for each metric."""
    known = {title for title in titles if _is_known(title) or title in _STEPS}
    measured = [title for title in titles if title not in known and title != "\0"]
    texts = [title for title in measured if not any(_is_number(row.cells[titles.index(title)]) for row in table.rows)]
    if "" in titles or (len(table.rows) > 1 and not known):
        raise CorruptError(
            f"{what} is recognised as a table with a column for each metric, but nothing that is known tells its "
            f"{len(table.rows):,} rows apart",
            advice=f"call a column dataset, split, step or {SLICE}<attribute>, or give one row, or name and value",
        )
    for title in texts:
        left_out.add(f"column {title!a}", "has no number")
    for row in table.rows:
        cells = dict(zip(titles, row.cells, strict=True))
        about = {title: cells[title] for title in known if cells[title]}
        values = {title: cells[title] for title in measured if title not in texts and cells[title]}
        yield from wide_cells(values, about, f"line {row.line} ({{!a}})".format)


def wide_cells(values: Mapping[str, str], about: Mapping[str, str], place_of: Callable[[str], str]) -> Iterator[Cell]:
    """Yield the values of one row, each with its standard error and its deviation, where they stand beside it."""
    beside: dict[str, dict[str, str]] = {}
    bases = {name: base_of_error(name, values) or "" for name in values}
    spreads = {name: base_of_deviation(name, values) for name in values if not bases[name]}
    for part, of in (("standard_error", bases), ("deviation", spreads)):
        for name, base in of.items():
            if base:
                beside.setdefault(base, {})[part] = values[name]
    for name, value in values.items():
        if not bases[name] and not spreads[name]:
            yield Cell(place_of(name), name, value, {**about, **beside.get(name, {})})


def evaluations_of_cells(cells: Sequence[Cell], left_out: LeftOut) -> Iterator[Evidence]:
    """Yield one evaluation for each kind and data set; of steps the newest counts."""
    groups: dict[tuple[str, ...], list[Metric]] = {}
    for cell in _newest(cells, left_out):
        about = cell.about
        sliced = {title.removeprefix(SLICE): text for title, text in about.items() if _is_slice(title)}
        parts = {name: about.get(name) for name in ("unit", "direction", *_NUMBERS[1:])} | {"slice": sliced}
        if not cell.name:
            left_out.add(cell.place, "has no name")
            continue
        metric = make_metric(left_out, cell.place, cell.name, cell.value, parts)
        if metric is not None:
            data = tuple(about.get(column, "") for column in ("kind", *_DATA))
            groups.setdefault(data, []).append(metric)
    for group, metrics in groups.items():
        dataset = {field: text for field, text in zip(_DATA.values(), group[1:], strict=True) if text}
        yield Evidence(group[0] or "automated", tuple(metrics), dataset=dataset)


def _newest(cells: Sequence[Cell], left_out: LeftOut) -> list[Cell]:
    """Return of each measurement in a table with steps the one of the last step; all where there are no steps."""
    if not any(name in cell.about for cell in cells for name in _STEPS):
        return list(cells)
    newest: dict[tuple[object, ...], tuple[tuple[float, ...], Cell]] = {}
    for cell in cells:
        rest = tuple(sorted((name, text) for name, text in cell.about.items() if _is_known(name)))
        key = (cell.name, rest)
        try:
            step = tuple(read_number(cell.about.get(name, "0")) for name in _STEPS)
        except NoValueError as fault:
            left_out.add(f"{cell.place}: step", str(fault))
            continue
        if key in newest and step == newest[key][0] and cell.value != newest[key][1].value:
            raise CorruptError(f"{cell.place}: the same was measured twice at one step, with two values")
        if key not in newest or step > newest[key][0]:
            newest[key] = (step, cell)
    return [cell for _, cell in newest.values()]


def _is_pairs(table: TextTable) -> bool:
    """Return whether a table is names and values without titles of their own, as pandas writes a series."""
    return (
        len(table.titles) == 2
        and not table.titles[0].strip()
        and title_of(table.titles[1]) in {"value", "0", ""}
        and all(len(row.cells) == 2 and not _is_number(row.cells[0]) for row in table.rows)
    )


def title_of(title: str) -> str:
    """Return what a column is called here; the title itself where it is none of ours."""
    plain = re.sub(r"[ -]+", "_", title.strip().casefold())
    plain = _SAME.get(plain, plain)
    return plain if plain in COLUMNS else title.strip()


def is_known_title(title: str, *, also_of_metrics: bool = False) -> bool:
    """Return whether a column says what was measured, or at which step; or, if that is asked, more of a metric."""
    return _is_known(title) or title in _STEPS or (also_of_metrics and title in COLUMNS)


def _is_known(title: str) -> bool:
    """Return whether a column says on what or by whom was measured."""
    return title in _DATA or title == "kind" or _is_slice(title)


def _is_slice(title: str) -> bool:
    return title.startswith(SLICE) and title != SLICE


def _is_number(text: str) -> bool:
    try:
        read_value(text)
    except NoValueError:
        return _is_numeric(text) or text.strip().lower() in {"nan", "inf", "-inf"}
    return True


def _read_text_table(text: str) -> TextTable | None:
    """Return the table in a text, by the character that parts most of it; None where it has no first line."""
    said = _SEPARATOR_LINE.match(text)
    body = text[said.end() :] if said else text
    lines = [] if said else [line.strip() for line in text.splitlines()]
    if not said and all(line.startswith("|") and line.endswith("|") for line in lines if line):
        # What frames a Markdown table is no part of it; the lines keep their numbers.
        body = "\n".join("" if not line.strip("|-: ") else line.strip("|") for line in lines)
    separators = (said[1],) if said else SEPARATORS
    tables = [_split(body, separator, said is not None) for separator in separators]
    found = [table for table in tables if table is not None]
    if not found:
        return None

    def fitness(table: TextTable) -> tuple[bool, bool, int]:
        width = len(table.titles)
        return not table.fault, width > 1 and all(len(row.cells) == width for row in table.rows[:64]), width

    return max(found, key=fitness)


def _with_points(table: TextTable, columns: Collection[int]) -> TextTable:
    """Return a table in some columns of which commas within numbers are points.

    They are taken for decimal commas if some number there can have no other and none has a point: `1,234` alone may be
    either, and stays as it is.
    """
    cells = [cell for row in table.rows for at, cell in enumerate(row.cells) if at in columns and _is_numeric(cell)]
    numbers = [number for cell in cells for number in _NUMBER.findall(cell)]
    has_point = any("." in number for number in numbers)
    has_comma = any(_DECIMAL_COMMA.fullmatch(number) and not _THOUSANDS.fullmatch(number) for number in numbers)
    if has_point or not has_comma:
        return table

    def pointed(found: re.Match[str]) -> str:
        return found[0].replace(",", ".") if _DECIMAL_COMMA.fullmatch(found[0]) else found[0]

    rows = []
    for row in table.rows:
        changed = (
            _NUMBER.sub(pointed, cell) if at in columns and _is_numeric(cell) else cell
            for at, cell in enumerate(row.cells)
        )
        rows.append(TextRow(row.line, tuple(changed)))
    return TextTable(table.titles, tuple(rows), table.fault)


def _is_numeric(cell: str) -> bool:
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
