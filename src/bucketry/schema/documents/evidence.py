"""One evaluation of a version, and the one rule for what may be in it.

Slices (`{"age": "18-25"}`) make fairness across groups and latency by percentile the same shape as everything else.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, encode, without_empty
from bucketry.schema.documents.audit import parse_time
from bucketry.schema.documents.datasets import dataset_of, field_text
from bucketry.schema.text import displayable, fault_in_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.schema.names import Digest

KINDS = ("automated", "human", "safety")
DIRECTIONS = ("higher", "lower")
LONGEST_METRIC_NAME = 128
LONGEST_SLICE_TEXT = 256
LONGEST_BY = 256
MOST_METRICS = 10_000
"""Of one evaluation."""
MOST_SLICE_ATTRIBUTES = 8

Slice = tuple[tuple[str, str], ...]
"""A slice as a value that can be compared: attribute and value, in the order of the attributes."""


@frozen
class Confidence:
    """A confidence interval at a level between 0 and 1."""

    low: float
    high: float
    level: float

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {"low": self.low, "high": self.high, "level": self.level}


@frozen
class Metric:
    """One measured value. `direction` says which way is better, where somebody said so.

    `standard_error` is how far the value may be off; `deviation` how far single values lie from it where it is the mean
    of several runs or episodes, which says nothing about how far it may be off unless one knows of how many.
    """

    name: str
    value: float
    unit: str | None = None
    direction: str | None = None
    slice: Mapping[str, str] = field(default_factory=dict)
    confidence: Confidence | None = None
    samples: int | None = None
    standard_error: float | None = None
    deviation: float | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def slice_key(self) -> Slice:
        """The slice as a value that can be compared; empty for the whole data set."""
        return tuple(sorted(self.slice.items()))

    def to_document(self) -> Document:
        """Return the JSON form, without the fields that are empty."""
        optional: Document = {
            "unit": self.unit,
            "direction": self.direction,
            "slice": dict(self.slice) or None,
            "confidence": self.confidence.to_document() if self.confidence else None,
            "samples": self.samples,
            "standard_error": self.standard_error,
            "deviation": self.deviation,
        }
        return (
            dict(self.extra)
            | {"name": self.name, "value": self.value}
            | {name: value for name, value in optional.items() if value is not None}
        )


@frozen
class Evidence:
    """One evaluation: by whom, with what harness, on which data, and what was measured."""

    kind: str
    metrics: tuple[Metric, ...]
    at: str | None = None
    by: str | None = None
    harness: Mapping[str, object] = field(default_factory=dict)
    dataset: Mapping[str, object] = field(default_factory=dict)
    notes: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form, without the fields that are empty."""
        return (
            dict(self.extra)
            | {"kind": self.kind, "metrics": [metric.to_document() for metric in self.metrics]}
            | without_empty(
                {
                    "at": self.at,
                    "by": self.by,
                    "harness": dict(self.harness),
                    "dataset": dict(self.dataset),
                    "notes": self.notes,
                }
            )
        )


def encode_evidence(evidence: Evidence, manifest: Digest) -> bytes:
    """Return the bytes of an evaluation that is added to a published version; their SHA-256 is its id."""
    document = {name: value for name, value in evidence.to_document().items() if name != "manifest"}
    return encode(document | {"format": FORMAT, "manifest": manifest})


def decode_evidence(body: bytes, *, manifest: Digest, what: str) -> Evidence:
    """Return an added evaluation; raise `CorruptError`, also for one of another version."""
    fields = Fields(decode(body, what=what), what=what)
    if fields.digest("manifest") != manifest:
        raise CorruptError(f"{what} is about another version", advice="run `bucketry fsck`")
    return read_evidence(fields)


def is_repeated(candidate: Evidence, known: Evidence) -> bool:
    """Return whether an evaluation says what a known one says already.

    Who added it and when counts only where the candidate itself says so.
    """
    theirs = known.to_document()
    ours = candidate.to_document()
    for name in ("at", "by"):
        if name not in ours:
            theirs.pop(name, None)
    return ours == theirs


def headline_values(evidence: Sequence[Evidence], names: Sequence[str] = ()) -> dict[str, float]:
    """Return name and value of the metrics over whole datasets: those named, in that order, else all in theirs.

    Of several values of one name counts the newest that was measured as the first was: same kind, same data.
    """
    values: dict[str, float] = {}
    measured_as: dict[str, tuple[object, ...]] = {}
    for item in evidence:
        identity = (item.kind, dataset_of(item.dataset), field_text(item.dataset.get("digest")))
        for metric in item.metrics:
            if not metric.slice and measured_as.setdefault(metric.name, identity) == identity:
                values[metric.name] = metric.value
    return {name: values[name] for name in names if name in values} if names else values


