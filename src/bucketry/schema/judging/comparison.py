"""Compares versions in their metrics, parameters, data, files, card and tensors: one pure function.

Of everything but metrics it is said which named things were added, removed or changed, by one rule for all kinds.
Values are aligned by metric, data set (all of `datasets.IDENTITY`), slice and kind of evidence, and judged against the
first version, the baseline. Where two versions were measured on different data there is no verdict.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import IDENTITY, Dataset, dataset_of, field_text, unnamed_repeats
from bucketry.schema.documents.evidence import Confidence
from bucketry.schema.judging.known_metrics import NORMAL_DEVIATIONS, NORMAL_LEVEL, assumed_direction, assumed_interval
from bucketry.schema.judging.verdicts import Measurement, Reason, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bucketry.schema.documents.evidence import Evidence, Metric, Slice
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.names import Digest, ModelName

MOST_LEVELS = 32
"""So deep nests what the codec reads at all."""
ASSUMED_MARK = "*"
"""Behind a verdict or a direction that nobody stated: what a well-known metric is."""


class ItemChange(StrEnum):
    """What became of a named thing, from the baseline to another version."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class _Absent:
    """Stands where a version does not have the thing: a parameter may well be null."""


ABSENT = _Absent()


@frozen
class ItemDiff:
    """A named thing: its value in each version, and what became of it in each but the baseline."""

    name: str
    found: tuple[object, ...]
    changes: tuple[ItemChange, ...]

    @property
    def is_changed(self) -> bool:
        """Whether any version differs from the baseline."""
        return any(change is not ItemChange.SAME for change in self.changes)

    @property
    def values(self) -> tuple[object, ...]:
        """The value of each version, None where it does not have the thing."""
        return tuple(None if value is ABSENT else value for value in self.found)

    @property
    def is_present(self) -> tuple[bool, ...]:
        """Whether each version has the thing."""
        return tuple(value is not ABSENT for value in self.found)


@frozen
class ComparedVersion:
    """One version to compare. `evidence` in the order in which it came; `sections` of the card by heading.

    `tensors` (name to type and shape) is None where nobody looked.
    """

    model: ModelName
    version: int
    digest: Digest
    manifest: Manifest
    evidence: tuple[Evidence, ...] = ()
    sections: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """How the version is called."""
        return f"{self.model}:{self.version}"


@frozen
class Comparison:
    """One version's value against the baseline's. `delta` and `relative` are None where they make no sense.

    `assumed` says that the verdict would be another without what `known_metrics` knows.
    """

    delta: float | None
    relative: float | None
    verdict: Verdict
    reason: Reason = Reason.NONE
    assumed: bool = False


@frozen
class MetricDiff:
    """One metric: a measurement for each version (None: not measured), and a comparison for each but the baseline.

    `direction_assumed` says that nobody states the direction: it is that of a well-known metric.
    """

    name: str
    dataset: Dataset
    slice: Slice
    kind: str
    unit: str | None
    direction: str | None
    measured: tuple[Measurement | None, ...]
    comparisons: tuple[Comparison, ...]
    direction_assumed: bool = False

    @property
    def values(self) -> tuple[float | None, ...]:
        """The value of each version."""
        return tuple(one.value if one else None for one in self.measured)

    @property
    def is_changed(self) -> bool:
        """Whether a version says anything else than the baseline."""
        return any(one.verdict is not Verdict.SAME for one in self.comparisons)


@frozen
class VersionDiff:
    """How versions differ, the baseline first. The same for every face."""

    versions: tuple[ComparedVersion, ...]
    metrics: tuple[MetricDiff, ...]
    parameters: tuple[ItemDiff, ...]
    training: tuple[ItemDiff, ...]
    datasets: tuple[ItemDiff, ...]
    files: tuple[ItemDiff, ...]
    sections: tuple[ItemDiff, ...]
    tensors: tuple[ItemDiff, ...]

    @property
    def baseline(self) -> ComparedVersion:
        """The version that the others are compared with."""
        return self.versions[0]

    @property
    def others(self) -> tuple[ComparedVersion, ...]:
        """The versions that are compared with the baseline."""
        return self.versions[1:]


