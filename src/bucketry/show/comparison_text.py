"""The whole comparison for a terminal, in Markdown for a review or a chat, and in CSV for a spreadsheet.

Nothing is in focus here: slices stand among the metrics, and the gap between them in a table of its own. In a terminal
and in Markdown the words and figures are those of the screen; in CSV numbers are exact.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import IDENTITY
from bucketry.schema.judging.slice_groups import gap_groups
from bucketry.schema.judging.verdicts import Reason
from bucketry.schema.text import csv_cell, displayable, markdown_text
from bucketry.show.comparison import (
    CARD_SECTION,
    assumed_lines,
    comparison_title,
    counted_verdicts,
    differing_lines,
    gap_span,
    has_small,
    item_columns,
    item_sections,
    metric_columns,
)
from bucketry.show.figures import NOTHING, number_text
from bucketry.show.gates import gate_words
from bucketry.show.spans import Line, Span, TextPage, line, plain_text
from bucketry.show.tables import Column, table_lines
from bucketry.show.verdicts import WITHOUT_SMALL_SLICES, slice_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.schema.documents.evidence import Slice
    from bucketry.schema.judging.slice_groups import SliceGroup
    from bucketry.show.comparison import ShownComparison

Row = TypeVar("Row")
CSV_COLUMNS = (
    *("section", "name", "dataset", "title", "config", "data_version", "split", "task", "args", "metric", "result"),
    *("slice", "kind", "unit", "direction"),
    *("baseline", "version", "baseline_value", "value", "delta", "relative", "verdict", "reason"),
)


@frozen
class ComparisonTable(Generic[Row]):
    """A table of a comparison; `notes` stand below it."""

    title: str = ""
    columns: tuple[Column[Row], ...] = ()
    rows: tuple[Row, ...] = ()
    notes: tuple[Line, ...] = ()


def comparison_lines(compared: ShownComparison, page: TextPage, *, with_unchanged: bool) -> Iterator[Line]:
    """Yield the whole comparison for a terminal."""
    yield line(Span(comparison_title(compared.diff), "title"))
    for block in comparison_blocks(compared, with_unchanged=with_unchanged):
        yield ()
        if block.title:
            yield line(Span(block.title, "title"))
        if block.rows:
            yield from table_lines(block.columns, block.rows, page)
        yield from block.notes


def comparison_markdown(compared: ShownComparison, *, with_unchanged: bool) -> Iterator[str]:
    """Yield the whole comparison, or what differs, as Markdown."""
    yield _markdown_heading(comparison_title(compared.diff), 3)
    for block in comparison_blocks(compared, with_unchanged=with_unchanged):
        if block.title:
            yield from ("", _markdown_heading(block.title, 4))
        if block.rows:
            yield from ("", *_markdown_table(block.columns, block.rows))
        for note in block.notes:
            yield from ("", markdown_text(plain_text(note)))
    if compared.gates:
        yield ""
        yield from (f"- {markdown_text(gate_words(result))}" for _, result in compared.gates)


def comparison_csv(compared: ShownComparison, *, with_unchanged: bool) -> Iterator[str]:
    """Yield the comparison as CSV: a line for each thing and each version that is compared with the baseline."""
    diff, before = compared.diff, compared.diff.baseline.name
    yield _csv_row(CSV_COLUMNS)
    for metric in diff.metrics:
        if not with_unchanged and not metric.is_changed:
            continue
        head = ["metric", metric.name, *(getattr(metric.dataset, name) or "" for name in IDENTITY)]
        head += [slice_text(metric.slice, with_names=True), metric.kind, metric.unit or "", metric.direction or ""]
        for place, (other, one) in enumerate(zip(diff.others, metric.comparisons, strict=True), start=1):
            numbers = [metric.values[0], metric.values[place], one.delta, one.relative]
            cells = ["" if number is None else repr(number) for number in numbers]
            yield _csv_row([*head, before, other.name, *cells, one.verdict.value, one.reason])
    for title, items in item_sections(diff):
        section = title.split()[0].lower()
        for item in items:
            if not with_unchanged and not item.is_changed:
                continue
            for place, (other, change) in enumerate(zip(diff.others, item.changes, strict=True), start=1):
                found = ["", ""] if title == CARD_SECTION else [_exact(item.values[0]), _exact(item.values[place])]
                yield _csv_row([section, item.name, *[""] * 13, before, other.name, *found, "", "", change.value, ""])


def comparison_blocks(compared: ShownComparison, *, with_unchanged: bool) -> Iterator[ComparisonTable[Any]]:
    """Yield the comparison's tables; what has nothing to show is left out, but for the metrics."""
    diff = compared.diff
    shown = tuple(metric for metric in diff.metrics if with_unchanged or metric.is_changed)
    hidden = len(diff.metrics) - len(shown)
    said = counted_verdicts(diff) or "no version has evidence"
    notes = [line(said + (f" ({hidden:,} hidden, --all shows them)" if hidden else "")), *differing_lines(compared)]
    if any(one.reason is Reason.NO_INTERVAL for metric in diff.metrics for one in metric.comparisons):
        notes.append(line("higher and lower: without confidence intervals nobody can tell a difference from noise"))
    notes += assumed_lines(diff.metrics)
    yield ComparisonTable("", tuple(metric_columns(compared, with_slices=True)), shown, tuple(notes))
    groups = gap_groups(diff)
    if groups:
        left_out = (line(WITHOUT_SMALL_SLICES),) if any(map(has_small, groups)) else ()
        title = "Slices, and the gap from the best to the worst"
        yield ComparisonTable(title, tuple(_gap_columns(compared)), groups, left_out)
    same = 0
    for title, items in item_sections(diff):
        changed = tuple(item for item in items if with_unchanged or item.is_changed)
        same += len(items) - len(changed)
        if changed:
            yield ComparisonTable("", tuple(item_columns(compared, title)), changed)
    if not with_unchanged:
        is_all_same = not any(item.is_changed for _, items in item_sections(diff) for item in items)
        said = "parameters, data, files and card are the same" if is_all_same else f"{same:,} other things are the same"
        yield ComparisonTable(notes=(line(said + ("" if is_all_same else " (--all shows them)")),))


