"""How does everything about one version look on a screen of 80 columns?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bucketry.cli.documents import present_notes
from bucketry.cli.figures import count_of, human_age, human_number, human_size, human_span
from bucketry.cli.output import OutputHeading
from bucketry.cli.tables import Column, facts, table
from bucketry.schema.documents.datasets import dataset_labels, dataset_of, unnamed_repeats
from bucketry.schema.judging.comparison import ASSUMED_MARK
from bucketry.schema.judging.known_metrics import assumed_direction

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from datetime import datetime

    from bucketry.cli.output import Line
    from bucketry.registry.versions.listing import VersionDetail
    from bucketry.schema.documents.datasets import Dataset

METRIC_COLUMNS = (
    Column("METRIC", flexible=True),
    Column("VALUE", number=True),
    Column("UNIT"),
    Column("BETTER"),
    Column("DATASET", flexible=True),
    Column("SLICE", flexible=True),
    Column("SAYS", flexible=True),
)
"""`SAYS` is who claims to have measured, where somebody is named."""
REVIEW_COLUMNS = (
    Column("DECISION"),
    Column("BY", flexible=True),
    Column("WHEN", number=True),
    Column("SIGNED"),
    Column("COMMENT", flexible=True),
)
FILE_COLUMNS = (Column("FILE", flexible=True), Column("SIZE", number=True), Column("SHA-256"))
DIGEST_DIGITS = 12
"""Enough to tell files apart by eye; `--json` has all."""


def detail_lines(detail: VersionDetail, now: datetime, *, trust: str = "", width: int | None) -> list[Line]:
    """Return the version's lines: what it is, where it comes from, how good it is, its files.

    `trust` is what the profile's trust file says of it.
    """
    lines: list[Line] = [OutputHeading(f"{detail.resolved.model}:{detail.row.version}")]
    lines += facts([*_identity(detail, now), ("trust", trust), *_origin(detail), *_training(detail)])
    if detail.reviews:
        lines += ["", *table(REVIEW_COLUMNS, list(_review_rows(detail, now)), width=width)]
    metrics = list(_metric_rows(detail))
    if metrics:
        shown = len(METRIC_COLUMNS) if any(row[-1] for row in metrics) else len(METRIC_COLUMNS) - 1
        lines += ["", *table(METRIC_COLUMNS[:shown], [row[:shown] for row in metrics], width=width)]
    files = [
        (artifact.path, human_size(artifact.size_bytes), artifact.sha256[:DIGEST_DIGITS])
        for artifact in detail.resolved.manifest.artifacts
    ]
    return [*lines, "", *table(FILE_COLUMNS, files, width=width)]


def _identity(detail: VersionDetail, now: datetime) -> Iterator[tuple[str, str]]:
    row, manifest = detail.row, detail.resolved.manifest
    yield "state", row.state.value
    yield "aliases", " ".join(register.alias for register in detail.aliases)
    yield "manifest", row.manifest
    yield "published", f"{row.created_at} ({human_age(row.created_at, now)}) by {row.created_by}"
    yield "size", f"{human_size(row.size_bytes)} in {count_of(len(manifest.artifacts), 'file')}"
    yield "card", manifest.card or ""
    yield "labels", _pairs(row.labels)
    yield "notes", present_notes(detail)
    yield "approvals", _approvals(detail)


def _origin(detail: VersionDetail) -> Iterator[tuple[str, str]]:
    lineage = detail.resolved.manifest.lineage
    for parent in lineage.parents:
        yield "made from", f"{parent.model}:{parent.version} ({parent.relation})"
    yield "used by", " ".join(str(pin.model) for pin in detail.dossier.dependents)
    yield "experiment", lineage.experiment or ""
    yield "run", lineage.run or ""
    yield "pipeline", _pairs(lineage.pipeline)
    yield "code", _pairs(lineage.code)


def _training(detail: VersionDetail) -> Iterator[tuple[str, str]]:
    training = detail.resolved.manifest.training
    yield "command", training.command or ""
    yield "framework", training.framework or ""
    yield "hardware", training.hardware or ""
    yield "seed", "" if training.seed is None else str(training.seed)
    yield "duration", "" if training.duration_seconds is None else human_span(training.duration_seconds)
    yield "cost", training.cost or ""
    yield "environment", _environment(training.environment)
    yield "published from", _environment(training.published_from)
    for dataset in training.datasets:
        yield "dataset", _pairs(dataset)
    yield "parameters", _pairs(training.hyperparameters)


def _environment(environment: Mapping[str, object]) -> str:
    lists = ("packages", "requirements")
    parts = [_pairs({name: value for name, value in environment.items() if name not in lists})]
    for name in lists:
        listed = environment.get(name)
        if isinstance(listed, dict | list) and listed:
            parts.append(f"{count_of(len(listed), name[:-1])} (`--reproduce` lists them)")
    return ", ".join(part for part in parts if part)


def _approvals(detail: VersionDetail) -> str:
    approvals = detail.approvals
    if approvals is None:
        return f"nobody can count them: {detail.damaged}"
    if not approvals.required and not approvals.principals and not approvals.refusals:
        return ""
    parts = [f"{len(approvals.principals)} of {max(1, approvals.required)}", *approvals.principals]
    parts += [f"not {principal}: {reason}" for principal, reason in approvals.dropped]
    parts += [f"refused by {principal}" for principal in approvals.refusals]
    parts += [f"until {approvals.expires}"] if approvals.expires else []
    return ", ".join(parts)


def _review_rows(detail: VersionDetail, now: datetime) -> Iterator[tuple[str, ...]]:
    for decision in detail.reviews:
        said = decision.statement
        yield (
            said.action.value,
            said.principal,
            human_age(said.created, now),
            "yes" if decision.is_signed else "no",
            said.comment,
        )


def _metric_rows(detail: VersionDetail) -> Iterator[tuple[str, ...]]:
    """Yield the metrics of all evidence that count; of the same measured twice, the later.

    What others added is taken as it comes. A star marks a direction that nobody states (docs/metrics.md).
    """
    rows: dict[tuple[Hashable, Dataset], tuple[object, tuple[str, ...]]] = {}
    for thing, dataset, value, cells in _stated_metrics(detail):
        rows.pop((thing, dataset), None)
        rows[thing, dataset] = value, cells
    repeats = unnamed_repeats({key: [value] for key, (value, _) in rows.items()})
    yield from (cells for key, (_, cells) in rows.items() if key not in repeats)


def _stated_metrics(detail: VersionDetail) -> Iterator[tuple[Hashable, Dataset, object, tuple[str, ...]]]:
    labels = dataset_labels(map(_measured_on, detail.evidence))
    for evidence in detail.evidence:
        measured_on = _measured_on(evidence)
        kind = evidence.get("kind", "automated")
        metrics = evidence.get("metrics")
        for metric in metrics if isinstance(metrics, list) else []:
            if isinstance(metric, dict):
                name, value, part = str(metric.get("name", "")), metric.get("value"), metric.get("slice")
                known = assumed_direction(name)
                cells = (
                    name + ("" if kind == "automated" else f" [{_plain(kind)}]"),
                    (human_number(value) if isinstance(value, int | float) else _plain(value)) + _spread(metric),
                    str(metric.get("unit") or ""),
                    str(metric.get("direction") or (known + ASSUMED_MARK if known else "")),
                    labels[measured_on],
                    _pairs(part) if isinstance(part, dict) else "",
                    _plain(evidence.get("by") or ""),
                )
                yield (name, _plain(kind), _plain(part)), measured_on, value, cells


def _spread(metric: Mapping[str, object]) -> str:
    """Return how far the value may be off, or single values lie from it, as the evidence states it."""
    spread = metric.get("standard_error") or metric.get("deviation")
    return f" +/- {human_number(spread)}" if isinstance(spread, int | float) else ""


def _measured_on(evidence: Mapping[str, object]) -> Dataset:
    found = evidence.get("dataset")
    return dataset_of(found if isinstance(found, dict) else {})


def _pairs(table_: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in table_.items())


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
