"""How does a comparison look: as tables on a terminal, as Markdown in a review, as CSV in a spreadsheet? Pure.

Text that others wrote is made harmless for each: escaped for the terminal, for Markdown, and for spreadsheets, which
take `=...` for a formula.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING

from bucketry.cli.figures import human_number, human_size
from bucketry.cli.output import OutputHeading
from bucketry.cli.tables import Column, table
from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import IDENTITY, dataset_labels
from bucketry.schema.judging.comparison import ASSUMED_MARK
from bucketry.schema.judging.slice_groups import gap_groups, is_too_small
from bucketry.schema.judging.verdicts import LEAST_SAMPLES, Reason, Verdict
from bucketry.schema.text import csv_cell, displayable, markdown_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bucketry.cli.output import Line
    from bucketry.schema.documents.datasets import Dataset
    from bucketry.schema.documents.evidence import Slice
    from bucketry.schema.judging.comparison import MetricDiff, VersionDiff
    from bucketry.schema.judging.comparison_items import ItemDiff
    from bucketry.schema.judging.slice_groups import SliceGroup

DIGEST_DIGITS = 12
LONGEST_VALUE = 60
NOTHING = "-"
CSV_COLUMNS = (
    *("section", "name", "dataset", "title", "config", "data_version", "split", "task", "args", "metric", "result"),
    *("slice", "kind", "unit", "direction"),
    *("baseline", "version", "baseline_value", "value", "delta", "relative", "verdict", "reason"),
)


@frozen
class Block:
    """A titled table of a comparison; `notes` stand below it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def table_lines(diff: VersionDiff, *, with_unchanged: bool, width: int | None) -> Iterator[Line]:
    """Yield the comparison for a terminal of so many columns, or uncut."""
    yield OutputHeading(_title(diff))
    for block in blocks(diff, with_unchanged=with_unchanged):
        yield ""
        if block.title:
            yield OutputHeading(block.title)
        if block.rows:
            yield from table(block.columns, block.rows, width=width)
        yield from block.notes


def markdown_lines(diff: VersionDiff, *, with_unchanged: bool) -> Iterator[str]:
    """Yield the comparison as Markdown tables, in which foreign text is nothing but text."""
    yield f"### {markdown_text(_title(diff))}"
    for block in blocks(diff, with_unchanged=with_unchanged):
        if block.title:
            yield from ("", f"#### {markdown_text(block.title)}")
        if block.rows:
            yield from ("", _markdown_row([column.title for column in block.columns]))
            yield "|" + "|".join(" ---: " if column.number else " --- " for column in block.columns) + "|"
            yield from (_markdown_row(row) for row in block.rows)
        for note in block.notes:
            yield from ("", markdown_text(note))


def csv_lines(diff: VersionDiff, *, with_unchanged: bool) -> Iterator[str]:
    """Yield the comparison as CSV: a line for each thing and each version that is compared with the baseline."""
    yield _csv_row(CSV_COLUMNS)
    for metric in diff.metrics:
        if with_unchanged or metric.is_changed:
            yield from _csv_metric(diff, metric)
    for section, items in _sections(diff):
        for item in items:
            for index, (other, change) in enumerate(zip(diff.others, item.changes, strict=True), start=1):
                if with_unchanged or item.is_changed:
                    values = [_exact(item.values[0]), _exact(item.values[index])]
                    texts = ["", ""] if section == "card" else values
                    names = [diff.baseline.name, other.name]
                    yield _csv_row([section, item.name, *[""] * 13, *names, *texts, "", "", change.value, ""])


def blocks(diff: VersionDiff, *, with_unchanged: bool) -> Iterator[Block]:
    """Yield the comparison's tables; what has nothing to show is left out, but for the metrics."""
    yield _metrics_block(diff, with_unchanged=with_unchanged)
    groups = gap_groups(diff)
    if groups:
        yield _gaps_block(diff, groups)
    for section, items in _sections(diff):
        shown = [item for item in items if with_unchanged or item.is_changed]
        if shown:
            yield _items_block(diff, section, shown)
    if not with_unchanged:
        hidden = sum(not item.is_changed for _, items in _sections(diff) for item in items)
        changed = any(item.is_changed for _, items in _sections(diff) for item in items)
        said = f"{hidden:,} other things are the same (--all shows them)"
        yield Block("", (), (), (said if changed else "parameters, data, files and card are the same",))


