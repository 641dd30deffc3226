"""What is worth knowing of a version at a glance: what it is, where it comes from, how good it is, who decided?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.cells import cell_len

from bucketry.errors import CorruptError, NotFoundError, UnsupportedError
from bucketry.registry.review.trust_marks import load_trust_marks
from bucketry.registry.versions.listing import load_detail
from bucketry.schema.names import ByVersion, Reference
from bucketry.schema.text import displayable
from bucketry.tui.drawing.columns import Column, fit_columns, header_line
from bucketry.tui.drawing.figures import NOTHING, count_of, short_age, short_size, shown_time
from bucketry.tui.drawing.marks import state_span, state_word
from bucketry.tui.drawing.paint import Line, Painter, Role, Span, cut, line, pad
from bucketry.tui.drawing.table_lines import table_lines
from bucketry.tui.drawing.text_lines import wrapped
from bucketry.tui.screens.compare.lines import check_lines, metric_columns
from bucketry.tui.screens.version.metrics import compare_with_production
from bucketry.tui.screens.version.reviews import signature_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from bucketry.registry.versions.listing import VersionDetail
    from bucketry.tui.data.comparisons import LoadedComparison
    from bucketry.tui.drawing.figures import Zone
    from bucketry.tui.screens.version.tab import TabRequest

MOST_METRICS = 200
MOST_FILES = 200
MOST_NOTE_LINES = 12
NAME_COLUMNS = 12
DIGEST_DIGITS = 12

Fact = tuple[str, Line]


def overview_lines(request: TabRequest) -> list[Line]:
    """Return the version's lines; reads what the head and the manifests say, its own and that of production.

    What every version has comes first, so that it stands still beside a list while the cursor runs down.
    """
    row, width, zone = request.row, request.width, request.zone
    detail = load_detail(request.session, Reference(row.model, ByVersion(row.version)))
    now = request.session.clock.now()
    lines = [line(Span(f"{row.model}:{row.version}", "title"))]
    lines += _fact_lines([*_identity(detail, now, zone, width), *_trust(request, detail)], width)
    lines += _judged(request)
    origin = _fact_lines([*_origin(detail), *_training(detail)], width)
    lines += [line(), line(Span("HOW IT WAS MADE", "strong")), *origin] if origin else []
    lines += _table("REVIEWS", _REVIEW_TITLES, list(_reviews(detail, now)), width)
    lines += _notes(detail)
    lines += _table("FILES", _FILE_TITLES, list(_files(detail))[:MOST_FILES], width)
    return lines


def _judged(request: TabRequest) -> list[Line]:
    """Return what was measured and which checks hold; of a version that cannot be compared, why not."""
    try:
        compared = compare_with_production(request)
    except (CorruptError, NotFoundError, UnsupportedError) as error:  # of the one in production, perhaps
        return [line(), *wrapped(f"not compared with production: {error.message}", request.width, role="warn")]
    measured = _measured(compared, request.width, Painter(ascii_only=request.ascii_only))
    return [*measured, line(), *check_lines(compared, request.width)]


def _measured(compared: LoadedComparison, width: int, painter: Painter) -> list[Line]:
    """Return the metrics over whole data beside those of production; the tab Metrics has the slices."""
    whole = compared.whole[:MOST_METRICS]
    if not whole:
        return [line(), line(Span("METRICS", "strong"), Span("  none on record", "dim"))]
    more = len(compared.diff.metrics) - len(whole)
    tells = Span(f"  {more:,} more by slice: tab 2", "dim") if more else Span("")
    table = table_lines(metric_columns(compared), whole, width, painter)
    return [line(), line(Span("METRICS", "strong"), tells), *table]


_Cells = tuple[Span, ...]
_REVIEW_TITLES = (
    ("DECISION", 9, 9, False),
    ("BY", 8, 24, False),
    ("WHEN", 5, 5, True),
    ("SIGNED", 6, 6, False),
    ("COMMENT", 8, 200, False),
)
_FILE_TITLES = (("FILE", 12, 60, False), ("SIZE", 8, 8, True), ("SHA-256", DIGEST_DIGITS, DIGEST_DIGITS, False))


def _identity(detail: VersionDetail, now: datetime, zone: Zone, width: int) -> Iterator[Fact]:
    row, manifest = detail.row, detail.resolved.manifest
    state = state_span(row.state)
    yield "state", line(Span(state_word(row.state), state.role), *_approvals(detail))
    yield "aliases", line(" ".join(register.alias for register in detail.aliases) or "-")
    digest = f"sha256:{row.manifest}"
    has_room = NAME_COLUMNS + cell_len(digest) <= width
    yield "digest", line(digest if has_room else f"sha256:{row.manifest[:DIGEST_DIGITS]}...{row.manifest[-4:]}")
    yield (
        "published",
        line(f"{shown_time(row.created_at, zone)} ({short_age(row.created_at, now)}) by {row.created_by}"),
    )
    yield "size", line(f"{short_size(row.size_bytes)} in {count_of(len(manifest.artifacts), 'file')}")
    yield "card", line(manifest.card or "")
    yield "labels", line(_pairs(row.labels) or NOTHING)  # always: what is below stays where it is


def _trust(request: TabRequest, detail: VersionDetail) -> Iterator[Fact]:
    marks = load_trust_marks(request.session, [(detail.resolved.model, detail.row.version)])
    for mark in marks.values():
        yield "trust", line(Span(displayable(mark.text), "good" if mark.is_accepted else "bad"))


def _origin(detail: VersionDetail) -> Iterator[Fact]:
    lineage = detail.resolved.manifest.lineage
    for parent in lineage.parents:
        yield "made from", line(f"{parent.model}:{parent.version} ({parent.relation})")
    yield "used by", line(" ".join(str(pin.model) for pin in detail.dossier.dependents))
    yield "experiment", line(lineage.experiment or "")
    yield "run", line(lineage.run or "")
    yield "pipeline", line(_pairs(lineage.pipeline))
    yield "code", line(_pairs(lineage.code))


def _training(detail: VersionDetail) -> Iterator[Fact]:
    training = detail.resolved.manifest.training
    yield "command", line(training.command or "")
    yield "framework", line(training.framework or "")
    yield "hardware", line(training.hardware or "")
    yield "seed", line("" if training.seed is None else str(training.seed))
    yield "cost", line(training.cost or "")
    for dataset in training.datasets:
        yield "dataset", line(_pairs(dataset))
    yield "parameters", line(_pairs(training.hyperparameters))


def _approvals(detail: VersionDetail) -> Iterator[Span]:
    approvals = detail.approvals
    if approvals is None:
        yield Span(f"   approvals cannot be counted: {detail.damaged}", "bad")
        return
    if approvals.required or approvals.principals:
        enough: Role = "good" if approvals.are_enough else "warn"
        yield Span(f"   {len(approvals.principals)} of {max(1, approvals.required)} approvals", enough)
    for principal, reason in approvals.dropped:
        yield Span(f"   {principal} does not count: {reason}", "warn")
    for principal in approvals.refusals:
        yield Span(f"   refused by {principal}", "bad")


def _notes(detail: VersionDetail) -> list[Line]:
    notes = detail.dossier.notes or detail.resolved.manifest.notes
    if not notes:
        return []
    shown = notes.splitlines()
    more = (
        [line(Span(f"  and {len(shown) - MOST_NOTE_LINES} more lines", "dim"))] if len(shown) > MOST_NOTE_LINES else []
    )
    return [line(), line(Span("NOTES", "strong")), *(line(f"  {text}") for text in shown[:MOST_NOTE_LINES]), *more]


def _reviews(detail: VersionDetail, now: datetime) -> Iterator[_Cells]:
    for decision in detail.reviews:
        said = decision.statement
        yield (
            Span(said.action.value),
            Span(said.principal),
            Span(short_age(said.created, now)),
            signature_span(decision),
            Span(said.comment.replace("\n", " ")),
        )


def _files(detail: VersionDetail) -> Iterator[_Cells]:
    for artifact in detail.resolved.manifest.artifacts:
        yield Span(artifact.path), Span(short_size(artifact.size_bytes)), Span(artifact.sha256[:DIGEST_DIGITS], "dim")


def _fact_lines(facts: Iterable[Fact], width: int) -> list[Line]:
    lines: list[Line] = []
    for name, said in facts:
        if any(span.text for span in said):
            lines.append((Span(pad(name, NAME_COLUMNS), "dim"), *said))
    return [_cut_line(shown, width) for shown in lines]


def _cut_line(shown: Line, width: int) -> Line:
    """Cut the last span of a line that is too long; the painter does the same, but cannot tell where to wrap."""
    used = sum(cell_len(span.text) for span in shown)
    return (
        shown
        if used <= width
        else (*shown[:-1], Span(cut(shown[-1].text, max(1, width - used + cell_len(shown[-1].text))), shown[-1].role))
    )


def _table(title: str, titles: Sequence[tuple[str, int, int, bool]], rows: Sequence[_Cells], width: int) -> list[Line]:
    """Return a table with its title, each column as wide as what is in it, as far as the width allows."""
    if not rows:
        return []
    columns: list[Column[_Cells]] = []
    for place, (name, least, widest, right) in enumerate(titles):
        needed = max(len(name), *(cell_len(row[place].text) for row in rows))
        if needed == len(name) and all(not row[place].text for row in rows):
            continue
        columns.append(
            Column(
                name,
                name,
                lambda row, place=place: row[place],  # type: ignore[misc]
                max(len(name), min(least, needed)),
                min(widest, needed),
                right=right,
                rank=place,
            )
        )
    fitted = fit_columns(columns, width)
    header = header_line(fitted, chosen="", sorted_by="", descending=False)
    cells = []
    for row in rows:
        spans: list[Span] = []
        for place, one in enumerate(fitted):
            said = one.column.cell(row)
            span = Span(said) if isinstance(said, str) else said
            spans.append(Span(" " if place else ""))
            spans.append(Span(pad(cut(span.text, one.width), one.width, right=one.column.right), span.role))
        cells.append(tuple(spans))
    return [line(), line(Span(title, "strong")), header, *cells]


def _pairs(table: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in table.items())


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
