"""A comparison of versions as lines: for the screen, on which one looks at a thing, for a terminal, Markdown and CSV.

All say it with the same columns, so with the same words and figures. The screen shows the metrics over whole data sets,
the slices and the trend of what is in focus, what stands in the way of the newest version, and what else differs. A
table and Markdown have no focus: slices stand among the metrics, and the gap between them in a table of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import IDENTITY, dataset_labels
from bucketry.schema.documents.gates import selection_of
from bucketry.schema.judging.comparison import ASSUMED_MARK, ItemChange
from bucketry.schema.judging.comparison_document import diff_digest
from bucketry.schema.judging.gate_checks import is_unread
from bucketry.schema.judging.slice_groups import gap_groups, is_too_small, slice_groups
from bucketry.schema.judging.verdicts import LEAST_SAMPLES, Reason, Verdict
from bucketry.schema.text import displayable, markdown_text
from bucketry.show.csv import csv_row
from bucketry.show.figures import NOTHING, count_of, number_text, plural_of
from bucketry.show.gates import failed_gate_lines, gate_words
from bucketry.show.markdown import markdown_heading, markdown_table
from bucketry.show.spans import Line, Role, Span, TextPage, beside, flowing, line, plain_text
from bucketry.show.tables import Column, table_lines
from bucketry.show.trend import PLOT_ROWS, level_of, trend_lines
from bucketry.show.verdicts import (
    column_title,
    delta_text,
    metric_text,
    percent_text,
    slice_text,
    value_number,
    value_text,
    verdict_span,
    wanted_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bucketry.registry.review.standings import Standing
    from bucketry.schema.documents.datasets import Dataset
    from bucketry.schema.documents.evidence import Slice
    from bucketry.schema.documents.gates import Gate, GateResult, MetricSelection
    from bucketry.schema.judging.comparison import ItemDiff, MetricDiff, VersionDiff
    from bucketry.schema.judging.slice_groups import SliceGroup
    from bucketry.schema.judging.trend import Trend
    from bucketry.schema.names import Digest

Row = TypeVar("Row")
Sorting = Literal["verdict", "name", "change"]
SORTINGS: tuple[Sorting, ...] = ("verdict", "name", "change")
MOST_COMPARED = 4
"""Versions on a screen."""
MOST_METRICS = 400
MOST_SLICES = 100
MOST_ITEMS = 200
"""On a screen, of one section; Markdown has all."""
MOST_DATASETS = 3
MOST_NAMES = 4
"""Of metrics under one verdict; how many more there are is said."""
BAR_COLUMNS = 14
WIDE_COLUMNS, LEFT_COLUMNS = 110, 80
"""From how many columns on what else differs stands beside the metrics, and how many these get."""
CHOSEN = ">"
"""Before the version whose column is under the cursor."""
FOCUS_TITLES = ("SLICES  ", "TREND  ")
UNTOLD = frozenset({"version", "digest"})
"""What a line of a comparison may leave open about its data; a gate that names it is taken to be about the line."""
CSV_COLUMNS = (
    *("section", "name", "dataset", "title", "config", "data_version", "split", "task", "args", "metric", "result"),
    *("slice", "kind", "unit", "direction"),
    *("baseline", "version", "baseline_value", "value", "delta", "relative", "verdict", "reason"),
)
_URGENCY = {verdict: place for place, verdict in enumerate(Verdict)}
_CHANGES: Mapping[ItemChange, tuple[str, Role]] = {
    ItemChange.SAME: ("= same", "dim"),
    ItemChange.ADDED: ("+ added", "good"),
    ItemChange.REMOVED: ("- removed", "bad"),
    ItemChange.CHANGED: ("# changed", "warn"),
}
_CARD = "CARD SECTION"


@frozen
class ShownComparison:
    """A comparison and, where it was read, what a decision about the newest of its versions but the baseline rests on.

    `newest` is its place in `diff.versions`; it stays the same version when another becomes the baseline. `other` is
    the place of the newest but the baseline in `diff.others`. `aliases` names what serves each of the versions, in
    words. `digest` is by what a review names the comparison.
    """

    diff: VersionDiff
    newest: int
    other: int
    groups: tuple[SliceGroup, ...]
    gates: tuple[tuple[Gate, GateResult], ...] = ()
    standing: Standing | None = None
    aliases: tuple[str, ...] = ()
    digest: Digest | None = None

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that the newest version does not pass."""
        return tuple(result for _, result in self.gates if not result.passed and not is_unread(result))

    @property
    def unscanned(self) -> tuple[GateResult, ...]:
        """The gates that wait for a look into the files."""
        return tuple(result for _, result in self.gates if is_unread(result))

    @property
    def whole(self) -> tuple[MetricDiff, ...]:
        """The metrics over whole data sets."""
        return tuple(metric for metric in self.diff.metrics if not metric.slice)

    @property
    def labels(self) -> Mapping[Dataset, str]:
        """What the data sets are called here."""
        return dataset_labels(metric.dataset for metric in self.diff.metrics)

    @property
    def names(self) -> list[str]:
        """The versions' titles: with the model where there are several, with its namespace where that tells them."""
        subjects = self.diff.versions
        models = {subject.model for subject in subjects}
        if len(models) == 1:
            return [f"v{subject.version}" for subject in subjects]
        is_told = len({model.name for model in models}) == len(models)
        return [f"{subject.model.name if is_told else subject.model}:{subject.version}" for subject in subjects]

    def gate_of(self, metric: MetricDiff) -> bool | None:
        """Return whether the newest version passes the gates about a metric, None where there are none."""
        if metric.values[self.newest] is None:
            return None
        found = [
            result.passed
            for gate, result in self.gates
            if (selection := selection_of(gate)) is not None and _is_about(selection, metric)
        ]
        return all(found) if found else None


