"""Everything about one version: what it is, how it was made, how good it is, who decided, its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bucketry.schema.documents.datasets import dataset_labels, dataset_of, unnamed_repeats
from bucketry.schema.judging.comparison import ASSUMED_MARK
from bucketry.schema.judging.known_metrics import assumed_direction
from bucketry.show.figures import (
    DIGEST_DIGITS,
    NOTHING,
    age_text,
    clock_text,
    count_of,
    precise_number,
    size_text,
    time_text,
)
from bucketry.show.reviews import approvals_spans, decision_lines
from bucketry.show.spans import Line, Span, TextPage, line, text_width
from bucketry.show.states import state_span, state_word
from bucketry.show.tables import TextColumn, fact_lines, text_table

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping
    from datetime import datetime

    from bucketry.registry.review.trust_marks import TrustMark
    from bucketry.registry.versions.detail import VersionDetail
    from bucketry.schema.documents.datasets import Dataset
    from bucketry.show.figures import Zone

MOST_FILES = 200
MOST_NOTE_LINES = 12
"""On a screen, of which other parts want a place too; a terminal has all."""
NAME_COLUMNS = 12
_METRICS = (
    TextColumn("METRIC", 8, 60),
    TextColumn("VALUE", right=True),
    TextColumn("UNIT"),
    TextColumn("BETTER"),
    TextColumn("DATASET", 8, 60),
    TextColumn("SLICE", 8, 60),
    TextColumn("SAYS", 8, 40),
)
"""`SAYS` is who claims to have measured, where somebody is named."""
_FILES = (
    TextColumn("FILE", 12, 60),
    TextColumn("SIZE", 8, 8, right=True),
    TextColumn("SHA-256", DIGEST_DIGITS, DIGEST_DIGITS),
)


def version_lines(
    detail: VersionDetail,
    now: datetime,
    page: TextPage,
    zone: Zone,
    *,
    trust: TrustMark | None = None,
    judged: Iterable[Line],
) -> list[Line]:
    """Return the version's lines. What every version has comes first, so that it stands still where versions change.

    `trust` is what the profile's trust file says of it, `judged` are the lines that say how good it is.
    """
    lines = [line(Span(f"{detail.resolved.model}:{detail.row.version}", "title"))]
    facts = list(_identity(detail, now, page, zone))
    if trust is not None:
        facts.append(("trust", line(Span(trust.text, "good" if trust.is_accepted else "bad"))))
    lines += fact_lines(facts, page, name_columns=NAME_COLUMNS)
    lines += judged
    lines += _part("HOW IT WAS MADE", fact_lines(list(_origin(detail)), page, name_columns=NAME_COLUMNS))
    lines += _part("REVIEWS", decision_lines(detail.reviews, now, page) if detail.reviews else [])
    notes = (detail.dossier.notes or detail.resolved.manifest.notes).splitlines()
    most = len(notes) if page.width is None else MOST_NOTE_LINES
    more = [line(Span(f"  and {len(notes) - most} more lines", "dim"))] if len(notes) > most else []
    lines += _part("NOTES", [*(line(f"  {text}") for text in notes[:most]), *more])
    artifacts = detail.resolved.manifest.artifacts
    most = len(artifacts) if page.width is None else MOST_FILES
    files = [
        (artifact.path, size_text(artifact.size_bytes), Span(artifact.sha256[:DIGEST_DIGITS], "dim"))
        for artifact in artifacts[:most]
    ]
    more = [line(Span(f"and {count_of(len(artifacts) - most, 'file')} more", "dim"))] if len(artifacts) > most else []
    return [*lines, *_part("FILES", [*text_table(_FILES, files, page), *more] if files else [])]


def stated_metric_lines(detail: VersionDetail, page: TextPage) -> list[Line]:
    """Return the metrics of all evidence that count; of the same measured twice, the later.

    What others added is taken as it comes. A star marks a direction that nobody states (docs/metrics.md).
    """
    rows: dict[tuple[Hashable, Dataset], tuple[object, tuple[str, ...]]] = {}
    labels = dataset_labels(map(_measured_on, detail.evidence))
    for evidence in detail.evidence:
        measured_on, kind, metrics = _measured_on(evidence), evidence.get("kind", "automated"), evidence.get("metrics")
        for metric in metrics if isinstance(metrics, list) else []:
            if not isinstance(metric, dict):
                continue
            name, value, part = str(metric.get("name", "")), metric.get("value"), metric.get("slice")
            known = assumed_direction(name)
            # How far it may be off, or single values lie from it, as the evidence states it.
            spread = metric.get("standard_error") or metric.get("deviation")
            told = precise_number(value) if isinstance(value, int | float) else _plain(value)
            cells = (
                name + ("" if kind == "automated" else f" [{_plain(kind)}]"),
                told + (f" +/- {precise_number(spread)}" if isinstance(spread, int | float) else ""),
                str(metric.get("unit") or ""),
                str(metric.get("direction") or (known + ASSUMED_MARK if known else "")),
                labels[measured_on],
                _pairs(part) if isinstance(part, dict) else "",
                _plain(evidence.get("by") or ""),
            )
            key = (name, _plain(kind), _plain(part)), measured_on
            rows.pop(key, None)
            rows[key] = value, cells
    repeats = unnamed_repeats({key: [value] for key, (value, _) in rows.items()})
    shown = [cells for key, (_, cells) in rows.items() if key not in repeats]
    count = len(_METRICS) if any(row[-1] for row in shown) else len(_METRICS) - 1
    return _part("METRICS", text_table(_METRICS[:count], [row[:count] for row in shown], page) if shown else [])


def _part(title: str, lines: list[Line]) -> list[Line]:
    return [line(), line(Span(title, "strong")), *lines] if lines else []


Fact = tuple[str, Line]


def _identity(detail: VersionDetail, now: datetime, page: TextPage, zone: Zone) -> Iterator[Fact]:
    row, manifest = detail.row, detail.resolved.manifest
    if detail.approvals is None:
        counted = [Span(f"   approvals cannot be counted: {detail.damaged}", "bad")]
    else:
        counted = [Span(f"   {span.text}", span.role) for span in approvals_spans(detail.approvals)]
    yield "state", line(Span(state_word(row.state), state_span(row.state).role), *counted)
    yield "aliases", line(" ".join(register.alias for register in detail.aliases) or NOTHING)
    digest = f"sha256:{row.manifest}"
    has_room = page.width is None or NAME_COLUMNS + text_width(digest) <= page.width
    yield "digest", line(digest if has_room else f"sha256:{row.manifest[:DIGEST_DIGITS]}...{row.manifest[-4:]}")
    age = age_text(row.created_at, now)
    yield "published", line(f"{time_text(row.created_at, zone)} ({age}) by {row.created_by}")
    yield "size", line(f"{size_text(row.size_bytes)} in {count_of(len(manifest.artifacts), 'file')}")
    yield "card", line(manifest.card or "")
    yield "labels", line(_pairs(row.labels) or NOTHING)  # always: what is below stays where it is


def _origin(detail: VersionDetail) -> Iterator[Fact]:
    lineage, training = detail.resolved.manifest.lineage, detail.resolved.manifest.training
    for parent in lineage.parents:
        yield "made from", line(f"{parent.model}:{parent.version} ({parent.relation})")
    yield "used by", line(" ".join(str(pin.model) for pin in detail.dossier.dependents))
    yield "experiment", line(lineage.experiment or "")
    yield "run", line(lineage.run or "")
    yield "pipeline", line(_pairs(lineage.pipeline))
    yield "code", line(_pairs(lineage.code))
    yield "command", line(training.command or "")
    yield "framework", line(training.framework or "")
    yield "hardware", line(training.hardware or "")
    yield "seed", line("" if training.seed is None else str(training.seed))
    yield "duration", line("" if training.duration_seconds is None else clock_text(training.duration_seconds))
    yield "cost", line(training.cost or "")
    yield "environment", line(_environment(training.environment))
    yield "published from", line(_environment(training.published_from))
    for dataset in training.datasets:
        yield "dataset", line(_pairs(dataset))
    yield "parameters", line(_pairs(training.hyperparameters))


def _environment(environment: Mapping[str, object]) -> str:
    lists = ("packages", "requirements")
    parts = [_pairs({name: value for name, value in environment.items() if name not in lists})]
    for name in lists:
        listed = environment.get(name)
        if isinstance(listed, dict | list) and listed:
            parts.append(f"{count_of(len(listed), name[:-1])} (`--reproduce` lists them)")
    return ", ".join(part for part in parts if part)


def _measured_on(evidence: Mapping[str, object]) -> Dataset:
    found = evidence.get("dataset")
    return dataset_of(found if isinstance(found, dict) else {})


def _pairs(table_: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in table_.items())


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