def diff_versions(baseline: ComparedVersion, others: Sequence[ComparedVersion]) -> VersionDiff:
    """Return how the others differ from the baseline."""
    subjects = (baseline, *others)
    metrics = diff_metrics([subject.evidence for subject in subjects])
    has_tensors = all(subject.tensors is not None for subject in subjects)
    return VersionDiff(
        versions=subjects,
        metrics=metrics,
        parameters=diff_items([flatten(subject.manifest.training.hyperparameters) for subject in subjects]),
        training=diff_items([_training_facts(subject.manifest) for subject in subjects]),
        datasets=diff_items([_datasets(subject.manifest) for subject in subjects]),
        files=diff_items(
            [
                {
                    file.path: {"sha256": file.sha256, "size_bytes": file.size_bytes}
                    for file in subject.manifest.artifacts
                }
                for subject in subjects
            ]
        ),
        sections=diff_items([subject.sections for subject in subjects]),
        tensors=diff_items([subject.tensors or {} for subject in subjects]) if has_tensors else (),
    )


def diff_metrics(evidence: Sequence[Sequence[Evidence]]) -> tuple[MetricDiff, ...]:
    """Return the metrics of versions side by side, given each version's evidence, the baseline's first.

    Where a version measured the same thing twice, the later evidence counts. Values that name no data are left out
    where every version has them on named data too.
    """
    rows: dict[_Key, list[Measurement | None]] = {}
    for index, items in enumerate(evidence):
        for item in items:
            dataset, digest = dataset_of(item.dataset), field_text(item.dataset.get("digest"))
            for metric in item.metrics:
                key = _Key(metric.name, dataset, metric.slice_key, item.kind)
                row = rows.setdefault(key, [None] * len(evidence))
                row[index] = _measurement(metric, dataset.version, digest)
    repeats = unnamed_repeats(
        {(key.thing, key.dataset): [one.value if one else None for one in row] for key, row in rows.items()}
    )
    rows = {key: row for key, row in rows.items() if (key.thing, key.dataset) not in repeats}
    directions: dict[str, set[str]] = defaultdict(set)  # one who states a metric's direction does so for all
    for key, row in rows.items():
        directions[key.name] |= {one.direction for one in row if one is not None and one.direction is not None}
    merged = [_metric_diff(key, versions, measured, directions[key.name]) for key, versions, measured in _joined(rows)]

    def order(metric: MetricDiff) -> tuple[object, ...]:
        place = (getattr(metric.dataset, name) or "" for name in IDENTITY)
        return (metric.name, *place, metric.kind, metric.slice)

    return tuple(sorted(merged, key=order))


def diff_items(versions: Sequence[Mapping[str, object]]) -> tuple[ItemDiff, ...]:
    """Return all things that any version has, by name, the baseline's values first."""

    def change(before: object, after: object) -> ItemChange:
        if _is_same(before, after):
            return ItemChange.SAME
        if before is ABSENT:
            return ItemChange.ADDED
        return ItemChange.REMOVED if after is ABSENT else ItemChange.CHANGED

    names = sorted({name for version in versions for name in version})
    items = []
    for name in names:
        first, *others = found = tuple(version.get(name, ABSENT) for version in versions)
        items.append(ItemDiff(name, found, tuple(change(first, other) for other in others)))
    return tuple(items)


def flatten(table: Mapping[str, object]) -> dict[str, object]:
    """Return a table whose inner tables are written with dots: `{"optimizer.lr": 3e-4}`."""
    flat: dict[str, object] = {}
    _flatten_into(flat, table, "", MOST_LEVELS)
    return flat


@frozen
class _Key:
    """What two values must share to be the same measurement."""

    name: str
    dataset: Dataset
    slice: Slice
    kind: str

    @property
    def thing(self) -> tuple[str, Slice, str]:
        """What is measured, whatever on."""
        return self.name, self.slice, self.kind


def _measurement(metric: Metric, version: str | None, digest: str | None) -> Measurement:
    """Return a value with the interval that is stated, or follows from a standard error or the deviation of so many."""
    stated, error = metric.confidence, metric.standard_error
    if error is None and metric.deviation is not None and metric.samples:
        error = metric.deviation / math.sqrt(metric.samples)
    if stated is None and error is not None:
        half = NORMAL_DEVIATIONS * error
        low, high = metric.value - half, metric.value + half
        stated = Confidence(low, high, NORMAL_LEVEL) if math.isfinite(low) and math.isfinite(high) else None
    assumed = None if stated else assumed_interval(metric.name, metric.value, metric.unit, metric.samples)
    return Measurement(
        value=metric.value,
        unit=metric.unit,
        direction=metric.direction,
        confidence=stated or assumed,
        samples=metric.samples,
        data_version=version,
        data_digest=digest,
        assumed=assumed is not None,
    )


