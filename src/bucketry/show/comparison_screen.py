"""A comparison on a screen, on which one looks at a thing.

It shows the metrics over whole data sets, the slices and the trend of what is in focus, what stands in the way of the
newest version, and what else differs.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal

from bucketry.frozen import frozen
from bucketry.schema.judging.verdicts import Reason, Verdict
from bucketry.show.comparison import (
    assumed_lines,
    differing_lines,
    gap_span,
    has_small,
    item_columns,
    item_sections,
    metric_columns,
)
from bucketry.show.figures import NOTHING, count_of, number_text, plural_of
from bucketry.show.gates import failed_gate_lines
from bucketry.show.spans import Line, Span, TextPage, beside, flowing, line
from bucketry.show.tables import Column, table_lines
from bucketry.show.trend import PLOT_ROWS, level_of, trend_lines
from bucketry.show.verdicts import (
    WITHOUT_SMALL_SLICES,
    column_title,
    delta_text,
    slice_text,
    value_number,
    verdict_span,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.schema.documents.datasets import Dataset
    from bucketry.schema.judging.comparison import MetricDiff
    from bucketry.schema.judging.slice_groups import SliceGroup
    from bucketry.schema.judging.trend import Trend
    from bucketry.show.comparison import ShownComparison

Sorting = Literal["verdict", "name", "change"]
SORTINGS: tuple[Sorting, ...] = ("verdict", "name", "change")
MOST_METRICS = 400
MOST_SLICES = 100
MOST_ITEMS = 200
"""On a screen, of one section; Markdown has all."""
MOST_DATASETS = 3
BAR_COLUMNS = 14
WIDE_COLUMNS, LEFT_COLUMNS = 110, 80
"""From how many columns on what else differs stands beside the metrics, and how many these get."""
FOCUS_TITLES = ("SLICES  ", "TREND  ")
_URGENCY = {verdict: place for place, verdict in enumerate(Verdict)}


@frozen
class ComparisonState:
    """How a comparison is looked at now. `focus` is the slice group, or behind them the metric, that is shown.

    `column` is the place of the version under the cursor.
    """

    with_unchanged: bool = False
    sorting: Sorting = "verdict"
    focus: int = 0
    with_tensors: bool = False
    column: int | None = None
    trends: Mapping[str, Trend] = field(default_factory=dict)


def screen_lines(compared: ShownComparison, look: ComparisonState, width: int, page: TextPage) -> list[Line]:
    """Return the lines of a comparison; from 110 columns on, what else differs stands beside the metrics."""
    is_wide = width >= WIDE_COLUMNS
    left = page.of(LEFT_COLUMNS if is_wide else width)
    main = [
        *banner_lines(compared, left),
        line(),
        *metric_lines(compared, look, left),
        *_focus_lines(compared, look, left),
        *check_lines(compared, left),
    ]
    right = page.of(width - LEFT_COLUMNS - 3) if is_wide else left
    rest = item_lines(compared, right, with_unchanged=look.with_unchanged, with_tensors=look.with_tensors)
    return beside(main, rest, LEFT_COLUMNS, page) if is_wide else [*main, line(), *rest]


def metric_places(compared: ShownComparison, look: ComparisonState, width: int) -> dict[int, str]:
    """Return on which lines of the comparison a metric stands, and its name."""
    page = TextPage(LEFT_COLUMNS if width >= WIDE_COLUMNS else width)
    first = len(banner_lines(compared, page)) + 2  # behind an empty line and the titles
    return {first + place: metric.name for place, metric in enumerate(_shown_metrics(compared, look))}


def focus_place(lines: Sequence[Line]) -> int | None:
    """Return on which line the slices of what is in focus begin, or its trend."""
    found = (place for place, spans in enumerate(lines) if any(span.text in FOCUS_TITLES for span in spans))
    return next(found, None)


def foci(compared: ShownComparison) -> list[tuple[int | None, str]]:
    """Return what the tab key goes through: the slice groups, worst first, then metrics that have none."""
    groups: list[tuple[int | None, str]] = [(place, group.name) for place, group in enumerate(compared.groups)]
    named = {name for _, name in groups}
    rest = dict.fromkeys(metric.name for metric in _sorted(compared, "verdict") if metric.name not in named)
    return [*groups, *((None, name) for name in rest)]


def focused_metric(compared: ShownComparison, focus: int) -> str:
    """Return the metric whose slices and trend are shown, or "" where nothing was measured."""
    found = foci(compared)
    return found[focus % len(found)][1] if found else ""


def banner_lines(compared: ShownComparison, page: TextPage) -> list[Line]:
    """Return on what data the versions were measured and how many samples that has; a warning where it differs."""
    if not compared.diff.metrics:
        return [line(Span("No version here was measured: no evidence is on record.", "warn"))]
    pieces = [Span("measured on", "dim")]
    seen = compared.labels
    for dataset in list(dict.fromkeys(metric.dataset for metric in compared.diff.metrics))[:MOST_DATASETS]:
        measured = [
            one for metric in compared.whole if metric.dataset == dataset for one in metric.measured if one is not None
        ]
        counts = {one.samples for one in measured if one.samples is not None}
        digests = {one.data_digest for one in measured if one.data_digest is not None}
        text = seen[dataset] or "data that nobody named"
        text += f" sha {next(iter(digests)).removeprefix('sha256:')[:4]}" if len(digests) == 1 else ""
        text += f" n={next(iter(counts)):,}" if len(counts) == 1 else ""
        pieces.append(Span(text + _shared_by(compared, dataset)))
    if len(seen) > MOST_DATASETS:
        pieces.append(Span(f"and {len(seen) - MOST_DATASETS} more data sets", "dim"))
    return [*differing_lines(compared), *flowing(pieces, page.width)]


def metric_lines(compared: ShownComparison, look: ComparisonState, page: TextPage) -> list[Line]:
    """Return the table of the metrics over whole data sets."""
    whole, shown = compared.whole, _shown_metrics(compared, look)
    if not shown:
        same = "no metric was measured over whole data" if not whole else f"all {count_of(len(whole), 'metric')} same"
        return [line(Span(f"METRICS  {same}", "dim")), line()]
    lines = table_lines(metric_columns(compared, chosen=look.column), shown, page)
    more = sum(look.with_unchanged or one.is_changed or not one.comparisons for one in whole) - len(shown)
    if more:
        lines.append(line(Span(f"and {more:,} more: y copies all", "dim")))
    return [*lines, *assumed_lines(shown), line()]


def slice_lines(compared: ShownComparison, group: SliceGroup, position: str, page: TextPage) -> list[Line]:
    """Return the heading of a group of slices, its gap, and a line for each slice."""
    data = compared.labels[group.dataset]
    by = f"{group.name} by {', '.join(group.attributes)}" + (f" on {data}" if data else "")
    lines = [line(Span("SLICES  ", "header"), Span(f"{by}  {position}")), *_gap_lines(compared, group)]
    lines += table_lines(_slice_columns(compared, group), group.slices[:MOST_SLICES], page)
    if len(group.slices) > MOST_SLICES:
        lines.append(line(Span(f"and {count_of(len(group.slices) - MOST_SLICES, 'slice')} more: y copies all", "dim")))
    return lines


def check_lines(compared: ShownComparison, page: TextPage) -> list[Line]:
    """Return what stands between the newest version and production."""
    standing = compared.standing
    if standing is None:
        return []
    newest, signer = compared.diff.versions[compared.newest], standing.authorship.signed
    approvals, required = standing.approvals, standing.policy.approvals_required
    pieces = [Span(f"CHECKS v{newest.version}", "header")]
    pieces.append(Span(f"signed by {signer}", "good") if signer else Span("NOT signed", "warn"))
    if required or approvals.principals:
        enough = approvals.are_enough or not required
        pieces.append(Span(f"approvals {len(approvals.principals)} of {required}", "good" if enough else "warn"))
    else:
        pieces.append(Span("no approvals asked for", "dim"))
    pieces += [Span(f"refused by {who}", "bad") for who in approvals.refusals]
    pieces += [Span(f"{result.gate} ok", "good") for _, result in compared.gates if result.passed]
    pieces += [Span(f"{result.gate}: not scanned from here", "warn") for result in compared.unscanned]
    if not compared.gates:
        pieces.append(Span("no gates", "dim"))
    return [*flowing(pieces, page.width), *(each for one in compared.failed for each in failed_gate_lines(one, page))]


def trend_marks(compared: ShownComparison, trend: Trend) -> tuple[dict[int, str], list[str]]:
    """Return at which versions signs stand (`*` the baseline, `o` the newest of the others), and what each means."""
    model = compared.diff.versions[compared.newest].model
    values = dict(trend.measured)
    marks: dict[int, str] = {}
    legend: list[str] = []
    spare = iter("x+")
    for place, subject in enumerate(compared.diff.versions):
        if subject.model != model:
            continue
        mark = "*" if not place else "o" if place == compared.other + 1 else next(spare)
        marks[subject.version] = mark
        value = values.get(subject.version)
        legend.append(f"{mark} v{subject.version} {number_text(value) if value is not None else 'not here'}")
    return marks, legend


def item_lines(compared: ShownComparison, page: TextPage, *, with_unchanged: bool, with_tensors: bool) -> list[Line]:
    """Return a table for each kind of thing that differs, then what is the same."""
    diff, lines, same = compared.diff, list[Line](), list[str]()
    for title, items in item_sections(diff):
        shown = [item for item in items if with_unchanged or item.is_changed]
        if shown:
            lines += table_lines(list(item_columns(compared, title)), shown[:MOST_ITEMS], page)
            more = len(shown) - MOST_ITEMS
            lines += [line(Span(f"and {more:,} more: y copies all", "dim"))] if more > 0 else []
            lines.append(line())
        hidden = len(items) - len(shown)
        if hidden:
            noun = {"TRAINING": "training fact"}.get(title, title.lower())
            same.append(f"{hidden:,} {noun if hidden == 1 else plural_of(noun)}")
    if same:
        lines += flowing([Span("the same:", "dim"), *(Span(text, "dim") for text in same)], page.width)
    if not with_tensors:
        lines.append(line(Span("tensors were not read (x reads them)", "dim")))
    elif any(subject.tensors is None for subject in diff.versions):
        lines.append(line(Span("reading the headers of the files with tensors ...", "dim")))
    elif not diff.tensors:
        lines.append(line(Span("no file here has tensors that can be listed", "dim")))
    return lines


def _focus_lines(compared: ShownComparison, look: ComparisonState, page: TextPage) -> list[Line]:
    """Return the slices of what is in focus, and its trend."""
    found = foci(compared)
    if not found:
        return []
    place = look.focus % len(found)
    group, name = found[place]
    position = f"({place + 1} of {len(found)})"
    lines: list[Line] = []
    if group is not None:
        lines += [*slice_lines(compared, compared.groups[group], position, page), line()]
    model = compared.diff.versions[compared.newest].model
    heading = f"{name} over the newest versions of {model}" + ("" if group is not None else f"  {position}")
    lines.append(line(Span("TREND  ", "header"), Span(heading, "dim")))
    trend = look.trends.get(name)
    if trend is None:
        return [*lines, line(Span(" reading ...", "dim")), *(line() for _ in range(PLOT_ROWS)), line()]
    return [*lines, *trend_lines(trend, *trend_marks(compared, trend), page.width or LEFT_COLUMNS), line()]


def _shown_metrics(compared: ShownComparison, look: ComparisonState) -> list[MetricDiff]:
    ordered = _sorted(compared, look.sorting)
    return [one for one in ordered if look.with_unchanged or one.is_changed or not one.comparisons][:MOST_METRICS]


def _sorted(compared: ShownComparison, sorting: Sorting) -> list[MetricDiff]:
    metrics = list(compared.whole)
    if sorting == "name" or not compared.diff.others:
        return metrics
    other = compared.other

    def size(metric: MetricDiff) -> float:
        relative = metric.comparisons[other].relative
        return abs(relative) if relative is not None else -1.0

    if sorting == "change":
        return sorted(metrics, key=lambda metric: -size(metric))
    return sorted(metrics, key=lambda metric: (_URGENCY[metric.comparisons[other].verdict], -size(metric)))


def _shared_by(compared: ShownComparison, dataset: Dataset) -> str:
    """Return which of the versions were measured on some data."""
    if not compared.diff.others:
        return ""
    metrics = [metric for metric in compared.diff.metrics if metric.dataset == dataset]
    if any(one.reason is Reason.DIFFERENT_DATA for metric in metrics for one in metric.comparisons):
        return " (not the same)"
    names = compared.names
    measured = [name for place, name in enumerate(names) if any(metric.measured[place] for metric in metrics)]
    return " (the same)" if len(measured) == len(names) else f" (only {', '.join(measured)})"


def _gap_lines(compared: ShownComparison, group: SliceGroup) -> list[Line]:
    """Return the distance from the best slice to the worst in each version that has one."""
    names = compared.names
    known = [(names[place], gap) for place, gap in enumerate(group.gaps) if gap is not None]
    if not known:
        return []
    which = Span(f"  {WITHOUT_SMALL_SLICES}" if has_small(group) else "", "dim")
    if len(known) == 1:
        only, gap = known[0]
        return [line(f" worst gap {number_text(gap)} in {only}", which)]
    if len(names) == 2:
        said = " -> ".join(number_text(gap) for _, gap in known)
    else:
        said = ", ".join(f"{name} {number_text(gap)}" for name, gap in known)
    became = gap_span(group, compared.other)
    if became.role == "warn":
        became, which = Span(f"{became.text}: the gaps may not be comparable", "warn"), Span("")
    return [line(f" worst gap {said}", Span(f"  {became.text}", became.role), which)]


def _slice_columns(compared: ShownComparison, group: SliceGroup) -> list[Column[MetricDiff]]:
    names = compared.names

    def samples(row: MetricDiff) -> str:
        counts = [one.samples for one in reversed(row.measured) if one is not None and one.samples is not None]
        return f"{counts[0]:,}" if counts else NOTHING

    columns: list[Column[MetricDiff]] = [
        Column("slice", "SLICE", lambda row: slice_text(row.slice), 6, 24),
        Column("n", "N", samples, 7, right=True, rank=2),
    ]
    columns += [
        Column(f"v{place}", column_title(name, 7), lambda row, at=place: value_number(row, at), 7, right=True)  # type: ignore[misc]
        for place, name in enumerate(names)
    ]
    if not compared.diff.others:
        return columns
    other = compared.other
    values = [value for row in group.slices for value in (row.values[0], row.values[other + 1]) if value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = f"{number_text(low):<{BAR_COLUMNS // 2}}{number_text(high):>{BAR_COLUMNS // 2}}"
    of = f" {column_title(names[other + 1], 7)}" if len(names) > 2 else ""
    return [
        *columns,
        Column("delta", "DELTA", lambda row: delta_text(row, other), 8, right=True),
        Column("bar", scale, lambda row: _bar(row, other, low, high), BAR_COLUMNS, rank=3),
        Column("verdict", f"VERDICT{of}", lambda row: verdict_span(row.comparisons[other]), 14, 18),
    ]


def _bar(row: MetricDiff, other: int, low: float, high: float) -> Span:
    """Return the way from the baseline (`*`) to the other version (`o`) on the scale of all slices."""
    before, after = row.values[0], row.values[other + 1]
    cells = ["-"] * (BAR_COLUMNS - 2)

    if before is not None and after is not None:
        first, last = sorted((level_of(before, low, high, len(cells)), level_of(after, low, high, len(cells))))
        cells[first : last + 1] = "." * (last + 1 - first)
    if before is not None:
        cells[level_of(before, low, high, len(cells))] = "*"
    if after is not None:
        cells[level_of(after, low, high, len(cells))] = "o"
    return Span(f"|{''.join(cells)}|", "dim")
