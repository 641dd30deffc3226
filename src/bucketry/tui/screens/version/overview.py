"""The first tab of a version: what is worth knowing at a glance. Reads what its head and two manifests say."""

from __future__ import annotations

from bucketry.errors import CorruptError, NotFoundError, UnsupportedError
from bucketry.registry.review.trust_marks import trust_mark_of
from bucketry.registry.versions.detail import load_detail
from bucketry.show.comparison import metric_columns
from bucketry.show.comparison_screen import check_lines
from bucketry.show.spans import Line, Span, line, wrapped
from bucketry.show.tables import table_lines
from bucketry.show.version import version_lines
from bucketry.tui.screens.version.metrics import compare_with_production
from bucketry.tui.screens.version.tab import TabContent, TabRequest

MOST_METRICS = 200


def load_overview(request: TabRequest) -> TabContent:
    """Return what the version says; reads that of production, too."""
    session = request.session
    detail = load_detail(session, request.reference)
    mark = trust_mark_of(session, detail)
    judged = _judged(request)
    lines = version_lines(detail, session.clock.now(), request.page, request.zone, trust=mark, judged=judged)
    return TabContent(tuple(lines))


def _judged(request: TabRequest) -> list[Line]:
    """Return what was measured and which checks hold; of a version that cannot be compared, why not."""
    try:
        compared = compare_with_production(request)
    except (CorruptError, NotFoundError, UnsupportedError) as error:  # of the one in production, perhaps
        return [line(), *wrapped(f"not compared with production: {error.message}", request.width, role="warn")]
    whole = compared.whole[:MOST_METRICS]
    title = Span("METRICS", "strong")
    if not whole:
        measured = [line(title, Span("  none on record", "dim"))]
    else:
        more = len(compared.diff.metrics) - len(whole)
        tells = Span(f"  {more:,} more by slice: tab 2", "dim") if more else Span("")
        measured = [line(title, tells), *table_lines(metric_columns(compared), whole, request.page)]
    return [line(), *measured, line(), *check_lines(compared, request.page)]