def read_evidence(fields: Fields) -> Evidence:
    """Return the evidence in a document; raise `CorruptError`."""
    metrics = []
    for index, inner in enumerate(fields.inners("metrics", most=MOST_METRICS)):
        inner.what = f"{inner.what}[{index}]"
        confidence = None
        if inner.table("confidence"):
            bounds = inner.inner("confidence")
            confidence = Confidence(bounds.number("low"), bounds.number("high"), bounds.number("level", default=0.95))
        metrics.append(
            Metric(
                name=inner.text("name"),
                value=inner.number("value"),
                unit=inner.optional_text("unit"),
                direction=inner.optional_text("direction"),
                slice=inner.texts("slice"),
                confidence=confidence,
                samples=inner.optional_integer("samples"),
                standard_error=inner.optional_number("standard_error"),
                deviation=inner.optional_number("deviation"),
                extra=inner.rest(),
            )
        )
    evidence = Evidence(
        kind=fields.text("kind", default="automated"),
        metrics=tuple(metrics),
        at=fields.optional_text("at"),
        by=fields.optional_text("by"),
        harness=fields.table("harness"),
        dataset=fields.table("dataset"),
        notes=fields.text("notes", default=""),
        extra=fields.rest(),
    )
    return check_evidence(evidence, what=fields.what)


def check_evidence(evidence: Evidence, *, what: str) -> Evidence:
    """Return the evidence if its values can be compared; raise `CorruptError` naming the first that cannot."""
    if evidence.kind not in KINDS:
        raise CorruptError(f"{what}: kind is not one of {', '.join(KINDS)}")
    if len(evidence.metrics) > MOST_METRICS:
        raise CorruptError(f"{what}: {len(evidence.metrics):,} metrics are over the limit of {MOST_METRICS:,}")
    seen = set()
    for metric in evidence.metrics:
        check_metric(metric, what=what)
        if (metric.name, metric.slice_key) in seen:
            raise CorruptError(f"{what}: metric {metric.name!a} stands twice with the same slice")
        seen.add((metric.name, metric.slice_key))
    return evidence


def check_claims(evidence: Evidence, *, what: str) -> Evidence:
    """Return the evidence; raise `UsageError` unless `at` is a time and `by` a name that can be shown.

    Of a file that is given, and not of what a registry holds: there they stay whatever somebody once claimed.
    """
    if evidence.at is not None:
        try:
            parse_time(evidence.at)
        except UsageError as error:
            raise UsageError(f"{what}: at: {error.message}", advice=error.advice) from error
    by = evidence.by
    if by is not None and not (0 < len(by) <= LONGEST_BY and not fault_in_line(by, blanks=False)):
        raise UsageError(
            f"{what}: by is not 1 to {LONGEST_BY} printable characters", advice="write who measured, or leave it out"
        )
    return evidence


def check_metric(metric: Metric, *, what: str) -> Metric:
    """Return the metric; raise `CorruptError` for a name, value, direction, slice or interval that makes no sense."""
    if not metric.name or len(metric.name) > LONGEST_METRIC_NAME:
        raise CorruptError(f"{what}: a metric's name has 1 to {LONGEST_METRIC_NAME} characters")
    place = f"{what}: metric {metric.name!a}"
    check_number(metric.value, what=place)
    if metric.direction is not None and metric.direction not in DIRECTIONS:
        raise CorruptError(f"{what}: direction of {metric.name!a} is not 'higher' or 'lower'")
    texts = [text for pair in metric.slice.items() for text in pair]
    if len(metric.slice) > MOST_SLICE_ATTRIBUTES or any(not 0 < len(text) <= LONGEST_SLICE_TEXT for text in texts):
        raise CorruptError(
            f"{place}: a slice has at most {MOST_SLICE_ATTRIBUTES} attributes, each with a value, "
            f"of at most {LONGEST_SLICE_TEXT} characters"
        )
    if metric.confidence is not None:
        low, high, level = metric.confidence.low, metric.confidence.high, metric.confidence.level
        for bound in (low, high, level):
            check_number(bound, what=f"{place}: confidence")
        if low > high or not 0 < level < 1:
            raise CorruptError(f"{place}: low is above high, or level is not between 0 and 1")
    for name, spread in (("standard_error", metric.standard_error), ("deviation", metric.deviation)):
        if spread is not None and check_number(spread, what=f"{place}: {name}") < 0:
            raise CorruptError(f"{place}: {name} is negative")
    return metric


def check_number(value: object, *, what: str) -> float:
    """Return the value if it is a finite number, and neither a text nor true or false; raise `CorruptError`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = displayable(repr(value)[:40])
        raise CorruptError(f"{what} is {shown}, not a number", advice="write the number itself, such as 0.91")
    if not math.isfinite(value):
        raise CorruptError(f"{what} is {value}, which cannot be compared", advice="leave the value out, or measure it")
    return value