def compared_of(
    diff: VersionDiff,
    newest: int | None = None,
    *,
    gates: tuple[tuple[Gate, GateResult], ...] = (),
    standing: Standing | None = None,
    aliases: tuple[str, ...] = (),
) -> ShownComparison:
    """Return a comparison to be shown; without `newest`, the newest but the baseline, of several models the last."""
    if newest is None:
        newest = newest_place(diff)
    if newest:
        other = newest - 1
    else:  # the newest is the baseline
        other = max(range(len(diff.others)), key=lambda place: diff.others[place].version, default=0)
    # Of a version alone there is no comparison to name.
    digest = diff_digest(diff) if diff.others else diff.baseline.digest
    groups = slice_groups(diff, other) if diff.others else slice_groups(diff)
    return ShownComparison(diff, newest, other, groups, gates, standing, aliases or ("",) * len(diff.versions), digest)


def newest_place(diff: VersionDiff) -> int:
    """Return the place of the newest version but the baseline; of several models the last that was named."""
    if len({subject.model for subject in diff.versions}) > 1:
        return len(diff.versions) - 1
    others = range(1, len(diff.versions))
    return max(others, key=lambda place: diff.versions[place].version, default=0)


def comparison_title(diff: VersionDiff) -> str:
    """Return what is compared with what."""
    return f"{diff.baseline.name} -> {', '.join(subject.name for subject in diff.others)}"


# In a terminal, in Markdown and in CSV


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
    yield markdown_heading(comparison_title(compared.diff), 3)
    for block in comparison_blocks(compared, with_unchanged=with_unchanged):
        if block.title:
            yield from ("", markdown_heading(block.title, 4))
        if block.rows:
            yield from ("", *markdown_table(block.columns, block.rows))
        for note in block.notes:
            yield from ("", markdown_text(plain_text(note)))
    if compared.gates:
        yield ""
        yield from (f"- {markdown_text(gate_words(result))}" for _, result in compared.gates)


