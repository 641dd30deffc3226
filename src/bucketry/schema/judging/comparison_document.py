"""A comparison as JSON, and the digest by which a review names the one that was shown.

The keys are a contract: `diff --json` prints this. All metrics are there, also those that are the same everywhere; of
the rest what differs, or all on request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.codec import Document, digest_of, encode
from bucketry.schema.judging.known_metrics import KNOWN_METRICS_VERSION
from bucketry.schema.judging.slice_groups import gap_groups

if TYPE_CHECKING:
    from bucketry.schema.judging.comparison import Comparison, ItemDiff, MetricDiff, VersionDiff
    from bucketry.schema.judging.slice_groups import SliceGroup
    from bucketry.schema.names import Digest


def diff_document(diff: VersionDiff, *, with_unchanged: bool) -> Document:
    """Return the comparison. `delta`, `relative` and `verdict` of a metric are those of the last version.

    `comparisons` has them for each version after the baseline, in the order of `versions`. What nobody stated is
    marked: `direction_assumed`, `confidence_assumed` for each version, and `assumed` where a verdict rests on one of
    them; `known_metrics` is the number of the table that says so.
    """
    shown = {
        name: [item for item in items if with_unchanged or item.is_changed]
        for name, items in (
            ("parameters", diff.parameters),
            ("training", diff.training),
            ("datasets", diff.datasets),
            ("tensors", diff.tensors),
        )
    }
    return {
        "baseline": diff.baseline.version,
        "versions": [subject.version for subject in diff.versions],
        "references": [
            {"model": str(subject.model), "version": subject.version, "manifest": subject.digest}
            for subject in diff.versions
        ],
        "metrics": [_metric_document(metric) for metric in diff.metrics],
        "known_metrics": KNOWN_METRICS_VERSION,
        "slices": [_gap_document(group) for group in gap_groups(diff)],
        "files": [
            {
                "path": item.name,
                "size_bytes": [file.get("size_bytes") if isinstance(file, dict) else None for file in item.values],
                "sha256": [file.get("sha256") if isinstance(file, dict) else None for file in item.values],
                **_changes(item),
            }
            for item in diff.files
            if with_unchanged or item.is_changed
        ],
        "card": [
            {"section": item.name, **_changes(item)} for item in diff.sections if with_unchanged or item.is_changed
        ],
        **{
            name: [{"name": item.name, "values": list(item.values), **_changes(item)} for item in items]
            for name, items in shown.items()
        },
    }


def diff_digest(diff: VersionDiff) -> Digest:
    """Return the SHA-256 of the comparison as `diff --json` gives it, without what is the same."""
    return digest_of(encode(diff_document(diff, with_unchanged=False)))


def _metric_document(metric: MetricDiff) -> Document:
    return {
        "name": metric.name,
        "dataset": metric.dataset.to_document(),
        "slice": dict(metric.slice),
        "kind": metric.kind,
        "unit": metric.unit,
        "direction": metric.direction,
        "direction_assumed": metric.direction_assumed,
        "values": list(metric.values),
        "confidence": [one.confidence.to_document() if one and one.confidence else None for one in metric.measured],
        "confidence_assumed": [one.assumed if one else False for one in metric.measured],
        "samples": [one.samples if one else None for one in metric.measured],
        **_comparison_document(metric.comparisons[-1]),
        "comparisons": [_comparison_document(one) for one in metric.comparisons],
    }


def _comparison_document(one: Comparison) -> Document:
    return {
        "delta": one.delta,
        "relative": one.relative,
        "verdict": one.verdict.value,
        "reason": one.reason.value,
        "assumed": one.assumed,
    }


def _gap_document(group: SliceGroup) -> Document:
    return {
        "name": group.name,
        "dataset": group.dataset.to_document(),
        "kind": group.kind,
        "attributes": list(group.attributes),
        "direction": group.direction,
        "worst": [{"slice": dict(one[0]), "value": one[1]} if one else None for one in group.worst],
        "gap": list(group.gaps),
        "same_slices": len(set(group.judged)) == 1,
    }


def _changes(item: ItemDiff) -> Document:
    """Return what became of a thing: in the last version, and in each after the baseline."""
    return {"change": item.changes[-1].value, "changes": [change.value for change in item.changes]}