def _metrics_block(diff: VersionDiff, *, with_unchanged: bool) -> Block:
    names = [subject.name if _many_models(diff) else f"v{subject.version}" for subject in diff.versions]
    columns = [Column("METRIC", flexible=True), Column("DATA", flexible=True), Column("SLICE", flexible=True)]
    pair = len(diff.versions) == 2
    if pair:
        columns += [*(Column(name, number=True) for name in names), Column("DELTA", number=True)]
        columns += [Column("DELTA%", number=True), Column("VERDICT", flexible=True)]
    else:
        columns += [Column(names[0], number=True)]
        columns += [column for name in names[1:] for column in (Column(name, number=True), Column("", flexible=True))]
    shown = [metric for metric in diff.metrics if with_unchanged or metric.is_changed]
    labels = dataset_labels(metric.dataset for metric in diff.metrics)
    rows = tuple((*_what(metric, labels), *(_pair_cells(metric) if pair else _many_cells(metric))) for metric in shown)
    counts = Counter(metric.comparisons[-1].verdict for metric in diff.metrics)
    words = [f"{counts[verdict]:,} {verdict.value}" for verdict in Verdict if counts[verdict]]
    hidden = len(diff.metrics) - len(shown)
    said = ", ".join(words) + (f" ({hidden:,} hidden, --all shows them)" if hidden else "")
    notes = [said or "no version has evidence"]
    comparisons = [one for metric in diff.metrics for one in metric.comparisons]
    if any(one.reason is Reason.DIFFERENT_DATA for one in comparisons):
        notes.append("? some were measured on different data, which allows no verdict")
    if any(one.reason is Reason.NO_INTERVAL for one in comparisons):
        notes.append("higher and lower: without confidence intervals nobody can tell a difference from noise")
    if any(one.assumed for one in comparisons):
        notes.append(f"{ASSUMED_MARK} by what is known of such metrics (docs/metrics.md): its evidence does not say")
    return Block("", tuple(columns), rows, tuple(notes))


def _what(metric: MetricDiff, labels: Mapping[Dataset, str]) -> tuple[str, str, str]:
    unit = f" ({metric.unit})" if metric.unit else ""
    kind = "" if metric.kind == "automated" else f" [{metric.kind}]"
    return f"{metric.name}{unit}{kind}", labels[metric.dataset] or NOTHING, _slice_text(metric.slice)


def _pair_cells(metric: MetricDiff) -> tuple[str, ...]:
    only = metric.comparisons[0]
    delta = NOTHING if only.delta is None else _signed(only.delta)
    relative = NOTHING if only.relative is None else f"{only.relative:+.1%}"
    return (*(_value_text(value) for value in metric.values), delta, relative, only.word)


def _many_cells(metric: MetricDiff) -> tuple[str, ...]:
    cells = [_value_text(metric.values[0])]
    for value, one in zip(metric.values[1:], metric.comparisons, strict=True):
        cells += [_value_text(value), one.word]
    return tuple(cells)


def _gaps_block(diff: VersionDiff, groups: Sequence[SliceGroup]) -> Block:
    names = [subject.name if _many_models(diff) else f"v{subject.version}" for subject in diff.versions]
    columns = [Column("METRIC", flexible=True), Column("DATA", flexible=True), Column("BY", flexible=True)]
    for name in names:
        columns += [Column(f"{name} WORST", flexible=True), Column("GAP", number=True)]
    notes = []
    if any(len(set(group.judged)) > 1 for group in groups):
        notes.append("the versions were not measured on the same slices: their gaps may not be comparable")
    if any(is_too_small(metric) for group in groups for metric in group.slices):
        notes.append(f"without slices of fewer than {LEAST_SAMPLES} samples")
    labels = dataset_labels(metric.dataset for metric in diff.metrics)
    rows = tuple(_gap_row(group, labels) for group in groups)
    return Block("Slices, and the gap from the best to the worst", tuple(columns), rows, tuple(notes))


