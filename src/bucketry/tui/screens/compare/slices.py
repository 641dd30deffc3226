"""How are the slices of a metric shown side by side: the worst first, with the gap between them before and after?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.documents.datasets import dataset_labels
from bucketry.schema.judging.slice_groups import is_too_small
from bucketry.schema.judging.verdicts import LEAST_SAMPLES
from bucketry.tui.drawing.columns import Column
from bucketry.tui.drawing.figures import NOTHING, count_of, short_number
from bucketry.tui.drawing.paint import Span, line
from bucketry.tui.drawing.table_lines import table_lines
from bucketry.tui.drawing.verdict_words import aligned_number, column_title, signed_text, slice_text, verdict_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.judging.comparison import MetricDiff
    from bucketry.schema.judging.slice_groups import SliceGroup
    from bucketry.tui.data.comparisons import LoadedComparison
    from bucketry.tui.drawing.paint import Line, Painter

MOST_SLICES = 100
BAR_COLUMNS = 14


def slice_lines(
    compared: LoadedComparison, group: SliceGroup, names: Sequence[str], position: str, width: int, painter: Painter
) -> list[Line]:
    """Return the heading of a group of slices, its gap, and a line for each slice."""
    data = dataset_labels(metric.dataset for metric in compared.diff.metrics)[group.dataset]
    by = f"{group.name} by {', '.join(group.attributes)}" + (f" on {data}" if data else "")
    heading = line(Span("SLICES  ", "header"), Span(f"{by}  {position}"))
    lines = [heading, *_gap_lines(compared, group, names)]
    shown = group.slices[:MOST_SLICES]
    lines += table_lines(_columns(compared, group, names), shown, width, painter)
    if len(group.slices) > MOST_SLICES:
        lines.append(line(Span(f"and {count_of(len(group.slices) - MOST_SLICES, 'slice')} more: y copies all", "dim")))
    return lines


def _gap_lines(compared: LoadedComparison, group: SliceGroup, names: Sequence[str]) -> list[Line]:
    """Return the distance from the best slice to the worst: of the baseline and the newest of the others."""
    places = (0, compared.other + 1) if compared.diff.others else (0,)
    known = [(names[place], gap) for place in places if (gap := group.gaps[place]) is not None]
    if not known:
        return []
    which = Span(f"  without slices of n<{LEAST_SAMPLES}" if any(map(is_too_small, group.slices)) else "", "dim")
    if len(known) == 1:
        only, gap = known[0]
        return [line(f" worst gap {short_number(gap)} in {only}", which)]
    which_two = f" ({known[0][0]} -> {known[1][0]})" if len(names) > 2 else ""
    said = Span(f" worst gap {' -> '.join(short_number(gap) for _, gap in known)}{which_two}")
    growth = group.gap_growth(compared.other)
    if growth is None:
        return [line(said, Span("  ? not the same slices: the gaps may not be comparable", "warn"))]
    if not growth:
        return [line(said, Span("  = same", "dim"), which)]
    return [line(said, Span("  v WIDER", "bad") if growth > 0 else Span("  ^ narrower", "good"), which)]


def _columns(compared: LoadedComparison, group: SliceGroup, names: Sequence[str]) -> list[Column[MetricDiff]]:
    columns: list[Column[MetricDiff]] = [
        Column("slice", "SLICE", lambda row: slice_text(row.slice), 6, 24),
        Column("n", "N", _samples, 7, right=True, rank=2),
    ]
    columns += [
        Column(f"v{place}", column_title(name, 7), lambda row, at=place: aligned_number(row, at), 7, right=True)  # type: ignore[misc]
        for place, name in enumerate(names)
    ]
    if not compared.diff.others:
        return columns
    other = compared.other
    values = [value for row in group.slices for value in (row.values[0], row.values[other + 1]) if value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = f"{short_number(low):<{BAR_COLUMNS // 2}}{short_number(high):>{BAR_COLUMNS // 2}}"
    of = f" {column_title(names[other + 1], 7)}" if len(names) > 2 else ""
    return [
        *columns,
        Column("delta", "DELTA", lambda row: signed_text(row, other), 8, right=True),
        Column("bar", scale, lambda row: _bar(row, other, low, high), BAR_COLUMNS, rank=3),
        Column("verdict", f"VERDICT{of}", lambda row: verdict_span(row, other), 14, 18),
    ]


def _samples(row: MetricDiff) -> str:
    counts = [one.samples for one in reversed(row.measured) if one is not None and one.samples is not None]
    return f"{counts[0]:,}" if counts else NOTHING


def _bar(row: MetricDiff, other: int, low: float, high: float) -> Span:
    """Return the way from the baseline (`*`) to the other version (`o`) on the scale of all slices."""
    before, after = row.values[0], row.values[other + 1]
    cells = ["-"] * (BAR_COLUMNS - 2)
    spread = high / 2 - low / 2

    def place(value: float) -> int:
        return round((value / 2 - low / 2) / spread * (len(cells) - 1)) if spread > 0 else len(cells) // 2

    if before is not None and after is not None:
        first, last = sorted((place(before), place(after)))
        cells[first : last + 1] = "." * (last + 1 - first)
    if before is not None:
        cells[place(before)] = "*"
    if after is not None:
        cells[place(after)] = "o"
    return Span(f"|{''.join(cells)}|", "dim")
