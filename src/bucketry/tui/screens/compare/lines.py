"""How does a comparison look on a screen: metrics with their verdicts, slices, trend, checks, and what else differs?"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from typing import TYPE_CHECKING, Literal

from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import dataset_labels
from bucketry.schema.judging.comparison import ASSUMED_MARK
from bucketry.schema.judging.verdicts import Reason, Verdict
from bucketry.tui.data.comparisons import MOST_COMPARED
from bucketry.tui.drawing.columns import Column
from bucketry.tui.drawing.figures import count_of, short_digests, short_number
from bucketry.tui.drawing.paint import Span, line
from bucketry.tui.drawing.table_lines import beside, table_lines, wrapped
from bucketry.tui.drawing.trend_plot import PLOT_ROWS, trend_lines
from bucketry.tui.drawing.verdict_words import (
    aligned_number,
    column_title,
    metric_text,
    percent_text,
    signed_text,
    verdict_span,
    wanted_text,
)
from bucketry.tui.screens.compare.items import item_lines
from bucketry.tui.screens.compare.slices import slice_lines
from bucketry.tui.shell.frame import WIDE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.schema.documents.datasets import Dataset
    from bucketry.schema.judging.comparison import ComparedVersion, MetricDiff
    from bucketry.schema.judging.trend import Trend
    from bucketry.tui.data.comparisons import LoadedComparison
    from bucketry.tui.drawing.paint import Line, Painter

Sorting = Literal["verdict", "name", "change"]
SORTINGS: tuple[Sorting, ...] = ("verdict", "name", "change")
MOST_METRICS = 400
LEFT_COLUMNS = 80
CHOSEN = ">"
"""Before the version whose column is under the cursor."""
FOCUS_TITLES = ("SLICES  ", "TREND  ")
_URGENCY = {verdict: place for place, verdict in enumerate(Verdict)}


@frozen
class ComparisonState:
    """How a comparison is looked at now. `focus` is the slice group, or behind them the metric, that is shown.

    `column` is the place of the version under the cursor.
    """

    width: int
    with_unchanged: bool = False
    sorting: Sorting = "verdict"
    focus: int = 0
    with_tensors: bool = False
    column: int | None = None
    trends: Mapping[str, Trend] = field(default_factory=dict)


def compare_lines(compared: LoadedComparison, look: ComparisonState, painter: Painter) -> list[Line]:
    """Return the lines of a comparison; from 110 columns on, what else differs stands beside the metrics."""
    is_wide = look.width >= WIDE_COLUMNS
    width = LEFT_COLUMNS if is_wide else look.width
    main = [
        *banner_lines(compared, width),
        line(),
        *metric_lines(compared, look, width, painter),
        *_focus_lines(compared, look, width, painter),
        *check_lines(compared, width),
    ]
    room = look.width - LEFT_COLUMNS - 3 if is_wide else look.width
    rest = item_lines(compared.diff, room, painter, with_unchanged=look.with_unchanged, with_tensors=look.with_tensors)
    return beside(main, rest, width, painter) if is_wide else [*main, line(), *rest]


def metric_places(compared: LoadedComparison, look: ComparisonState) -> dict[int, str]:
    """Return on which lines of the comparison a metric stands, and its name."""
    width = LEFT_COLUMNS if look.width >= WIDE_COLUMNS else look.width
    first = len(banner_lines(compared, width)) + 2  # behind an empty line and the titles
    return {first + place: metric.name for place, metric in enumerate(_shown_metrics(compared, look))}


def focus_place(lines: Sequence[Line]) -> int | None:
    """Return on which line the slices of what is in focus begin, or its trend."""
    found = (place for place, spans in enumerate(lines) if any(span.text in FOCUS_TITLES for span in spans))
    return next(found, None)


def foci(compared: LoadedComparison) -> list[tuple[int | None, str]]:
    """Return what the tab key goes through: the slice groups, worst first, then metrics that have none."""
    groups: list[tuple[int | None, str]] = [(place, group.name) for place, group in enumerate(compared.groups)]
    named = {name for _, name in groups}
    rest = dict.fromkeys(metric.name for metric in _sorted(compared, "verdict") if metric.name not in named)
    return [*groups, *((None, name) for name in rest)]


def focused_metric(compared: LoadedComparison, focus: int) -> str:
    """Return the metric whose slices and trend are shown, or "" where nothing was measured."""
    found = foci(compared)
    return found[focus % len(found)][1] if found else ""


def verdict_counts(compared: LoadedComparison) -> str:
    """Return how many metrics got which verdict, slices not counted."""
    counts = Counter(metric.comparisons[compared.other].verdict for metric in compared.whole if metric.comparisons)
    return ", ".join(f"{counts[verdict]:,} {verdict.value}" for verdict in _URGENCY if counts[verdict])


def banner_lines(compared: LoadedComparison, width: int) -> list[Line]:
    """Return on what data the versions were measured, and a warning where that differs."""
    metrics = compared.diff.metrics
    if not metrics:
        return [line(Span("No version here was measured: no evidence is on record.", "warn"))]
    differing = _differing(compared)
    if differing:
        which = "all metrics" if differing == len(metrics) else f"{differing:,} of {count_of(len(metrics), 'metric')}"
        told = line(Span(f"! EVALUATION DATA DIFFER for {which}: no verdict for these", "bad"))
        return [told, *_data_lines(compared, width)]
    return _data_lines(compared, width)


def metric_lines(compared: LoadedComparison, look: ComparisonState, width: int, painter: Painter) -> list[Line]:
    """Return the table of the metrics over whole data sets."""
    whole, shown = compared.whole, _shown_metrics(compared, look)
    if not shown:
        same = "no metric was measured over whole data" if not whole else f"all {count_of(len(whole), 'metric')} same"
        return [line(Span(f"METRICS  {same}", "dim")), line()]
    columns = metric_columns(compared, chosen=look.column)
    lines = table_lines(columns, shown, width, painter)
    more = sum(look.with_unchanged or one.is_changed or not one.comparisons for one in whole) - len(shown)
    if more:
        lines.append(line(Span(f"and {more:,} more: y copies all", "dim")))
    if any(one.direction_assumed or any(each.assumed for each in one.comparisons) for one in shown):
        lines.append(line(Span(f"{ASSUMED_MARK} not stated: what is known of such metrics (docs/metrics.md)", "dim")))
    return [*lines, line()]


def worse_slices(compared: LoadedComparison) -> int:
    """Return how many slices got worse, of those that can be judged."""
    slices = [one for group in compared.groups for one in group.slices if one.comparisons]
    return sum(one.comparisons[compared.other].verdict is Verdict.WORSE for one in slices)


def hidden_count(compared: LoadedComparison) -> int:
    """Return how many metrics and slices are the same everywhere."""
    return sum(not metric.is_changed for metric in compared.diff.metrics)


def names_of(compared: LoadedComparison) -> list[str]:
    """Return the versions' titles: with the model where there are several."""
    subjects = compared.diff.versions
    several = len({subject.model for subject in subjects}) > 1
    return [_name(subject, several=several) for subject in subjects]


