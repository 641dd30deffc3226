"""What was measured of a version, next to what serves production, and how it came there over the versions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bucketry.index.views import list_versions_by, load_version_lines
from bucketry.schema.documents.datasets import dataset_labels, dataset_of
from bucketry.schema.judging.trend import make_trend
from bucketry.schema.names import ByVersion, Reference
from bucketry.show.comparison import hidden_count, metric_columns, verdict_counts
from bucketry.show.comparison_screen import MOST_METRICS, banner_lines, slice_lines, trend_marks
from bucketry.show.figures import NOTHING, count_of, time_text
from bucketry.show.spans import Span, TextPage, flowing, line
from bucketry.show.tables import Column, table_lines
from bucketry.show.trend import trend_lines
from bucketry.tui.data.comparisons import TREND_VERSIONS, read_comparison, with_aliases
from bucketry.tui.data.source import listed_aliases
from bucketry.tui.drawing.marks import production_of
from bucketry.tui.screens.version.tab import TabContent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.judging.comparison import MetricDiff
    from bucketry.show.comparison import ShownComparison
    from bucketry.show.figures import Zone
    from bucketry.show.spans import Line
    from bucketry.tui.screens.version.tab import TabRequest

MOST_PLOTS = 6
MOST_GROUPS = 20


def load_metrics_tab(request: TabRequest) -> TabContent:
    """Return the tab: called in a thread of its own."""

    def samples(metric: MetricDiff) -> str:
        last = metric.measured[-1]
        return f"{last.samples:,}" if last is not None and last.samples is not None else NOTHING

    compared = compare_with_production(request)
    hides = request.only_changed and bool(compared.diff.others)
    lines = [*_heading(compared, hides=hides), *banner_lines(compared, request.page), line()]
    shown_metrics = [one for one in compared.whole if one.is_changed or not hides]
    if shown_metrics:
        columns = [*metric_columns(compared), Column("samples", "N", samples, 7, right=True, rank=4)]
        lines += table_lines(columns, shown_metrics[:MOST_METRICS], request.page)
        more = len(shown_metrics) - MOST_METRICS
        lines += [line(Span(f"and {count_of(more, 'metric')} more", "dim")), line()] if more > 0 else [line()]
    groups = [group for group in compared.groups if not hides or any(one.is_changed for one in group.slices)]
    shown = groups[:MOST_GROUPS]
    for place, group in enumerate(shown):
        position = f"{place + 1}/{len(groups)}"
        lines += [*slice_lines(compared, group, position, request.page), line()]
    if len(groups) > len(shown):
        lines += [line(Span(f"and {len(groups) - len(shown):,} more groups of slices", "dim")), line()]
    lines += _plots(request, compared)
    lines += _evidence(compared, request.page, request.zone)
    return TabContent(tuple(lines))


def compare_with_production(request: TabRequest) -> ShownComparison:
    """Read what was measured of a version and of the one that serves production, and whether the gates hold."""
    row = request.row
    production = production_of(listed_aliases(request.index, row.model))
    references = [request.reference]
    if production is not None and production.version != row.version:
        references.insert(0, Reference(row.model, ByVersion(production.version)))
    read = read_comparison(request.session, references, with_tensors=False, about=references[-1])
    return with_aliases(read, request.index)


def _heading(compared: ShownComparison, *, hides: bool) -> list[Line]:
    if not compared.diff.others:
        only = compared.diff.baseline
        why = "it serves production" if compared.aliases[0] else "nothing serves production"
        return [line(Span(f"{only.name}", "title"), Span(f"  alone: {why}  (= compares marked versions)", "dim"))]
    base, new = compared.names
    counts, same = verdict_counts(compared), hidden_count(compared)
    how = "changed only: {} same hidden" if hides else "z hides {} same"
    return [
        line(
            Span(new, "title"),
            Span("  next to  ", "dim"),
            Span(f"{base} * {compared.aliases[0]}", "title"),
            *((Span(f"   {counts}"),) if counts else ()),
            *((Span(f"   {how.format(same)}", "dim"),) if same else ()),
        )
    ]


def _plots(request: TabRequest, compared: ShownComparison) -> list[Line]:
    """Return a plot for each headline metric: the index has their values for every version."""
    listed = list_versions_by(request.index, request.row.model)
    recent = load_version_lines(request.index, request.row.model, listed.ids[:TREND_VERSIONS])
    names = list(dict.fromkeys(metric.name for metric in compared.whole if metric.name in request.row.metrics))
    lines: list[Line] = []
    for name in names[:MOST_PLOTS]:
        trend = make_trend(name, [(one.version, one.metrics.get(name)) for one in recent])
        heading = f"{name} over the newest versions"
        lines += [line(Span("TREND  ", "header"), Span(heading, "dim"))]
        lines += [*trend_lines(trend, *trend_marks(compared, trend), request.width), line()]
    return lines


def _evidence(compared: ShownComparison, page: TextPage, zone: Zone) -> list[Line]:
    """Return a line for each evaluation: what kind, on what, by whom and when."""
    rows = compared.diff.versions[compared.newest].evidence
    if not rows:
        return []

    def when(one: Evidence) -> str:
        at = one.at or NOTHING
        try:
            return time_text(at, zone) if one.at else at
        except ValueError:  # whoever measured may write what they like
            return at

    kinds = Counter(one.kind for one in rows)
    pieces = [Span("EVIDENCE", "header"), *(Span(f"{count} {kind}", "dim") for kind, count in kinds.items())]
    labels = dataset_labels(dataset_of(one.dataset) for one in rows)
    columns: Sequence[Column[Evidence]] = (
        Column("kind", "KIND", lambda one: one.kind, 9, 10),
        Column("metrics", "METRICS", lambda one: str(len(one.metrics)), 7, right=True),
        Column("data", "DATA", lambda one: labels[dataset_of(one.dataset)] or NOTHING, 8, 30),
        Column("by", "BY", lambda one: one.by or NOTHING, 6, 24, rank=1),
        Column("at", "WHEN", when, 17, rank=2),
        Column("notes", "NOTES", lambda one: one.notes.replace("\n", " ") or NOTHING, 6, 60, rank=3),
    )
    return [*flowing(pieces, page.width), *table_lines(columns, rows, page)]