def comparison_csv(compared: ShownComparison, *, with_unchanged: bool) -> Iterator[str]:
    """Yield the comparison as CSV: a line for each thing and each version that is compared with the baseline."""
    diff = compared.diff
    yield csv_row(CSV_COLUMNS)
    for metric in diff.metrics:
        if with_unchanged or metric.is_changed:
            yield from _csv_metric(diff, metric)
    for title, items in _sections(diff):
        section = title.split()[0].lower()
        for item in items:
            if not with_unchanged and not item.is_changed:
                continue
            for index, (other, change) in enumerate(zip(diff.others, item.changes, strict=True), start=1):
                found = ["", ""] if title == _CARD else [_exact(item.values[0]), _exact(item.values[index])]
                names = [diff.baseline.name, other.name]
                yield csv_row([section, item.name, *[""] * 13, *names, *found, "", "", change.value, ""])


def comparison_blocks(compared: ShownComparison, *, with_unchanged: bool) -> Iterator[ComparisonTable[Any]]:
    """Yield the comparison's tables; what has nothing to show is left out, but for the metrics."""
    diff = compared.diff
    shown = tuple(metric for metric in diff.metrics if with_unchanged or metric.is_changed)
    columns = tuple(metric_columns(compared, with_slices=True))
    yield ComparisonTable("", columns, shown, tuple(_metric_notes(compared, len(diff.metrics) - len(shown))))
    groups = gap_groups(diff)
    if groups:
        notes = (f"without slices of n<{LEAST_SAMPLES}",) if any(map(_has_small, groups)) else ()
        yield ComparisonTable(
            "Slices, and the gap from the best to the worst",
            tuple(_gap_columns(compared)),
            groups,
            tuple(map(line, notes)),
        )
    same = 0
    for title, items in _sections(diff):
        changed = tuple(item for item in items if with_unchanged or item.is_changed)
        same += len(items) - len(changed)
        if changed:
            yield ComparisonTable("", tuple(_item_columns(compared, title)), changed)
    if not with_unchanged:
        is_all_same = not any(item.is_changed for _, items in _sections(diff) for item in items)
        said = "parameters, data, files and card are the same" if is_all_same else f"{same:,} other things are the same"
        yield ComparisonTable(notes=(line(said + ("" if is_all_same else " (--all shows them)")),))


def _metric_notes(compared: ShownComparison, hidden: int) -> Iterator[Line]:
    metrics = compared.diff.metrics
    said = counted_verdicts(compared.diff)
    yield line((said or "no version has evidence") + (f" ({hidden:,} hidden, --all shows them)" if hidden else ""))
    yield from _differing_lines(compared)
    comparisons = [one for metric in metrics for one in metric.comparisons]
    if any(one.reason is Reason.NO_INTERVAL for one in comparisons):
        yield line("higher and lower: without confidence intervals nobody can tell a difference from noise")
    yield from _assumed_lines(metrics)


def _gap_columns(compared: ShownComparison) -> Iterator[Column[SliceGroup]]:
    labels = compared.labels
    yield Column("name", "METRIC", lambda group: group.name, 8, 40)
    yield Column("data", "DATA", lambda group: labels[group.dataset] or NOTHING, 8, 30, rank=1)
    yield Column("by", "BY", lambda group: ", ".join(group.attributes), 8, 30)
    for place, name in enumerate(compared.names):
        yield Column(f"worst{place}", f"{name} WORST", lambda group, at=place: _worst(group.worst[at]), 8, 30)  # type: ignore[misc]
        yield Column(f"gap{place}", "GAP", lambda group, at=place: number_text(group.gaps[at]), 7, right=True)  # type: ignore[misc]
        if place:
            yield Column(f"grew{place}", "THE GAP IS", lambda group, at=place: gap_span(group, at - 1), 10, 24)  # type: ignore[misc]


def _worst(found: tuple[Slice, float] | None) -> str:
    return f"{slice_text(found[0], with_names=True)} {number_text(found[1])}" if found else NOTHING