def check_lines(compared: LoadedComparison, width: int) -> list[Line]:
    """Return what stands between the newest version and production."""
    standing, newest = compared.standing, compared.diff.versions[compared.newest]
    signer = standing.authorship.signed
    approvals = standing.approvals
    required = standing.policy.approvals_required
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
    lines = wrapped(pieces, width)
    for result in compared.failed:
        reason = [Span(word) for word in short_digests(result.reason).split()]
        lines += wrapped([Span(f" gate FAILED  {result.gate} ", "bad"), *reason], width, between=" ", indent="   ")
    return lines


def _focus_lines(compared: LoadedComparison, look: ComparisonState, width: int, painter: Painter) -> list[Line]:
    """Return the slices of what is in focus, and its trend."""
    found = foci(compared)
    if not found:
        return []
    place = look.focus % len(found)
    group, name = found[place]
    position = f"({place + 1} of {len(found)})"
    lines: list[Line] = []
    if group is not None:
        lines += slice_lines(compared, compared.groups[group], names_of(compared), position, width, painter)
        lines.append(line())
    model = compared.diff.versions[compared.newest].model
    heading = f"{name} over the newest versions of {model}" + ("" if group is not None else f"  {position}")
    lines.append(line(Span("TREND  ", "header"), Span(heading, "dim")))
    trend = look.trends.get(name)
    if trend is None:
        return [*lines, line(Span(" reading ...", "dim")), *(line() for _ in range(PLOT_ROWS)), line()]
    return [*lines, *trend_lines(trend, *trend_marks(compared, trend), width), line()]


def trend_marks(compared: LoadedComparison, trend: Trend) -> tuple[dict[int, str], list[str]]:
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
        legend.append(f"{mark} v{subject.version} {short_number(value) if value is not None else 'not here'}")
    return marks, legend