def _joined(
    rows: Mapping[_Key, list[Measurement | None]],
) -> Iterable[tuple[_Key, frozenset[str | None], list[Measurement | None]]]:
    """Yield the rows; those on several versions of the data become one where no compared version has two of them.

    So a metric that was measured anew each month, on that month's data, is seen side by side, but without a verdict.
    """
    groups: dict[_Key, list[_Key]] = defaultdict(list)
    for key in rows:
        groups[replace(key, dataset=replace(key.dataset, version=None))].append(key)
    for loose, found in groups.items():
        columns = list(zip(*(rows[key] for key in found), strict=True))
        if len(found) > 1 and all(sum(one is not None for one in column) <= 1 for column in columns):
            joined = [next((one for one in column if one is not None), None) for column in columns]
            yield loose, frozenset(key.dataset.version for key in found), joined
        else:
            for key in found:
                yield key, frozenset({key.dataset.version}), rows[key]


def _metric_diff(
    key: _Key, versions: frozenset[str | None], measured: Sequence[Measurement | None], directions: set[str]
) -> MetricDiff:
    stated = next(iter(directions)) if len(directions) == 1 else None
    direction = stated or (None if directions else assumed_direction(key.name))
    units = {one.unit for one in measured if one is not None}

    def judged(before: Measurement | None, after: Measurement | None) -> Comparison:
        if before is None or after is None:
            reason = Reason.IN_NEITHER if before is after else Reason.NOT_IN_BASELINE
            return Comparison(None, None, Verdict.UNJUDGED, Reason.ONLY_IN_BASELINE if before else reason)
        verdict, reason = compare(before, after, direction, of_slice=bool(key.slice))
        if len(directions) > 1 and reason is Reason.NO_DIRECTION:
            reason = Reason.CONTRADICTORY
        assumed = verdict in {Verdict.BETTER, Verdict.WORSE, Verdict.NOISE} and (before.assumed or after.assumed)
        assumed = assumed or (verdict in {Verdict.BETTER, Verdict.WORSE} and stated is None)
        delta = _finite(after.value - before.value)
        relative = _finite(delta / abs(before.value)) if delta is not None and before.value else None
        return Comparison(delta, relative, verdict, reason, assumed=assumed)

    return MetricDiff(
        name=key.name,
        dataset=replace(key.dataset, version=next(iter(versions)) if len(versions) == 1 else None),
        slice=key.slice,
        kind=key.kind,
        unit=next(iter(units)) if len(units) == 1 else None,
        direction=direction,
        measured=tuple(measured),
        comparisons=tuple(judged(measured[0], other) for other in measured[1:]),
        direction_assumed=direction is not None and stated is None,
    )


def _finite(value: float) -> float | None:
    """Return the number, or None where two enormous ones have no difference that JSON could hold."""
    return value if math.isfinite(value) else None


def _training_facts(manifest: Manifest) -> dict[str, object]:
    training, lineage = manifest.training, manifest.lineage
    facts = {
        "framework": training.framework,
        "hardware": training.hardware,
        "seed": training.seed,
        "command": training.command,
        "cost": training.cost,
        "duration_seconds": training.duration_seconds,
        "experiment": lineage.experiment,
        "run": lineage.run,
        "parents": [f"{parent.model}:{parent.version} ({parent.relation})" for parent in lineage.parents] or None,
        "code": dict(lineage.code) or None,
        "environment": dict(training.environment) or None,
        "published_from": dict(training.published_from) or None,
    }
    return flatten({name: value for name, value in facts.items() if value is not None})


def _datasets(manifest: Manifest) -> dict[str, object]:
    """Return the training data by name; one that is named twice is numbered."""
    named: dict[str, object] = {}
    seen: Counter[str] = Counter()
    for dataset in manifest.training.datasets:
        name = str(dataset.get("name", ""))
        seen[name] += 1
        key = f"{name} ({seen[name]})" if seen[name] > 1 else name
        named[key] = {field_: value for field_, value in dataset.items() if field_ != "name"}
    return named


def _flatten_into(flat: dict[str, object], table: Mapping[str, object], prefix: str, levels_left: int) -> None:
    for name, value in table.items():
        if isinstance(value, dict) and value and levels_left:
            _flatten_into(flat, value, f"{prefix}{name}.", levels_left - 1)
        else:
            flat[f"{prefix}{name}"] = value


def _is_same(one: object, other: object) -> bool:
    """Return whether two JSON values are the same; unlike Python's, `true` is not 1, though 1 is 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