def _csv_metric(diff: VersionDiff, metric: MetricDiff) -> Iterator[str]:
    head = ["metric", metric.name, *(getattr(metric.dataset, name) or "" for name in IDENTITY)]
    head += [slice_text(metric.slice, with_names=True), metric.kind, metric.unit or "", metric.direction or ""]
    for index, (other, one) in enumerate(zip(diff.others, metric.comparisons, strict=True), start=1):
        numbers = [metric.values[0], metric.values[index], one.delta, one.relative]
        cells = ["" if number is None else repr(number) for number in numbers]
        yield csv_row([*head, diff.baseline.name, other.name, *cells, one.verdict.value, one.reason])


def _exact(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)


# On a screen


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


def verdict_counts(compared: ShownComparison) -> str:
    """Return how many metrics got which verdict, slices not counted."""
    return _counted(metric.comparisons[compared.other].verdict for metric in compared.whole if metric.comparisons)


def counted_verdicts(diff: VersionDiff) -> str:
    """Return how many metrics and slices of the newest version got which verdict."""
    return _counted(metric.comparisons[-1].verdict for metric in diff.metrics if metric.comparisons)


def verdict_pieces(diff: VersionDiff) -> list[Span]:
    """Return what became of the metrics over whole data in two versions, by verdict, and how many slices got worse."""
    whole = [(metric.name, metric.comparisons[0]) for metric in diff.metrics if not metric.slice]
    pieces = []
    for verdict in (Verdict.BETTER, Verdict.NOISE, Verdict.WORSE):
        found = [(name, verdict_span(one)) for name, one in whole if one.verdict is verdict]
        said = _named_verdicts(found)
        pieces.append(Span(f"{verdict}: {said}", found[0][1].role) if found else Span(f"{verdict}: none", "dim"))
    moved = [(name, verdict_span(one)) for name, one in whole if one.verdict in {Verdict.HIGHER, Verdict.LOWER}]
    if moved:
        pieces.append(Span(f"not judged: {_named_verdicts(moved)}", "strong"))
    slices = sum(one.comparisons[0].verdict is Verdict.WORSE for one in diff.metrics if one.slice)
    unjudged = sum(one.verdict is Verdict.UNJUDGED for _, one in whole)
    if slices:
        pieces.append(Span(f"{count_of(slices, 'slice')} WORSE", "bad"))
    if unjudged:
        pieces.append(Span(f"? {unjudged} unjudged", "warn"))
    return pieces


def _named_verdicts(found: Sequence[tuple[str, Span]]) -> str:
    """Return metrics with the signs of their verdicts, each once."""
    names = list(dict.fromkeys(f"{displayable(name)} {_sign(said.text)}" for name, said in found))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _sign(said: str) -> str:
    """Return the sign of a verdict, with the star of an assumption."""
    return said[0] + ASSUMED_MARK * said.endswith(ASSUMED_MARK)


def worse_slices(compared: ShownComparison) -> int:
    """Return how many slices got worse, of those that can be judged."""
    slices = [one for group in compared.groups for one in group.slices if one.comparisons]
    return sum(one.comparisons[compared.other].verdict is Verdict.WORSE for one in slices)


def hidden_count(compared: ShownComparison) -> int:
    """Return how many metrics and slices are the same everywhere."""
    return sum(not metric.is_changed for metric in compared.diff.metrics)


def banner_lines(compared: ShownComparison, page: TextPage) -> list[Line]:
    """Return on what data the versions were measured, and a warning where that differs."""
    if not compared.diff.metrics:
        return [line(Span("No version here was measured: no evidence is on record.", "warn"))]
    return [*_differing_lines(compared), *_data_lines(compared, page)]


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
    return [*lines, *_assumed_lines(shown), line()]