def metric_columns(compared: LoadedComparison, *, chosen: int | None = None) -> list[Column[MetricDiff]]:
    """Return the columns of the metrics: one version alone, two with what changed, or more with a verdict each."""
    names = names_of(compared)
    marked = [f"{CHOSEN if place == chosen else ''}{name}" for place, name in enumerate(names)]
    several = len({metric.dataset for metric in compared.whole}) > 1
    labels = dataset_labels(metric.dataset for metric in compared.diff.metrics)
    wide = min(12, max(7, *map(len, names))) if len(names) == 2 else 7
    data = 13 if len(names) < MOST_COMPARED else 6  # every verdict has to be seen at 80 columns
    columns: list[Column[MetricDiff]] = [
        Column("name", "METRIC", metric_text, 12, 40),
        *([Column("data", "DATA", lambda row: labels[row.dataset], data, 30)] if several else []),
        Column("want", "WANT", wanted_text, 5, rank=3),
    ]
    for place, name in enumerate(marked):
        columns.append(_value_column(place, column_title(name, wide), wide))
        if place and len(names) > 2:
            columns.append(_verdict_column(place))
    if len(names) == 2:
        columns += [
            Column("delta", "DELTA", lambda row: signed_text(row, 0), 8, right=True),
            Column("relative", "DELTA%", lambda row: percent_text(row.comparisons[0]), 7, right=True, rank=2),
            Column("verdict", "VERDICT", lambda row: verdict_span(row, 0), 14, 20),
        ]
    if compared.gates and any(compared.gate_of(metric) is not None for metric in compared.whole):
        columns.append(Column("gate", "GATE", lambda row: _gate_span(compared.gate_of(row)), 6, rank=1))
    return columns


def _value_column(place: int, title: str, width: int) -> Column[MetricDiff]:
    return Column(f"v{place}", title, lambda row: aligned_number(row, place), width, right=True)


def _verdict_column(place: int) -> Column[MetricDiff]:
    return Column(f"verdict{place}", "VERDICT", lambda row: verdict_span(row, place - 1, with_reason=False), 8)


def _gate_span(passes: bool | None) -> Span:  # noqa: FBT001 - three answers of one question
    if passes is None:
        return Span("")
    return Span("ok", "good") if passes else Span("FAILED", "bad")


def _shown_metrics(compared: LoadedComparison, look: ComparisonState) -> list[MetricDiff]:
    shown = [
        one for one in _sorted(compared, look.sorting) if look.with_unchanged or one.is_changed or not one.comparisons
    ]
    return shown[:MOST_METRICS]


def _sorted(compared: LoadedComparison, sorting: Sorting) -> list[MetricDiff]:
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


def _differing(compared: LoadedComparison) -> int:
    """Return how many metrics the versions measured on different data: another version of it, or other data."""
    measured_on: dict[tuple[str, object, str], list[MetricDiff]] = {}
    for metric in compared.diff.metrics:
        measured_on.setdefault((metric.name, metric.slice, metric.kind), []).append(metric)
    count = 0
    for found in measured_on.values():
        is_apart = len(found) > 1 and not any(_is_shared(metric) for metric in found)
        if is_apart or any(one.reason is Reason.DIFFERENT_DATA for metric in found for one in metric.comparisons):
            count += len(found)
    return count


def _is_shared(metric: MetricDiff) -> bool:
    return all(one is not None for one in metric.measured)


def _data_lines(compared: LoadedComparison, width: int) -> list[Line]:
    """Return what the whole data sets are called, and how many samples they have."""
    pieces = [Span("measured on", "dim")]
    seen = dataset_labels(metric.dataset for metric in compared.diff.metrics)
    for dataset in list(dict.fromkeys(metric.dataset for metric in compared.diff.metrics))[:3]:
        measured = [
            one for metric in compared.whole if metric.dataset == dataset for one in metric.measured if one is not None
        ]
        counts = {one.samples for one in measured if one.samples is not None}
        digests = {one.data_digest for one in measured if one.data_digest is not None}
        text = seen[dataset] or "data that nobody named"
        text += f" sha {next(iter(digests)).removeprefix('sha256:')[:4]}" if len(digests) == 1 else ""
        text += f" n={next(iter(counts)):,}" if len(counts) == 1 else ""
        pieces.append(Span(text + _shared_by(compared, dataset)))
    if len(seen) > 3:
        pieces.append(Span(f"and {len(seen) - 3} more data sets", "dim"))
    return wrapped(pieces, width)


def _shared_by(compared: LoadedComparison, dataset: Dataset) -> str:
    """Return which of the versions were measured on some data."""
    if not compared.diff.others:
        return ""
    metrics = [metric for metric in compared.diff.metrics if metric.dataset == dataset]
    if any(one.reason is Reason.DIFFERENT_DATA for metric in metrics for one in metric.comparisons):
        return " (not the same)"
    names = names_of(compared)
    measured = [name for place, name in enumerate(names) if any(metric.measured[place] for metric in metrics)]
    return " (the same)" if len(measured) == len(names) else f" (only {', '.join(measured)})"


def _name(subject: ComparedVersion, *, several: bool) -> str:
    return f"{subject.model.name}:{subject.version}" if several else f"v{subject.version}"