def _gap_row(group: SliceGroup, labels: Mapping[Dataset, str]) -> tuple[str, ...]:
    cells = [group.name, labels[group.dataset] or NOTHING, ", ".join(group.attributes)]
    for worst, width in zip(group.worst, group.gaps, strict=True):
        cells.append(f"{_slice_text(worst[0])} {human_number(worst[1])}" if worst else NOTHING)
        cells.append(_value_text(width))
    return tuple(cells)


def _items_block(diff: VersionDiff, section: str, items: Sequence[ItemDiff]) -> Block:
    names = [subject.name if _many_models(diff) else f"v{subject.version}" for subject in diff.versions]
    show = _SHOWN.get(section, _plain)
    values = () if section == "card" else tuple(Column(name, flexible=True) for name in names)
    columns = (Column(_TITLES[section], flexible=True), *values, *(Column("CHANGE") for _ in diff.others))
    rows = tuple(
        (
            item.name,
            *(
                show(value) if there else NOTHING
                for value, there in zip(item.values if values else (), item.is_present, strict=False)
            ),
            *(change.value for change in item.changes),
        )
        for item in items
    )
    return Block("", columns, rows)


def _sections(diff: VersionDiff) -> tuple[tuple[str, tuple[ItemDiff, ...]], ...]:
    return (
        ("parameter", diff.parameters),
        ("training", diff.training),
        ("dataset", diff.datasets),
        ("file", diff.files),
        ("card", diff.sections),
        ("tensor", diff.tensors),
    )


def _file_text(value: object) -> str:
    if not isinstance(value, dict):
        return NOTHING
    return f"{human_size(value['size_bytes'])} {value['sha256'][:DIGEST_DIGITS]}"


def _pairs_text(value: object) -> str:
    return ", ".join(f"{name}={_plain(one)}" for name, one in value.items()) if isinstance(value, dict) else ""


_SHOWN: dict[str, Callable[[object], str]] = {"file": _file_text, "dataset": _pairs_text}
_TITLES = {
    "parameter": "PARAMETER",
    "training": "TRAINING",
    "dataset": "DATASET",
    "file": "FILE",
    "card": "CARD SECTION",
    "tensor": "TENSOR",
}


def _csv_metric(diff: VersionDiff, metric: MetricDiff) -> Iterator[str]:
    head = ["metric", metric.name, *(getattr(metric.dataset, name) or "" for name in IDENTITY)]
    head += [_slice_text(metric.slice, ""), metric.kind, metric.unit or "", metric.direction or ""]
    for index, (other, one) in enumerate(zip(diff.others, metric.comparisons, strict=True), start=1):
        numbers = [metric.values[0], metric.values[index], one.delta, one.relative]
        cells = ["" if number is None else repr(number) for number in numbers]
        yield _csv_row([*head, diff.baseline.name, other.name, *cells, one.verdict.value, one.reason])


def _csv_row(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([csv_cell(displayable(cell)) for cell in cells])
    return line.getvalue()


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) or " " for cell in cells) + " |"


def _title(diff: VersionDiff) -> str:
    return f"{diff.baseline.name} -> {', '.join(subject.name for subject in diff.others)}"


def _many_models(diff: VersionDiff) -> bool:
    return len({subject.model for subject in diff.versions}) > 1


def _slice_text(part: Slice, nothing: str = NOTHING) -> str:
    return ", ".join(f"{name}={value}" for name, value in part) or nothing


def _value_text(value: float | None) -> str:
    return NOTHING if value is None else human_number(value)


def _signed(value: float) -> str:
    return f"+{human_number(value)}" if value > 0 else human_number(value)


def _plain(value: object) -> str:
    text = _exact(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _exact(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