def metric_columns(
    compared: ShownComparison, *, chosen: int | None = None, with_slices: bool = False
) -> list[Column[MetricDiff]]:
    """Return the columns of the metrics: one version alone, two with what changed, or more with a verdict each."""
    names = compared.names
    marked = [f"{CHOSEN if place == chosen else ''}{name}" for place, name in enumerate(names)]
    labels = compared.labels
    several = with_slices or len({metric.dataset for metric in compared.whole}) > 1
    pair = len(names) == 2
    wide = min(12, max(7, *map(len, names))) if pair else 7
    data = 8 if with_slices else 13 if len(names) < MOST_COMPARED else 6  # every verdict has to be seen at 80 columns
    name_columns, verdict_columns = (8, 8) if with_slices else (12, 14)
    part = Column[Any]("slice", "SLICE", lambda row: slice_text(row.slice, with_names=True) or NOTHING, 8, 30)
    columns: list[Column[MetricDiff]] = [
        Column("name", "METRIC", metric_text, name_columns, 40),
        *([Column("data", "DATA", lambda row: labels[row.dataset] or NOTHING, data, 30)] if several else []),
        *([part] if with_slices else []),
        Column("want", "WANT", wanted_text, 5, rank=3),
    ]
    for place, name in enumerate(marked):
        title = name if with_slices else column_title(name, wide)
        columns.append(
            Column(f"v{place}", title, lambda row, at=place: value_number(row, at), wide, right=True)  # type: ignore[misc]
        )
        if place and not pair:
            columns.append(_verdict_column(place, with_reason=with_slices))
    if pair:
        columns += [
            Column("delta", "DELTA", lambda row: delta_text(row, 0), 8, right=True),
            Column("relative", "DELTA%", lambda row: percent_text(row.comparisons[0]), 7, right=True, rank=2),
            Column("verdict", "VERDICT", lambda row: verdict_span(row.comparisons[0]), verdict_columns, 20),
        ]
    if compared.gates and any(compared.gate_of(metric) is not None for metric in compared.whole):
        columns.append(Column("gate", "GATE", lambda row: _gate_span(compared.gate_of(row)), 6, rank=1))
    return columns


def slice_lines(compared: ShownComparison, group: SliceGroup, position: str, page: TextPage) -> list[Line]:
    """Return the heading of a group of slices, its gap, and a line for each slice."""
    data = compared.labels[group.dataset]
    by = f"{group.name} by {', '.join(group.attributes)}" + (f" on {data}" if data else "")
    lines = [line(Span("SLICES  ", "header"), Span(f"{by}  {position}")), *_gap_lines(compared, group)]
    lines += table_lines(_slice_columns(compared, group), group.slices[:MOST_SLICES], page)
    if len(group.slices) > MOST_SLICES:
        lines.append(line(Span(f"and {count_of(len(group.slices) - MOST_SLICES, 'slice')} more: y copies all", "dim")))
    return lines


def gap_span(group: SliceGroup, other: int) -> Span:
    """Return what became of the distance from the best slice to the worst, in one of `diff.others`."""
    growth = group.gap_growth(other)
    if growth is None:
        is_known = group.gaps[0] is not None and group.gaps[other + 1] is not None
        return Span("? not the same slices", "warn") if is_known else Span(NOTHING, "dim")
    if not growth:
        return Span("= same", "dim")
    return Span("v WIDER", "bad") if growth > 0 else Span("^ narrower", "good")


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
    for title, items in _sections(diff):
        shown = [item for item in items if with_unchanged or item.is_changed]
        if shown:
            lines += table_lines(list(_item_columns(compared, title)), shown[:MOST_ITEMS], page)
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


def _counted(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdicts)
    return ", ".join(f"{counts[verdict]:,} {verdict.value}" for verdict in Verdict if counts[verdict])


def _assumed_lines(metrics: Sequence[MetricDiff]) -> Iterator[Line]:
    if any(one.direction_assumed or any(each.assumed for each in one.comparisons) for one in metrics):
        yield line(Span(f"{ASSUMED_MARK} not stated: what is known of such metrics (docs/metrics.md)", "dim"))


def _differing_lines(compared: ShownComparison) -> Iterator[Line]:
    metrics, differing = compared.diff.metrics, _differing(compared)
    if differing:
        which = "all metrics" if differing == len(metrics) else f"{differing:,} of {count_of(len(metrics), 'metric')}"
        yield line(Span(f"! EVALUATION DATA DIFFER for {which}: no verdict for these", "bad"))