def _gap_columns(compared: ShownComparison) -> Iterator[Column[SliceGroup]]:
    labels = compared.labels

    def worst(found: tuple[Slice, float] | None) -> str:
        return f"{slice_text(found[0], with_names=True)} {number_text(found[1])}" if found else NOTHING

    yield Column("name", "METRIC", lambda group: group.name, 8, 40)
    yield Column("data", "DATA", lambda group: labels[group.dataset] or NOTHING, 8, 30, rank=1)
    yield Column("by", "BY", lambda group: ", ".join(group.attributes), 8, 30)
    for place, name in enumerate(compared.names):
        yield Column(f"worst{place}", f"{name} WORST", lambda group, at=place: worst(group.worst[at]), 8, 30)  # type: ignore[misc]
        yield Column(f"gap{place}", "GAP", lambda group, at=place: number_text(group.gaps[at]), 7, right=True)  # type: ignore[misc]
        if place:
            yield Column(f"grew{place}", "THE GAP IS", lambda group, at=place: gap_span(group, at - 1), 10, 24)  # type: ignore[misc]


def _markdown_table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a table; the cells are those of the table on a screen, uncut."""

    def row_of(cells: Sequence[str]) -> str:
        return "| " + " | ".join(markdown_text(cell) or " " for cell in cells) + " |"

    yield row_of([column.title for column in columns])
    yield "|" + "|".join(" ---: " if column.right else " --- " for column in columns) + "|"
    for row in rows:
        said = (column.cell(row) for column in columns)
        yield row_of([cell if isinstance(cell, str) else cell.text for cell in said])


def _markdown_heading(text: str, level: int) -> str:
    """Return a heading of a level."""
    return f"{'#' * level} {markdown_text(text)}"


def _csv_row(cells: Sequence[str]) -> str:
    """Return the line of a row, without its end; a spreadsheet must not take foreign text for a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([csv_cell(displayable(cell)) for cell in cells])
    return text.getvalue()


def _exact(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