def _differing(compared: ShownComparison) -> int:
    """Return how many metrics the versions measured on different data: another version of it, or other data."""
    measured_on: dict[tuple[str, object, str], list[MetricDiff]] = {}
    for metric in compared.diff.metrics:
        measured_on.setdefault((metric.name, metric.slice, metric.kind), []).append(metric)
    count = 0
    for found in measured_on.values():
        is_apart = len(found) > 1 and not any(None not in metric.measured for metric in found)
        if is_apart or any(one.reason is Reason.DIFFERENT_DATA for metric in found for one in metric.comparisons):
            count += len(found)
    return count


def _data_lines(compared: ShownComparison, page: TextPage) -> list[Line]:
    """Return what the whole data sets are called, and how many samples they have."""
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
    return flowing(pieces, page.width)


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


def _verdict_column(place: int, *, with_reason: bool) -> Column[MetricDiff]:
    return Column(
        f"verdict{place}",
        "VERDICT",
        lambda row: verdict_span(row.comparisons[place - 1], with_reason=with_reason),
        8,
        18,
    )


def _gate_span(passes: bool | None) -> Span:  # noqa: FBT001 - three answers of one question
    if passes is None:
        return Span("")
    return Span("ok", "good") if passes else Span("FAILED", "bad")


def _has_small(group: SliceGroup) -> bool:
    return any(map(is_too_small, group.slices))


def _gap_lines(compared: ShownComparison, group: SliceGroup) -> list[Line]:
    """Return the distance from the best slice to the worst in each version that has one."""
    names = compared.names
    known = [(names[place], gap) for place, gap in enumerate(group.gaps) if gap is not None]
    if not known:
        return []
    which = Span(f"  without slices of n<{LEAST_SAMPLES}" if _has_small(group) else "", "dim")
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
    columns: list[Column[MetricDiff]] = [
        Column("slice", "SLICE", lambda row: slice_text(row.slice), 6, 24),
        Column("n", "N", _samples, 7, right=True, rank=2),
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


def _samples(row: MetricDiff) -> str:
    counts = [one.samples for one in reversed(row.measured) if one is not None and one.samples is not None]
    return f"{counts[0]:,}" if counts else NOTHING


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


def _sections(diff: VersionDiff) -> tuple[tuple[str, tuple[ItemDiff, ...]], ...]:
    """Return everything but the metrics, by title."""
    return (
        ("PARAMETER", diff.parameters),
        ("TRAINING", diff.training),
        ("DATASET", diff.datasets),
        ("FILE", diff.files),
        (_CARD, diff.sections),
        ("TENSOR", diff.tensors),
    )


def _item_columns(compared: ShownComparison, title: str) -> Iterator[Column[ItemDiff]]:
    names = compared.names
    yield Column("name", title, lambda item: item.name, 12, 36)
    if title != _CARD:
        for place, name in enumerate(names):
            yield Column(f"v{place}", column_title(name, 8), lambda item, at=place: _item_value(item, at), 8, 40)  # type: ignore[misc]
    for place, name in enumerate(names[1:]):
        word = "CHANGE" if len(names) == 2 else column_title(name, 9)
        yield Column(f"change{place}", word, lambda item, at=place: Span(*_CHANGES[item.changes[at]]), 9, rank=1)  # type: ignore[misc]


def _item_value(item: ItemDiff, place: int) -> str:
    return value_text(item.values[place]) if item.is_present[place] else NOTHING


def _is_about(selection: MetricSelection, metric: MetricDiff) -> bool:
    """Return whether a gate looks at what a line of a comparison says: the metric, on that data, of that kind."""
    stated = metric.dataset.to_document()
    return (
        selection.metric == metric.name
        and selection.evidence in {None, metric.kind}
        and (selection.every_slice or dict(selection.slice) == dict(metric.slice))
        and all(stated.get(name, text if name in UNTOLD else None) == text for name, text in selection.dataset.items())
    )
